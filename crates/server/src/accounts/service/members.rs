//! Members of an organisation, and further organisations.

use mainstay_domain::{EmailAddress, Error, Kind, OrganisationName, PersonId, Result, Role, TenantId};
use mainstay_store::{
    AddMember, Call, ChangeMember, Claim, CreateOrganisation, ListMembers, Member as Listed, MemberChanged, Once,
};

use super::Accounts;
use crate::accounts::Member;
use crate::accounts::revocations::Revoked;

impl Accounts {
    /// Lists the members of the caller's organisation, at most `limit`, after the one named.
    ///
    /// # Errors
    /// As the store.
    pub async fn members(
        &self,
        call: &Call,
        tenant: TenantId,
        after: Option<PersonId>,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        Ok(self.store.run(call, ListMembers { tenant, after, limit }).await?)
    }

    /// Adds a person who has an account. Who adds an owner must be one.
    ///
    /// # Errors
    /// `not_found` when nobody has this address; `already_member`; `forbidden`.
    pub async fn add_member(&self, call: &Call, by: &Member, email: &EmailAddress, role: Role) -> Result<Listed> {
        within_power(by, role)?;
        let person = self.person_by_email(call, email).await?;
        let now = self.clock.now();
        let added = self.store.run(call, AddMember { tenant: by.tenant, person: person.id, role, now }).await?;
        if !added {
            return Err(Error::new(Kind::Conflict, "already_member", "This person is a member already."));
        }
        Ok(Listed { person: person.id, email: person.email, name: person.name, role, since: now })
    }

    /// Gives a member another role, or removes them when `role` is nothing. Their tokens for this organisation end.
    ///
    /// # Errors
    /// `not_found`, `last_owner`, `forbidden` when an admin touches an owner.
    pub async fn change_member(&self, call: &Call, by: &Member, person: PersonId, role: Option<Role>) -> Result<()> {
        within_power(by, role.unwrap_or(Role::Member))?;
        if by.role < Role::Owner {
            let members =
                self.store.run(call, mainstay_store::MembershipsIn { person, tenants: vec![by.tenant] }).await?;
            let Some(membership) = members.first() else { return Err(Error::not_found("member")) };
            within_power(by, membership.role)?;
        }
        let now = self.clock.now();
        let change = ChangeMember { tenant: by.tenant, person, role, now, tokens_end: self.all_tokens_end(now) };
        match self.store.run(call, change).await? {
            MemberChanged::Done(position) => {
                self.revoke_here(Revoked::Membership(person, by.tenant, position), now);
                Ok(())
            }
            MemberChanged::NoMember => Err(Error::not_found("member")),
            MemberChanged::LastOwner => {
                let detail = "An organisation keeps at least one owner. Make somebody else an owner first.";
                Err(Error::new(Kind::Conflict, "last_owner", detail))
            }
        }
    }

    /// Makes another organisation, owned by the caller.
    ///
    /// # Errors
    /// As the store; `key_reused`.
    pub async fn create_organisation(
        &self,
        call: &Call,
        by: &Member,
        name: OrganisationName,
        claim: Option<Claim>,
    ) -> Result<TenantId> {
        let tenant = self.ids.make();
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let create = CreateOrganisation {
            tenant,
            name,
            owner: by.person,
            caller_tenant: by.tenant,
            claim,
            now: self.clock.now(),
        };
        match self.store.run(call, create).await? {
            Once::Done(tenant) => Ok(tenant),
            Once::Repeat(used) => {
                crate::http::idempotency::same(&used, "organisation", fingerprint.as_deref()).map(TenantId)
            }
        }
    }
}

/// Nobody gives or takes more power than they have.
fn within_power(by: &Member, role: Role) -> Result<()> {
    if role <= by.role {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "forbidden", "Only an owner makes or changes an owner."))
}
