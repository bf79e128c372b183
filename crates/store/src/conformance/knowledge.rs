//! What an organisation knows: documents and what is found in them.

use std::time::Duration;

use mainstay_domain::{
    DocumentId, DocumentText, DocumentTitle, IdempotencyKey, Language, PersonId, Question, TenantId, Timestamp,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::{EngineKind, Harness};
use crate::idempotency::Once;
use crate::{
    ChangeDocument, Claim, DeleteDocument, DocumentContent, DocumentMade, DocumentSummary, Error, FoundPassage,
    GetDocument, ListDocuments, MAKING_A_DOCUMENT, PutDocument, SearchKnowledge,
};

fn content(title: &str, language: Language, text: &str) -> DocumentContent {
    let title = DocumentTitle::parse(title).expect("a title");
    DocumentContent::new(title, language, DocumentText::parse(text.to_owned()).expect("a text"))
}

fn put(h: &Harness, (tenant, person): (TenantId, PersonId), content: DocumentContent) -> PutDocument {
    PutDocument { id: h.ids.make(), tenant, person, content, claim: None, now: h.now() }
}

async fn made(h: &Harness, by: (TenantId, PersonId), content: DocumentContent) -> DocumentSummary {
    // Each in a millisecond of its own, so that their ids are in order.
    h.clock.advance(Duration::from_millis(5));
    match h.store.run(&h.call(), put(h, by, content)).await.expect("run") {
        Once::Done(DocumentMade::Made(summary)) => summary,
        other => panic!("{other:?}"),
    }
}

async fn find(h: &Harness, tenant: TenantId, question: &str) -> Vec<FoundPassage> {
    let search = SearchKnowledge { tenant, question: Question::parse(question), limit: 5 };
    h.store.run(&h.call(), search).await.expect("searched").passages
}

async fn titles(h: &Harness, tenant: TenantId, question: &str) -> Vec<String> {
    find(h, tenant, question).await.into_iter().map(|passage| passage.title).collect()
}

async fn list(h: &Harness, tenant: TenantId, after: Option<(Timestamp, DocumentId)>) -> Vec<DocumentSummary> {
    h.store.run(&h.call(), ListDocuments { tenant, after, limit: 2 }).await.expect("listed")
}

pub(super) async fn documents_are_made_changed_and_removed(h: &Harness) {
    let by = h.person("knower").await;
    let (other, _) = h.person("stranger").await;
    let key = IdempotencyKey::parse("once").expect("a key");
    let claim = Claim { key, fingerprint: "f".to_owned() };
    let first = PutDocument {
        claim: Some(claim),
        ..put(h, by, content("Hours", Language::Simple, "# Summer\nWe open at nine.\n\n# Winter\nWe open at ten."))
    };
    let Once::Done(DocumentMade::Made(summary)) = h.store.run(&h.call(), first.clone()).await.expect("run") else {
        panic!("it was not made");
    };
    assert_eq!((summary.passages, summary.bytes), (2, 51));
    let again = PutDocument { id: h.ids.make(), ..first };
    match h.store.run(&h.call(), again).await.expect("run") {
        Once::Repeat(used) => {
            assert_eq!((used.operation.as_str(), used.resource_id), (MAKING_A_DOCUMENT, summary.id.uuid()));
        }
        Once::Done(done) => panic!("made twice: {done:?}"),
    }
    let second = made(h, by, content("Prices", Language::English, "A cleaning costs 80 euros.")).await;
    let third = made(h, by, content("Parking", Language::English, "Cars park behind the house.")).await;

    // Page by page, and only what is one's own.
    let page = list(h, by.0, None).await;
    assert_eq!(page, [summary.clone(), second.clone()]);
    assert_eq!(list(h, by.0, Some((second.created_at, second.id))).await, [third]);
    assert!(list(h, other, None).await.is_empty());
    let get = GetDocument { tenant: by.0, id: second.id };
    let read = h.store.run(&h.call(), get).await.expect("read").expect("it is there");
    assert_eq!((read.content.as_str(), &read.summary), ("A cleaning costs 80 euros.", &second));
    assert_eq!(h.store.run(&h.call(), GetDocument { tenant: other, ..get }).await, Ok(None));

    // What was changed is found by its new words only, and whoever saw what was before is refused.
    assert_eq!(titles(h, by.0, "summer").await, ["Hours"]);
    let change = ChangeDocument {
        tenant: by.0,
        id: summary.id,
        seen: summary.updated_at,
        content: content("Times", Language::English, "We opened on Mondays."),
        now: h.now(),
    };
    let refused = h.store.run(&h.call(), ChangeDocument { tenant: other, ..change.clone() }).await;
    assert_eq!(refused, Ok(None));
    let changed = h.store.run(&h.call(), change.clone()).await.expect("run").expect("it is there");
    assert_eq!((changed.title.as_str(), changed.passages, changed.created_at), ("Times", 1, summary.created_at));
    assert!(changed.updated_at > summary.updated_at);
    assert_eq!(h.store.run(&h.call(), change).await, Err(Error::Conflict));
    assert!(titles(h, by.0, "summer").await.is_empty());
    assert_eq!(titles(h, by.0, "when do you open").await, ["Times"], "by its stem");

    let delete = DeleteDocument { tenant: by.0, id: summary.id };
    assert_eq!(h.store.run(&h.call(), DeleteDocument { tenant: other, ..delete }).await, Ok(false));
    assert_eq!(h.store.run(&h.call(), delete).await, Ok(true));
    assert_eq!(h.store.run(&h.call(), delete).await, Ok(false));
    assert!(titles(h, by.0, "open").await.is_empty());
    assert_eq!(rows_of(h, summary.id).await, 0, "nothing of it is left");
    assert!(rows_of(h, second.id).await > 0, "the judge sees what is there");
}

/// The passages and words of a document, read beside the policies.
async fn rows_of(h: &Harness, id: DocumentId) -> i64 {
    let count = |id: String| {
        AssertSqlSafe(format!(
            "SELECT (SELECT count(*) FROM document_passage WHERE document_id = {id})
                  + (SELECT count(*) FROM document_term WHERE document_id = {id})"
        ))
    };
    match &h.database {
        None => {
            let url = format!("sqlite:{}", h.options.sqlite_path().expect("a path").display());
            let mut connection = SqliteConnection::connect(&url).await.expect("connected");
            let text = count(format!("x'{}'", id.uuid().simple()));
            sqlx::query_scalar(text).fetch_one(&mut connection).await.expect("counted")
        }
        Some(database) => {
            let mut connection = PgConnection::connect(&database.superuser_url).await.expect("connected");
            let text = count(format!("'{id}'"));
            sqlx::query_scalar(text).fetch_one(&mut connection).await.expect("counted")
        }
    }
}

/// What is found, and in which order, is written down here once for both engines.
pub(super) async fn both_engines_find_the_same_in_the_same_order(h: &Harness) {
    let by = h.person("finder").await;
    let (other, stranger) = h.person("another").await;
    for (title, language, text) in [
        (
            "Opening hours",
            Language::English,
            "We are open from Monday to Friday, 9 to 17. On Saturday we are open until noon.",
        ),
        (
            "Prices",
            Language::English,
            "# Cleaning\nA cleaning costs 80 euros.\n\n# Whitening\nWhitening costs 250 euros.",
        ),
        ("Parking", Language::Simple, "There are places for cars behind the house. On Saturday the gate is closed."),
        ("Öffnungszeiten", Language::Simple, "Montag bis Freitag geöffnet. 営業時間"),
    ] {
        made(h, by, content(title, language, text)).await;
    }
    made(h, (other, stranger), content("Secrets", Language::Simple, "On Saturday we open whitening for cars.")).await;
    for (question, expected) in [
        ("What time do you open on Saturday?", &["Opening hours", "Parking"][..]),
        ("how much does whitening cost", &["Prices", "Prices"]),
        ("where can I leave my car", &["Parking"]),
        ("white", &["Prices"]),
        ("geöffnet", &["Öffnungszeiten"]),
        ("営業", &["Öffnungszeiten"]),
        ("holiday in the mountains", &[]),
        ("", &[]),
    ] {
        assert_eq!(titles(h, by.0, question).await, expected, "{question}");
    }
    let found = find(h, by.0, "how much does whitening cost").await;
    assert_eq!(found[0].heading, "Whitening");
    assert!(found[0].score > found[1].score && found[1].score > 0.0, "{found:?}");
    assert!(found[0].coverage > 0.5 && found[0].coverage <= 1.0 + 1e-9, "{found:?}");
    // What weighs the same comes in the order of the documents.
    let two = [1, 2].map(|n| content(&format!("Copy {n}"), Language::Simple, "Identical llamas."));
    for copy in two {
        made(h, by, copy).await;
    }
    assert_eq!(titles(h, by.0, "llamas").await, ["Copy 1", "Copy 2"]);
    assert_eq!(titles(h, other, "saturday").await, ["Secrets"], "everybody has their own");
}

/// Whatever somebody writes is looked for as words, and never read as the language of a query.
pub(super) async fn whatever_is_asked_is_only_words(h: &Harness) {
    let by = h.person("hostile").await;
    made(h, by, content("Quotes", Language::Simple, "alpha beta gamma")).await;
    let marks =
        ["\"", "'", "''", "*", ":*", "(", ")", "\\", "%", "_", "-", "^", "!", "&", "|", ";--", "{", "\0", "\u{202e}"];
    for mark in marks {
        for text in [
            format!("{mark}alpha{mark}"),
            format!("alpha {mark} NEAR({mark}beta, 3{mark})"),
            format!("{mark} OR 1=1 {mark} alpha"),
            format!("alpha') UNION SELECT 1 {mark}"),
        ] {
            assert_eq!(titles(h, by.0, &text).await, ["Quotes"], "{text:?}");
        }
        assert!(titles(h, by.0, mark).await.is_empty(), "{mark:?}");
    }
    assert!(
        titles(h, by.0, &"alph% ".repeat(5_000)).await.len() == 1,
        "a beginning is found, however long the rest is"
    );
}

/// Gives the others what the first has, beside the store.
async fn copied(h: &Harness, tenants: &[(TenantId, PersonId)]) {
    let tables = [
        ("document", "id, {to}, title, language, passages, bytes, created_at, updated_at, content"),
        ("document_passage", "document_id, {to}, place, heading, content"),
        ("document_term", "{to}, term, document_id, places"),
    ];
    for (to, _) in &tenants[1..] {
        for (table, columns) in tables {
            let statement = |write: &dyn Fn(TenantId) -> String| {
                let columns = columns.replace("{to}", &write(*to));
                let from = write(tenants[0].0);
                AssertSqlSafe(format!("INSERT INTO {table} SELECT {columns} FROM {table} WHERE tenant_id = {from}"))
            };
            match &h.database {
                None => {
                    let url = format!("sqlite:{}", h.options.sqlite_path().expect("a path").display());
                    let mut connection = SqliteConnection::connect(&url).await.expect("connected");
                    let text = statement(&|tenant| format!("x'{}'", tenant.uuid().simple()));
                    sqlx::query(text).execute(&mut connection).await.expect("copied");
                }
                Some(database) => {
                    let mut connection = PgConnection::connect(&database.superuser_url).await.expect("connected");
                    let text = statement(&|tenant| format!("'{tenant}'::uuid"));
                    sqlx::query(text).execute(&mut connection).await.expect("copied");
                }
            }
        }
    }
}

/// A hundred thousand passages, ten thousand of them of one organisation.
async fn a_large_library_is_searched(engine: EngineKind) {
    const DOCUMENTS: u32 = 1_000;
    const PASSAGES: u32 = 10;
    let Some(h) = Harness::open(engine).await else { return };
    let mut tenants = Vec::new();
    for number in 0..10 {
        tenants.push(h.person(&format!("library{number}")).await);
    }
    let mut drawn: u64 = 1;
    let mut draw = |most: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (drawn >> 33) % most
    };
    // Words as in a language: a few are in nearly every passage, most in few.
    let mut word = || {
        let (high, low) = (draw(1_000), draw(1_000));
        format!("word{}", high * low * low / 50_000)
    };
    for number in 0..DOCUMENTS {
        let mut text = String::new();
        for _ in 0..PASSAGES {
            text.push_str("# Part\n");
            (0..120).for_each(|_| text.push_str(&(word() + " ")));
            text.push('\n');
        }
        made(&h, tenants[0], content(&format!("Document {number}"), Language::Simple, &text)).await;
    }
    copied(&h, &tenants).await;
    let mut took = Vec::new();
    for _ in 0..200 {
        let question = (0..6).map(|_| word() + " ").collect::<String>();
        let start = tokio::time::Instant::now();
        let found = find(&h, tenants[0].0, &question).await;
        took.push(start.elapsed());
        assert!(!found.is_empty());
    }
    took.sort_unstable();
    eprintln!("{engine:?}: searched in {:?} (middle), {:?} (p95), {:?} (worst)", took[100], took[190], took[199]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p mainstay-store -- --ignored --nocapture a_large_library"]
async fn a_large_library_is_searched_on_sqlite() {
    a_large_library_is_searched(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release -p mainstay-store -- --ignored --nocapture a_large_library"]
async fn a_large_library_is_searched_on_postgres() {
    a_large_library_is_searched(EngineKind::Postgres).await;
}
