//! Behind a transaction pooler a connection may be another one the next time: nothing may stay on it.

use super::{EngineKind, Harness};
use crate::sql::Sql;
use crate::tx::{Scope, Tx};
use crate::{GetConversation, Intent, Options, Result, Store};

/// Statements that are prepared on the connection at its beginning.
struct CountPrepared;

#[derive(sqlx::FromRow)]
struct Count {
    count: i64,
}

impl Intent for CountPrepared {
    type Output = i64;
    const WRITES: bool = false;

    fn scope(&self) -> Scope {
        Scope::Global
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let text = "SELECT count(*) AS count FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%'";
        let count: Option<Count> = tx.query(Sql::plain("test", text, text)).row().await?;
        Ok(count.map_or(0, |count| count.count))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_prepared_behind_a_transaction_pooler() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    for (transaction_pooler, left) in [(false, 1), (true, 0)] {
        // Two lanes and two connections of the system's role leave one: both intents run on it.
        let options = Options { transaction_pooler, pool_size: 5, ..h.options.clone() };
        let (store, _tasks) = Store::open(options, h.entropy()).await.expect("the store opens");
        let get = GetConversation { tenant: h.ids.make(), person: h.ids.make(), id: h.ids.make() };
        assert_eq!(store.run(&h.call(), get).await, Ok(None));
        assert_eq!(store.run(&h.call(), CountPrepared).await, Ok(left), "transaction_pooler = {transaction_pooler}");
        store.close().await;
    }
}
