//! No row of one organisation is ever there for another.

use super::Harness;
use super::assistant::{accept, new_conversation};
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{
    Accepted, DeleteConversation, Error, GetConversation, GetExchange, Intent, ListMessages, RenameConversation,
    RequestStop, Result, Target,
};
use mainstay_domain::{ConversationTitle, TenantId};

pub(super) async fn rows_of_another_organisation_are_not_there(h: &Harness) {
    let (mine, me) = h.person("tia").await;
    let (theirs, them) = h.person("uma").await;
    let turn = accept(h, mine, me, new_conversation(h));
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    let id = turn.target.id();
    let generation = turn.reply.into();
    // As another organisation, as another person of it, and as another person of the same organisation.
    for (tenant, person) in [(theirs, them), (theirs, me), (mine, them)] {
        let call = h.call();
        assert_eq!(h.store.run(&call, GetConversation { tenant, person, id }).await, Ok(None));
        let list = ListMessages { tenant, person, conversation: id, after: None, limit: 10 };
        assert_eq!(h.store.run(&call, list).await, Ok(None));
        assert_eq!(h.store.run(&call, GetExchange { tenant, person, generation }).await, Ok(None));
        assert_eq!(h.store.run(&call, RequestStop { tenant, person, generation, now: h.now() }).await, Ok(false));
        let title = ConversationTitle::parse("mine now").expect("a title");
        let rename = RenameConversation { tenant, person, id, title, claim: None, now: h.now() };
        assert_eq!(h.store.run(&call, rename).await, Err(Error::Missing("conversation")));
        let delete = DeleteConversation { tenant, person, id, claim: None, now: h.now() };
        assert_eq!(h.store.run(&call, delete).await, Err(Error::Missing("conversation")));
        let write = accept(h, tenant, person, Target::Existing(id));
        assert_eq!(h.store.accept_message(&call, write).await, Ok(Accepted::NoConversation));
    }
    // A statement that forgot its tenant: PostgreSQL stops it a second time.
    if h.store.engine_name() == "postgresql" {
        assert_eq!(h.store.run(&h.call(), CountAll(Scope::Tenant(theirs))).await, Ok(0));
        assert_eq!(h.store.run(&h.call(), CountAll(Scope::Global)).await, Ok(0));
        assert_eq!(h.store.run(&h.call(), CountAll(Scope::Tenants(vec![mine, theirs]))).await, Ok(2));
        let write = h.store.run(&h.call(), WriteAs(theirs, mine)).await;
        assert!(matches!(write, Err(Error::Isolation(_))), "{write:?}");
    }
}

struct CountAll(Scope);

#[derive(sqlx::FromRow)]
struct Count {
    count: i64,
}

impl Intent for CountAll {
    type Output = i64;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        self.0.clone()
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let text = "SELECT count(*) AS count FROM message";
        let count: Option<Count> = tx.query(Sql::plain("test", text, text)).row().await?;
        Ok(count.map_or(0, |count| count.count))
    }
}

/// Writes, in the scope of the first organisation, a row of the second.
struct WriteAs(TenantId, TenantId);

impl Intent for WriteAs {
    type Output = u64;
    const WRITES: bool = true;

    fn scope(&self) -> Scope {
        Scope::Tenant(self.0)
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let text = "INSERT INTO stream (tenant_id, stream_id, head, epoch, floor) VALUES ($1, $2, 0, 0, 0)";
        let sql = Sql::plain("test", text, text);
        tx.query(sql).bind(self.1.uuid()).bind(self.0.uuid()).run().await
    }
}
