//! An intent: one finished sentence that the store understands, and one transaction.

use std::future::Future;

use crate::error::Result;
use crate::tx::{Scope, Tx};

/// One thing to do or to read, in one transaction. The value is the whole request, so that it can be repeated; hand it to
/// [`crate::Store::run`]. Only the store can write one: the transaction that it runs in cannot be named outside.
pub trait Intent: Send + Sync {
    /// The answer.
    type Output: Send;
    /// True for what changes rows: on SQLite it runs on the one writer.
    const WRITES: bool;
    /// True when doing it twice is the same as doing it once, so that it is repeated also when a commit was not confirmed.
    const REPEATABLE: bool = false;
    /// True for a read of one statement, which is a snapshot by itself: on SQLite no transaction is begun for it.
    const ONE_STATEMENT: bool = false;
    /// True for a read of several statements that must be of one moment. On SQLite every read is.
    const SNAPSHOT: bool = false;

    /// Whose rows it may see.
    fn scope(&self) -> Scope;

    /// Does it.
    fn run(&self, tx: &mut Tx<'_>) -> impl Future<Output = Result<Self::Output>> + Send;
}
