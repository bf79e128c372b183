//! The key that signs tokens, as it is found or made at a start.

use mainstay_domain::{Error, Kind, Result, Sealed, TenantId};
use mainstay_store::{Call, ExchangeSealed, SealedColumn, SealedRow, SigningKeyOr, Store};
use uuid::Uuid;

use super::{OPENING, Outside};
use crate::accounts::keys::SigningKey;
use crate::config;
use crate::keys::{Keys, Place};

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
    if !auth.signing_key.is_empty() {
        return SigningKey::from_hex(&auth.signing_key);
    }
    let place = Place { column: SealedColumn::SigningKey, tenant: TenantId(Uuid::nil()), row: Uuid::nil() };
    let candidate = keys.seal(place, &SigningKey::generate(outside.entropy.as_ref()))?;
    let or = SigningKeyOr { name: "tokens", candidate: candidate.clone(), now: outside.clock.now() };
    let sealed = store.run(&Call::within(OPENING), or).await?;
    let opened = match keys.open(place, &sealed) {
        Err(_) if keys.is_lost(&sealed) => {
            tracing::warn!(
                "the key that signs tokens was sealed under a key that is lost: it is made anew, and everybody signs in again"
            );
            replace_signing_key(store, place, &sealed, candidate.clone()).await?;
            keys.open(place, &candidate)
        }
        opened => opened,
    };
    let opened = opened.map_err(|fault| {
        Error::new(Kind::Conflict, "no_signing_key", format!("The key that signs tokens cannot be opened: {fault}."))
    })?;
    SigningKey::from_hex(&opened)
}

async fn replace_signing_key(store: &Store, place: Place, old: &Sealed, new: Sealed) -> Result<()> {
    let stored = mainstay_domain::Secret::new(old.as_str().to_owned());
    let row = SealedRow { tenant: place.tenant, id: place.row, stored };
    let exchange = ExchangeSealed { column: place.column, rows: vec![(row, new)] };
    if store.run_for_jobs(&Call::within(OPENING), exchange).await? == 1 {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, "conflict", "Another node has made the key that signs tokens anew. Start again."))
}
