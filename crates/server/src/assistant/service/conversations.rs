//! Conversations: made, read, renamed, deleted; and the messages in them.

use mainstay_domain::{ConversationId, ConversationTitle, Error, MessageStatus, Result, Timestamp};
use mainstay_store::{
    Call, Claim, Conversation, CreateConversation, DeleteConversation, GetConversation, ListConversations,
    ListMessages, Message, Once, RenameConversation,
};

use super::{Assistant, SEARCH_WALK};
use crate::accounts::Member;
use crate::http::idempotency::same;

impl Assistant {
    /// Makes an empty conversation.
    ///
    /// # Errors
    /// `idempotency_key_reused`.
    pub async fn create_conversation(
        &self,
        call: &Call,
        by: &Member,
        title: ConversationTitle,
        claim: Option<Claim>,
    ) -> Result<Conversation> {
        let fingerprint = claim.as_ref().map(|claim| claim.fingerprint.clone());
        let (id, now) = (self.ids.make(), self.clock.now());
        let create = CreateConversation { id, tenant: by.tenant, person: by.person, title, claim, now };
        match self.store.run(call, create).await? {
            Once::Done(conversation) => Ok(conversation),
            Once::Repeat(used) => {
                let id = same(&used, "conversation", fingerprint.as_deref())?;
                self.conversation(call, by, ConversationId(id)).await
            }
        }
    }

    /// Reads a conversation.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn conversation(&self, call: &Call, by: &Member, id: ConversationId) -> Result<Conversation> {
        let found = self.store.run(call, GetConversation { tenant: by.tenant, person: by.person, id }).await?;
        found.ok_or_else(|| Error::not_found("conversation"))
    }

    /// Lists conversations, the newest first: at most `limit`, after the place named. With `search`, those whose title has
    /// these words in it, whatever their case; the walk through the titles is bounded, so a page may be short and have a
    /// next one. The second value is where that begins.
    ///
    /// # Errors
    /// As the store.
    pub async fn conversations(
        &self,
        call: &Call,
        by: &Member,
        after: Option<(Timestamp, ConversationId)>,
        limit: u32,
        search: Option<&str>,
    ) -> Result<(Vec<Conversation>, Option<(Timestamp, ConversationId)>)> {
        let list = |limit| ListConversations { tenant: by.tenant, person: by.person, after, limit };
        let place = |conversation: &Conversation| (conversation.updated_at, conversation.id);
        let wanted: Vec<String> = search.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
        if wanted.is_empty() {
            let rows = self.store.run(call, list(limit)).await?;
            let next = rows.last().filter(|_| rows.len() >= limit as usize).map(place);
            return Ok((rows, next));
        }
        let walked = self.store.run(call, list(SEARCH_WALK)).await?;
        let end = walked.last().filter(|_| walked.len() >= SEARCH_WALK as usize).map(place);
        let mut found: Vec<_> = walked
            .into_iter()
            .filter(|conversation| {
                let title = conversation.title.to_lowercase();
                wanted.iter().all(|word| title.contains(word.as_str()))
            })
            .collect();
        if found.len() > limit as usize {
            found.truncate(limit as usize);
            let next = found.last().map(place);
            return Ok((found, next));
        }
        Ok((found, end))
    }

    /// Gives a conversation another title.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn rename(
        &self,
        call: &Call,
        by: &Member,
        id: ConversationId,
        title: ConversationTitle,
    ) -> Result<Conversation> {
        let now = self.clock.now();
        let rename = RenameConversation { tenant: by.tenant, person: by.person, id, title, claim: None, now };
        match self.store.run(call, rename).await? {
            Once::Done(conversation) => Ok(conversation),
            Once::Repeat(_) => Err(Error::internal("a key was used that was not given")),
        }
    }

    /// Gives a conversation another title, once for its key. True when that was now.
    ///
    /// # Errors
    /// `not_found`, `idempotency_key_reused`.
    pub async fn rename_once(
        &self,
        call: &Call,
        by: &Member,
        id: ConversationId,
        title: ConversationTitle,
        claim: Claim,
    ) -> Result<bool> {
        let (now, fingerprint) = (self.clock.now(), claim.fingerprint.clone());
        let rename = RenameConversation { tenant: by.tenant, person: by.person, id, title, claim: Some(claim), now };
        once(self.store.run(call, rename).await?, "rename", &fingerprint)
    }

    /// Deletes a conversation, once for its key. True when that was now.
    ///
    /// # Errors
    /// `not_found`, `idempotency_key_reused`.
    pub async fn delete_once(&self, call: &Call, by: &Member, id: ConversationId, claim: Claim) -> Result<bool> {
        let fingerprint = claim.fingerprint.clone();
        once(self.remove(call, by, id, Some(claim)).await?, "delete", &fingerprint)
    }

    /// Deletes a conversation, and stops what is being answered in it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn delete(&self, call: &Call, by: &Member, id: ConversationId) -> Result<()> {
        self.remove(call, by, id, None).await.map(drop)
    }

    async fn remove(&self, call: &Call, by: &Member, id: ConversationId, claim: Option<Claim>) -> Result<Once<()>> {
        let now = self.clock.now();
        let delete = DeleteConversation { tenant: by.tenant, person: by.person, id, claim, now };
        let removed = self.store.run(call, delete).await?;
        for live in self.registry.all() {
            if live.conversation == id && live.tenant == by.tenant {
                live.stop.cancel();
            }
        }
        Ok(removed)
    }

    /// Lists the messages of a conversation, the newest first, with the text of a reply in the making as far as it is.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn messages(
        &self,
        call: &Call,
        by: &Member,
        conversation: ConversationId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let list = ListMessages { tenant: by.tenant, person: by.person, conversation, after, limit };
        let mut messages = self.store.run(call, list).await?.ok_or_else(|| Error::not_found("conversation"))?;
        for message in messages.iter_mut().filter(|message| message.status == MessageStatus::Streaming) {
            if let Some(live) = self.registry.find(by.tenant, by.person, message.id.into()) {
                message.content = live.text();
            }
        }
        Ok(messages)
    }
}

/// True for what was done now, false for a repeat of the same.
fn once<T>(outcome: Once<T>, operation: &str, fingerprint: &str) -> Result<bool> {
    match outcome {
        Once::Done(_) => Ok(true),
        Once::Repeat(used) => same(&used, operation, Some(fingerprint)).map(|_| false),
    }
}
