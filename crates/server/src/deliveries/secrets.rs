//! What signs for an endpoint: its present secret and those that it replaced lately, as one sealed text.

use mainstay_domain::{EndpointId, Error, Result, Secret, TenantId, Timestamp};
use mainstay_store::SealedColumn;
use serde::{Deserialize, Serialize};

use crate::keys::Place;

/// The most secrets that sign for an endpoint: the newest, and those that it replaced lately.
const MOST: usize = 5;

/// A secret that signs, and until when it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SigningSecret {
    pub(super) secret: Secret,
    /// Nothing for the newest.
    pub(super) until: Option<Timestamp>,
}

/// How it is written before it is sealed.
#[derive(Serialize, Deserialize)]
struct Written {
    secret: String,
    until: Option<i64>,
}

/// Where the secrets of an endpoint are sealed.
pub(super) fn place(tenant: TenantId, id: EndpointId) -> Place {
    Place { column: SealedColumn::EndpointSecrets, tenant, row: id.uuid() }
}

/// The newest first.
pub(super) fn write(secrets: &[SigningSecret]) -> Result<Secret> {
    let written: Vec<_> = secrets
        .iter()
        .map(|one| Written { secret: one.secret.expose().to_owned(), until: one.until.map(Timestamp::as_millis) })
        .collect();
    serde_json::to_string(&written).map(Secret::new).map_err(Error::internal)
}

/// The other way round.
pub(super) fn read(plain: &Secret) -> Result<Vec<SigningSecret>> {
    // The words of the library may quote a secret.
    let written = serde_json::from_str::<Vec<Written>>(plain.expose());
    let written = written.map_err(|_| Error::internal("the secrets of an endpoint cannot be read"))?;
    let secret =
        |one: Written| SigningSecret { secret: Secret::new(one.secret), until: one.until.map(Timestamp::from_millis) };
    Ok(written.into_iter().map(secret).collect())
}

/// Puts a new secret in the place of the one that signs. The old one signs beside it until a moment; what has ended is left
/// out, and so is the oldest of many.
pub(super) fn replaced(
    old: Vec<SigningSecret>,
    new: Secret,
    old_until: Timestamp,
    now: Timestamp,
) -> Vec<SigningSecret> {
    let mut secrets = vec![SigningSecret { secret: new, until: None }];
    for one in old {
        let until = one.until.unwrap_or(old_until);
        if until > now && secrets.len() < MOST {
            secrets.push(SigningSecret { until: Some(until), ..one });
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn old_secrets_sign_for_a_while() {
        let secret = |number: u32| Secret::new(format!("secret {number}"));
        let (mut now, mut secrets) = (Timestamp::from_millis(1_700_000_000_000), Vec::new());
        for number in 0..8 {
            now = now.plus(Duration::from_secs(1));
            secrets = replaced(secrets, secret(number), now.plus(Duration::from_secs(10)), now);
        }
        assert_eq!(secrets.len(), MOST, "the oldest of many is left out");
        assert_eq!((&secrets[0].secret, &secrets[1].secret), (&secret(7), &secret(6)));
        assert_eq!((secrets[0].until, secrets[1].until), (None, Some(now.plus(Duration::from_secs(10)))));
        assert_eq!(read(&write(&secrets).expect("written")).expect("read"), secrets);
        let later = now.plus(Duration::from_secs(20));
        let secrets = replaced(secrets, secret(8), later.plus(Duration::from_secs(1)), later);
        assert_eq!(secrets.len(), 2, "what has ended is left out");
        assert!(read(&Secret::new("whatever".to_owned())).is_err());
    }
}
