//! Feeds: a calendar at a secret address.

use serde_json::json;

use super::start;
use crate::reception::Practice;
use crate::support::{Engine, both, text};

both! {
    a_feed_is_read_by_its_address_alone,
}

async fn a_feed_is_read_by_its_address_alone(engine: Engine) {
    let Some((server, _google)) = start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 2).await;
    let free = practice.free("&days=3&limit=60").await;
    let at = |place: usize| free[place]["starts_at"].clone();
    let one = practice.booked(&at(4), json!({"staff_id": practice.staff[0], "note": "a,b;c"})).await;
    let other = practice.booked(&at(4), json!({"staff_id": practice.staff[1]})).await;
    practice.send("POST", "/v1/calendar-feeds", Some(json!({"name": ""}))).await.refused(400, "invalid_input");
    let unknown = json!({"name": "x", "staff_id": one["id"]});
    practice.send("POST", "/v1/calendar-feeds", Some(unknown)).await.refused(400, "invalid_input");
    let make = async |body| practice.send("POST", "/v1/calendar-feeds", Some(body)).await.expect(201);
    let all = make(json!({"name": "All"})).await;
    let own = make(json!({"name": "Dr. 0", "staff_id": practice.staff[0]})).await;
    let path = |feed: &serde_json::Value| {
        let url = text(&feed["url"]);
        url[url.find("/calendars/").expect("a path")..].to_owned()
    };
    let feed = server.send("GET", &path(&own), None, None).await;
    assert_eq!(feed.status, 200);
    assert_eq!(feed.headers["content-type"], "text/calendar; charset=utf-8");
    assert!(feed.headers["cache-control"].to_str().expect("text").starts_with("private"));
    let lines = feed.text.replace("\r\n ", "");
    assert!(lines.starts_with("BEGIN:VCALENDAR\r\n") && lines.ends_with("END:VCALENDAR\r\n"));
    assert!(lines.contains(&format!("\r\nUID:{}\r\n", text(&one["id"]))) && !lines.contains(&text(&other["id"])));
    assert!(lines.contains("SUMMARY:Cleaning – Ada\r\n") && lines.contains("a\\,b\\;c"), "{lines}");
    let tag = feed.headers["etag"].to_str().expect("text").to_owned();
    let again = server.send_with("GET", &path(&own), None, None, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    let both = server.send("GET", &path(&all), None, None).await.text;
    assert_eq!(both.matches("BEGIN:VEVENT").count(), 2);
    // Cancelled is told, and the file is another.
    let cancel = format!("/v1/appointments/{}", text(&one["id"]));
    practice.send("PATCH", &cancel, Some(json!({"state": "cancelled"}))).await.expect(200);
    let feed = server.send_with("GET", &path(&own), None, None, &[("if-none-match", &tag)]).await;
    assert!(feed.status == 200 && feed.text.contains("STATUS:CANCELLED"));
    // Whoever has not the whole address has nothing.
    let whole = path(&own);
    let mut wrong = whole.clone().into_bytes();
    let place = wrong.len() - 8;
    wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
    for wrong in [String::from_utf8(wrong).expect("letters"), whole.replace(".ics", ""), "/calendars/x.ics".to_owned()]
    {
        server.send("GET", &wrong, None, None).await.refused(404, "not_found");
    }
    let listed = practice.send("GET", "/v1/calendar-feeds", None).await.expect(200);
    assert!(listed["data"].as_array().map(Vec::len) == Some(2) && !listed.to_string().contains(&whole));
    let stranger = server.person("bea").await;
    let remove = format!("/v1/calendar-feeds/{}", text(&own["id"]));
    server.send("DELETE", &remove, Some(&stranger.access_token), None).await.refused(404, "not_found");
    practice.send("DELETE", &remove, None).await.expect(204);
    server.send("GET", &whole, None, None).await.refused(404, "not_found");
}
