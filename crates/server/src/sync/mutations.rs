//! What a client wrote while it was offline: in order, each applied once, however often it is sent.
//!
//! A mutation is known by the client's id and its own. Both make an idempotency key, which is stored by the transaction
//! that does the work and holds for 24 hours after that.

use std::sync::Arc;

use mainstay_domain::{ConversationTitle, Error, IdempotencyKey, Kind, MessageText, Result, hexadecimal};
use mainstay_store::{Call, Claim};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accounts::Member;
use crate::app::App;
use crate::assistant::SendRequest;

/// Mutations of one request.
const MOST: usize = 50;

/// What was written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MutationsBody {
    /// The client's id: one for each installation of it.
    client_id: Uuid,
    /// 1 to 50, in order.
    #[schema(min_items = 1, max_items = 50)]
    mutations: Vec<Mutation>,
}

/// One thing that was done.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Mutation {
    /// A message was sent.
    #[serde(rename = "message.send")]
    Send {
        /// The mutation's id, chosen by the client.
        id: Uuid,
        /// Into which conversation.
        conversation_id: Uuid,
        /// 1 to 10,000 characters.
        content: String,
        /// True when the conversation is made by it, with the id that the client has chosen.
        #[serde(default)]
        new: bool,
    },
    /// A conversation was given another title.
    #[serde(rename = "conversation.rename")]
    Rename {
        /// The mutation's id, chosen by the client.
        id: Uuid,
        /// Which conversation.
        conversation_id: Uuid,
        /// 1 to 200 characters, plain text.
        title: String,
    },
    /// A conversation was deleted.
    #[serde(rename = "conversation.delete")]
    Delete {
        /// The mutation's id, chosen by the client.
        id: Uuid,
        /// Which conversation.
        conversation_id: Uuid,
    },
}

/// What became of the mutations, in their order.
#[derive(Serialize, ToSchema)]
pub struct ResultsBody {
    results: Vec<ResultBody>,
}

/// What became of a mutation.
#[derive(Serialize, ToSchema)]
pub struct ResultBody {
    id: Uuid,
    /// `applied`, `repeated` (it was applied before) or `refused`.
    status: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<RefusalBody>,
}

/// Why a mutation was refused.
#[derive(Serialize, ToSchema)]
pub struct RefusalBody {
    code: &'static str,
    detail: String,
}

/// Applies them one after the other. What cannot be decided now (an outage, overload) ends the request, and the client
/// sends all of it again.
///
/// # Errors
/// `invalid_input`, and what the store or the limits say.
pub async fn apply(app: &Arc<App>, call: &Call, by: &Member, body: MutationsBody) -> Result<ResultsBody> {
    if body.mutations.is_empty() || body.mutations.len() > MOST {
        return Err(Error::invalid_field("mutations", "out_of_range", "Send 1 to 50 of them."));
    }
    let mut results = Vec::with_capacity(body.mutations.len());
    for mutation in &body.mutations {
        let (status, problem) = match one(app, call, by, body.client_id, mutation).await {
            Ok(true) => ("applied", None),
            Ok(false) => ("repeated", None),
            Err(error) if is_final(error.kind) => {
                ("refused", Some(RefusalBody { code: error.code, detail: error.detail }))
            }
            Err(error) => return Err(error),
        };
        results.push(ResultBody { id: mutation.id(), status, problem });
    }
    Ok(ResultsBody { results })
}

/// True when a row with this id is there already.
fn is_taken(error: &Error) -> bool {
    error.kind == Kind::Conflict && error.retry_after.is_none()
}

/// True for a refusal that stays one however often it is tried.
fn is_final(kind: Kind) -> bool {
    matches!(kind, Kind::Invalid | Kind::NotFound | Kind::Forbidden | Kind::KeyReused | Kind::TooLarge)
}

impl Mutation {
    fn id(&self) -> Uuid {
        match self {
            Self::Send { id, .. } | Self::Rename { id, .. } | Self::Delete { id, .. } => *id,
        }
    }

    fn claim(&self, client: Uuid) -> Result<Claim> {
        let key = IdempotencyKey::parse(&format!("sync:{client}:{}", self.id()));
        let key = key.map_err(|refused| Error::invalid(vec![refused.of("client_id")]))?;
        let text = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(Claim { key, fingerprint: hexadecimal(digest(&SHA256, &text).as_ref()) })
    }
}

/// True when it was applied now, false when it was before.
async fn one(app: &Arc<App>, call: &Call, by: &Member, client: Uuid, mutation: &Mutation) -> Result<bool> {
    let claim = mutation.claim(client)?;
    match mutation {
        Mutation::Send { conversation_id, content, new, .. } => {
            let content = MessageText::parse(content.clone());
            let content = content.map_err(|refused| Error::invalid(vec![refused.of("content")]))?;
            let conversation = Some((*conversation_id).into());
            let request = |new| SendRequest {
                images: Vec::new(),
                conversation,
                new,
                content: content.clone(),
                claim: Some(claim.clone()),
                paced: false,
            };
            match app.assistant.send(call, by, request(*new)).await {
                // It is there already: an earlier message of the same journey has made it.
                Err(error) if *new && is_taken(&error) => {
                    Ok(app.assistant.send(call, by, request(false)).await?.is_new())
                }
                sent => Ok(sent?.is_new()),
            }
        }
        Mutation::Rename { conversation_id, title, .. } => {
            let title = ConversationTitle::parse(title);
            let title = title.map_err(|refused| Error::invalid(vec![refused.of("title")]))?;
            app.assistant.rename_once(call, by, (*conversation_id).into(), title, claim).await
        }
        Mutation::Delete { conversation_id, .. } => {
            app.assistant.delete_once(call, by, (*conversation_id).into(), claim).await
        }
    }
}
