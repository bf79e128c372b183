//! Work once promised: what a transaction enqueued is done, whatever dies meanwhile. Knows no product.
//!
//! A [`Job`] is a type with a kind, a queue and its arguments. [`Promise`] makes the row of one, which the transaction that
//! is its cause inserts; nothing else has to happen for it to be done. A [`Worker`] claims what is ready in batches, runs
//! each attempt as a task of its own with a deadline, and ends attempts in batches. What holds:
//!
//! - **Nothing is lost.** A job is a row from the commit that promised it until long after its end. A worker that dies is
//!   noticed by its lease, and what it ran is taken back. What fails too often is kept as dead, with every error.
//! - **Nobody acts on a job that is not theirs.** Each transition names the number that the claim gave out, and changes it.
//!   A worker that was frozen and comes back changes nothing. A handler can end its job in the transaction that holds the
//!   effect ([`JobContext::fence`]), so that the effect takes place exactly once.
//! - **Jobs do not hurt each other.** One that panics, hangs or is cancelled ends alone; groups are served in turn; queues
//!   have slots of their own.
//! - **Everything has a bound**: slots for each queue, the size of a batch, the length of what is kept, the time of each
//!   attempt and of each statement.

mod context;
mod failure;
mod figures;
mod kind;
mod list;
mod worker;

pub use context::JobContext;
pub use failure::{Done, Failure, JobResult, Retry};
pub use figures::{JobFigures, Outcome};
pub use kind::{Job, Promise, backoff};
pub use list::{JobList, Missed, Queue, Scheduled};
pub use worker::{Gate, Settings, Spawn, Worker};

/// A future in a box, as tasks are handed over.
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
