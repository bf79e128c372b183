//! What the server tells. Members that a newer server adds are left out.

use std::time::Duration;

use mainstay_domain::{ApiKeyScope, MessageRole, MessageStatus, Plan, Role, Secret, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::credentials::Tokens;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<String>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct User {
    /// Their id.
    pub id: Uuid,
    /// Their address; people of outside issuers may have none.
    pub email: Option<String>,
    /// What they are called.
    pub name: String,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Organisation {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it pays for.
    pub plan: Plan,
}

/// A person's place in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Membership {
    /// The organisation.
    pub organisation: Organisation,
    /// What the person may do in it.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
}

/// Who the token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Me {
    /// The person.
    pub user: User,
    /// The organisation that the token names.
    pub organisation: Organisation,
    /// What the person may do in it.
    pub role: Role,
    /// True for an operator of the installation.
    pub operator: bool,
    /// Every organisation of the person.
    pub memberships: Vec<Membership>,
}

/// The answer of signing up and in, of refreshing and of switching.
#[derive(Clone, Debug, Deserialize)]
pub struct SignedIn {
    /// The person.
    pub user: User,
    /// The organisation that the tokens name.
    pub organisation: Organisation,
    /// For `Authorization: Bearer`.
    pub access_token: Secret,
    /// For the next pair.
    pub refresh_token: Option<Secret>,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
}

impl SignedIn {
    /// The pair. A server that gives no new refresh token leaves the `old` one good.
    pub(crate) fn tokens(&self, old: Option<&Secret>) -> Tokens {
        Tokens {
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone().or_else(|| old.cloned()).unwrap_or_default(),
            expires_in: Duration::from_secs(self.expires_in),
        }
    }
}

/// A further organisation, just made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct NewOrganisation {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
}

/// A member of the organisation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Member {
    /// The person's id.
    pub id: Uuid,
    /// Their address.
    pub email: Option<String>,
    /// What they are called.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
}

/// An API key, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// How the key begins.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<ApiKeyScope>,
    /// In whose name it acts.
    pub person_id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new API key.
#[derive(Clone, Debug, Deserialize)]
pub struct NewApiKey {
    /// Its data.
    #[serde(flatten)]
    pub key: ApiKey,
    /// The key itself, told this once. A repeat of the same call does not tell it again.
    pub secret: Option<Secret>,
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Conversation {
    /// Its id.
    pub id: Uuid,
    /// Its title, plain text.
    pub title: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Why a reply ended early.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FaultOfMessage {
    /// Stable, in `snake_case`.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// A message, of a person or of a model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Message {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub role: MessageRole,
    /// Markdown.
    pub content: String,
    /// How far it is.
    pub status: MessageStatus,
    /// Why it ended early.
    #[serde(default)]
    pub error: Option<FaultOfMessage>,
    /// Who made it.
    #[serde(default)]
    pub provider: Option<String>,
    /// With what.
    #[serde(default)]
    pub model: Option<String>,
    /// What it took.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A message that was sent, and its reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sent {
    /// Into which conversation.
    pub conversation_id: Uuid,
    /// The question.
    pub message: Message,
    /// The reply, as far as it is.
    pub reply: Message,
    /// The making of the reply: it can be followed and stopped under this id.
    pub generation_id: Uuid,
}
