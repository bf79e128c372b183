//! Tickets: how a browser, which cannot send a header with a WebSocket, shows who it is. A ticket is signed, ends after half
//! a minute and is good once.
//!
//! What was used lives in one process while there is one node. On several, a use is claimed in the database, in the table
//! of idempotency keys, so that no two nodes take the same ticket.

use std::time::Duration;

use mainstay_domain::{Error, IdempotencyKey, Kind, Result, Secret, Timestamp, hexadecimal};
use mainstay_store::{Call, ClaimOnce, Store};
use moka::sync::Cache;
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use crate::accounts::access_token::{AccessTokens, Claims};
use crate::accounts::keys::{Purpose, SigningKey};

/// For how long a ticket is good.
pub(super) const LIFE: Duration = Duration::from_secs(30);
/// For how long a used one is remembered: longer than it is good.
const REMEMBERED: Duration = Duration::from_secs(90);
/// The most that are remembered at once.
const MOST_REMEMBERED: u64 = 200_000;

/// Makes tickets and takes them once.
pub struct Tickets {
    tokens: AccessTokens,
    used: Cache<[u8; 32], ()>,
}

fn refused() -> Error {
    let detail = "The ticket is not good, or no longer, or was used. Get another one.";
    Error::new(Kind::Unauthenticated, "unauthenticated", detail)
}

impl Tickets {
    /// The tickets of this installation.
    #[must_use]
    pub fn new(key: &SigningKey) -> Self {
        Self {
            tokens: AccessTokens::for_purpose(key, Purpose::Ticket),
            used: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build(),
        }
    }

    /// Makes one with these claims.
    #[must_use]
    pub fn mint(&self, claims: &Claims) -> Secret {
        self.tokens.mint(claims)
    }

    /// Takes a ticket. `alone` says that no other node could take it too.
    ///
    /// # Errors
    /// `unauthenticated` when it is not good or was used.
    pub async fn take(&self, ticket: &str, now: Timestamp, alone: bool, store: &Store, call: &Call) -> Result<Claims> {
        let claims = self.tokens.verify(ticket, now).map_err(|fault| refused().because(fault))?;
        let mut mark = [0; 32];
        mark.copy_from_slice(digest(&SHA256, ticket.as_bytes()).as_ref());
        if !self.used.entry(mark).or_insert(()).is_fresh() {
            return Err(refused());
        }
        if !alone {
            let key = IdempotencyKey::parse(&format!("ticket:{}", hexadecimal(&mark)));
            let key = key.map_err(|refused| Error::internal(refused.detail))?;
            let claim = ClaimOnce {
                tenant: claims.tenant,
                person: claims.person,
                key,
                operation: "ticket",
                resource: Uuid::nil(),
                now,
            };
            if store.run(call, claim).await?.is_some() {
                return Err(refused());
            }
        }
        Ok(claims)
    }
}
