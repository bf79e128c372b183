//! Whether a replica is what it should be: beside another one, and beside the lists of the server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Replica, Storage};
use crate::assistant::Listing;
use crate::client::Client;
use crate::error::Error;
use crate::model::Page;
use crate::sync::StreamName;

/// Differences that are told.
const MOST_TOLD: usize = 20;

/// Rows by kind and id.
type Rows = BTreeMap<(String, Uuid), Value>;

impl<S: Storage> Replica<S> {
    /// What differs between two replicas, one line for each row, at most twenty. Nothing when they are equal: the same
    /// rows with the same numbers and contents, at the same place.
    pub fn differences<T: Storage>(&self, other: &Replica<T>) -> Vec<String> {
        let numbered = |storage: &dyn Storage| {
            let mut rows = BTreeMap::new();
            storage.each(&mut |key, row| {
                let _ = rows.insert(key.clone(), (row.seq, row.parent, parsed(&row.body)));
            });
            rows
        };
        let (here, there) = (numbered(&self.storage), numbered(&other.storage));
        let mut found = Vec::new();
        if self.cursor() != other.cursor() {
            found.push(format!("at {:?} here, at {:?} there", self.cursor(), other.cursor()));
        }
        tell(&here, &there, &mut found);
        found
    }

    /// What differs between this replica and the server's lists of conversations, messages and members, one line for each
    /// row, at most twenty. Nothing else may change meanwhile.
    ///
    /// # Errors
    /// As every call.
    pub async fn differences_from_server(&self, client: &Client) -> Result<Vec<String>, Error> {
        let there = listed(client).await?;
        let mut here = Rows::new();
        self.storage.each(&mut |key, row| {
            let known = matches!(&*key.kind, "conversation" | "message")
                || (&*key.kind == "member" && key.stream == StreamName::Organisation);
            if known {
                let row = parsed(&row.body);
                // A member is listed by the person.
                let person = row.get("person_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
                let _ = here.insert((key.kind.to_string(), person.unwrap_or(key.id)), essence(&key.kind, &row));
            }
        });
        let mut found = Vec::new();
        tell(&here, &there, &mut found);
        Ok(found)
    }
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or(Value::Null)
}

fn tell<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    here: &BTreeMap<K, V>,
    there: &BTreeMap<K, V>,
    found: &mut Vec<String>,
) {
    let wrong = here.iter().filter_map(|(key, row)| match there.get(key) {
        None => Some(format!("{key:?}: only here")),
        Some(other) if other != row => Some(format!("{key:?}: {row:?} here, {other:?} there")),
        Some(_) => None,
    });
    let missing = there.keys().filter(|key| !here.contains_key(key)).map(|key| format!("{key:?}: only there"));
    found.extend(wrong.chain(missing).take(MOST_TOLD));
}

/// The members of a row that both sync and lists tell.
fn essence(kind: &str, row: &Value) -> Value {
    let members: &[&str] = match kind {
        "conversation" => &["title", "created_at"],
        "message" => &["role", "content", "status", "created_at"],
        _ => &["email", "name", "role"],
    };
    members.iter().map(|member| ((*member).to_owned(), row.get(member).cloned().unwrap_or_default())).collect()
}

#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    #[serde(flatten)]
    row: Value,
}

/// Everything that the server lists.
async fn listed(client: &Client) -> Result<Rows, Error> {
    let mut rows = Rows::new();
    all(client, "/v1/members", "member", &mut rows).await?;
    all(client, "/v1/conversations", "conversation", &mut rows).await?;
    let conversations: Vec<Uuid> = rows.keys().filter(|(kind, _)| kind == "conversation").map(|(_, id)| *id).collect();
    for id in conversations {
        all(client, &format!("/v1/conversations/{id}/messages"), "message", &mut rows).await?;
    }
    Ok(rows)
}

async fn all(client: &Client, path: &str, kind: &str, rows: &mut Rows) -> Result<(), Error> {
    let mut listing = Listing { limit: Some(100), ..Listing::default() };
    loop {
        let page: Page<Listed> = client.json(&listing.of(path)).await?;
        rows.extend(page.data.into_iter().map(|Listed { id, row }| ((kind.to_owned(), id), essence(kind, &row))));
        match page.next {
            Some(next) => listing = listing.after(next),
            None => return Ok(()),
        }
    }
}
