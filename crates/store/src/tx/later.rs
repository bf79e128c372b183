//! Writes that are sent together.
//!
//! Each statement is a trip to the thread that runs SQLite, and back. Writes of which nothing is read wait until something
//! is, or until the commit, and go in one trip, in their order.

use futures_util::TryStreamExt;
use sqlx::{Arguments, AssertSqlSafe, Either, Executor};

use super::{Engine, Rows, Tx, bad_parameters, named, short, stride};
use crate::error::{Error, Result};
use crate::sql::Sql;
use crate::trace::StepKind;

/// A set-based write that has not been sent.
pub(super) struct Write {
    sql: Sql,
    count: u64,
    rows: Rows,
    /// What it means when not every row of the batch was written.
    short: Option<&'static str>,
}

/// Parameters of a packed batch: the list, the bytes of a row, the rows.
const PARAMETERS: usize = 3;

impl Tx<'_> {
    /// Writes these rows before anything is read again, and before the commit; nothing for no rows. `short` is what it means
    /// when not all of them were written: an error then.
    ///
    /// # Errors
    /// When the rows are not what the statement expects, a bug. Whatever else fails is told by the next statement, or before
    /// the commit.
    pub(crate) fn later<T: serde::Serialize>(
        &mut self,
        sql: Sql,
        rows: &[T],
        short: Option<&'static str>,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let encoded = self.encode(sql, rows).map_err(|error| bad_parameters(sql, &error))?;
        self.count(sql.name);
        self.pending.push(Write { sql, count: rows.len() as u64, rows: encoded, short });
        Ok(())
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// What the writes failed with. The transaction must be rolled back.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let written = self.send(&pending).await?;
        for (write, written) in pending.iter().zip(written) {
            self.touched(write.sql, written);
            match write.short {
                Some(short) if written != write.count => return Err(Error::Bug(short.to_owned())),
                _ => {}
            }
        }
        Ok(())
    }

    /// The answer is how many rows each touched.
    async fn send(&mut self, pending: &[Write]) -> Result<Vec<u64>> {
        let mut written = Vec::with_capacity(pending.len());
        match &mut self.engine {
            Engine::Sqlite(tx) => {
                let text = AssertSqlSafe(together(pending));
                let names = || pending.iter().map(|write| write.sql.name).collect::<Vec<_>>().join(", ");
                let mut step = self.step.map(|step| step.part(StepKind::Statement, "writes"));
                if let Some(step) = &mut step {
                    step.say("statements", names());
                }
                let mut arguments = sqlx::sqlite::SqliteArguments::default();
                for write in pending {
                    let bound = Arguments::add(&mut arguments, write.rows.list.as_str())
                        .and_then(|()| Arguments::add(&mut arguments, stride(write.sql)))
                        .and_then(|()| Arguments::add(&mut arguments, write.rows.blob.as_deref()));
                    bound.map_err(|error| bad_parameters(write.sql, &error))?;
                }
                let mut done = (&mut **tx).fetch_many(sqlx::query_with(text, arguments));
                while let Some(one) = done.try_next().await.map_err(|error| named(&names(), error))? {
                    if let Either::Left(done) = one {
                        written.push(done.rows_affected());
                    }
                }
            }
            Engine::Postgres(tx) => {
                for write in pending {
                    let _step = self.step.map(|step| step.part(StepKind::Statement, short(write.sql.name)));
                    let query = sqlx::query(write.sql.postgres).bind(&write.rows.list).persistent(self.prepared);
                    let done = query.execute(&mut **tx).await.map_err(|error| named(write.sql.name, error))?;
                    written.push(done.rows_affected());
                }
            }
            Engine::SqliteBare(_) => return Err(Error::Bug("a write outside a transaction".to_owned())),
        }
        Ok(written)
    }
}

/// Their texts as one, each with parameters of its own.
fn together(pending: &[Write]) -> String {
    let mut together = String::with_capacity(pending.iter().map(|write| write.sql.sqlite.len() + 64).sum());
    for (position, write) in pending.iter().enumerate() {
        let mut parts = write.sql.sqlite.split('$');
        together.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let number = match part.as_bytes().first() {
                Some(b'1') => 1,
                Some(b'8') => 2,
                _ => 3,
            };
            together.push('$');
            together.push_str(&(position * PARAMETERS + number).to_string());
            together.push_str(part.get(1..).unwrap_or_default());
        }
        together.push(';');
    }
    together
}
