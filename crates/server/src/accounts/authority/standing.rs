//! What a socket goes on: who was let in, and by what, so that it can be asked again whether that still holds.

use mainstay_domain::{ApiKeyScope, Result, Timestamp};
use mainstay_store::Call;

use super::{Credential, Known, Member, digest, not_good, too_little};
use crate::accounts::Accounts;
use crate::accounts::access_token::Claims;

/// By what a caller was let in for longer than a request.
#[derive(Clone)]
pub struct Standing(By);

#[derive(Clone)]
enum By {
    Session(Claims),
    Remembered(Box<Known>),
}

impl Accounts {
    /// Who a token that may read stands for, and what to ask later.
    ///
    /// # Errors
    /// As [`Accounts::member`]; `forbidden` for a key that may not read.
    pub async fn admit(&self, token: &str, call: &Call) -> Result<(Member, Standing)> {
        let member = self.member(token, call).await?;
        if !member.may(ApiKeyScope::Read) {
            return Err(too_little("the scope read"));
        }
        if self.access_tokens.looks_like(token) {
            let claims =
                self.access_tokens.verify(token, self.clock.now()).map_err(|fault| not_good().because(fault))?;
            return Ok((member, Standing(By::Session(claims))));
        }
        let known = self.remembered.cache.get(&digest(token)).ok_or_else(not_good)?;
        Ok((member, Standing(By::Remembered(Box::new(known)))))
    }

    /// Who a sign-in that was checked elsewhere stands for: a ticket.
    ///
    /// # Errors
    /// `unauthenticated` when it has ended since.
    pub fn admit_claims(&self, claims: Claims) -> Result<(Member, Standing)> {
        self.revocations.ready(tokio::time::Instant::now())?;
        if self.revocations.is_revoked(&claims) {
            return Err(not_good());
        }
        let Claims { tenant, person, role, session, .. } = claims;
        let member = Member { tenant, person, role, credential: Credential::Session(session) };
        Ok((member, Standing(By::Session(claims))))
    }

    /// Whether what a socket was let in by still holds. The end of an access token's life does not end it: the sign-in goes
    /// on, and what ends a sign-in is known here.
    #[must_use]
    pub fn stands(&self, standing: &Standing) -> bool {
        match &standing.0 {
            By::Session(claims) => !self.revocations.is_revoked(claims),
            By::Remembered(known) => self.still_good(known),
        }
    }

    /// Changes when something was revoked since it was asked before.
    #[must_use]
    pub fn revocation_position(&self) -> (i64, usize) {
        (self.revocations.position(), self.revocations.len())
    }

    /// The claims of the access token of a sign-in, for a ticket that ends at a moment.
    ///
    /// # Errors
    /// `unauthenticated` when the token is no access token of a sign-in here.
    pub fn claims_until(&self, token: &str, until: Timestamp) -> Result<Claims> {
        let claims = self.access_tokens.verify(token, self.clock.now()).map_err(|fault| not_good().because(fault))?;
        Ok(Claims { expires_at: until.min(claims.expires_at), ..claims })
    }
}
