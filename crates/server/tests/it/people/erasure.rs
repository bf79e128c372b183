//! Somebody is erased while a server serves, and then a search that knows nothing of the program finds nothing.

use mainstay_testing::Cluster;
use mainstay_testing::postgres::Database;
use serde_json::{Value, json};

use crate::reception::always;
use crate::support::binary::{Installation, Instance};
use crate::support::{eventually, text};

/// By what a search finds her.
const TRACES: [&str; 6] =
    ["iris@example.net", "Iris Murdoch", "iris murdoch", "4930901877", "30 901877", "1rismurd0ch"];
const ERASE: [&str; 5] = ["person", "erase", "--email", "Iris@Example.net", "--confirm"];

struct Somebody<'s> {
    server: &'s Instance,
    /// The owner of the organisation.
    owner: String,
    /// Herself: she has an account, too.
    iris: String,
}

impl Somebody<'_> {
    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let answer = self.server.send(method, path, token, Some(body)).await.expect("an answer");
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        answer.json()
    }

    async fn own(&self, method: &str, path: &str, body: Value) -> Value {
        self.ask(&self.owner, method, path, body).await
    }

    /// An appointment of hers.
    async fn book(&self) -> String {
        let settings = json!({"time_zone": "Europe/Berlin", "calling_code": 49, "week": always(), "step_minutes": 30,
            "lead_minutes": 0, "hold_minutes": 1});
        self.own("PUT", "/v1/reception", settings).await;
        let service = text(&self.own("POST", "/v1/services", json!({"name": "Cleaning", "minutes": 30})).await["id"]);
        self.own("POST", "/v1/staff", json!({"name": "Dr. Gray", "services": [service]})).await;
        let free = self.server.get(&format!("/v1/availability?service_id={service}"), &self.owner).await;
        let contact = json!({"name": "Iris Murdoch", "phone": "+4930901877", "email": "iris@example.net"});
        let wish = json!({"service_id": service, "starts_at": free["data"][0]["starts_at"], "contact": contact,
            "note": "Iris Murdoch paints."});
        text(&self.own("POST", "/v1/appointments", wish).await["id"])
    }

    /// A campaign that has her among its leads.
    async fn write_to(&self) -> String {
        let campaign = self.own("POST", "/v1/campaigns", json!({"name": "A list", "time_zone": "UTC"})).await;
        let campaign = text(&campaign["id"]);
        let fields = json!({"first_name": "Iris", "last_name": "Murdoch"});
        let leads = json!({"leads": [{"email": "iris@example.net", "fields": fields},
            {"email": "dora@example.net", "fields": {"friend": "iris@example.net"}}]});
        self.own("POST", &format!("/v1/campaigns/{campaign}/leads"), leads).await;
        campaign
    }

    /// Everything that names her.
    async fn fill(&self) -> (String, String) {
        let appointment = self.book().await;
        let campaign = self.write_to().await;
        self.own("POST", "/v1/messages", json!({"content": "Please call Iris Murdoch, 030 901877."})).await;
        self.ask(&self.iris, "POST", "/v1/messages", json!({"content": "My secret is 1rismurd0ch."})).await;
        let event = json!({"type": "order.paid", "data": {"buyer": "iris@example.net", "amount": 7}});
        self.own("POST", "/v1/webhook-events", event).await;
        let document =
            json!({"title": "Who is who", "content": "# Artists\n\nIris Murdoch, iris@example.net, paints."});
        self.own("POST", "/v1/documents", document).await;
        let report = json!({"page": "/", "reports": [{"kind": "error", "message": "no number: 1rismurd0ch"}]});
        self.ask(&self.iris, "POST", "/v1/client-reports", report).await;
        (appointment, campaign)
    }
}

async fn somebody<'s>(installation: &Installation, server: &'s Instance) -> Somebody<'s> {
    let owner = installation.people(1).await.remove(0);
    let create = ["user", "create", "--email", "iris@example.net", "--name", "Iris Murdoch"];
    installation.run_with_input(&create, "password of iris\n").await.says(0, &[]);
    let token = installation.run(&["token", "--email", "iris@example.net"]).await;
    Somebody { server, owner, iris: token.says(0, &[]).text.lines().next().expect("a token").to_owned() }
}

/// How many rows of each table name her.
fn search(database: &Database) -> Vec<(String, usize)> {
    let tables = database.psql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'");
    let any = TRACES.map(|text| format!("w::text ILIKE '%{text}%'")).join(" OR ");
    let mut found = Vec::new();
    for table in tables.expect("listed") {
        let count = database.psql(&format!("SELECT count(*) FROM \"{table}\" w WHERE {any}")).expect("counted");
        found.push((table, count.concat().trim().parse().expect("a number")));
    }
    found.retain(|(_, count)| *count > 0);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_a_search_of_the_database_finds_nothing() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &[]);
    let server = installation.serve().await;
    let somebody = somebody(&installation, &server).await;
    let (appointment, campaign) = somebody.fill().await;
    let before = search(&database);
    for table in ["person", "contact", "appointment", "lead", "message", "document", "webhook_event"] {
        assert!(before.iter().any(|(found, _)| found == table), "{table}: {before:?}");
    }
    // First it is said what would be done.
    let plan = installation.run(&ERASE[..4]).await;
    plan.says(0, &["+4930901877", "iris murdoch", "contact", "1 of the appointments", "Nothing was changed"]);
    assert_eq!(search(&database), before);

    let done = installation.run(&ERASE).await;
    done.says(0, &["rows changed", "Nothing of them is left", "Backups still have them"]);
    assert_eq!(search(&database), [], "{}", done.text);
    installation.run(&["person", "find", "--email", "iris@example.net"]).await.says(0, &["0 of"]);
    installation.run(&ERASE).await.says(0, &["0 rows changed"]);
    everything_else_stands(&somebody, &appointment, &campaign).await;
    installation.run(&["trail", "verify"]).await.says(0, &[]);
    let trail = installation.run(&["trail", "list"]).await;
    trail.says(0, &["mainstay person erase"]);
    assert_eq!(server.stop().await, Some(0));
}

/// What is of others is as it was, and who was erased is nobody.
async fn everything_else_stands(somebody: &Somebody<'_>, appointment: &str, campaign: &str) {
    let (server, owner) = (somebody.server, &somebody.owner);
    let kept = server.get(&format!("/v1/appointments/{appointment}"), owner).await;
    assert_eq!((&kept["state"], &kept["note"]), (&json!("booked"), &json!("")));
    // What was written about her is there, without her; and whoever has a copy of it hears of that.
    let conversations = server.get("/v1/conversations", owner).await;
    let id = text(&conversations["data"][0]["id"]);
    let messages = server.get(&format!("/v1/conversations/{id}/messages"), owner).await;
    assert!(messages.to_string().contains("Please call [erased], [erased]."), "{messages}");
    let synced = server.get("/v1/sync", owner).await;
    assert!(!synced.to_string().contains("Murdoch") && synced.to_string().contains("[erased]"), "{synced}");
    // Her account is closed within the time that a revocation takes.
    eventually(async || {
        let answer = server.send("GET", "/v1/conversations", &somebody.iris, None).await.expect("an answer");
        (answer.status == 401).then_some(())
    })
    .await;
    // Who is written to again is not even there; who only has a similar address is.
    let again = json!({"leads": [{"email": "IRIS@example.net"}, {"email": "new@example.net"}]});
    let added = somebody.own("POST", &format!("/v1/campaigns/{campaign}/leads"), again).await;
    assert_eq!(
        (&added["data"][0]["outcome"], &added["data"][0]["id"]),
        (&json!("suppressed"), &Value::Null),
        "{added}"
    );
    let leads = server.get(&format!("/v1/campaigns/{campaign}/leads"), owner).await;
    let addresses: Vec<&str> =
        leads["data"].as_array().expect("rows").iter().filter_map(|lead| lead["email"].as_str()).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for wanted in ["dora@example.net", "new@example.net"] {
        assert!(addresses.contains(&wanted), "{addresses:?}");
    }
    // Unless she agrees to it.
    let allowed = server.send("DELETE", "/v1/suppressions/iris@example.net", owner, None).await.expect("an answer");
    assert_eq!(allowed.status, 204, "{}", allowed.text);
    let again = json!({"leads": [{"email": "iris@example.net"}]});
    let added = somebody.own("POST", &format!("/v1/campaigns/{campaign}/leads"), again).await;
    assert_eq!(added["data"][0]["outcome"], "added", "{added}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_file_hold_nothing_of_who_was_erased() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let somebody = somebody(&installation, &server).await;
    somebody.fill().await;
    installation.run(&ERASE).await.says(0, &["Nothing of them is left"]);
    assert_eq!(server.stop().await, Some(0));
    // A server that starts and stops has written its log into the file.
    let mut read = 0;
    for file in std::fs::read_dir(installation.folder().join("data")).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).expect("read").to_ascii_lowercase();
        read += bytes.len();
        for trace in TRACES {
            let trace = trace.to_lowercase();
            let place = bytes.windows(trace.len()).position(|window| window == trace.as_bytes());
            assert_eq!(place, None, "{trace} is in {}", path.display());
        }
    }
    assert!(read > 100_000, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_hands_over_before() {
    let installation = Installation::new();
    let server = installation.serve().await;
    let somebody = somebody(&installation, &server).await;
    let member = json!({"email": "writer0@example.com", "role": "member"});
    let added = server.send("POST", "/v1/members", &somebody.iris, Some(member)).await.expect("an answer");
    assert!(added.status < 300, "{}", added.text);
    installation.run(&ERASE).await.says(1, &["last owner", "1 more member"]);
    let still = server.send("GET", "/v1/conversations", &somebody.iris, None).await.expect("an answer");
    assert_eq!(still.status, 200, "nothing was done: {}", still.text);
    installation.run(&["person", "erase", "--name", "Iris Murdoch"]).await.says(1, &["--email"]);
    assert_eq!(server.stop().await, Some(0));
}
