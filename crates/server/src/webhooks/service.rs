//! The verbs of the inbox for administrators, and their rules.

use std::collections::BTreeMap;

use mainstay_domain::{
    Error, FieldFault, InboxEventId, InboxSourceId, InboxState, Kind, Result, Secret, TenantId, Timestamp, hexadecimal,
};
use mainstay_store::{
    Call, ChangeInboxSource, Claim, CountInbox, CreateInboxSource, DeleteInboxSource, EventCounts, GetInboxEvent,
    GetInboxSource, GetJob, InboxEvent, InboxFilter, InboxPage, InboxSource, InboxSourceMade, JobLife, ListInbox,
    ListInboxSources, MOST_INBOX_SOURCES, Once, ReplayEvents,
};

use super::inbox::place;
use super::scheme::{self, Prover, SchemeSettings};
use super::signature::MOST_SECRETS;
use super::sources::Source;
use super::work;
use crate::accounts::Member;
use crate::app::App;
use crate::jobs::service as jobs;

/// The longest name of a sender, in characters.
const MOST_NAME: usize = 100;
/// Bytes of a key.
const KEY_BYTES: usize = 16;
/// The most events that one call processes again.
pub const MOST_REPLAYS: u32 = 500;

/// A sender that is to be added.
#[derive(Debug)]
pub struct NewSender {
    /// What it is called.
    pub name: String,
    /// What kind it is.
    pub provider: Source,
    /// How it proves who it is; as it does unless told otherwise, when it is left out.
    pub settings: Option<SchemeSettings>,
    /// Its secrets; one of ours, when there are none.
    pub secrets: Vec<Secret>,
}

/// What is to be changed of a sender. What is not named stays as it is.
#[derive(Debug, Default)]
pub struct SenderChange {
    /// What it is called.
    pub name: Option<String>,
    /// Whether anything of it is taken.
    pub enabled: Option<bool>,
    /// How it proves who it is.
    pub settings: Option<SchemeSettings>,
    /// Its secrets, in place of those before.
    pub secrets: Option<Vec<Secret>>,
    /// A new secret, beside those that are there.
    pub rotate: bool,
}

/// A sender, and the secret that was made for it, which is shown this once.
#[derive(Debug)]
pub struct Sender {
    /// The sender.
    pub source: InboxSource,
    /// The secret.
    pub made: Option<Secret>,
}

fn checked(name: &str) -> Result<String> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=MOST_NAME).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    let detail = format!("A name has 1 to {MOST_NAME} characters and no control characters.");
    Err(Error::invalid_field("name", "invalid_name", detail))
}

/// Adds a sender.
///
/// # Errors
/// `invalid_input` by field, `too_many`, `idempotency_key_reused`.
pub async fn create(app: &App, call: &Call, by: &Member, new: NewSender, claim: Option<Claim>) -> Result<Sender> {
    let name = checked(&new.name)?;
    let settings = new.settings.unwrap_or_else(|| SchemeSettings::usual(new.provider));
    let (mut secrets, mut made) = (new.secrets, None);
    if secrets.is_empty() {
        made = settings.generate(app.entropy.as_ref());
        secrets.extend(made.clone());
    }
    Prover::new(new.provider, &settings, &secrets)?;
    let mut key = [0; KEY_BYTES];
    app.entropy.fill(&mut key);
    let id = app.ids.make();
    let source = InboxSource {
        id,
        name,
        provider: new.provider.to_string(),
        scheme: app.keys.seal(place(by.tenant, id), &scheme::stored(&settings, &secrets)?)?,
        key: hexadecimal(&key),
        created_at: app.clock.now(),
        disabled_at: None,
    };
    let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
    let create = CreateInboxSource { tenant: by.tenant, person: by.person, source: source.clone(), claim };
    match app.store.run(call, create).await? {
        Once::Done(InboxSourceMade::Made(_)) => Ok(Sender { source, made }),
        Once::Done(InboxSourceMade::TooMany) => {
            let detail = format!("There are {MOST_INBOX_SOURCES} senders, the most there may be. Remove one first.");
            Err(Error::new(Kind::Conflict, "too_many", detail))
        }
        Once::Repeat(used) => {
            let id = crate::http::idempotency::same(&used, "inbox_source", fingerprint.as_deref())?;
            Ok(Sender { source: get(app, call, by, InboxSourceId(id)).await?, made: None })
        }
    }
}

/// Reads a sender.
///
/// # Errors
/// `not_found`.
pub async fn get(app: &App, call: &Call, by: &Member, id: InboxSourceId) -> Result<InboxSource> {
    let found = app.store.run(call, GetInboxSource { tenant: by.tenant, id }).await?;
    found.ok_or_else(|| Error::not_found("sender"))
}

/// Lists the senders of the caller's organisation.
///
/// # Errors
/// As the store.
pub async fn list(
    app: &App,
    call: &Call,
    by: &Member,
    after: Option<(Timestamp, InboxSourceId)>,
    limit: u32,
) -> Result<Vec<InboxSource>> {
    Ok(app.store.run(call, ListInboxSources { tenant: by.tenant, after, limit }).await?)
}

/// How often a change is tried again because its row was sealed anew meanwhile.
const MOST_TRIES: u32 = 5;

/// How a sender proves who it is, opened. Where it cannot be opened, and new secrets are sent, it is as if it had none.
fn opened(app: &App, by: &Member, before: &InboxSource, wish: &SenderChange) -> Result<(SchemeSettings, Vec<Secret>)> {
    match app.keys.open(place(by.tenant, before.id), &before.scheme) {
        Ok(plain) => scheme::read(&plain),
        Err(_) if wish.secrets.is_some() => {
            Ok((SchemeSettings::usual(before.provider.parse().map_err(Error::internal)?), Vec::new()))
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Changes a sender.
///
/// # Errors
/// `invalid_input` by field, `not_found`, `conflict` when somebody else changed how it proves who it is meanwhile.
pub async fn change(app: &App, call: &Call, by: &Member, id: InboxSourceId, wish: SenderChange) -> Result<Sender> {
    let name = wish.name.as_deref().map(checked).transpose()?;
    let before = get(app, call, by, id).await?;
    let now = app.clock.now();
    let mut change =
        ChangeInboxSource { tenant: by.tenant, id, seen: None, name, scheme: None, enabled: wish.enabled, now };
    let proves = wish.settings.is_some() || wish.secrets.is_some() || wish.rotate;
    let mut made = None;
    if proves {
        let provider: Source = before.provider.parse().map_err(Error::internal)?;
        let (known, secrets) = opened(app, by, &before, &wish)?;
        let settings = wish.settings.unwrap_or(known);
        let mut secrets = wish.secrets.unwrap_or(secrets);
        if wish.rotate {
            let new = settings.generate(app.entropy.as_ref()).ok_or_else(|| {
                Error::new(Kind::Invalid, "invalid_input", "This sender brings its own secrets: send them in secrets.")
            })?;
            // The newest first; the oldest goes when there are too many.
            secrets.insert(0, new.clone());
            secrets.truncate(MOST_SECRETS);
            made = Some(new);
        }
        Prover::new(provider, &settings, &secrets)?;
        change.scheme = Some(app.keys.seal(place(by.tenant, id), &scheme::stored(&settings, &secrets)?)?);
        change.seen = Some(before.scheme.clone());
    }
    let changed = store_change(app, call, by, &before, change).await?;
    let source = changed.ok_or_else(|| Error::not_found("sender"))?;
    app.inbox.forget(&source.key);
    Ok(Sender { source, made })
}

/// Stores a change. Where the row was sealed anew meanwhile and says the same, it is tried again.
async fn store_change(
    app: &App,
    call: &Call,
    by: &Member,
    before: &InboxSource,
    mut change: ChangeInboxSource,
) -> Result<Option<InboxSource>> {
    let place = place(by.tenant, before.id);
    let read = app.keys.open(place, &before.scheme).ok();
    for _ in 0..MOST_TRIES {
        match app.store.run(call, change.clone()).await {
            Err(mainstay_store::Error::Conflict) => {}
            stored => return Ok(stored?),
        }
        let now = get(app, call, by, before.id).await?.scheme;
        if read.is_none() || app.keys.open(place, &now).ok() != read {
            break;
        }
        change.seen = Some(now);
    }
    let detail = "Somebody else has changed this sender meanwhile. Look at it again.";
    Err(Error::new(Kind::Conflict, "conflict", detail))
}

/// Removes a sender and its address.
///
/// # Errors
/// `not_found`.
pub async fn remove(app: &App, call: &Call, by: &Member, id: InboxSourceId) -> Result<()> {
    let key = app.store.run(call, DeleteInboxSource { tenant: by.tenant, id }).await?;
    app.inbox.forget(&key.ok_or_else(|| Error::not_found("sender"))?);
    Ok(())
}

/// Lists events of an organisation, the newest first. The nil UUID stands for the installation, here and below.
///
/// # Errors
/// As the store.
pub async fn events(
    app: &App,
    call: &Call,
    tenant: TenantId,
    filter: InboxFilter,
    (after, limit): (Option<InboxEventId>, u32),
) -> Result<InboxPage> {
    Ok(app.store.run(call, ListInbox { tenant, filter, after, limit }).await?)
}

/// Reads an event and, while there is one, its job.
///
/// # Errors
/// `not_found`.
pub async fn event(
    app: &App,
    call: &Call,
    tenant: TenantId,
    id: InboxEventId,
) -> Result<(InboxEvent, Option<JobLife>)> {
    let found = app.store.run(call, GetInboxEvent { tenant, id }).await?;
    let found = found.ok_or_else(|| Error::not_found("event"))?;
    // Its id is its job's: whoever may see the one may see the other.
    let job = app.store.run(call, GetJob(id.into())).await?;
    Ok((found, job))
}

/// Counts the newest events of an organisation, by sender and state.
///
/// # Errors
/// As the store.
pub async fn counts(app: &App, call: &Call, tenant: TenantId) -> Result<BTreeMap<InboxSourceId, EventCounts>> {
    Ok(app.store.run(call, CountInbox { tenant }).await?)
}

/// Cancels the processing of an event that waits for it. True when it will not be processed; false when that runs, and was
/// asked to stop.
///
/// # Errors
/// `not_found`; `ended` when there is nothing left to cancel; `moving` when it moved on each time that it was tried.
pub async fn cancel(app: &App, call: &Call, tenant: TenantId, id: InboxEventId) -> Result<bool> {
    let found = app.store.run(call, GetInboxEvent { tenant, id }).await?;
    let found = found.ok_or_else(|| Error::not_found("event"))?;
    if found.event.state != InboxState::Pending {
        let detail = format!("Only an event that is pending can be cancelled: this one is {}.", found.event.state);
        return Err(Error::new(Kind::Conflict, "ended", detail));
    }
    // Without its job an event would look as if it had been processed.
    jobs::cancel_and_keep(app, call, id.into(), app.config.inbox.kept()).await
}

/// Processes an event again.
///
/// # Errors
/// `not_found`; `not_ended` while it has not been processed a first time.
pub async fn replay(app: &App, call: &Call, tenant: TenantId, id: InboxEventId) -> Result<()> {
    let found = app.store.run(call, GetInboxEvent { tenant, id }).await?;
    let found = found.ok_or_else(|| Error::not_found("event"))?;
    let now = app.clock.now();
    let jobs = vec![work::again(tenant, &found.event, now)?];
    if app.store.run(call, ReplayEvents { jobs, now }).await?.is_empty() {
        let detail = "This event has not been processed a first time. Wait for its end.";
        return Err(Error::new(Kind::Conflict, "not_ended", detail));
    }
    Ok(())
}

/// Processes the events of a filter again, the newest first and at most 500. The answer is how many, and after which the
/// next call goes on.
///
/// # Errors
/// As the store.
pub async fn replay_all(
    app: &App,
    call: &Call,
    tenant: TenantId,
    filter: InboxFilter,
    after: Option<InboxEventId>,
) -> Result<(usize, Option<InboxEventId>)> {
    let page = events(app, call, tenant, filter, (after, MOST_REPLAYS)).await?;
    if page.events.is_empty() {
        return Ok((0, page.next));
    }
    let now = app.clock.now();
    let jobs: Result<Vec<_>> = page.events.iter().map(|event| work::again(tenant, event, now)).collect();
    let begun = app.store.run(call, ReplayEvents { jobs: jobs?, now }).await?;
    Ok((begun.len(), page.next))
}

/// A filter as people write it.
///
/// # Errors
/// `invalid_input` for a state that is none.
pub fn filter(source: Option<InboxSourceId>, kind: Option<String>, state: Option<&str>) -> Result<InboxFilter> {
    let state = state.map(|word| {
        word.parse().map_err(|unknown: mainstay_domain::UnknownWord| {
            FieldFault::new("state", "unknown_word", unknown.to_string())
        })
    });
    let state = state.transpose().map_err(|fault| Error::invalid(vec![fault]))?;
    Ok(InboxFilter { source, kind: kind.unwrap_or_default(), state })
}
