//! Another password, and people who are let in no more.

use std::net::IpAddr;

use mainstay_domain::{EmailAddress, Error, PersonId, Result, Secret};
use mainstay_store::{Call, ChangePassword, DisablePerson, EndAllSessions, FindPerson, Person};

use super::sign_in::{Grant, wrong_credentials};
use super::{Accounts, may_enter};
use crate::accounts::passwords::PasswordText;
use crate::accounts::revocations::Revoked;
use crate::accounts::{Member, SignedInPerson};

/// What changing a password asks for, as it was sent.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The password until now.
    pub current: Secret,
    /// The one from now on.
    pub new: Secret,
}

impl Accounts {
    /// Gives somebody who is signed in another password. All their sign-ins and tokens end, also those of other devices, and a
    /// new sign-in begins, for the same organisation.
    ///
    /// # Errors
    /// `invalid_input` when the current password is not right, which counts as a failed sign-in, and for a new one that is not
    /// taken; `too_many_attempts`.
    pub async fn change_password(
        &self,
        call: &Call,
        member: &Member,
        change: PasswordChange,
        from: IpAddr,
    ) -> Result<SignedInPerson> {
        let person = self.store.run(call, FindPerson(member.person)).await?.ok_or_else(wrong_credentials)?;
        may_enter(&person)?;
        let email = email_of(&person)?;
        let attempt = self.attempt(email.as_str(), from)?;
        if !self.passwords.verify(change.current, person.password_hash.as_deref()).await? {
            let detail = "This is not your password.";
            return Err(Error::invalid_field("current_password", "wrong_password", detail));
        }
        attempt.success();
        let password = PasswordText::parse(change.new.expose().to_owned(), &email)
            .map_err(|refused| Error::invalid(vec![refused.of("new_password")]))?;
        let (session, issued_at) = (self.new_session(), self.clock.now());
        let session_id = session.id;
        self.set_password(call, person.id, password, Some((session, member.tenant))).await?;
        let grant = Grant { person: person.id, tenant: member.tenant, session: session_id, generation: 0, issued_at };
        self.pair(call, grant).await
    }

    /// Gives a person another password without asking for theirs: the command line's way, for who has forgotten it. All their
    /// sign-ins and tokens end.
    ///
    /// # Errors
    /// `not_found`; `invalid_input` for one that is not taken.
    pub async fn reset_password(&self, call: &Call, email: &EmailAddress, password: &Secret) -> Result<()> {
        let person = self.person_by_email(call, email).await?;
        let password = PasswordText::parse(password.expose().to_owned(), email)
            .map_err(|refused| Error::invalid(vec![refused.of("password")]))?;
        self.set_password(call, person.id, password, None).await
    }

    /// Ends all sign-ins of a person, and with them every token of theirs until now.
    ///
    /// # Errors
    /// As the store.
    pub async fn sign_out_everywhere(&self, call: &Call, person: PersonId) -> Result<()> {
        let now = self.clock.now();
        let end = EndAllSessions { person, reason: "signed out everywhere", now, tokens_end: self.all_tokens_end(now) };
        let position = self.store.run(call, end).await?;
        self.revoke_here(Revoked::Person(person, position, now), now);
        Ok(())
    }

    async fn set_password(
        &self,
        call: &Call,
        person: PersonId,
        password: PasswordText,
        begins: Option<(mainstay_store::NewSession, mainstay_domain::TenantId)>,
    ) -> Result<()> {
        let password_hash = self.passwords.hash(password.into_secret()).await?;
        let now = self.clock.now();
        let change = ChangePassword { person, password_hash, begins, now, tokens_end: self.all_tokens_end(now) };
        let position = self.store.run(call, change).await?;
        self.revoke_here(Revoked::Person(person, position, now), now);
        Ok(())
    }

    /// Lets a person in no more, or again. What they are known by stops being good within 5 s on every node: sign-ins, tokens,
    /// API keys, open sockets. Only the command line calls this.
    ///
    /// # Errors
    /// `not_found` when there is no such person.
    pub async fn disable(&self, call: &Call, email: &EmailAddress, disabled: bool) -> Result<()> {
        let person = self.person_by_email(call, email).await?.id;
        let now = self.clock.now();
        let disable = DisablePerson { person, disabled, now, tokens_end: self.all_tokens_end(now) };
        Ok(self.store.run(call, disable).await?)
    }
}

/// Who has no address has no password either.
fn email_of(person: &Person) -> Result<EmailAddress> {
    let email = person.email.as_deref().and_then(|email| EmailAddress::parse(email).ok());
    email.ok_or_else(wrong_credentials)
}
