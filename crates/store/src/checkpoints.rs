//! The task that moves what was committed on SQLite from its log into its file.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::sqlite::Checkpointer;
use crate::store::{Engine, Inner};
use crate::tasks::Task;

/// How often the checkpointer looks at the log.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(250);

/// Looks at the log now and then; it ends at once on PostgreSQL.
pub(crate) fn checkpointer(inner: Arc<Inner>) -> Task {
    Task::new("checkpointer", async move {
        let Engine::Sqlite(engine) = &inner.engine else { return };
        let mut open: Option<Checkpointer> = None;
        loop {
            tokio::time::sleep(CHECKPOINT_EVERY).await;
            let checkpointer = match open.take() {
                Some(checkpointer) => Ok(checkpointer),
                None => Checkpointer::open(engine).await,
            };
            match checkpointer {
                Ok(mut checkpointer) => match checkpointer.tick(engine).await {
                    Ok(()) => open = Some(checkpointer),
                    Err(error) => tracing::warn!(%error, "the log could not be checkpointed; it is tried again"),
                },
                Err(error) => tracing::warn!(%error, "the checkpointer could not open the file; it is tried again"),
            }
        }
    })
}
