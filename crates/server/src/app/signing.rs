//! The keys of the installation, as they are found or made at a start.

use mainstay_domain::{Error, Kind, Result, Sealed, Secret, TenantId};
use mainstay_store::{Call, ExchangeSealed, SealedColumn, SealedRow, SigningKeyOr, Store};
use uuid::Uuid;

use super::{OPENING, Outside};
use crate::accounts::keys::SigningKey;
use crate::config;
use crate::keys::{Keys, ObjectionKey, Place};

/// A key that all nodes share, sealed in the database.
struct Shared {
    name: &'static str,
    id: Uuid,
    /// What follows when it is made anew, since what it was sealed under is lost.
    lost: &'static str,
}

const TOKENS: Shared = Shared {
    name: "tokens",
    id: Uuid::nil(),
    lost: "the key that signs tokens is made anew, and everybody signs in again",
};
const OBJECTIONS: Shared = Shared {
    name: "objections",
    id: Uuid::from_u128(1),
    lost: "the key of objections is made anew: who was erased is not known to have been, and may be written to again",
};

/// Makes the keys ready, and gives the key that signs tokens: from the configuration, else the one in the database, which is
/// made at the first start.
pub(super) async fn signing_key(
    auth: &config::Auth,
    store: &Store,
    keys: &Keys,
    outside: &Outside,
) -> Result<SigningKey> {
    keys.begin().await.map_err(|error| match error {
        error if error.kind == Kind::Internal => {
            Error { detail: "The schema is not there. Run `mainstay migrate up` first.".to_owned(), ..error }
        }
        error => error,
    })?;
    keys.object_by(ObjectionKey::from_hex(&shared(&OBJECTIONS, store, keys, outside).await?)?);
    if !auth.signing_key.is_empty() {
        return SigningKey::from_hex(&auth.signing_key);
    }
    SigningKey::from_hex(&shared(&TOKENS, store, keys, outside).await?)
}

async fn shared(key: &Shared, store: &Store, keys: &Keys, outside: &Outside) -> Result<Secret> {
    let place = Place { column: SealedColumn::SigningKey, tenant: TenantId(Uuid::nil()), row: key.id };
    let candidate = keys.seal(place, &SigningKey::generate(outside.entropy.as_ref()))?;
    let or = SigningKeyOr { name: key.name, id: key.id, candidate: candidate.clone(), now: outside.clock.now() };
    let sealed = store.run(&Call::within(OPENING), or).await?;
    let opened = match keys.open(place, &sealed) {
        Err(_) if keys.is_lost(&sealed) => {
            tracing::warn!("a key that is lost was needed: {}", key.lost);
            replace(key, store, place, &sealed, candidate.clone()).await?;
            keys.open(place, &candidate)
        }
        opened => opened,
    };
    opened.map_err(|fault| {
        let detail = format!("The shared key for {} cannot be opened: {fault}.", key.name);
        Error::new(Kind::Conflict, "no_signing_key", detail)
    })
}

async fn replace(key: &Shared, store: &Store, place: Place, old: &Sealed, new: Sealed) -> Result<()> {
    let stored = Secret::new(old.as_str().to_owned());
    let row = SealedRow { tenant: place.tenant, id: place.row, stored };
    let exchange = ExchangeSealed { column: place.column, rows: vec![(row, new)] };
    if store.run_for_jobs(&Call::within(OPENING), exchange).await? == 1 {
        return Ok(());
    }
    let detail = format!("Another node has made the shared key for {} anew. Start again.", key.name);
    Err(Error::new(Kind::Conflict, "conflict", detail))
}
