//! The audit trail: who has signed in, and who has changed what. Each organisation has a chain of entries for what its owners
//! and admins do and for who signs in to it; that of the installation has what operators and the command line do, and sign-ins
//! that failed.
//!
//! Nothing has to be told of a change: whoever is let in as an administrator, as an operator or by their sign-in has their
//! request noted, and the first transaction of it that changes a row writes the entry too. So there is no change without an
//! entry and, since a transaction that fails takes its entry with it, no entry without a change.

pub mod api;
pub mod chains;
mod keeping;

use std::net::IpAddr;

use axum::http::Method;
use axum::http::request::Parts;
use mainstay_domain::{Clock, Entropy, PersonId, SessionId, TenantId};
use mainstay_store::{AuditNote, INSTALLATION};
use serde_json::{Map, Value, json};

use crate::accounts::{Credential, Member};
use crate::app::App;
use crate::http::RequestContext;

pub(crate) use keeping::start;

/// Notes that a request was let in that may change something, for whom it is.
pub(crate) fn of_request(app: &App, parts: &Parts, member: &Member, chain: TenantId) {
    let Some(context) = parts.extensions.get::<RequestContext>() else { return };
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || context.policy().is_some_and(|policy| !policy.audited) {
        return;
    }
    let mut by = json!({ "person": member.person });
    match &member.credential {
        Credential::Session(session) => by["session"] = json!(session),
        Credential::ApiKey { id, .. } => by["api_key"] = json!(id),
        Credential::Outside => by["outside"] = json!(true),
    }
    let said = json!({
        "by": by,
        "path": parts.uri.path(),
        "address": context.client_address,
        "request_id": context.request_id,
    });
    let action = format!("{} {}", parts.method, context.route);
    context.call.audited(note((app.clock.as_ref(), app.entropy.as_ref()), chain, action, &said));
}

/// What a command of this program changes, and who has given it.
pub(crate) fn by_command(app: &App, command: &str, login: &str) -> AuditNote {
    let said = json!({ "by": { "login": login } });
    let action = format!("mainstay {command}");
    note((app.clock.as_ref(), app.entropy.as_ref()), INSTALLATION, action, &said)
}

/// What became of somebody's wish to be let in.
pub(crate) struct Entrance<'a> {
    /// What: `sign_in`, `sign_in_failed`, `sign_up`.
    pub(crate) action: &'static str,
    /// Whose chain.
    pub(crate) chain: TenantId,
    /// Who, where that is known.
    pub(crate) person: Option<PersonId>,
    /// By which sign-in.
    pub(crate) session: Option<SessionId>,
    /// From where.
    pub(crate) address: Option<IpAddr>,
    /// Time and chance.
    pub(crate) outside: (&'a dyn Clock, &'a dyn Entropy),
}

impl Entrance<'_> {
    /// Its entry.
    pub(crate) fn note(&self) -> AuditNote {
        let mut by = Map::new();
        if let Some(person) = self.person {
            by.insert("person".to_owned(), json!(person));
        }
        if let Some(session) = self.session {
            by.insert("session".to_owned(), json!(session));
        }
        let mut said = json!({ "by": by });
        if let Some(address) = self.address {
            said["address"] = json!(address);
        }
        note(self.outside, self.chain, self.action.to_owned(), &said)
    }
}

fn note((clock, entropy): (&dyn Clock, &dyn Entropy), tenant: TenantId, action: String, said: &Value) -> AuditNote {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    AuditNote { tenant, at: clock.now(), action, content: said.to_string(), salt }
}
