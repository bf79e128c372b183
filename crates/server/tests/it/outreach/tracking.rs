//! What readers and machines do with emails, as they do it: by the links that they were sent.

use std::collections::BTreeSet;

use mainstay_testing::smtp_sink::Kept;
use reqwest::redirect::Policy;
use serde_json::json;

use super::{Agency, PATIENCE};
use crate::support::{Engine, both, eventually, text};

both! {
    what_readers_do_is_told_apart_from_machines,
    a_lead_that_did_it_counts_once,
    leads_are_listed_as_somebody_wants_them,
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// The paths of the links and images that are followed, in their order.
fn followed(kept: &Kept) -> Vec<String> {
    let message = String::from_utf8(kept.bytes.as_ref().expect("kept").to_vec()).expect("ASCII");
    let message = message.replace("=\r\n", "").replace("=3D", "=");
    let links = message.split("https://mail.example.com").skip(1).filter(|rest| rest.starts_with("/t/"));
    links.filter_map(|rest| rest.split(['"', '\'', '<', '>', ' ', '.', '\r']).next().map(str::to_owned)).collect()
}

struct Reader<'a> {
    agency: &'a Agency,
    client: reqwest::Client,
}

impl<'a> Reader<'a> {
    fn of(agency: &'a Agency) -> Self {
        Self { agency, client: reqwest::Client::builder().redirect(Policy::none()).build().expect("a client") }
    }

    async fn asks(&self, path: &str, agent: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.agency.server.address)).header("user-agent", agent);
        request.send().await.expect("an answer")
    }

    /// Somebody goes on until it counts: nobody reads an email in the second in which it comes.
    async fn until(&self, path: &str, campaign: &str, kind: &str) {
        eventually(async || {
            self.asks(path, BROWSER).await;
            self.agency.figures(campaign).await.contains_key(kind).then_some(())
        })
        .await;
    }
}

/// A campaign whose first step has links, and what one lead got.
async fn sent(agency: &Agency, html: Option<&str>, body: &str) -> (String, Kept) {
    let account = agency.account("ada@example.com", &json!({})).await;
    let wish = json!({"name": "Spring", "time_zone": "UTC", "track_opens": true, "track_clicks": true,
        "goal_url": "https://shop.example/thanks"});
    let campaign = text(&agency.send("POST", "/v1/campaigns", Some(wish)).await.expect(201)["id"]);
    let variant = json!({"name": "A", "subject": "Hello", "text": body, "html": html});
    let steps = json!({"steps": [{"delay": "0d", "variants": [variant]}]});
    agency.send("PUT", &format!("/v1/campaigns/{campaign}/steps"), Some(steps)).await.expect(200);
    let accounts = json!({"account_ids": [account]});
    agency.send("PUT", &format!("/v1/campaigns/{campaign}/accounts"), Some(accounts)).await.expect(200);
    agency.add(&campaign, &["eve@lead.example".to_owned()]).await;
    agency.launch(&campaign).await;
    assert!(agency.sink.wait_for(1, PATIENCE).await);
    agency.until(&campaign, json!({"accepted": 1, "lead_finished": 1})).await;
    (campaign, agency.sink.kept().remove(0))
}

async fn what_readers_do_is_told_apart_from_machines(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let html = "<p>Hello <a href=\"https://shop.example/a?x=1&amp;y=ü\">a</a> <a href='https://shop.example/b'>b</a> \
                <a href=\"{{unsubscribe_url}}\">leave</a></p>";
    let (campaign, kept) = sent(&agency, Some(html), "Hello").await;
    let paths = followed(&kept);
    assert_eq!(paths.len(), 3, "two links and the image: {paths:?}");
    let reader = Reader::of(&agency);
    // A scanner looks at it as it arrives.
    let led = reader.asks(&paths[1], "curl/8.0").await;
    let header =
        |name: &str| led.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!((led.status().as_u16(), header("location").as_str()), (302, "https://shop.example/b"));
    assert_eq!(
        (header("cache-control").as_str(), header("referrer-policy").as_str()),
        ("private, no-store", "no-referrer")
    );
    reader.client.head(format!("{}{}", agency.server.address, paths[0])).send().await.expect("an answer");
    let image = reader.asks(&paths[2], "").await;
    assert_eq!(image.headers()["content-type"], "image/gif");
    assert!(image.bytes().await.expect("bytes").starts_with(b"GIF89a"));
    let machine = json!({"accepted": 1, "lead_finished": 1, "machine_opened": 1, "machine_clicked": 1});
    agency.until(&campaign, machine).await;
    // Then somebody does.
    reader.until(&paths[2], &campaign, "opened").await;
    reader.until(&paths[0], &campaign, "clicked").await;
    let led = reader.asks(&paths[0], BROWSER).await;
    assert_eq!(led.headers()["location"], "https://shop.example/a?x=1&y=%C3%BC");
    let all = json!({"accepted": 1, "lead_finished": 1, "machine_opened": 1, "machine_clicked": 1, "opened": 1, "clicked": 1});
    agency.until(&campaign, all).await;
    let email = agency.emails(&format!("campaign_id={campaign}")).await.remove(0);
    for moment in ["opened_at", "machine_opened_at", "clicked_at", "machine_clicked_at"] {
        assert!(email[moment].is_string(), "{moment}: {email}");
    }
    assert!(email["converted_at"].is_null());
    // Nobody else makes a link, and leads nobody anywhere.
    let mut other = paths[0].clone();
    other.replace_range(10..11, if &other[10..11] == "A" { "B" } else { "A" });
    for path in ["/t/", "/t/abc", other.as_str()] {
        let answer = reader.asks(path, BROWSER).await;
        assert!(answer.status() == 404 && !answer.headers().contains_key("location"), "{path}");
    }
    let clicks =
        ["human", "machine"].map(|by| format!("mainstay_outreach_hits_total{{kind=\"click\",outcome=\"{by}\"}}"));
    agency.server.tells(&[&clicks[0], &clicks[1]]).await;
}

async fn a_lead_that_did_it_counts_once(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let (campaign, kept) = sent(&agency, None, "See https://shop.example/thanks/now.").await;
    let paths = followed(&kept);
    assert_eq!(paths.len(), 1, "links of plain text are followed where there is no HTML");
    let path = format!("/v1/campaigns/{campaign}/conversions");
    let convert = async |email: &str| agency.send("POST", &path, Some(json!({"email": email}))).await;
    assert_eq!(convert("nobody").await.expect(400)["fields"][0]["field"], "email");
    convert("nobody@lead.example").await.expect(404);
    Reader::of(&agency).until(&paths[0], &campaign, "converted").await;
    assert_eq!(convert("Eve@lead.example").await.expect(200)["first"], false, "by the link");
    let figures = agency.figures(&campaign).await;
    assert_eq!((&figures["converted"], &figures["clicked"], &figures["opened"]), (&json!(1), &json!(1), &json!(1)));
    // Nothing was sent to this one yet.
    agency.send("POST", &format!("/v1/campaigns/{campaign}/pause"), None).await.expect(200);
    agency.add(&campaign, &["new@lead.example".to_owned()]).await;
    assert_eq!(convert("new@lead.example").await.expect(409)["code"], "nothing_sent");
    // What a campaign is for, and what is followed, is a place of the web.
    for (goal, field) in [("javascript:alert(1)", "goal_url"), ("nowhere", "goal_url")] {
        let wish = json!({"name": "Spring", "time_zone": "UTC", "goal_url": goal});
        assert_eq!(agency.send("POST", "/v1/campaigns", Some(wish)).await.expect(400)["fields"][0]["field"], field);
    }
    let wish = super::account(&agency.sink, "bob@example.com", &json!({"tracking_domain": "https://x.example"}));
    let refused = agency.send("POST", "/v1/sending-accounts", Some(wish)).await.expect(400);
    assert_eq!(refused["fields"][0]["field"], "tracking_domain");
}

async fn leads_are_listed_as_somebody_wants_them(engine: Engine) {
    let Some(agency) = Agency::open(engine).await else { return };
    let campaign = agency.campaign("Spring", &[], "1d").await;
    let addresses: Vec<String> = (0..25).map(|n| format!("lead{:02}@{}.example", n * 7 % 25, n % 3)).collect();
    agency.add(&campaign, &addresses).await;
    let all = async |query: &str| {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/campaigns/{campaign}/leads?limit=10{query}{after}");
            let page = agency.send("GET", &path, None).await.expect(200);
            found.extend(page["data"].as_array().expect("rows").iter().map(|lead| text(&lead["email"])));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    };
    let sorted: BTreeSet<String> = addresses.iter().cloned().collect();
    let sorted: Vec<String> = sorted.into_iter().collect();
    assert_eq!(all("&sort=email").await, sorted);
    assert_eq!(all("&sort=-email").await, sorted.iter().rev().cloned().collect::<Vec<_>>());
    let newest = all("").await;
    assert_eq!(all("&sort=created_at").await, newest.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(all("&query=%401.EXAMPLE&sort=email").await.len(), 8);
    assert_eq!(all("&query=zo%C3%AB%204&state=new").await.len(), 1);
    assert_eq!(all("&state=replied").await, Vec::<String>::new());
    for (query, field) in [("sort=size", "sort"), ("sort=email&after=x", "after"), ("state=x", "state"), ("query=", "")]
    {
        let long = if field.is_empty() { "x".repeat(101) } else { String::new() };
        let answer = agency.send("GET", &format!("/v1/campaigns/{campaign}/leads?{query}{long}"), None).await;
        let refused = answer.expect(400);
        assert!(
            field.is_empty() || refused["fields"][0]["field"] == field || refused["detail"].is_string(),
            "{refused}"
        );
    }
}
