//! Guests: whom an audit asks as.

use std::time::Duration;

use mainstay_domain::{PersonId, Role, Secret, TenantId};

use super::Accounts;
use crate::accounts::access_token::Claims;

/// Somebody who is nobody, in an organisation that is not there, with a token that the server takes. Whatever a guest asks for
/// belongs to nobody, and nothing is stored for them.
#[derive(Debug)]
pub struct Guest {
    /// The organisation that is not there.
    pub tenant: TenantId,
    /// Who is nobody.
    pub person: PersonId,
    /// For `Authorization: Bearer`.
    pub token: Secret,
}

impl Accounts {
    /// A guest, whose token is good for so long.
    #[must_use]
    pub fn guest(&self, lasts: Duration) -> Guest {
        let (tenant, person, now) = (self.ids.make(), self.ids.make(), self.clock.now());
        let token = self.access_tokens.mint(&Claims {
            person,
            tenant,
            role: Role::Member,
            session: self.ids.make(),
            as_of: self.revocations.position(),
            issued_at: now,
            expires_at: now.plus(lasts),
        });
        Guest { tenant, person, token }
    }
}
