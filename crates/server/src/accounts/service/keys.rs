//! API keys of an organisation.

use mainstay_domain::{ApiKeyId, ApiKeyScope, Error, Faults, Kind, Result, Secret, Timestamp};
use mainstay_store::{ApiKey, Call, Claim, CreateApiKey, GetApiKey, ListApiKeys, Once, RevokeApiKey};

use super::{Accounts, KEY_FORGOTTEN};
use crate::accounts::revocations::Revoked;
use crate::accounts::{Credential, Member, api_key};

/// The longest name of a key, in characters.
const MOST_NAME: usize = 100;

/// A key that was made: the only time that it is shown. A repeat with the same idempotency key gives the key's data
/// without the secret, which is kept nowhere.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its data.
    pub key: ApiKey,
    /// The key itself.
    pub secret: Option<Secret>,
}

impl Accounts {
    /// Makes a key in the name of the caller.
    ///
    /// # Errors
    /// `invalid_input` by field; `forbidden` for a scope that the key which asks does not have; `key_reused`.
    pub async fn create_api_key(
        &self,
        call: &Call,
        by: &Member,
        name: &str,
        scopes: Vec<ApiKeyScope>,
        claim: Option<Claim>,
    ) -> Result<NewApiKey> {
        let name = read(name, &scopes)?;
        if let Credential::ApiKey { scopes: own, .. } = &by.credential
            && !scopes.iter().all(|scope| own.contains(scope))
        {
            let detail = "A key makes keys of its own scopes only. Sign in to make one with others.";
            return Err(Error::new(Kind::Forbidden, "forbidden", detail));
        }
        let (secret, hash) = api_key::generate(self.entropy.as_ref());
        let prefix = format!("mk_{}", api_key::shown_prefix(&secret));
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let now = self.clock.now();
        let create = CreateApiKey {
            id: self.ids.make(),
            tenant: by.tenant,
            person: by.person,
            name: name.clone(),
            prefix: prefix.clone(),
            hash: hash.to_hex(),
            scopes: scopes.clone(),
            claim,
            now,
        };
        match self.store.run(call, create).await? {
            Once::Done(id) => {
                let key = ApiKey { id, person: by.person, name, prefix, scopes, created_at: now, revoked_at: None };
                Ok(NewApiKey { key, secret: Some(secret) })
            }
            Once::Repeat(used) => {
                let id = crate::http::idempotency::same(&used, "api_key", fingerprint.as_deref())?;
                let key = self.api_key(call, by, ApiKeyId(id)).await?;
                Ok(NewApiKey { key, secret: None })
            }
        }
    }

    /// Reads a key's data.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn api_key(&self, call: &Call, by: &Member, id: ApiKeyId) -> Result<ApiKey> {
        let found = self.store.run(call, GetApiKey { tenant: by.tenant, id }).await?;
        found.ok_or_else(|| Error::not_found("API key"))
    }

    /// Lists the keys of the caller's organisation.
    ///
    /// # Errors
    /// As the store.
    pub async fn api_keys(
        &self,
        call: &Call,
        by: &Member,
        after: Option<(Timestamp, ApiKeyId)>,
        limit: u32,
    ) -> Result<Vec<ApiKey>> {
        Ok(self.store.run(call, ListApiKeys { tenant: by.tenant, after, limit }).await?)
    }

    /// Revokes a key: here at once, everywhere within 5 s.
    ///
    /// # Errors
    /// `not_found` when there is none, or it was revoked before.
    pub async fn revoke_api_key(&self, call: &Call, by: &Member, id: ApiKeyId) -> Result<()> {
        let now = self.clock.now();
        let revoke = RevokeApiKey { tenant: by.tenant, id, now, forgotten_at: now.plus(KEY_FORGOTTEN) };
        if !self.store.run(call, revoke).await? {
            return Err(Error::not_found("API key"));
        }
        self.revoke_here(Revoked::ApiKey(id), now);
        Ok(())
    }
}

fn read(name: &str, scopes: &[ApiKeyScope]) -> Result<String> {
    let mut faults = Faults::default();
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > MOST_NAME || name.chars().any(char::is_control) {
        let detail = format!("A name has 1 to {MOST_NAME} characters and no control characters.");
        faults.add("name", "invalid_name", detail);
    }
    let mut sorted = scopes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() || sorted.len() != scopes.len() {
        faults.add("scopes", "invalid_scopes", "Name at least one of read, write and admin, each once.");
    }
    faults.judge()?;
    Ok(name.to_owned())
}
