//! The drawer of conversations, and the pages of messages.

use serde_json::{Value, json};

use super::{Stage, id};
use crate::support::{Engine, both};

both! { conversations_are_listed_searched_and_paged, messages_are_paged_from_the_newest }

/// All pages of a list: the values of one field, and how many pages there were.
async fn all(stage: &Stage, path: &str, field: &str) -> (Vec<String>, usize) {
    let (mut rows, mut pages, mut after) = (Vec::new(), 0, String::new());
    loop {
        let page = stage.get(&format!("{path}{after}")).await.expect(200);
        let data = page["data"].as_array().expect("rows");
        rows.extend(data.iter().map(|row| row[field].as_str().expect("a text").to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { return (rows, pages) };
        after = format!("&after={next}");
        assert!(pages < 50, "the pages have no end");
    }
}

async fn conversations_are_listed_searched_and_paged(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[("providers.order", r#"["offline"]"#)]).await else { return };
    let mut ids = Vec::new();
    for number in 0..7 {
        let kind = if number % 2 == 0 { "Étude" } else { "plan" };
        let sent = stage.say(json!({"content": format!("{kind} Number {number}")})).await.expect(201);
        ids.push(id(&sent["conversation_id"]));
    }
    let titles = |numbers: &[usize]| -> Vec<String> {
        let kind = |number: usize| if number.is_multiple_of(2) { "Étude" } else { "plan" };
        numbers.iter().map(|number| format!("{} Number {number}", kind(*number))).collect()
    };
    // Something new in the second brings it to the top.
    stage.say(json!({"content": "More", "conversation_id": ids[1]})).await.expect(201);
    let newest_first = titles(&[1, 6, 5, 4, 3, 2, 0]);
    for (limit, pages) in [(1, 8), (3, 3), (7, 2), (100, 1)] {
        let found = all(&stage, &format!("/v1/conversations?limit={limit}"), "title").await;
        assert_eq!(found, (newest_first.clone(), pages), "limit {limit}");
    }
    for (limit, pages) in [(1, 4), (3, 2), (4, 1), (100, 1)] {
        let search = format!("/v1/conversations?search=number%20%C3%A9TUDE&limit={limit}");
        assert_eq!(all(&stage, &search, "title").await, (titles(&[6, 4, 2, 0]), pages), "limit {limit}");
    }
    assert_eq!(all(&stage, "/v1/conversations?search=nothing", "title").await, (Vec::new(), 1));
    assert_eq!(all(&stage, "/v1/conversations?search=%20", "title").await.0, newest_first, "no word is no search");
    stage.get("/v1/conversations?after=abc").await.refused(400, "invalid_input");
    stage.get(&format!("/v1/conversations?search={}", "a".repeat(201))).await.refused(400, "invalid_input");
    let eve = stage.server.person("eve").await;
    let hers = stage.server.send("GET", "/v1/conversations", Some(&eve.access_token), None).await.expect(200);
    assert_eq!(hers, json!({"data": [], "next": null}));
}

async fn messages_are_paged_from_the_newest(engine: Engine) {
    let Some(stage) = Stage::set(engine, &[]).await else { return };
    let mut conversation = Value::Null;
    for number in 0..3 {
        let mut body = json!({"content": format!("Question {number}")});
        if !conversation.is_null() {
            body["conversation_id"] = conversation;
        }
        conversation = stage.say(body).await.expect(201)["conversation_id"].clone();
    }
    let path = format!("/v1/conversations/{}/messages", id(&conversation));
    let answer = "Hello from the fake provider.";
    let expected: Vec<String> =
        ["Question 2", "Question 1", "Question 0"].iter().flat_map(|text| [answer, text]).map(str::to_owned).collect();
    for (limit, pages) in [(1, 7), (2, 4), (4, 2), (100, 1)] {
        let found = all(&stage, &format!("{path}?limit={limit}"), "content").await;
        assert_eq!(found, (expected.clone(), pages), "limit {limit}");
    }
    stage.get(&format!("{path}?after=LTE")).await.refused(400, "invalid_input");
}
