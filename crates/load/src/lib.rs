//! Virtual users: the load that a server is measured with. It speaks to a server only through the client.
//!
//! Arrivals are open-loop: each user has moments at which they mean to do something, whether or not the server is ready for
//! it, and a latency is counted from that moment. So a server that stands still for a second is seen by everybody who would
//! have asked in that second, and not only by who did.
//!
//! The generator is meant to run beside the server on a small machine: one task for each user, one request of each at a
//! time, nothing decoded that is not needed, and figures in histograms whose size does not depend on how much they count.

mod histogram;
mod options;
mod process;
mod recorder;
mod report;
mod run;
mod user;

pub use histogram::Histogram;
pub use options::{Fault, Options, Profile, Thresholds, parse_tokens};
pub use process::raise_file_limit;
pub use recorder::{Operation, Second};
pub use report::{Check, OperationFigures, Report, Storm};
pub use run::{Progress, run};
