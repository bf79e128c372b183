//! Reading messages, and asking a reply to stop.

use mainstay_domain::{
    ConversationId, GenerationId, MessageId, MessageImage, MessageRole, MessageStatus, PersonId, TenantId, Timestamp,
    ToolUsed, Usage,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::intent::Intent;
use crate::kinds::RowKey;
use crate::members::word;
use crate::sql::statements;
use crate::tx::{Scope, Tx};
use crate::value::At;

statements! {
    /// Tells a conversation without messages from one that is not there.
    CONVERSATION = both("
        SELECT id FROM conversation WHERE id = $1 AND tenant_id = $2 AND person_id = $3 AND deleted_at IS NULL");
    LIST = both("
        SELECT id, conversation_id, role, status, content, ordinal, provider, model, input_tokens, output_tokens,
               cost_micros, error_code, error_detail, images, tools, created_at
        FROM message WHERE tenant_id = $1 AND conversation_id = $2 AND ordinal < $3 ORDER BY ordinal DESC LIMIT $4");
    /// What was said before a question, the newest first, as one JSON array of `[role, text, images, tools]`: what tools did,
    /// where the text may not tell it, since it is not whole. Of the hundred messages that a model is told, a value for each column of each would be a sixth of what the whole turn costs.
    HISTORY = pair(sqlite "
        SELECT json_group_array(json_array(role, content, images, tools)) AS said FROM (
          SELECT role, content, images, CASE WHEN status = 'final' THEN NULL ELSE tools END AS tools FROM message
          WHERE tenant_id = $1 AND conversation_id = $2 AND status NOT IN ('streaming', 'failed')
            AND ordinal < (SELECT ordinal FROM message WHERE id = $3 AND tenant_id = $1)
          ORDER BY ordinal DESC LIMIT $4)",
        postgres "
        SELECT coalesce(json_agg(json_build_array(role, content, images, tools) ORDER BY ordinal DESC), '[]')::text AS said FROM (
          SELECT role, content, images, CASE WHEN status = 'final' THEN NULL ELSE tools END AS tools, ordinal FROM message
          WHERE tenant_id = $1 AND conversation_id = $2 AND status NOT IN ('streaming', 'failed')
            AND ordinal < (SELECT ordinal FROM message WHERE id = $3 AND tenant_id = $1)
          ORDER BY ordinal DESC LIMIT $4) AS newest",
        differs "each engine has its own words for an array made of rows");
    /// While a reply is made, its text is what was saved last.
    GET = both("
        SELECT m.id, m.conversation_id, m.role, m.status, coalesce(g.text, m.content) AS content, m.ordinal, m.provider,
               m.model, m.input_tokens, m.output_tokens, m.cost_micros, m.error_code, m.error_detail, m.images,
               coalesce(g.tools, m.tools) AS tools, m.created_at
        FROM message m JOIN conversation c ON c.id = m.conversation_id AND c.tenant_id = m.tenant_id
        LEFT JOIN generation g ON g.id = m.id AND g.tenant_id = m.tenant_id
        WHERE m.id = $1 AND m.tenant_id = $2 AND m.person_id = $3 AND c.deleted_at IS NULL");
    BEFORE = both("
        SELECT id, conversation_id, role, status, content, ordinal, provider, model, input_tokens, output_tokens,
               cost_micros, error_code, error_detail, images, tools, created_at
        FROM message WHERE tenant_id = $1 AND conversation_id = $2 AND ordinal = $3");
    READ = batch((id: uuid) "
        SELECT m.id, m.conversation_id, m.role, m.status, m.content, m.ordinal, m.provider, m.model, m.input_tokens,
               m.output_tokens, m.cost_micros, m.error_code, m.error_detail, m.images, m.tools, m.created_at
        FROM batch b JOIN message m ON m.id = b.id AND m.tenant_id = $2");
    REQUEST_STOP = both("
        UPDATE generation SET stop_requested_at = $4 WHERE id = $1 AND tenant_id = $2 AND person_id = $3");
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it stands.
    pub conversation: ConversationId,
    /// Who wrote it.
    pub role: MessageRole,
    /// How far it is.
    pub status: MessageStatus,
    /// Its text, as Markdown.
    pub content: String,
    /// Its place in the conversation, from 0; gaps are possible.
    pub ordinal: i64,
    /// Who made it, for a reply.
    pub provider: Option<String>,
    /// With what.
    pub model: Option<String>,
    /// What it took.
    pub usage: Option<Usage>,
    /// What it cost, in millionths.
    pub cost_micros: i64,
    /// Why it ended early: a code and words.
    pub fault: Option<(String, String)>,
    /// What it carries.
    pub images: Vec<MessageImage>,
    /// What tools did while it was made, for a reply.
    pub tools: Vec<ToolUsed>,
    /// Since when it is there.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct MessageRow {
    id: Uuid,
    conversation_id: Uuid,
    role: String,
    status: String,
    content: String,
    ordinal: i64,
    provider: Option<String>,
    model: Option<String>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    cost_micros: i64,
    error_code: Option<String>,
    error_detail: Option<String>,
    images: Option<String>,
    tools: Option<String>,
    created_at: At,
}

impl TryFrom<MessageRow> for Message {
    type Error = crate::Error;
    fn try_from(row: MessageRow) -> Result<Self> {
        let tokens = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Self {
            id: MessageId(row.id),
            conversation: ConversationId(row.conversation_id),
            role: word(&row.role)?,
            status: word(&row.status)?,
            content: row.content,
            ordinal: row.ordinal,
            provider: row.provider,
            model: row.model,
            usage: row
                .input_tokens
                .zip(row.output_tokens)
                .map(|(input, output)| Usage { input_tokens: tokens(input), output_tokens: tokens(output) }),
            cost_micros: row.cost_micros,
            fault: row.error_code.zip(row.error_detail),
            images: carried(row.images.as_deref(), "images")?,
            tools: carried(row.tools.as_deref(), "tools")?,
            created_at: row.created_at.0,
        })
    }
}

/// What a message carries of one kind.
fn carried<T: DeserializeOwned>(kept: Option<&str>, what: &str) -> Result<Vec<T>> {
    let Some(kept) = kept else { return Ok(Vec::new()) };
    serde_json::from_str(kept).map_err(|error| Error::Corrupt(format!("the {what} of a message: {error}")))
}

/// Reads messages for the stream that they are in. A reply in the making has no text there.
pub(crate) async fn read(tx: &mut Tx<'_>, tenant: TenantId, ids: &[RowKey]) -> Result<Vec<(Uuid, Message)>> {
    let rows: Vec<MessageRow> = tx.batch(READ, ids).bind(tenant.uuid()).rows().await?;
    rows.into_iter().map(|row| Ok((row.id, row.try_into()?))).collect()
}

#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "only whether it is there matters")]
struct ConversationRow {
    id: Uuid,
}

/// Lists the messages of a conversation, the newest first; nothing when there is no such conversation.
#[derive(Clone, Copy, Debug)]
pub struct ListMessages {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// Those after (before, in the conversation) this ordinal.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ListMessages {
    type Output = Option<Vec<Message>>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let conversation: Option<ConversationRow> = tx
            .query(CONVERSATION)
            .bind(self.conversation.uuid())
            .bind(self.tenant.uuid())
            .bind(self.person.uuid())
            .row()
            .await?;
        if conversation.is_none() {
            return Ok(None);
        }
        let rows: Vec<MessageRow> = tx
            .query(LIST)
            .bind(self.tenant.uuid())
            .bind(self.conversation.uuid())
            .bind(self.after.unwrap_or(i64::MAX))
            .bind(i64::from(self.limit))
            .rows()
            .await?;
        rows.into_iter().map(Message::try_from).collect::<Result<_>>().map(Some)
    }
}

/// Something that was said in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// By whom.
    pub role: MessageRole,
    /// The text, as Markdown.
    pub content: String,
    /// What came with it.
    pub images: Vec<MessageImage>,
    /// What tools did while it was made, where its text is not whole.
    pub tools: Vec<ToolUsed>,
}

#[derive(sqlx::FromRow)]
struct HistoryRow {
    said: String,
}

/// Reads what was said in a conversation before a question, the newest first, for the model that answers it. Replies that
/// are being made or failed are left out, and a question that is not there has nothing before it.
///
/// That the question may be asked there was found out when it was accepted.
#[derive(Clone, Copy, Debug)]
pub struct ReadHistory {
    /// The organisation.
    pub tenant: TenantId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// The question.
    pub before: MessageId,
    /// At most so many.
    pub limit: u32,
}

impl Intent for ReadHistory {
    type Output = Vec<Said>;
    const WRITES: bool = false;
    const ONE_STATEMENT: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let row: Option<HistoryRow> = tx
            .query(HISTORY)
            .bind(self.tenant.uuid())
            .bind(self.conversation.uuid())
            .bind(self.before.uuid())
            .bind(i64::from(self.limit))
            .row()
            .await?;
        let said = row.ok_or_else(|| Error::Bug("a history has no row".to_owned()))?.said;
        let said: Vec<(String, String, Option<String>, Option<String>)> =
            serde_json::from_str(&said).map_err(|error| Error::Corrupt(format!("{}: {error}", HISTORY.name)))?;
        let read = |(role, content, images, tools): (String, String, Option<String>, Option<String>)| {
            let (images, tools) = (carried(images.as_deref(), "images")?, carried(tools.as_deref(), "tools")?);
            Ok(Said { role: word(&role)?, content, images, tools })
        };
        said.into_iter().map(read).collect()
    }
}

/// A reply and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The message that was sent.
    pub message: Message,
    /// Its reply; while it is made, its content is what was saved last.
    pub reply: Message,
}

/// Reads a reply, as far as it is, and the message that it answers.
#[derive(Clone, Copy, Debug)]
pub struct GetExchange {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which reply.
    pub generation: GenerationId,
}

impl Intent for GetExchange {
    type Output = Option<Exchange>;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Output> {
        let (id, tenant) = (self.generation.uuid(), self.tenant.uuid());
        let row: Option<MessageRow> = tx.query(GET).bind(id).bind(tenant).bind(self.person.uuid()).row().await?;
        let Some(row) = row.filter(|row| row.role == MessageRole::Assistant.as_str()) else { return Ok(None) };
        let reply = Message::try_from(row)?;
        let before: Option<MessageRow> =
            tx.query(BEFORE).bind(tenant).bind(reply.conversation.uuid()).bind(reply.ordinal - 1).row().await?;
        let Some(message) = before.map(Message::try_from).transpose()? else { return Ok(None) };
        Ok(Some(Exchange { message, reply }))
    }
}

/// Asks whichever node makes a reply to stop. False when nobody makes it any more.
#[derive(Clone, Copy, Debug)]
pub struct RequestStop {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose.
    pub person: PersonId,
    /// Which reply.
    pub generation: GenerationId,
    /// The present moment.
    pub now: Timestamp,
}

impl Intent for RequestStop {
    type Output = bool;
    const WRITES: bool = true;
    const REPEATABLE: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.tenant)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let asked = tx
            .query(REQUEST_STOP)
            .bind(self.generation.uuid())
            .bind(self.tenant.uuid())
            .bind(self.person.uuid())
            .bind(At(self.now))
            .run()
            .await?;
        Ok(asked == 1)
    }
}
