//! A person is found in whatever table they are named.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_domain::{
    CallState, CallTold, ConversationTitle, EmailAddress, InboxSourceId, MessageText, PhoneNumber, TenantId,
};
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};

use super::assistant::{accept, settle};
use super::{EngineKind, Harness};
use crate::privacy::{
    Erased, Fate, Found, Identifiers, ObjectFor, Objection, Phase, RULES, Rule, Rules, Why, erase, find, learn,
    learn_surely, leave_no_trace, plan, writers_have_ended,
};
use crate::{
    AcceptMessage, Accepted, GetPositions, HearCall, KnowContact, ListMessages, ListOptOuts, ListSuppressions, OptOut,
    Processing, ReceiveEvent, Suppress, TABLES, TableKind, Target, WasSilenced,
};

async fn found(h: &Harness, identifiers: &Identifiers, tenant: Option<TenantId>) -> Vec<Found> {
    let mut all = Vec::new();
    let mut take = |one| {
        all.push(one);
        Ok(())
    };
    let rows = find(&h.options, identifiers, tenant, &mut take).await.expect("walked");
    assert!(rows > all.len() as u64);
    all
}

fn tables(found: &[Found]) -> BTreeSet<&str> {
    found.iter().map(|one| one.table).collect()
}

pub(super) async fn a_person_is_found_in_whatever_table_they_are_named(h: &Harness) {
    let (tenant, _) = h.person("gwen").await;
    let (other, _) = h.person("hugo").await;
    let know = |tenant, name: &str, email: &str| KnowContact {
        tenant,
        id: h.ids.make(),
        name: name.to_owned(),
        phone: Some(PhoneNumber::parse("+4930901877", None).expect("a number")),
        email: Some(EmailAddress::parse(email).expect("an address")),
        now: h.now(),
    };
    h.store.run(&h.call(), know(tenant, "Iris Murdoch", "iris@example.net")).await.expect("known");
    h.store.run(&h.call(), know(other, "Iris Elsewhere", "iris@example.net")).await.expect("known");
    let told = CallTold {
        number: Some("+4930901877".to_owned()),
        summary: Some("She wants a cleaning.".to_owned()),
        ..CallTold::default()
    };
    let call = HearCall {
        tenant,
        provider_id: "privacy".to_owned(),
        id: h.ids.make(),
        told,
        contact: None,
        fence: None,
        now: h.now(),
    };
    h.store.run(&h.call(), call).await.expect("heard");
    let source: InboxSourceId = h.ids.make();
    let event = ReceiveEvent {
        id: h.ids.make(),
        tenant,
        source,
        provider: "generic",
        identity: "privacy".to_owned(),
        kind: "k".to_owned(),
        version: None,
        // Written by numbers, as some senders do.
        payload: r#"{"from": "\u0069ris@example.net"}"#.into(),
        processing: Processing::Kept,
        now: h.now(),
    };
    h.store.receive_event(&h.call(), event).await.expect("received");

    // By the address alone: where it stands. Then by what these rows say of her: the call from her number, too.
    let mut iris = Identifiers::default().address("IRIS@example.net").expect("an address");
    let direct = found(h, &iris, Some(tenant)).await;
    assert_eq!(tables(&direct), BTreeSet::from(["contact", "inbox_event"]));
    assert!(direct.iter().all(|one| one.row.get("tenant_id").is_none_or(|id| *id == tenant.to_string())));
    learn(&h.options, &mut iris, Some(tenant)).await.expect("learnt");
    let all = found(h, &iris, Some(tenant)).await;
    assert_eq!(tables(&all), BTreeSet::from(["contact", "inbox_event", "phone_call", "phone_call_term"]));
    let contact = all.iter().find(|one| one.table == "contact").expect("hers");
    assert_eq!((&contact.row["name"], &contact.row["phone"]), (&"Iris Murdoch".into(), &"+4930901877".into()));
    // Over all organisations there is one more of her.
    assert_eq!(found(h, &iris, None).await.iter().filter(|one| one.table == "contact").count(), 2);
    // Nobody has this address.
    let nobody = Identifiers::default().address("nobody@example.net").expect("an address");
    assert_eq!(found(h, &nobody, None).await, []);
    // A password is a hash, and its owner is found by who they are.
    let gwen = Identifiers::default().address("gwen@example.com").expect("an address");
    assert!(tables(&found(h, &gwen, None).await).contains("person"));
}

/// What becomes of the rules' columns, as the schema has them.
fn ruled() -> BTreeSet<(String, String)> {
    let all = RULES.iter().flat_map(|rules| rules.columns.iter().map(|(column, _)| (rules.table, *column)));
    all.map(|(table, column)| (table.to_owned(), column.to_owned())).collect()
}

#[tokio::test]
async fn every_column_that_can_hold_a_text_has_its_rule_on_sqlite() {
    let h = Harness::open(EngineKind::Sqlite).await.expect("SQLite is always there");
    let path = h.options.sqlite_path().expect("a path");
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("connected");
    let columns =
        "SELECT t.name AS tbl, c.name AS col, c.type AS form FROM sqlite_schema t, pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.type IN ('TEXT', 'BLOB')";
    let mut all = BTreeSet::new();
    for row in sqlx::query(columns).fetch_all(&mut connection).await.expect("read") {
        let (table, column, form): (String, String, String) = (row.get("tbl"), row.get("col"), row.get("form"));
        let named =
            ["id", "subject", "node"].contains(&column.as_str()) || column.ends_with("_id") || column.ends_with("_by");
        let is_id = form == "BLOB" && named;
        if !is_id {
            all.insert((table, column));
        }
    }
    assert_eq!(all.symmetric_difference(&ruled()).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[tokio::test]
async fn every_column_that_can_hold_a_text_has_its_rule_on_postgres() {
    let Some(h) = Harness::open(EngineKind::Postgres).await else { return };
    let mut connection = PgConnection::connect(h.options.url.expose()).await.expect("connected");
    let columns = "SELECT table_name::text AS tbl, column_name::text AS col FROM information_schema.columns
                   JOIN information_schema.tables USING (table_schema, table_name)
                   WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type IN ('text', 'bytea', 'character varying', 'json', 'jsonb')";
    let rows = sqlx::query(columns).fetch_all(&mut connection).await.expect("read");
    let all: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get("tbl"), row.get("col"))).collect();
    assert_eq!(all.symmetric_difference(&ruled()).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    // Where a row may change, the owner of the tables may change it, in a session that says what it is for.
    let policies =
        "SELECT tablename::text AS tbl FROM pg_policies WHERE policyname = 'erasure' AND qual LIKE '%app.erasing%'";
    let rows = sqlx::query(policies).fetch_all(&mut connection).await.expect("read");
    let allowed: BTreeSet<String> = rows.iter().map(|row| row.get("tbl")).collect();
    let changes = |rule: &Rule| !matches!(rule, Rule::Nothing | Rule::Setting);
    let changes = |rules: &Rules| rules.fate == Fate::Deleted || rules.columns.iter().any(|(_, rule)| changes(rule));
    for rules in RULES.iter().filter(|rules| changes(rules)) {
        let kind = TABLES.iter().find(|table| table.name == rules.table).expect("a table").kind;
        let needs = kind == TableKind::Tenant;
        assert_eq!(needs, allowed.contains(rules.table), "{}", rules.table);
    }
}

/// Fills two organisations with Iris, with somebody else of her name, and with somebody whose address ends like hers.
async fn fill(h: &Harness, tenant: TenantId, other: TenantId) {
    let contact = async |tenant, name: &str, phone: &str, email: &str| {
        let know = KnowContact {
            tenant,
            id: h.ids.make(),
            name: name.to_owned(),
            phone: Some(PhoneNumber::parse(phone, None).expect("a number")),
            email: Some(EmailAddress::parse(email).expect("an address")),
            now: h.now(),
        };
        h.store.run(&h.call(), know).await.expect("known")
    };
    contact(tenant, "Iris Murdoch", "+4930901877", "iris@example.net").await;
    contact(tenant, "Iris Murdoch", "+4930901999", "other@example.net").await;
    contact(tenant, "Nobody Near", "+4930901888", "siris@example.net").await;
    contact(other, "I. Murdoch", "+4930901877", "iris@example.org").await;
    let told = CallTold {
        number: Some("+4930901877".to_owned()),
        state: Some(CallState::Ended),
        ended_reason: Some("customer-ended-call".to_owned()),
        report: true,
        summary: Some("She wants a cleaning.".to_owned()),
        transcript: Some(r#"[{"role":"user","text":"I am Iris Murdoch."}]"#.to_owned()),
        ..CallTold::default()
    };
    let (id, provider_id) = (h.ids.make(), "erasure".to_owned());
    let call = HearCall { tenant, provider_id, id, told, contact: None, fence: None, now: h.now() };
    h.store.run(&h.call(), call).await.expect("heard");
    let stop = OptOut {
        tenant,
        phone: "+4930901877".to_owned(),
        digest: "erased1:none".to_owned(),
        stopped: true,
        at: h.now(),
        fence: None,
    };
    h.store.run(&h.call(), stop).await.expect("kept");
    let subjects = BTreeSet::from(["iris@example.net".to_owned(), "siris@example.net".to_owned()]);
    h.store.run(&h.call(), Suppress { tenant, subjects, now: h.now() }).await.expect("kept");
    let event = ReceiveEvent {
        id: h.ids.make(),
        tenant,
        source: h.ids.make(),
        provider: "generic",
        identity: "erasure".to_owned(),
        kind: "k".to_owned(),
        version: None,
        payload: r#"{"from": "\u0069ris@example.net", "about": "her teeth"}"#.into(),
        processing: Processing::Kept,
        now: h.now(),
    };
    h.store.receive_event(&h.call(), event).await.expect("received");
}

async fn rounds(h: &Harness, identifiers: &Identifiers, tenant: Option<TenantId>) -> Erased {
    let mut changed = BTreeMap::new();
    for phase in [Phase::Rest, Phase::Persons, Phase::All, Phase::All] {
        let done = erase((&h.options, &h.store), identifiers, tenant, (phase, h.now())).await.expect("erased");
        for (table, count) in &done.changed {
            *changed.entry(*table).or_default() += count;
        }
        if phase == Phase::All && done.is_still() {
            return Erased { changed, ..done };
        }
    }
    panic!("there is always more to change: {changed:?}");
}

pub(super) async fn an_erasure_leaves_nothing_but_what_is_of_others(h: &Harness) {
    let (tenant, _) = h.person("ines").await;
    let (other, _) = h.person("jean").await;
    fill(h, tenant, other).await;
    let mut iris = Identifiers::default().address("iris@example.net").expect("an address");
    learn_surely(&h.options, &mut iris, None).await.expect("learnt");
    // Of the other Iris nothing was learnt, and nothing in another organisation.
    assert_eq!((iris.numbers(tenant), iris.numbers(other)), (vec!["+4930901877".to_owned()], vec![]));
    assert_eq!(iris.addresses(other), ["iris@example.net"]);
    // What she is known by there has to be given.
    iris = iris.address("iris@example.org").expect("an address");
    let plan = plan(&h.options, &iris, None, h.now()).await.expect("planned");
    assert_eq!(plan.written_to_by, BTreeSet::from([tenant]));
    assert_eq!((plan.silenced.len(), plan.people.len()), (1, 0));
    let digest = |plain: &str| vec![Objection { plain: plain.to_owned(), digest: format!("erased1:{}", plain.len()) }];
    let (addresses, phones) = (digest("iris@example.net"), digest("+4930901877"));
    h.store.run(&h.call(), ObjectFor { tenant, addresses, phones, now: h.now() }).await.expect("kept");
    writers_have_ended(&h.options).await.expect("they have");
    // What is stopped in the middle can be begun again: by what they are known goes last.
    let first = erase((&h.options, &h.store), &iris, None, (Phase::Rest, h.now())).await.expect("erased");
    assert!(first.changed.contains_key("phone_call") && !first.changed.contains_key("contact"), "{first:?}");
    let mut again = Identifiers::default().address("iris@example.net").expect("an address");
    learn_surely(&h.options, &mut again, None).await.expect("learnt");
    assert_eq!(again.numbers(tenant), iris.numbers(tenant));

    let done = rounds(h, &iris, None).await;
    let changed: BTreeSet<_> = first.changed.keys().chain(done.changed.keys()).copied().collect();
    for table in ["contact", "phone_call", "phone_call_term", "text_opt_out", "suppression", "inbox_event"] {
        assert!(changed.contains(table) && plan.rows.contains_key(table), "{table}: {changed:?}, {plan:?}");
    }
    // Whoever has the same name is left as they are, and that is told.
    let left: Vec<_> = done.left.iter().map(|left| (left.table, left.why)).collect();
    assert_eq!(left, [("contact", Why::Namesake)]);
    let still = found(h, &Identifiers::default().name("Iris Murdoch").expect("a name"), None).await;
    assert_eq!(still.len(), 1, "{still:?}");
    assert_eq!(still[0].row["email"], "other@example.net");
    for known in ["iris@example.net", "iris@example.org"] {
        let by = Identifiers::default().address(known).expect("an address");
        assert_eq!(found(h, &by, None).await, [], "{known}");
    }
    let by = Identifiers::default().number("+4930901877").expect("a number");
    assert_eq!(found(h, &by, None).await, []);
    // Who is somebody else is there as before; what they had said stands, and so does what she had.
    let near = found(h, &Identifiers::default().address("siris@example.net").expect("an address"), None).await;
    assert_eq!(tables(&near), BTreeSet::from(["contact", "suppression"]));
    let silenced = WasSilenced { tenant, digest: "erased1:11".to_owned() };
    assert!(h.store.run(&h.call(), silenced.clone()).await.expect("read"));
    let again = OptOut {
        tenant,
        phone: "+4930901877".to_owned(),
        digest: "erased1:11".to_owned(),
        stopped: false,
        at: h.now(),
        fence: None,
    };
    h.store.run(&h.call(), again).await.expect("kept");
    assert!(!h.store.run(&h.call(), silenced).await.expect("read"), "she wants them again");
    assert_eq!(h.store.run(&h.call(), ListOptOuts { tenant, before: None, limit: 10 }).await.expect("read"), []);
    let listed = h.store.run(&h.call(), ListSuppressions { tenant, subject: None, before: None, limit: 10 }).await;
    let listed: BTreeSet<String> = listed.expect("read").into_iter().map(|one| one.subject).collect();
    assert_eq!(listed, BTreeSet::from(["@erased.invalid".to_owned(), "siris@example.net".to_owned()]));
    assert!(leave_no_trace(&h.options, &changed, false).await.expect("overwritten"));
}

pub(super) async fn an_erasure_within_an_organisation_leaves_the_others_alone(h: &Harness) {
    let (tenant, _) = h.person("kira").await;
    let (other, _) = h.person("lars").await;
    fill(h, tenant, other).await;
    let mut iris = Identifiers::default().number("+4930901877").expect("a number");
    learn_surely(&h.options, &mut iris, Some(other)).await.expect("learnt");
    let done = rounds(h, &iris, Some(other)).await;
    assert_eq!(done.changed, BTreeMap::from([("contact", 1)]));
    let number = Identifiers::default().number("+4930901877").expect("a number");
    assert_eq!(found(h, &number, Some(other)).await, []);
    let there = found(h, &iris, Some(tenant)).await;
    assert!(tables(&there).contains("contact") && tables(&there).contains("phone_call"), "{:?}", tables(&there));
    // What was learnt in the one counts there alone.
    assert_eq!((iris.addresses(other), iris.addresses(tenant)), (vec!["iris@example.org".to_owned()], vec![]));
}

pub(super) async fn what_others_wrote_is_told_anew_to_their_clients(h: &Harness) {
    let (tenant, person) = h.person("mona").await;
    let said = |text: &str| MessageText::parse(text.to_owned()).expect("a message");
    let asked = said("Call iris@example.net");
    let target = Target::New(h.ids.make(), ConversationTitle::from_message(&asked));
    let turn = AcceptMessage { content: asked, ..accept(h, tenant, person, target) };
    assert_eq!(h.store.accept_message(&h.call(), turn.clone()).await, Ok(Accepted::Taken(0)));
    let stands = async || {
        let positions = h.store.run(&h.call(), GetPositions { tenant, person }).await.expect("read");
        (positions.membership.head, positions.membership.live_rows)
    };
    let erase_once = async |iris: &Identifiers| {
        erase((&h.options, &h.store), iris, None, (Phase::All, h.now())).await.expect("erased")
    };
    let iris = Identifiers::default().address("iris@example.net").expect("an address");
    let first = erase_once(&iris).await;
    assert_eq!(first.changed, BTreeMap::from([("conversation", 1), ("message", 1)]), "its title is made from it");
    // A reply that is being written is its writer's, until it is there.
    assert_eq!(h.store.settle_reply(&h.call(), settle(&turn, "Iris@Example.net does not answer.")).await, Ok(true));
    let (head, rows) = stands().await;
    let second = erase_once(&iris).await;
    assert_eq!(second.changed, BTreeMap::from([("message", 1)]));
    assert_eq!(stands().await, (head + 1, rows), "clients hear of it, and there are as many rows as before");
    assert!(erase_once(&iris).await.changed.is_empty());
    let list = ListMessages { tenant, person, conversation: turn.target.id(), after: None, limit: 50 };
    let messages = h.store.run(&h.call(), list).await.expect("listed").expect("a conversation");
    let words: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(words, ["[erased] does not answer.", "Call [erased]"]);
}
