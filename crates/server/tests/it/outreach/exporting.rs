//! Leads and figures as tables: all of them, as data, and no more of them at once than there is room for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{Agency, people};
use crate::support::{Answer, Engine, both, eventually, text};
use mainstay_testing::smtp_sink::SinkOptions;

both! {
    leads_are_a_table_with_all_of_them_as_data,
    figures_are_a_table_that_says_what_they_say,
    a_table_that_nobody_reads_holds_nobody_up,
}

/// A row of a table, without any regard for quotes: these have none.
fn cells(row: &str) -> Vec<&str> {
    row.split(',').collect()
}

impl Agency {
    async fn table(&self, campaign: &str, which: &str) -> Answer {
        self.send("GET", &format!("/v1/campaigns/{campaign}/{which}.csv"), None).await
    }

    /// Reads a list into a campaign.
    async fn read_in(&self, campaign: &str, list: Vec<u8>) {
        let wish = json!({"name": "people.csv"});
        let import = self.send("POST", &format!("/v1/campaigns/{campaign}/imports"), Some(wish)).await.expect(201);
        let path = format!("/v1/imports/{}/content", text(&import["id"]));
        let done = self.server.upload(&path, Some(&self.owner.access_token), "text/csv", list).await.expect(200);
        assert_eq!((&done["state"], &done["bad"]), (&json!("finished"), &json!(0)), "{done}");
    }
}

async fn leads_are_a_table_with_all_of_them_as_data(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let wish = json!({"name": "Spring \"2026\"; x=../y\u{e9}", "time_zone": "UTC"});
    let campaign = text(&agency.send("POST", "/v1/campaigns", Some(wish)).await.expect(201)["id"]);
    let none = agency.table(&campaign, "leads").await;
    assert_eq!((none.status, none.text.lines().count()), (200, 1), "{}", none.text);
    // More than two pages, the fields of which are not the same.
    let mut list = "email,first_name,state,job_title\r\n".to_owned();
    for number in 0..1_203 {
        list.push_str(&format!("lead{number}@lead.example,Zo\u{eb},of mind,{number}\r\n"));
    }
    agency.read_in(&campaign, list.into_bytes()).await;
    let wish = json!({"leads": [
        {"email": "eve@lead.example", "fields": {"first_name": "=HYPERLINK(\"https://x.example\")", "company": "+1, Inc.",
            "custom.quote": "two\nlines", "custom.minus": "-1", "custom.at": "@a"}}]});
    agency.send("POST", &format!("/v1/campaigns/{campaign}/leads"), Some(wish)).await.expect(201);
    let leads = agency.send("GET", &format!("/v1/campaigns/{campaign}/leads?query=lead7@"), None).await.expect(200);
    agency.send("POST", &format!("/v1/leads/{}/stop", text(&leads["data"][0]["id"])), None).await.expect(200);

    let table = agency.table(&campaign, "leads").await;
    assert_eq!(table.status, 200);
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(table.headers["content-disposition"], "attachment; filename=\"spring-2026-x-y-leads.csv\"");
    let mut rows = table.text.split("\r\n");
    let head = cells(rows.next().expect("a head"));
    assert_eq!(head[..7], ["email", "first_name", "last_name", "company", "time_zone", "state", "step"]);
    // What would be another column keeps its whole name.
    assert_eq!(head[15..], ["at", "job_title", "minus", "quote", "custom.state"]);
    let rows: Vec<&str> = rows.collect();
    assert_eq!(rows.last(), Some(&""), "each row has its end");
    let (eve, others): (Vec<&str>, Vec<&str>) = rows[..rows.len() - 1].iter().partition(|row| row.starts_with("eve@"));
    assert_eq!(others.len(), 1_203);
    let mut seen = BTreeSet::new();
    for row in others {
        let row = cells(row);
        let number: u32 = row[16].parse().expect("a number");
        assert_eq!((row[0], row[1]), (format!("lead{number}@lead.example").as_str(), "Zo\u{eb}"));
        assert_eq!(row[19], "of mind");
        assert_eq!((row[5], row[14].is_empty()), if number == 7 { ("stopped", false) } else { ("new", true) });
        assert!(seen.insert(number), "each is there once");
    }
    // What a spreadsheet program would run is text, and a cell in quotes may have anything in it.
    let [eve] = eve[..] else { panic!("{eve:?}") };
    assert!(
        eve.starts_with("eve@lead.example,\"'=HYPERLINK(\"\"https://x.example\"\")\",,\"'+1, Inc.\",UTC,new,0,0,"),
        "{eve}"
    );
    assert!(eve.ends_with(",'@a,,'-1,\"two\nlines\","), "{eve}");
    agency.table(&uuid::Uuid::nil().to_string(), "leads").await.refused(404, "not_found");
    agency.server.tells(&[r#"mainstay_outreach_exports_total{outcome="finished"} 2"#]).await;
}

async fn figures_are_a_table_that_says_what_they_say(engine: Engine) {
    let Some(agency) = Agency::with(engine, SinkOptions::default()).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let campaign = agency.campaign("Spring", &[&account], "5d").await;
    agency.add(&campaign, &people(12)).await;
    agency.launch(&campaign).await;
    agency.until(&campaign, json!({"accepted": 12, "queued": 12, "lead_active": 12})).await;
    let figures = agency.send("GET", &format!("/v1/campaigns/{campaign}/figures"), None).await.expect(200);
    let word = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let expected: Vec<Vec<String>> = figures["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| ["day", "step", "variant_id", "account_id", "kind", "count"].map(|name| word(&row[name])).to_vec())
        .collect();
    let table = agency.table(&campaign, "figures").await;
    assert_eq!(table.headers["content-disposition"], "attachment; filename=\"spring-figures.csv\"");
    let mut rows = table.text.lines().map(cells);
    assert_eq!(
        rows.next().expect("a head"),
        ["day", "step", "variant_id", "variant", "account_id", "account", "kind", "count"]
    );
    let rows: Vec<Vec<&str>> = rows.collect();
    let said: Vec<Vec<String>> =
        rows.iter().map(|row| [0, 1, 2, 4, 6, 7].map(|column| row[column].to_owned()).to_vec()).collect();
    assert_eq!(said, expected);
    let sent: Vec<_> = rows.iter().filter(|row| row[6] == "accepted").map(|row| (row[3], row[5])).collect();
    assert!(!sent.is_empty() && sent.iter().all(|(text, by)| ["A", "B"].contains(text) && *by == "ada@example.com"));
    // A list of campaigns has the sums, where it is asked for them.
    let sums = async |query: &str| {
        let page = agency.send("GET", &format!("/v1/campaigns{query}"), None).await.expect(200);
        page["data"][0]["figures"].clone()
    };
    let figures = sums("?figures=true").await;
    let said = ["leads", "sent", "queued", "opened", "bounced"].map(|name| figures[name].as_i64().expect("a number"));
    assert_eq!(said, [12, 12, 12, 0, 0]);
    assert_eq!(sums("").await, Value::Null);
    // What came of them stands in the table of leads.
    let leads = agency.table(&campaign, "leads").await.text;
    assert_eq!(leads.lines().skip(1).map(|row| cells(row)[7]).collect::<Vec<_>>(), ["1"; 12], "each got one");
}

/// Somebody who asks for a table and takes the first bytes of it.
async fn reads_the_beginning(agency: &Agency, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("set");
    let address = agency.server.address.strip_prefix("http://").expect("plain").parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connected");
    let token = &agency.owner.access_token;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.expect("asked");
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.expect("an answer");
    assert_eq!(&begun, b"HTTP/1.1 200");
    stream
}

async fn a_table_that_nobody_reads_holds_nobody_up(engine: Engine) {
    let settings = [("http.write_timeout_ms", "4000")];
    let Some(agency) = Agency::set(engine, SinkOptions::default(), &settings).await else { return };
    let account = agency.account("ada@example.com", &json!({})).await;
    let campaign = agency.campaign("Spring", &[&account], "5d").await;
    // More than stands in the buffers of a connection.
    let mut list = "email,story\r\n".to_owned();
    for number in 0..3_500 {
        list.push_str(&format!("lead{number}@lead.example,{}\r\n", "x".repeat(1_900)));
    }
    agency.read_in(&campaign, list.into_bytes()).await;
    let path = format!("/v1/campaigns/{campaign}/leads.csv");
    let running = async |wanted: usize| {
        let line = format!("\nmainstay_outreach_exports_running {wanted}\n");
        eventually(async || {
            let told = agency.server.send("GET", "/metrics", None, None).await.text;
            told.contains(&line).then_some(())
        })
        .await;
    };
    let gone = reads_the_beginning(&agency, &path).await;
    let slow = reads_the_beginning(&agency, &path).await;
    running(2).await;
    // While they take their time, others write; and there is no place for a third one.
    agency.add(&campaign, &["late@lead.example".to_owned()]).await;
    let refused = agency.table(&campaign, "leads").await;
    assert_eq!(refused.headers["retry-after"], "5");
    refused.refused(429, "exports_busy");
    // One that goes ends its table, and one that reads nothing is cut off.
    drop(gone);
    running(0).await;
    let whole = agency.table(&campaign, "leads").await.text;
    assert_eq!(whole.lines().count(), 3_502, "the head, and all that are there now");
    agency
        .server
        .tells(&[
            r#"mainstay_outreach_exports_total{outcome="gone"} 2"#,
            r#"mainstay_outreach_exports_total{outcome="refused"} 1"#,
        ])
        .await;
    let mut slow = slow;
    let mut rest = Vec::new();
    // It broke off: the last piece, which says that there are no more, is not there.
    let _ = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await.expect("it is over");
    assert!(!rest.ends_with(b"0\r\n\r\n"), "no half of a table is taken for a whole one");
}
