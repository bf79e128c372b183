//! A deadline stops the work in the database, and an abandoned call does too.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Harness;
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{Call, Error, Intent, Ping, Result};

/// A statement that would run for minutes.
const LONG: Sql = Sql::plain(
    "test long",
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT count(*) AS count FROM n",
    "SELECT count(*) AS count FROM pg_sleep(300)",
);

/// How many statements run at present, as the server sees it.
const ACTIVE: Sql = Sql::plain(
    "test active",
    "SELECT 0 AS count",
    "SELECT count(*) AS count FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(300)%' AND pid <> pg_backend_pid()",
);

struct Count(Sql, bool);

#[derive(sqlx::FromRow)]
struct CountRow {
    count: i64,
}

impl Intent for Count {
    type Output = i64;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        if self.1 { Scope::System } else { Scope::Global }
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        Ok(tx.query(self.0).row::<CountRow>().await?.map_or(0, |row| row.count))
    }
}

pub(super) async fn a_statement_is_stopped_in_the_database(h: &Harness) {
    let begun = Instant::now();
    let outcome = h.store.run(&Call::within(Duration::from_millis(300)), Count(LONG, false)).await;
    assert_eq!(outcome, Err(Error::Timeout));
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    nothing_runs(h).await;
}

pub(super) async fn an_abandoned_statement_is_stopped_too(h: &Harness) {
    // Neither the call's own deadline nor the statement's (5 s) ends them in time.
    let call = Call::within(Duration::from_secs(60));
    // The caller goes away in the middle, as a request does whose client hangs up.
    for _ in 0..40 {
        let abandoned = timeout(Duration::from_millis(20), h.store.run(&call, Count(LONG, false))).await;
        assert!(abandoned.is_err(), "it cannot have ended");
    }
    // More calls than there are connections were abandoned, and the next one is served at once.
    let begun = Instant::now();
    h.store.run(&h.call(), Ping).await.expect("a connection");
    assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    nothing_runs(h).await;
}

async fn nothing_runs(h: &Harness) {
    let due = Instant::now() + Duration::from_secs(3);
    while h.store.run(&h.call(), Count(ACTIVE, true)).await.expect("counted") > 0 {
        assert!(Instant::now() < due, "the database still works on an abandoned statement");
        tokio::task::yield_now().await;
    }
}
