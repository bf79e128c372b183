//! Signing up, in and out.

use std::net::IpAddr;

use mainstay_domain::{
    EmailAddress, Error, FieldFault, Kind, OrganisationName, PersonId, PersonName, Result, Role, Secret, SessionId,
    TenantId, Timestamp,
};
use mainstay_store::{
    AuditNote, Call, EndSession, FindPerson, FindPersonByEmail, INSTALLATION, Membership, MembershipsIn, MembershipsOf,
    NewPerson, NewSession, Person, RecordAuditNote, RotateSession, Rotated, Session, SetOperator, SetPassword, SignUp,
    SignedUp, StartSession, SwitchSession,
};
use tokio::time::Instant;

use super::{Accounts, address, may_enter};
use crate::accounts::access_token::Claims;
use crate::accounts::passwords::PasswordText;
use crate::accounts::revocations::Revoked;
use crate::accounts::throttle::Reservation;
use crate::audit_trail::Entrance;

/// The longest email address, in characters.
const LONGEST_ADDRESS: usize = 254;

/// What signing up asks for, as it was sent.
#[derive(Clone, Debug)]
pub struct SignUpRequest {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
    /// What the person is called; may be empty.
    pub name: String,
}

/// What signing in asks for, as it was sent.
#[derive(Clone, Debug)]
pub struct SignInRequest {
    /// The address.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// A person who is signed in, and the pair of tokens that shows it.
#[derive(Clone, Debug)]
pub struct SignedInPerson {
    /// Who.
    pub person: Person,
    /// In which organisation.
    pub membership: Membership,
    /// For `Authorization: Bearer`.
    pub access_token: Secret,
    /// For the next pair.
    pub refresh_token: Secret,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
}

/// What a personal organisation is called.
pub(super) fn personal_organisation(name: &PersonName, email: Option<&EmailAddress>) -> OrganisationName {
    let own = if name.as_str().is_empty() {
        email.and_then(|email| email.as_str().split('@').next()).unwrap_or_default()
    } else {
        name.as_str()
    };
    let shown: String = own.chars().take(180).collect();
    OrganisationName::parse(&shown)
        .or_else(|_| OrganisationName::parse("Personal"))
        .unwrap_or_else(|_| unreachable!("a fixed name is a name"))
}

fn too_many(after: std::time::Duration) -> Error {
    let detail = "Too many attempts. Wait before the next one.";
    Error::new(Kind::TooManyRequests, "too_many_attempts", detail).retry_after(after)
}

pub(super) fn wrong_credentials() -> Error {
    Error::new(Kind::Unauthenticated, "wrong_credentials", "The address or the password is not right.")
}

fn signed_out() -> Error {
    Error::new(Kind::Unauthenticated, "signed_out", "This sign-in has ended. Sign in again.")
}

/// A sign-in that is given a pair of tokens.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) person: PersonId,
    /// Where it is; they may have been removed from there.
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    pub(super) generation: u32,
    /// From before the sign-in was read: a sign-in that ends later is remembered for longer than this token lives.
    pub(super) issued_at: Timestamp,
}

/// A password that is being tried: a failure of its account and of where it comes from, unless it succeeds.
pub(super) struct Attempt<'a> {
    by_address: Reservation<'a>,
    by_account: Reservation<'a>,
}

impl Attempt<'_> {
    /// It was right.
    pub(super) fn success(self) {
        self.by_address.success();
        self.by_account.success();
    }
}

struct NewAccount {
    email: EmailAddress,
    password: Option<PasswordText>,
    name: PersonName,
}

/// Reads a sign-up, naming every field that is wrong.
fn new_account(request: &SignUpRequest) -> Result<NewAccount> {
    let mut faults: Vec<FieldFault> = Vec::new();
    let email = EmailAddress::parse(&request.email).map_err(|refused| faults.push(refused.of("email"))).ok();
    let name = PersonName::parse(&request.name).map_err(|refused| faults.push(refused.of("name"))).ok();
    let password = match &email {
        Some(email) => PasswordText::parse(request.password.expose().to_owned(), email),
        None => EmailAddress::parse("nobody@localhost")
            .and_then(|nobody| PasswordText::parse(request.password.expose().to_owned(), &nobody)),
    };
    let password = password.map_err(|refused| faults.push(refused.of("password"))).ok();
    match (email, password, name) {
        (Some(email), Some(password), Some(name)) => Ok(NewAccount { email, password: Some(password), name }),
        _ => Err(Error::invalid(faults)),
    }
}

impl Accounts {
    /// Makes a person with a personal organisation, and signs them in.
    ///
    /// # Errors
    /// `invalid_input` by field, `email_taken`, `sign_up_disabled`, `too_many_attempts`.
    pub async fn sign_up(&self, call: &Call, request: SignUpRequest, from: IpAddr) -> Result<SignedInPerson> {
        if !self.settings.sign_up_enabled {
            return Err(Error::new(Kind::Forbidden, "sign_up_disabled", "Accounts are made by the operator here."));
        }
        let account = new_account(&request)?;
        self.sign_ups.reserve(&address(from), Instant::now()).map_err(too_many)?.failure();
        let (session, issued_at) = (self.new_session(), self.clock.now());
        let (person, tenant) = self.make_person(call, account, Some((session, from)), false).await?;
        self.pair(call, Grant { person, tenant, session: session.id, generation: 0, issued_at }).await
    }

    /// Makes a person without signing them in: the command line's way. One without a password is reached by `mainstay
    /// token` only.
    ///
    /// # Errors
    /// `invalid_input` by field, `email_taken`.
    pub async fn create_person(&self, call: &Call, request: SignUpRequest, operator: bool) -> Result<PersonId> {
        let account = if request.password.is_empty() {
            let email =
                EmailAddress::parse(&request.email).map_err(|refused| Error::invalid(vec![refused.of("email")]))?;
            let name = PersonName::parse(&request.name).map_err(|refused| Error::invalid(vec![refused.of("name")]))?;
            NewAccount { email, password: None, name }
        } else {
            new_account(&request)?
        };
        Ok(self.make_person(call, account, None, operator).await?.0)
    }

    async fn make_person(
        &self,
        call: &Call,
        account: NewAccount,
        session: Option<(NewSession, IpAddr)>,
        operator: bool,
    ) -> Result<(PersonId, TenantId)> {
        let password_hash = match account.password {
            Some(password) => Some(self.passwords.hash(password.into_secret()).await?),
            None => None,
        };
        let (person, tenant) = (self.ids.make(), self.ids.make());
        if let Some((session, from)) = &session {
            call.audited(self.entrance("sign_up", tenant, Some(person), (Some(session.id), *from)));
        }
        let session = session.map(|(session, _)| session);
        let sign_up = SignUp {
            organisation: personal_organisation(&account.name, Some(&account.email)),
            person: NewPerson { id: person, email: Some(account.email), name: account.name, password_hash, operator },
            tenant,
            session,
            now: self.clock.now(),
        };
        match self.store.run(call, sign_up).await? {
            SignedUp::Done => Ok((person, tenant)),
            SignedUp::EmailTaken => Err(Error {
                fields: vec![FieldFault::new(
                    "email",
                    "taken",
                    "There is an account with this address. Sign in instead.",
                )],
                ..Error::new(Kind::Conflict, "email_taken", "There is an account with this address already.")
            }),
        }
    }

    /// Checks a password and begins a sign-in.
    ///
    /// # Errors
    /// `wrong_credentials`, without telling which of the two; `too_many_attempts` after too many failures.
    pub async fn sign_in(&self, call: &Call, request: SignInRequest, from: IpAddr) -> Result<SignedInPerson> {
        let attempt = self.attempt(&request.email, from)?;
        let person = match EmailAddress::parse(&request.email) {
            Ok(email) => self.store.run(call, FindPersonByEmail(email)).await?,
            Err(_) => None,
        };
        let hash = person.as_ref().and_then(|person| person.password_hash.as_deref());
        // Without an account, or without a password, the same work is done on a hash that nothing matches.
        let matches = self.passwords.verify(request.password.clone(), hash).await?;
        let known = person.as_ref().map(|person| person.id);
        let right = person.filter(|_| matches).ok_or_else(wrong_credentials);
        let person = match right.and_then(|person| may_enter(&person).map(|()| person)) {
            Ok(person) => person,
            Err(refused) => {
                self.note_failure(call, known, from).await;
                return Err(refused);
            }
        };
        attempt.success();
        self.rehash_if_needed(call, &person, request.password).await?;
        let membership = self.home(person.id, call).await?;
        let session = self.new_session();
        let issued_at = self.clock.now();
        let grant =
            Grant { person: person.id, tenant: membership.tenant, session: session.id, generation: 0, issued_at };
        call.audited(self.entrance("sign_in", grant.tenant, Some(grant.person), (Some(grant.session), from)));
        let start = StartSession { session, person: grant.person, tenant: grant.tenant, now: issued_at };
        self.store.run(call, start).await?;
        Ok(self.tokens(person, membership, grant))
    }

    /// Begins to try a password of this account, from there. It counts as a failure until it is known to be right.
    ///
    /// # Errors
    /// `too_many_attempts` after too many failures of either.
    pub(super) fn attempt(&self, email: &str, from: IpAddr) -> Result<Attempt<'_>> {
        let now = Instant::now();
        let by_address = self.failed_sign_ins.reserve(&address(from), now).map_err(too_many)?;
        // Cut at the length of the longest address: what is remembered of an attempt is not as long as its body may be.
        let named: String = email.trim().to_lowercase().chars().take(LONGEST_ADDRESS).collect();
        match self.failed_sign_ins.reserve(&format!("account {named}"), now) {
            Ok(by_account) => Ok(Attempt { by_address, by_account }),
            Err(after) => {
                // Nothing was tried: the address is not charged for it.
                by_address.success();
                Err(too_many(after))
            }
        }
    }

    /// What is written into the audit trail of somebody who wants to be let in.
    fn entrance(
        &self,
        action: &'static str,
        chain: TenantId,
        person: Option<PersonId>,
        (session, from): (Option<SessionId>, IpAddr),
    ) -> AuditNote {
        let outside = (self.clock.as_ref(), self.entropy.as_ref());
        Entrance { action, chain, person, session, address: Some(from), outside }.note()
    }

    /// Writes a sign-in that failed into the audit trail of the installation. Whoever is refused is refused also when it cannot
    /// be written.
    async fn note_failure(&self, call: &Call, person: Option<PersonId>, from: IpAddr) {
        let note = self.entrance("sign_in_failed", INSTALLATION, person, (None, from));
        if let Err(error) = self.store.run(call, RecordAuditNote(note)).await {
            tracing::warn!(%error, "a failed sign-in could not be written into the audit trail");
        }
    }

    async fn rehash_if_needed(&self, call: &Call, person: &Person, password: Secret) -> Result<()> {
        let outdated = person.password_hash.as_deref().is_some_and(|hash| self.passwords.needs_rehash(hash));
        if outdated {
            let password_hash = self.passwords.hash(password).await?;
            self.store.run(call, SetPassword { person: person.id, password_hash }).await?;
        }
        Ok(())
    }

    /// Exchanges a refresh token for the next pair.
    ///
    /// # Errors
    /// `signed_out` when it is not good any more. A token that was used before ends the whole sign-in.
    pub async fn refresh(&self, call: &Call, token: &Secret, from: IpAddr) -> Result<SignedInPerson> {
        let (id, generation) = self.refresh_tokens.read(token.expose()).map_err(|fault| signed_out().because(fault))?;
        let now = self.clock.now();
        let rotate = RotateSession {
            id,
            generation,
            now,
            expires_at: now.plus(self.settings.refresh_token_lifetime()),
            leeway: self.settings.refresh_leeway(),
            tokens_end: self.tokens_end(now),
        };
        match self.store.run(call, rotate).await? {
            Rotated::Good(Session { person, tenant, generation }) => {
                self.pair(call, Grant { person, tenant, session: id, generation, issued_at: now }).await
            }
            Rotated::Ended => Err(signed_out()),
            Rotated::Reused(person) => {
                self.revoke_here(Revoked::Session(id), now);
                tracing::warn!(session = %id, %person, "a refresh token was used twice; the sign-in is ended");
                let note = self.entrance("refresh_token_reused", INSTALLATION, Some(person), (Some(id), from));
                self.store.run(call, RecordAuditNote(note)).await?;
                Err(signed_out())
            }
        }
    }

    /// Ends a sign-in. Its access tokens stop being good here at once, and everywhere within 5 s.
    ///
    /// # Errors
    /// As the store.
    pub async fn sign_out(&self, call: &Call, session: SessionId) -> Result<()> {
        let now = self.clock.now();
        let end = EndSession { id: session, reason: "signed out", now, tokens_end: self.tokens_end(now) };
        self.store.run(call, end).await?;
        self.revoke_here(Revoked::Session(session), now);
        Ok(())
    }

    /// The sign-in that a refresh token names, if it is one of ours.
    #[must_use]
    pub fn session_of(&self, token: &Secret) -> Option<SessionId> {
        self.refresh_tokens.read(token.expose()).ok().map(|(session, _)| session)
    }

    /// Moves a sign-in to another organisation of its person, with a new pair of tokens.
    ///
    /// # Errors
    /// `not_found` when the person is no member there; `signed_out`.
    pub async fn switch(
        &self,
        call: &Call,
        session: SessionId,
        person: PersonId,
        tenant: TenantId,
    ) -> Result<SignedInPerson> {
        // First that they belong there, within that organisation's scope; then the sign-in moves.
        let found = self.store.run(call, MembershipsIn { person, tenants: vec![tenant] }).await?;
        if found.is_empty() {
            return Err(Error::not_found("organisation"));
        }
        let issued_at = self.clock.now();
        let switch = SwitchSession { id: session, person, tenant, now: issued_at };
        let moved = self.store.run(call, switch).await?.ok_or_else(signed_out)?;
        self.pair(call, Grant { person, tenant, session, generation: moved.generation, issued_at }).await
    }

    /// A person and all that they belong to.
    ///
    /// # Errors
    /// `not_found` when they are gone.
    pub async fn profile(&self, call: &Call, person: PersonId) -> Result<(Person, Vec<Membership>)> {
        let found = self.store.run(call, FindPerson(person)).await?.ok_or_else(|| Error::not_found("person"))?;
        let memberships = MembershipsOf(person).find(&self.store, call).await?;
        Ok((found, memberships))
    }

    /// Makes a person an operator of the installation, or ends that. Only the command line calls this.
    ///
    /// # Errors
    /// `not_found` when there is no such person.
    pub async fn set_operator(&self, call: &Call, email: &EmailAddress, operator: bool) -> Result<()> {
        let person = self.person_by_email(call, email).await?;
        let since = operator.then(|| self.clock.now());
        Ok(self.store.run(call, SetOperator { person: person.id, since }).await?)
    }

    /// Finds a person by their address.
    ///
    /// # Errors
    /// `not_found` when there is none.
    pub async fn person_by_email(&self, call: &Call, email: &EmailAddress) -> Result<Person> {
        let found = self.store.run(call, FindPersonByEmail(email.clone())).await?;
        found.ok_or_else(|| Error::not_found("person"))
    }

    /// The oldest organisation of a person.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn home_of(&self, call: &Call, email: &EmailAddress) -> Result<TenantId> {
        let person = self.person_by_email(call, email).await?;
        Ok(self.home(person.id, call).await?.tenant)
    }

    /// Makes an access token without a sign-in, for tests and tools that have the database: the command line's way.
    ///
    /// # Errors
    /// `not_found` when there is no such person.
    pub async fn token_for(&self, call: &Call, email: &EmailAddress, lasts: std::time::Duration) -> Result<Secret> {
        let person = self.person_by_email(call, email).await?;
        let membership = self.home(person.id, call).await?;
        let now = self.clock.now();
        Ok(self.access_tokens.mint(&Claims {
            person: person.id,
            tenant: membership.tenant,
            role: membership.role,
            session: self.ids.make(),
            as_of: membership.as_of,
            issued_at: now,
            expires_at: now.plus(lasts),
        }))
    }

    pub(super) fn new_session(&self) -> NewSession {
        let expires_at = self.clock.now().plus(self.settings.refresh_token_lifetime());
        NewSession { id: self.ids.make(), expires_at }
    }

    /// The pair of tokens for a sign-in, with the role as it is now.
    pub(super) async fn pair(&self, call: &Call, grant: Grant) -> Result<SignedInPerson> {
        let Grant { person, tenant, .. } = grant;
        let found = self.store.run(call, FindPerson(person)).await?.ok_or_else(signed_out)?;
        may_enter(&found)?;
        let there = self.store.run(call, MembershipsIn { person, tenants: vec![tenant] }).await?;
        let membership = match there.into_iter().next() {
            Some(membership) => membership,
            // They were removed from it: another organisation of theirs takes its place.
            None => self.home(person, call).await?,
        };
        Ok(self.tokens(found, membership, grant))
    }

    fn tokens(&self, person: Person, membership: Membership, grant: Grant) -> SignedInPerson {
        let Grant { session, generation, issued_at, .. } = grant;
        let role: Role = membership.role;
        let access_token = self.access_tokens.mint(&Claims {
            person: person.id,
            tenant: membership.tenant,
            role,
            session,
            as_of: membership.as_of,
            issued_at,
            expires_at: issued_at.plus(self.settings.access_token_lifetime()),
        });
        SignedInPerson {
            person,
            membership,
            access_token,
            refresh_token: self.refresh_tokens.mint(session, generation),
            expires_in: self.settings.access_token_seconds,
        }
    }
}
