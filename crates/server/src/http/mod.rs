//! The wire, once: everything that is the same for every route.
//!
//! [`Routes`] collects the routes and their bounds, [`wrap`] puts the stack around the router, [`serve`] answers sockets
//! with it. Handlers take [`Json`], [`Query`], [`Path`], [`RawBody`] and [`RequestContext`], and return
//! `Result<_, Problem>`.

mod access;
mod body;
mod context;
mod headers;
pub mod idempotency;
mod json;
mod metrics;
mod origins;
pub mod overload;
pub mod page;
mod path;
mod problem;
mod query;
mod redirect;
mod routes_table;
mod serve;
mod sse;
mod stack;
mod tls;
pub(crate) mod websocket;

pub use body::{RawBody, body_problem};
pub use context::{NetworkFault, RequestContext, TrustedProxies};
pub(crate) use headers::{knows, listening, playing};
pub use json::{Json, from_slice, present};
pub use metrics::{AnsweredCounts, HttpMetrics, UNMATCHED};
pub use origins::{AllowedOrigins, OriginFault, origin_of};
pub use overload::{Load, Overload, Priority};
pub use path::Path;
pub use problem::{Document, PROBLEM_JSON, Problem};
pub use query::Query;
pub use redirect::redirect;
pub use routes_table::{Access, Policy, RouteFault, RouteSpec, RouteTable, Routes};
pub use serve::serve;
pub use sse::{Event, LastEventId, event_stream};
pub use stack::{Settings, SettingsFault, wrap};
pub use tls::{Known, MOST_SPENT_PERCENT, Tls};
