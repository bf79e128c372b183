//! Lists of people are read into campaigns: what is wrong with rows is told, and what broke off goes on.

use serde_json::{Value, json};

use super::Agency;
use crate::contract::outreach::list;
use crate::support::{Answer, Engine, both, text};

both! {
    a_list_is_read_and_what_is_wrong_is_told,
    a_list_goes_on_where_it_broke_off,
    a_part_counts_once_however_often_it_comes,
    what_is_no_list_is_refused,
}

/// A list as a spreadsheet program of Western Europe writes it.
const LIST: &str = "E-Mail;Vorname;Firma;Job title\r\n\
    ada@lead.example;Zo\u{eb};\"Acme; S\u{f6}hne\";=SUM(A1)\r\n\
    nobody;Eve;;\r\n\
    ADA@lead.example;Again;;\r\n\
    \r\n\
    eve@no.example;Eve;;\"two\nlines\"\r\n\
    bob@lead.example;Bob;too;many;columns\r\n\
    bob@lead.example;Bob;;\r\n";

impl Agency {
    async fn draft(&self) -> String {
        text(
            &self.send("POST", "/v1/campaigns", Some(json!({"name": "A list", "time_zone": "UTC"}))).await.expect(201)
                ["id"],
        )
    }

    async fn begin(&self, campaign: &str, wish: Value) -> String {
        text(&self.send("POST", &format!("/v1/campaigns/{campaign}/imports"), Some(wish)).await.expect(201)["id"])
    }

    async fn part(&self, import: &str, query: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v1/imports/{import}/content?{query}");
        self.server.upload(&path, Some(&self.owner.access_token), "text/csv", bytes.to_vec()).await
    }
}

/// What became of the rows of a list.
fn counts(import: &Value) -> [u64; 5] {
    ["rows", "added", "duplicates", "suppressed", "bad"].map(|name| import[name].as_u64().expect("a number"))
}

async fn a_list_is_read_and_what_is_wrong_is_told(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let campaign = agency.draft().await;
    agency.send("POST", "/v1/suppressions", Some(json!({"subjects": ["@no.example"]}))).await.expect(201);
    let bytes: Vec<u8> = LIST.chars().map(|one| u8::try_from(one).expect("Latin")).collect();
    let token = Some(agency.owner.access_token.as_str());
    let seen =
        agency.server.upload("/v1/imports/preview?whole=true", token, "text/csv", bytes.clone()).await.expect(200);
    assert_eq!(seen["header"], json!(["E-Mail", "Vorname", "Firma", "Job title"]));
    let guessed =
        json!([{"is": "address"}, {"is": "first_name"}, {"is": "company"}, {"is": "own", "field": "job_title"}]);
    assert_eq!((&seen["delimiter"], &seen["columns"]), (&json!(";"), &guessed));
    assert_eq!(seen["rows"][0], json!(["ada@lead.example", "Zo\u{eb}", "Acme; S\u{f6}hne", "=SUM(A1)"]));

    let import = agency.begin(&campaign, json!({"name": "people.csv", "bytes": bytes.len()})).await;
    let done = agency.part(&import, "", &bytes).await.expect(200);
    assert_eq!((&done["state"], &done["columns"]), (&json!("finished"), &guessed));
    assert_eq!(done["read_bytes"], bytes.len());
    assert_eq!(counts(&done), [6, 3, 1, 1, 2]);
    let leads = agency.send("GET", &format!("/v1/campaigns/{campaign}/leads"), None).await.expect(200);
    let of = |address: &str| {
        let mut leads = leads["data"].as_array().expect("rows").iter();
        leads.find(|lead| lead["email"] == address).unwrap_or_else(|| panic!("{address} is missing")).clone()
    };
    let fields = json!({"first_name": "Zo\u{eb}", "company": "Acme; S\u{f6}hne", "custom.job_title": "=SUM(A1)"});
    assert_eq!(of("ada@lead.example")["fields"], fields);
    assert_eq!((&of("eve@no.example")["state"], &of("bob@lead.example")["state"]), (&json!("stopped"), &json!("new")));
    assert_eq!(
        agency.figures(&campaign).await,
        *json!({"lead_new": 2, "lead_stopped": 1}).as_object().expect("an object")
    );

    let faults = agency.send("GET", &format!("/v1/imports/{import}/faults"), None).await.expect(200);
    let told =
        faults["data"].as_array().expect("rows").iter().map(|fault| (fault["line"].clone(), text(&fault["code"])));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(json!(3), "invalid_email".to_owned()), (json!(8), "more_columns_than_header".to_owned())]);
    assert_eq!(faults["data"][0]["column"], "E-Mail");
    let table = agency.send("GET", &format!("/v1/imports/{import}/faults.csv"), None).await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert!(table.text.contains("3,E-Mail,invalid_email,") && table.text.contains("nobody;Eve"), "{}", table.text);

    // The same list again makes nobody new.
    let again = agency.begin(&campaign, json!({"name": "people.csv"})).await;
    assert_eq!(counts(&agency.part(&again, "", &bytes).await.expect(200)), [6, 0, 4, 0, 2]);
    let imports = agency.send("GET", &format!("/v1/campaigns/{campaign}/imports"), None).await.expect(200);
    assert_eq!((text(&imports["data"][0]["id"]), text(&imports["data"][1]["id"])), (again, import));
}

async fn a_list_goes_on_where_it_broke_off(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let campaign = agency.draft().await;
    let bytes = list(6_000, 10).into_bytes();
    let import = agency.begin(&campaign, json!({"name": "people.csv"})).await;
    // Parts end in the middle of rows; each next one begins where the one before was read to.
    let mut at = 0;
    while bytes.len() - at > 80_000 {
        let part = &bytes[at..at + 80_000];
        let read = agency.part(&import, &format!("last=false&offset={at}"), part).await.expect(200);
        let now = usize::try_from(read["read_bytes"].as_u64().expect("a number")).expect("small");
        assert!(now > at && now <= at + 80_000 && bytes[now - 1] == b'\n', "{read}");
        assert_eq!(read["state"], "running");
        at = now;
    }
    let wrong =
        agency.part(&import, &format!("offset={}", at - 1), &bytes[at - 1..]).await.refused(409, "import_offset");
    assert!(text(&wrong["detail"]).contains(&at.to_string()), "{wrong}");
    let done = agency.part(&import, &format!("offset={at}"), &bytes[at..]).await.expect(200);
    assert_eq!((&done["state"], counts(&done)), (&json!("finished"), [6_010, 6_000, 0, 0, 10]));
    agency.part(&import, &format!("offset={}", bytes.len()), b"").await.refused(409, "import_state");
    assert_eq!(agency.figures(&campaign).await, *json!({"lead_new": 6_000}).as_object().expect("an object"));
}

async fn a_part_counts_once_however_often_it_comes(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let campaign = agency.draft().await;
    let bytes = list(3_000, 3).into_bytes();
    let import = agency.begin(&campaign, json!({"name": "people.csv"})).await;
    let answers = futures_util::future::join_all((0..8).map(|_| agency.part(&import, "", &bytes))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(good <= 1 && answers.iter().all(|answer| [200, 409].contains(&answer.status)));
    // Whoever stumbles over another goes on from where both were.
    let mut now = agency.send("GET", &format!("/v1/imports/{import}"), None).await.expect(200);
    if now["state"] == "running" {
        let at = usize::try_from(now["read_bytes"].as_u64().expect("a number")).expect("small");
        now = agency.part(&import, &format!("offset={at}"), &bytes[at..]).await.expect(200);
    }
    assert_eq!((&now["state"], counts(&now)), (&json!("finished"), [3_003, 3_000, 0, 0, 3]));
}

async fn what_is_no_list_is_refused(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let campaign = agency.draft().await;
    let import = agency.begin(&campaign, json!({"name": "people.csv"})).await;
    for (bytes, field, code) in [
        (&b""[..], "content", "empty_file"),
        (b"PK\x03\x04 and more", "content", "spreadsheet"),
        (b"\x00\x01\x02\x03\x00\x09", "content", "not_text"),
        (b"name,phone\nEve,1\n", "columns", "no_address"),
    ] {
        let refused = agency.part(&import, "", bytes).await.refused(400, "invalid_input");
        assert_eq!((&refused["fields"][0]["field"], &refused["fields"][0]["code"]), (&json!(field), &json!(code)));
    }
    let short = agency.part(&import, "last=false", b"email\na@b.example\n").await.refused(400, "invalid_input");
    assert_eq!(short["fields"][0]["code"], "too_short");
    // What each column is can be said, and has to fit.
    let said = json!({"name": "people.csv", "columns": [{"is": "skip"}]});
    let said = agency.begin(&campaign, said).await;
    let refused = agency.part(&said, "", b"email,name\na@b.example,Eve\n").await.refused(400, "invalid_input");
    let codes: Vec<_> =
        refused["fields"].as_array().expect("fields").iter().map(|fault| text(&fault["code"])).collect();
    assert_eq!(codes, ["wrong_number", "no_address"]);
    let said = json!({"name": "people.csv", "columns": [{"is": "own", "field": "nick"}, {"is": "address"}]});
    let said = agency.begin(&campaign, said).await;
    let done = agency.part(&said, "", b"email,name\nx,a@b.example\n").await.expect(200);
    assert_eq!(counts(&done), [1, 1, 0, 0, 0]);
    // One that was ended stays so; the leads stay too.
    agency.send("POST", &format!("/v1/imports/{import}/cancel"), None).await.expect(200);
    agency.part(&import, "", b"email\na@b.example\n").await.refused(409, "import_state");
    agency.send("POST", &format!("/v1/imports/{import}/cancel"), None).await.refused(409, "import_state");
    // A campaign that has stopped takes nobody in.
    let late = agency.begin(&campaign, json!({"name": "late.csv"})).await;
    agency.send("POST", &format!("/v1/campaigns/{campaign}/stop"), None).await.expect(200);
    agency.part(&late, "", b"email\nc@b.example\n").await.refused(409, "campaign_state");
    let wish = json!({"name": "later.csv"});
    let path = format!("/v1/campaigns/{campaign}/imports");
    agency.send("POST", &path, Some(wish)).await.refused(409, "campaign_state");
}
