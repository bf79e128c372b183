//! The typed client of Mainstay: what a program that talks to a server needs, and no more.
//!
//! - [`Client`]: every call of the API that a user program needs. It repeats what may be repeated, obeys `Retry-After`, and
//!   never adds more than a share of traffic by repeating.
//! - [`ReplyStream`]: a reply as typed events, which goes on where the connection broke.
//! - [`Live`]: changes as they happen, over a WebSocket that comes back by itself.
//! - [`Replica`]: a copy of what the person may see, kept by delta sync and live changes, that can be compared with the
//!   server.
//!
//! Nothing here runs in the background: a stream, a socket or a replica moves while its owner waits for it. So nothing is
//! buffered for anybody, and dropping a value ends it.
//!
//! ```no_run
//! use std::sync::Arc;
//! use mainstay_client::{Client, ReplyEvent, SendMessage};
//! use mainstay_domain::{Entropy, Secret};
//!
//! # async fn example(entropy: Arc<dyn Entropy>) -> Result<(), mainstay_client::Error> {
//! let anybody = Client::builder("http://127.0.0.1:8080", entropy).build()?;
//! let (client, who) = anybody.sign_in("ada@example.com", &Secret::new("a long password".to_owned())).await?;
//! println!("signed in as {}", who.user.name);
//!
//! let mut reply = client.send_streaming(SendMessage::new("Hello, who are you?"));
//! while let Some(event) = reply.next().await? {
//!     match event {
//!         ReplyEvent::Token { text, .. } => print!("{text}"),
//!         ReplyEvent::Done { reply, .. } => println!("\n{} characters", reply.content.chars().count()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod accounts;
mod assistant;
mod billing;
mod builder;
mod call;
mod chance;
mod client;
mod credentials;
mod error;
mod flags;
mod live;
mod model;
mod replica;
mod retry;
mod streaming;
mod sync;

pub use assistant::{Listing, SendMessage};
pub use billing::{
    Budget, MemberUsage, OrganisationUsage, UsageAllowance, UsageLimit, UsageLimits, UsageOfMonth, Used,
};
pub use builder::{ClientBuilder, Pool, Timeouts};
pub use client::Client;
pub use credentials::Tokens;
pub use error::{Error, FieldFault, Problem, TransportFault};
pub use flags::{Flags, OutcomeEvent, Recorded};
pub use live::{Closure, Disconnection, Frame, Live, LiveEvent, LivePolicy, RawFrame, Ready};
pub use model::{
    ApiKey, Conversation, FaultOfMessage, Me, Member, Membership, Message, NewApiKey, NewOrganisation, Organisation,
    Page, Sent, SignedIn, User,
};
pub use replica::{Applied, Counters, Follower, Memory, Pushed, Replica, Row, RowKey, Step, Storage, Synced};
pub use retry::RetryPolicy;
pub use streaming::{ReplyEvent, ReplyStart, ReplyStream};
pub use sync::{
    Change, Checksum, Cursor, LiveTicket, Mutation, MutationResult, MutationStatus, Position, StreamName, SyncPage,
};

/// What every call answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;
