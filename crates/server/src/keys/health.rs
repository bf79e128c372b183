//! Whether this node has the keys that it needs.

use super::Keys;

/// Whether all is well with the keys, and in words.
pub(crate) fn check(keys: &Keys) -> (bool, String) {
    let known = keys.known();
    let list = |versions: &[mainstay_domain::KeyVersion]| {
        versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let missing = known.missing();
    if !missing.is_empty() {
        return (false, format!("this node has not got key {}; see docs/operations/keys.md", list(&missing)));
    }
    if !known.wrong.is_empty() {
        return (false, format!("key {} here is another than the database knows", list(&known.wrong)));
    }
    if !known.taken_away.is_empty() {
        let taken_away = list(&known.taken_away);
        return (false, format!("key {taken_away} was taken away: put it back before this node is started again"));
    }
    match known.sealing {
        Some(version) => (true, format!("key {version} seals; {} keys are here", known.keyring.len())),
        None => (false, "no key seals".to_owned()),
    }
}
