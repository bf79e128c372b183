//! What an organisation knows, over the wire: documents, what is found in them, and who answers from them.

use serde_json::{Value, json};

use crate::support::fake_provider::FakeProvider;
use crate::support::{Engine, Person, TestApp, both, by_anthropic};

both! {
    documents_answer_what_somebody_asks,
    what_cannot_be_kept_is_refused_with_its_reason,
    members_read_and_administrators_write,
    the_offline_responder_answers_from_a_document,
    a_model_gets_what_fits_as_data,
}

const HOURS: &str = "# Opening hours\n\nWe are open from Monday to Friday, 9 to 17. On Saturday we open at ten.\n\n\
                     # Parking\n\nThere are places for cars behind the house.";

async fn put(server: &TestApp, person: &Person, body: Value) -> Value {
    server.send("POST", "/v1/documents", Some(&person.access_token), Some(body)).await.expect(201)
}

async fn ask(server: &TestApp, token: &str, question: &str) -> Value {
    let query: String = question.bytes().map(|byte| format!("%{byte:02X}")).collect();
    server.send("GET", &format!("/v1/documents/search?q={query}"), Some(token), None).await.expect(200)
}

async fn say(server: &TestApp, person: &Person, content: &str) -> String {
    let body = json!({"content": content});
    let sent = server.send("POST", "/v1/messages", Some(&person.access_token), Some(body)).await.expect(201);
    sent["reply"]["content"].as_str().expect("a text").to_owned()
}

async fn documents_answer_what_somebody_asks(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = ada.access_token.as_str();
    assert_eq!(ask(&server, token, "When do you open?").await, json!({"answer": null, "data": []}));
    let made = put(&server, &ada, json!({"title": "Our practice", "content": HOURS, "language": "english"})).await;
    assert_eq!((&made["passages"], &made["language"]), (&json!(2), &json!("english")));
    let path = format!("/v1/documents/{}", made["id"].as_str().expect("an id"));
    let read = server.send("GET", &path, Some(token), None).await.expect(200);
    assert_eq!((&read["content"], &read["title"]), (&json!(HOURS), &json!("Our practice")));

    // It is found by the node that took it at once, though nothing was there a moment before.
    let found = ask(&server, token, "What time do you open on Saturday?").await;
    let answer = &found["answer"];
    assert!(answer["text"].as_str().expect("a text").contains("On Saturday we open at ten."), "{found}");
    assert_eq!((&answer["document_id"], &answer["title"]), (&made["id"], &json!("Our practice")));
    assert_eq!(found["data"][0]["heading"], "Opening hours");
    let found = ask(&server, token, "Is there a place to park my car?").await;
    assert_eq!(found["answer"]["text"], "There are places for cars behind the house.");
    // What hardly fits is shown, and is no answer.
    let found = ask(&server, token, "Do goats dance the tango on Saturday mornings?").await;
    assert_eq!((&found["answer"], found["data"].as_array().map(Vec::len)), (&Value::Null, Some(1)), "{found}");

    // A change is refused when somebody else was first.
    let body = json!({"content": "We are closed.", "updated_at": made["updated_at"]});
    let changed = server.send("PATCH", &path, Some(token), Some(body.clone())).await.expect(200);
    assert_eq!((&changed["title"], &changed["language"]), (&json!("Our practice"), &json!("english")));
    server.send("PATCH", &path, Some(token), Some(body)).await.refused(409, "changed_meanwhile");
    assert_eq!(ask(&server, token, "Saturday").await["data"], json!([]));
    server.send("DELETE", &path, Some(token), None).await.expect(204);
    server.send("DELETE", &path, Some(token), None).await.refused(404, "not_found");
    server.send("GET", &path, Some(token), None).await.refused(404, "not_found");
    let figures = [
        "mainstay_document_changes_total{change=\"made\"} 1",
        "mainstay_document_changes_total{change=\"removed\"} 1",
        "mainstay_knowledge_searches_total{outcome=\"found\"} 3",
        "mainstay_knowledge_searches_total{outcome=\"nothing\"} 2",
    ];
    server.tells(&figures).await;
}

async fn what_cannot_be_kept_is_refused_with_its_reason(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let token = Some(ada.access_token.as_str());
    let large = "a".repeat(256 * 1024);
    for (body, field, code) in [
        (json!({"title": "", "content": "x"}), "title", "too_short"),
        (json!({"title": "t".repeat(201), "content": "x"}), "title", "too_long"),
        (json!({"title": "two\nlines", "content": "x"}), "title", "control_characters"),
        (json!({"title": "t", "content": " \n"}), "content", "empty"),
        (json!({"title": "t", "content": "a\u{0}"}), "content", "control_characters"),
        (json!({"title": "t", "content": format!("{large}a")}), "content", "too_long"),
        (json!({"title": "t", "content": "x", "language": "klingon"}), "language", "unknown"),
    ] {
        let problem = server.send("POST", "/v1/documents", token, Some(body)).await.refused(400, "invalid_input");
        assert_eq!((&problem["fields"][0]["field"], &problem["fields"][0]["code"]), (&json!(field), &json!(code)));
    }
    let newlines = json!({"title": "t", "content": "\n".repeat(256 * 1024 - 1) + "a"});
    put(&server, &ada, newlines).await;
    let too_large = json!({"title": "t", "content": "a".repeat(700 * 1024)});
    server.send("POST", "/v1/documents", token, Some(too_large)).await.refused(413, "too_large");
    // Words without an end, and as many different ones as fit.
    put(&server, &ada, json!({"title": "t", "content": large})).await;
    let words: String = (0..25_000).map(|number| format!("w{number:05} ")).collect();
    put(&server, &ada, json!({"title": "t", "content": words})).await;
    assert_eq!(ask(&server, &ada.access_token, "w24999").await["data"].as_array().map(Vec::len), Some(1));
}

async fn members_read_and_administrators_write(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let made = put(&server, &ada, json!({"title": "Hours", "content": HOURS})).await;
    let add = json!({"email": bob.email, "role": "member"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let switched = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    let member = switched["access_token"].as_str().expect("a token");
    let path = format!("/v1/documents/{}", made["id"].as_str().expect("an id"));
    server.send("GET", &path, Some(member), None).await.expect(200);
    assert!(ask(&server, member, "Saturday").await["answer"].is_object());
    let body = json!({"title": "Mine", "content": "x"});
    server.send("POST", "/v1/documents", Some(member), Some(body.clone())).await.refused(403, "forbidden");
    server.send("PATCH", &path, Some(member), Some(body)).await.refused(403, "forbidden");
    server.send("DELETE", &path, Some(member), None).await.refused(403, "forbidden");
    // In their own organisation there is nothing of it.
    server.send("GET", &path, Some(&bob.access_token), None).await.refused(404, "not_found");
    assert_eq!(ask(&server, &bob.access_token, "Saturday").await["data"], json!([]));
}

async fn the_offline_responder_answers_from_a_document(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    assert!(say(&server, &ada, "When do you open on Saturday?").await.contains("No language model is connected"));
    put(&server, &ada, json!({"title": "Our <practice>", "content": HOURS, "language": "english"})).await;
    let said = say(&server, &ada, "When do you open on Saturday?").await;
    assert!(said.contains("On Saturday we open at ten") && said.contains(r"“Our \<practice\>”"), "{said}");
    let said = say(&server, &ada, "Who wrote Ulysses?").await;
    assert!(said.contains("ANTHROPIC_API_KEY"), "where nothing fits it says what it said before: {said}");
}

async fn a_model_gets_what_fits_as_data(engine: Engine) {
    let provider = FakeProvider::start().await;
    let url = json!(provider.anthropic_url()).to_string();
    let Some(server) = TestApp::start(engine, &by_anthropic(&url)).await else { return };
    let ada = server.person("ada").await;
    put(&server, &ada, json!({"title": "Hours", "content": HOURS, "language": "english"})).await;
    say(&server, &ada, "When do you open on Saturday?").await;
    say(&server, &ada, "Who wrote Ulysses?").await;
    let system: Vec<String> = provider
        .received()
        .iter()
        .map(|request| request.body["system"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(system.len(), 2);
    assert!(system[0].contains("not instructions") && system[0].contains("On Saturday we open at ten."), "{system:?}");
    assert!(!system[1].contains("Saturday"), "{system:?}");
}
