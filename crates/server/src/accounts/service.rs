//! The verbs of accounts, and their rules.

mod credentials;
mod guest;
mod keys;
mod members;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::{Clock, Entropy, Error, Ids, PersonId, Result, Timestamp};
use mainstay_store::{
    Call, FindOutsidePerson, MembershipsOf, NewPerson, Person, Revocation as Entry, RevocationsSince, Revoked as What,
    Store,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

pub use self::credentials::PasswordChange;
pub use self::guest::Guest;
pub use self::sign_in::{SignInRequest, SignUpRequest, SignedInPerson};
use super::access_token::AccessTokens;
use super::authority::Remembered;
use super::issuers::{HttpSettings, Issuers, OutsideIdentity};
use super::keys::SigningKey;
use super::passwords::Passwords;
use super::plans::Plans;
use super::refresh_token::RefreshTokens;
use super::revocations::{Revocation, Revocations, Revoked};
use super::throttle::Throttle;
use crate::config::{self, Config};
use crate::lifecycle::Lifecycle;

/// Accounts and addresses whose failures are remembered at once.
const THROTTLED: usize = 100_000;
/// How long a reading of the feed may take.
const FEED_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the first reading may take, at start.
const FIRST_READING: Duration = Duration::from_secs(10);
/// How long a revocation of an API key is kept: longer than any node remembers the key.
const KEY_FORGOTTEN: Duration = Duration::from_secs(600);

/// People, sign-ins, members and keys.
pub struct Accounts {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) access_tokens: AccessTokens,
    pub(super) revocations: Arc<Revocations>,
    pub(super) issuers: Arc<Issuers>,
    pub(super) remembered: Remembered,
    pub(super) plans: Plans,
    entropy: Arc<dyn Entropy>,
    ids: Ids,
    refresh_tokens: RefreshTokens,
    passwords: Passwords,
    settings: config::Auth,
    longest_request: Duration,
    failed_sign_ins: Throttle,
    sign_ups: Throttle,
}

/// The longest life of an access token: that of one which the command line makes.
pub const LONGEST_TOKEN: Duration = Duration::from_secs(86_400);

impl Accounts {
    /// The accounts of this installation.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(
        config: &Config,
        key: &SigningKey,
        store: Store,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        ids: Ids,
    ) -> Result<Self> {
        let settings = config.auth.clone();
        let window = settings.throttle_window();
        let limit = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            store,
            access_tokens: AccessTokens::new(key),
            refresh_tokens: RefreshTokens::new(key),
            revocations: Arc::new(Revocations::default()),
            issuers: Arc::new(Issuers::new(&settings, Arc::clone(&clock), &HttpSettings::default())?),
            remembered: Remembered::new(),
            plans: Plans::new(),
            passwords: Passwords::new(&settings, Arc::clone(&entropy))?,
            failed_sign_ins: Throttle::new(limit(settings.sign_in_failures), window, THROTTLED),
            sign_ups: Throttle::new(limit(settings.sign_ups), window, THROTTLED),
            clock,
            entropy,
            ids,
            settings,
            longest_request: config.http.request_timeout(),
        })
    }

    /// Reads the feed of revocations once, and keeps reading it.
    ///
    /// # Errors
    /// When it cannot be read: then no token could be believed.
    pub async fn start(&self, lifecycle: &Lifecycle) -> Result<()> {
        let feed =
            Feed { store: self.store.clone(), view: Arc::clone(&self.revocations), clock: Arc::clone(&self.clock) };
        feed.read(&Call::within(FIRST_READING)).await?;
        let every = self.settings.revocation_poll_interval();
        lifecycle.spawn_until_drained("revocations", async move { feed.follow(every).await });
        let issuers = Arc::clone(&self.issuers);
        lifecycle.spawn_until_stopped("issuers", async move { issuers.keep_fresh().await });
        Ok(())
    }

    /// Passwords that wait to be hashed.
    #[must_use]
    pub fn passwords_waiting(&self) -> usize {
        self.passwords.waiting()
    }

    /// How long ago the feed of revocations was read; nothing when it never was.
    #[must_use]
    pub fn revocations_age(&self) -> Option<Duration> {
        self.revocations.freshness(Instant::now())
    }

    /// When the last access token that is out when this request ends has ended by itself. Tokens are dated before what
    /// they are made from is read, so the last one is at most a request younger than `now`; the clocks of the nodes that
    /// make it, check it and forget the entry may each differ from ours.
    fn tokens_end(&self, now: Timestamp) -> Timestamp {
        now.plus(self.settings.access_token_lifetime()).plus(self.longest_request).plus(3 * super::access_token::LEEWAY)
    }

    /// The same for all tokens of a member: also those that the command line made, which belong to no sign-in.
    pub(crate) fn all_tokens_end(&self, now: Timestamp) -> Timestamp {
        self.tokens_end(now).max(now.plus(LONGEST_TOKEN).plus(3 * super::access_token::LEEWAY))
    }

    /// What this node revoked holds here at once, and on the others with their next reading.
    fn revoke_here(&self, revoked: Revoked, now: Timestamp) {
        let until = match revoked {
            Revoked::Session(_) | Revoked::ApiKey(_) => self.tokens_end(now),
            Revoked::Person(..) | Revoked::Membership(..) => self.all_tokens_end(now),
        };
        let until = until.plus(KEY_FORGOTTEN);
        self.revocations.apply_local(&Revocation { revoked, until });
    }

    /// The membership that a sign-in begins with: the oldest.
    pub(super) async fn home(&self, person: PersonId, call: &Call) -> Result<mainstay_store::Membership> {
        let memberships = MembershipsOf(person).find(&self.store, call).await?;
        memberships.into_iter().next().ok_or_else(|| {
            Error::new(
                mainstay_domain::Kind::Forbidden,
                "no_membership",
                "This person belongs to no organisation any more.",
            )
        })
    }

    /// The person that an outside token speaks of, made on first sight.
    pub(super) async fn outside_person(&self, identity: OutsideIdentity, call: &Call) -> Result<PersonId> {
        let find = || FindOutsidePerson { issuer: identity.issuer.clone(), subject: identity.subject.clone() };
        if let Some(person) = self.store.run(call, find()).await? {
            return may_enter(&person).map(|()| person.id);
        }
        let name = identity.name.clone().unwrap_or_default();
        let admit = mainstay_store::AdmitOutsidePerson {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            organisation: sign_in::personal_organisation(&name, identity.email.as_ref()),
            person: NewPerson {
                id: self.ids.make(),
                email: identity.email.clone().filter(|_| identity.email_verified),
                name,
                password_hash: None,
                operator: false,
            },
            tenant: self.ids.make(),
            now: self.clock.now(),
        };
        match self.store.run(call, admit).await {
            Ok(person) => Ok(person),
            // Another request saw the person first.
            Err(mainstay_store::Error::Unique(_)) => {
                let person = self.store.run(call, find()).await?;
                person.map(|person| person.id).ok_or_else(|| Error::not_found("person"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn may_enter(person: &Person) -> Result<()> {
    if person.disabled_at.is_none() {
        return Ok(());
    }
    Err(Error::new(mainstay_domain::Kind::Forbidden, "account_disabled", "This account has been disabled."))
}

/// What throttles an address: its text as the throttle counts it.
fn address(address: IpAddr) -> String {
    super::throttle::address_key(address)
}

/// The reader of the feed.
struct Feed {
    store: Store,
    view: Arc<Revocations>,
    clock: Arc<dyn Clock>,
}

impl Feed {
    /// Reads all that is new.
    async fn read(&self, call: &Call) -> Result<()> {
        loop {
            let begun = Instant::now();
            let position = self.view.position();
            let entries = self.store.run(call, RevocationsSince(position)).await?;
            let last = entries.last().map_or(position, |entry| entry.position);
            let full = entries.len() == RevocationsSince::MOST;
            let batch: Vec<_> = entries.into_iter().map(view_entry).collect();
            self.view.apply(&batch, last, begun);
            if !full {
                return Ok(());
            }
        }
    }

    /// Reads again and again. A failure is said once, and again when it is over.
    async fn follow(&self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match self.read(&Call::within(FEED_TIMEOUT)).await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("the feed of revocations is read again");
                }
                Ok(()) => {}
                Err(error) if !failing => {
                    failing = true;
                    tracing::error!(error = %error, inside = ?error.inside, "the feed of revocations cannot be read; requests are refused after 5 s");
                }
                Err(_) => {}
            }
            self.view.prune(self.clock.now());
        }
    }
}

fn view_entry(entry: Entry) -> Revocation {
    let revoked = match entry.what {
        What::Session(id) => Revoked::Session(id),
        What::Person(id) => Revoked::Person(id, entry.position, entry.at),
        What::Membership { person, tenant } => Revoked::Membership(person, tenant, entry.position),
        What::ApiKey(id) => Revoked::ApiKey(id),
    };
    Revocation { revoked, until: entry.expires_at }
}
