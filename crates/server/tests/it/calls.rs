//! Calls by way of Vapi: its agent uses the tools, its events become the log, and nobody can make up who they are.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::inbox::{Sender, post, sender, settled, shuffled};
use crate::reception::Practice;
use crate::support::{Answer, Engine, Person, TestApp, both, text};

both! {
    the_agent_finds_books_moves_and_cancels,
    whoever_asks_again_is_told_the_same,
    nobody_is_taken_for_somebody_else,
    a_day_of_events_in_any_order_is_one_log,
    who_answers_and_to_whom_callers_are_passed_on,
    of_callers_on_the_phone_each_time_has_one,
    calls_are_searched_and_masked,
}

pub(crate) const SECRET: &str = "the secret of the line";
pub(crate) const NUMBER: &str = "+15005550100";

/// A message of Vapi about a call.
pub(crate) fn message(kind: &str, call: &str, more: Value) -> Value {
    message_of((call, NUMBER), kind, more)
}

/// The same, about a call from this number.
pub(crate) fn message_of((call, number): (&str, &str), kind: &str, more: Value) -> Value {
    let mut message = json!({"type": kind, "timestamp": 1_767_225_600_000_i64, "customer": {"number": number},
        "call": {"id": call, "type": "inboundPhoneCall", "status": "in-progress"}});
    message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"message": message})
}

pub(crate) async fn tell(server: &TestApp, sender: &Sender, secret: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("x-vapi-secret", secret)];
    post(server, &sender.path, &headers, &body.to_string()).await
}

/// Uses a tool in a call: what is told, and whether it is an error.
pub(crate) async fn use_tool(
    server: &TestApp,
    sender: &Sender,
    (call, id): (&str, &str),
    name: &str,
    given: Value,
) -> Result<String, String> {
    let list = json!([{"id": id, "type": "function", "function": {"name": name, "arguments": given}}]);
    let body = message("tool-calls", call, json!({"toolCallList": list}));
    let told = tell(server, sender, SECRET, &body).await.expect(200);
    let one = &told["results"][0];
    assert_eq!((&one["toolCallId"], &one["name"]), (&json!(id), &json!(name)), "{told}");
    let line = |value: &Value| {
        let line = text(value);
        assert!(!line.contains('\n') && line.chars().count() <= 1_000, "{line}");
        line
    };
    if one["error"].is_string() { Err(line(&one["error"])) } else { Ok(line(&one["result"])) }
}

/// Takes a message in a call.
pub(crate) async fn take_message(server: &TestApp, sender: &Sender, secret: &str, call: &str) {
    let given = json!({"message": "Please call back. canary", "name": "Ada"});
    let list = json!([{"id": format!("{call}-take"), "name": "take_message", "parameters": given}]);
    let body = message("tool-calls", call, json!({"toolCallList": list}));
    let told = tell(server, sender, secret, &body).await.expect(200);
    assert!(told["results"][0]["result"].is_string(), "{told}");
}

/// One of everything of a reception, whose names are `canary`, for tests of who sees what.
pub(crate) async fn canary(server: &TestApp, person: &Person, line: &Sender) -> Value {
    let token = Some(person.access_token.as_str());
    let send = async |method: &str, path: &str, body: Value| server.send(method, path, token, Some(body)).await;
    let settings = json!({"time_zone": "UTC", "week": crate::reception::always(), "lead_minutes": 0});
    send("PUT", "/v1/reception", settings).await.expect(200);
    send("PUT", "/v1/phone-agent", json!({"greeting": "The canary sings"})).await.expect(200);
    let texts = crate::texts::sender_of(server, person).await;
    let settings = crate::texts::settings(&texts);
    send("PUT", "/v1/text-settings", settings).await.expect(200);
    let service =
        send("POST", "/v1/services", json!({"name": "canary service", "minutes": 30})).await.expect(201)["id"].clone();
    let staff =
        send("POST", "/v1/staff", json!({"name": "canary", "services": [service]})).await.expect(201)["id"].clone();
    send("PUT", "/v1/special-days/2026-12-24", json!({"name": "canary day"})).await.expect(200);
    let contact =
        send("POST", "/v1/contacts", json!({"name": "canary", "email": "canary@example.com", "phone": "+4930901820"}))
            .await;
    let contact = contact.expect(200)["id"].clone();
    let ask = format!("/v1/availability?service_id={}", text(&service));
    let free = server.send("GET", &ask, token, None).await.expect(200)["data"][0]["starts_at"].clone();
    let body = json!({"service_id": service, "starts_at": free, "contact_id": contact, "note": "canary"});
    let appointment = send("POST", "/v1/appointments", body).await.expect(201)["id"].clone();
    let text_message = server.send("GET", "/v1/text-messages", token, None).await.expect(200)["data"][0]["id"].clone();
    take_message(server, line, "canary", "canary-call").await;
    let call = server.send("GET", "/v1/calls", token, None).await.expect(200)["data"][0]["id"].clone();
    let phone_message =
        server.send("GET", "/v1/phone-messages", token, None).await.expect(200)["data"][0]["id"].clone();
    json!({"service": service, "staff": staff, "contact": contact, "appointment": appointment, "call": call,
        "phone_message": phone_message, "text_message": text_message, "text_sender": texts.id})
}

pub(crate) async fn line_of(practice: &Practice<'_>) -> Sender {
    let body = json!({"name": "phone", "provider": "vapi", "secrets": [SECRET]});
    sender(practice.server, &practice.owner, body).await
}

/// The day and the time of a free time, as an agent writes them.
pub(crate) fn given(free: &Value) -> (String, String) {
    let local = text(&free["local"]);
    let (day, time) = local.split_once('T').expect("a day and a time");
    (day.to_owned(), time.to_owned())
}

async fn the_agent_finds_books_moves_and_cancels(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let use_tool =
        async |id: &str, name: &str, given: Value| use_tool(&server, &line, ("call-1", id), name, given).await;
    let free = practice.free("&limit=200").await;
    let ((day, first), (other_day, second)) = (given(&free[3]), given(&free[9]));
    let next = use_tool("t1", "check_availability", json!({})).await.expect("told");
    assert!(next.starts_with("The next free times for Cleaning are "), "{next}");
    let yes = use_tool("t2", "check_availability", json!({"service": "cleaning", "date": day, "time": first})).await;
    assert!(yes.as_ref().is_ok_and(|told| told.starts_with("Yes, ")), "{yes:?}");
    let missing = use_tool("t3", "book_appointment", json!({"date": day, "time": first})).await;
    assert_eq!(missing, Err("Under which name shall I book it?".to_owned()));
    let wish =
        json!({"service": "Cleaning", "date": day, "time": first, "name": "Ada Lovelace", "email": "ada@example.com"});
    let booked = use_tool("t4", "book_appointment", wish.clone()).await.expect("booked");
    assert!(booked.starts_with("Booked: Cleaning on ") && booked.ends_with(" with Dr. 0."), "{booked}");
    // Somebody else has it: the next are told.
    let taken = use_tool("t5", "book_appointment", wish).await.expect_err("taken");
    assert!(taken.starts_with("That time was just taken. The next free times are "), "{taken}");
    let busy = use_tool("t6", "check_availability", json!({"date": day, "time": first})).await.expect("told");
    assert!(busy.contains("is not free. The nearest free times are "), "{busy}");
    let known = use_tool("t7", "find_contact", json!({})).await.expect("known");
    assert!(known.starts_with("Ada Lovelace is known. Still to come: Cleaning on "), "{known}");
    let moved =
        use_tool("t8", "reschedule_appointment", json!({"date": other_day, "time": second})).await.expect("moved");
    assert!(moved.starts_with("Moved to "), "{moved}");
    assert_eq!(given(&practice.free("&limit=200").await[3]), (day, first), "the old time is free again");
    let cancelled = use_tool("t9", "cancel_appointment", json!({})).await.expect("cancelled");
    assert!(cancelled.ends_with(" is cancelled."), "{cancelled}");
    let none = use_tool("t10", "cancel_appointment", json!({})).await;
    assert_eq!(none, Err("I find no appointment of yours that is still to come.".to_owned()));
    let hours = use_tool("t11", "opening_hours", json!({"date": "tomorrow"})).await.expect("told");
    assert!(hours.ends_with(" it is open all day."), "{hours}");
    let week = use_tool("t12", "opening_hours", json!({})).await.expect("told");
    assert_eq!(week.matches("all day").count(), 7, "{week}");
    let asked = json!({"question": "Where can I park?"});
    let unknown = use_tool("t15", "search_knowledge", asked.clone()).await;
    assert!(unknown.is_err_and(|told| told.starts_with("I do not know that.")));
    let document =
        json!({"title": "Getting here", "content": "You can park behind the house. The bus stops at the door."});
    practice.send("POST", "/v1/documents", Some(document)).await.expect(201);
    let told = use_tool("t16", "search_knowledge", asked).await.expect("told");
    assert!(told.contains("You can park behind the house."), "{told}");
    let taken = use_tool("t13", "take_message", json!({"message": "Please call back", "name": "Ada"})).await;
    assert!(taken.is_ok(), "{taken:?}");
    let unknown = use_tool("t14", "open_the_pod_bay_doors", json!({})).await.expect_err("unknown");
    assert!(unknown.contains("take_message"), "{unknown}");
    // What was done is in the log of the call, and who called is known.
    let calls = practice.send("GET", "/v1/calls", None).await.expect(200);
    let call = &calls["data"][0];
    assert_eq!(
        (&call["state"], &call["outcome"], &call["number"]),
        (&json!("in_progress"), &json!("booked"), &json!(NUMBER))
    );
    let whole = practice.send("GET", &format!("/v1/calls/{}", text(&call["id"])), None).await.expect(200);
    let done: Vec<_> = whole["actions"].as_array().expect("actions").iter().map(|one| text(&one["outcome"])).collect();
    assert_eq!(done.len(), 16);
    assert_eq!(done.iter().filter(|outcome| *outcome == "done").count(), 11, "{done:?}");
    let contact = practice.send("GET", &format!("/v1/contacts/{}", text(&call["contact_id"])), None).await.expect(200);
    assert_eq!((&contact["name"], &contact["phone"]), (&json!("Ada Lovelace"), &json!(NUMBER)));
    let messages = practice.send("GET", "/v1/phone-messages", None).await.expect(200);
    assert_eq!(
        (&messages["data"][0]["body"], &messages["data"][0]["call_id"]),
        (&json!("Please call back"), &call["id"])
    );
    let live = practice.send("GET", "/v1/calls?live=true", None).await.expect(200);
    assert_eq!(live["data"][0]["id"], call["id"]);
}

async fn whoever_asks_again_is_told_the_same(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let free = practice.free("&limit=200").await;
    let ((day, time), (new_day, new_time)) = (given(&free[2]), given(&free[7]));
    let wish = json!({"date": day, "time": time, "name": "Ada Lovelace"});
    let mut told = Vec::new();
    for (id, name, given) in [
        ("t1", "book_appointment", wish.clone()),
        ("t2", "reschedule_appointment", json!({"date": new_day, "time": new_time, "current_date": day})),
        ("t3", "take_message", json!({"message": "Please call back"})),
        ("t4", "cancel_appointment", json!({"current_date": new_day})),
        ("t5", "book_appointment", json!({"date": day})),
    ] {
        for _ in 0..2 {
            told.push(use_tool(&server, &line, ("call-1", id), name, given.clone()).await);
        }
    }
    for pair in told.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert!(told[..8].iter().all(Result::is_ok) && told[8].is_err(), "{told:?}");
    let count =
        async |path: &str| practice.send("GET", path, None).await.expect(200)["data"].as_array().map_or(0, Vec::len);
    assert_eq!((count("/v1/appointments").await, count("/v1/phone-messages").await), (1, 1));
    // Ten times at once, as a provider does that is impatient: it is one appointment.
    let again = (0..10).map(|_| use_tool(&server, &line, ("call-2", "t1"), "book_appointment", wish.clone()));
    let answers = join_all(again).await;
    assert!(answers.iter().all(|told| *told == answers[0] && told.is_ok()), "{answers:?}");
    assert_eq!(count("/v1/appointments").await, 2);
    // The old form has no ids.
    let old = message(
        "function-call",
        "call-3",
        json!({"functionCall": {"name": "opening_hours", "parameters": {"date": "today"}}}),
    );
    let told = tell(&server, &line, SECRET, &old).await.expect(200);
    assert!(text(&told["result"]).ends_with(" it is open all day."), "{told}");
    // Arguments that were cut off, and several at once: each has its answer.
    let list = json!([{"id": "a", "name": "book_appointment", "arguments": "{\"date\": \"2026-"}, {"id": "b", "name": "opening_hours"}]);
    let told =
        tell(&server, &line, SECRET, &message("tool-calls", "call-4", json!({"toolCallList": list}))).await.expect(200);
    assert!(told["results"][0]["error"].is_string() && told["results"][1]["result"].is_string(), "{told}");
}

async fn nobody_is_taken_for_somebody_else(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let other = Practice::open(&server, "bob", 1).await;
    let (line, others) = (line_of(&practice).await, line_of(&other).await);
    // A contact with an appointment, who calls from somewhere else.
    let free = practice.free("&limit=5").await;
    let body = json!({"contact": {"name": "Grace Hopper", "phone": "+49 30 777777"}});
    practice.book(&free[4]["starts_at"], body).await.expect(201);
    let find = async |line: &Sender, id: &str, given: Value| {
        use_tool(&server, line, ("call-1", id), "find_contact", given).await
    };
    assert!(find(&line, "f1", json!({})).await.is_err(), "the caller's own number is nobody's");
    assert_eq!(find(&line, "f2", json!({"phone": "+49 30 777777"})).await, Err("And under which name?".to_owned()));
    let wrong = find(&line, "f3", json!({"phone": "+49 30 777777", "name": "Ada"})).await.expect_err("not her");
    assert!(!wrong.contains("Grace"), "{wrong}");
    let right = find(&line, "f4", json!({"phone": "030 777777", "name": "hopper grace"})).await.expect("her");
    assert!(right.starts_with("Grace Hopper is known."), "{right}");
    // On the line of another organisation she is nobody, whatever the call says of itself.
    let given = json!({"phone": "+49 30 777777", "name": "Grace Hopper", "tenant": practice.owner.organisation});
    assert!(find(&others, "f5", given).await.is_err());
    // Whoever does not know the secret is refused, and the secret of another line is none.
    let body = message("tool-calls", "call-9", json!({"toolCallList": [{"id": "x", "name": "opening_hours"}]}));
    tell(&server, &line, "wrong", &body).await.refused(401, "signature_mismatch");
    let calls = other.send("GET", "/v1/calls", None).await.expect(200);
    assert_eq!(calls["data"].as_array().map(Vec::len), Some(1), "the one that was its own");
}

/// Everything that is told of a call, in the old shape or the new: the call with this number in a day, from this telephone.
pub(crate) fn events_of(number: usize, telephone: &str) -> Vec<Value> {
    let call = format!("call-{number}");
    let message = |kind: &str, more: Value| message_of((&call, telephone), kind, more);
    let at = 1_767_225_600_000 + i64::try_from(number).expect("small") * 600_000;
    let mut all = Vec::new();
    for (place, status) in ["queued", "ringing", "in-progress", "ended"].into_iter().enumerate() {
        let at = at + i64::try_from(place).expect("small") * 30_000;
        let mut more = json!({"status": status, "timestamp": at});
        if status == "ended" {
            more["endedReason"] = json!("customer-ended-call");
        }
        all.push(message("status-update", more));
    }
    let report = if number.is_multiple_of(2) {
        json!({"endedReason": "customer-ended-call", "cost": 0.25, "timestamp": at + 200_000,
            "analysis": {"summary": format!("Call {number}")},
            "artifact": {"recordingUrl": "https://storage.example/rec.wav", "messages": [{"role": "bot", "message": "Hello"},
                {"role": "user", "message": "Good day"}]}})
    } else {
        json!({"endedReason": "customer-ended-call", "cost": 0.25, "timestamp": "2026-01-01T12:00:00.000Z",
            "summary": format!("Call {number}"), "transcript": "AI: Hello\nUser: Good day\n", "artifact": {"messages": []},
            "recordingUrl": "https://storage.example/rec.wav"})
    };
    all.push(message("end-of-call-report", report));
    all.push(message("speech-update", json!({"status": "started", "role": "user", "turn": 1})));
    all.push(message("something-new", json!({"what": "ever"})));
    all
}

async fn a_day_of_events_in_any_order_is_one_log(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let mut logs = Vec::new();
    let mut chance = crate::support::chance::Chance::seeded();
    for round in 0..3 {
        let other = Practice::open(&server, &format!("other-{round}"), 1).await;
        let line = line_of(&other).await;
        let mut events: Vec<Value> = (0..6).flat_map(|number| events_of(number, NUMBER)).collect();
        if round > 0 {
            // In another order, and each of them twice.
            events.extend(events.clone());
            events = shuffled(events, chance.below(u64::MAX));
        }
        for body in &events {
            tell(&server, &line, SECRET, body).await.expect(200);
        }
        settled(&server, &line).await;
        let mut log = Vec::new();
        let calls = other.send("GET", "/v1/calls", None).await.expect(200)["data"].clone();
        for call in calls.as_array().expect("calls") {
            let mut whole = other.send("GET", &format!("/v1/calls/{}", text(&call["id"])), None).await.expect(200);
            for member in ["id", "created_at"] {
                whole.as_object_mut().expect("an object").remove(member);
            }
            log.push(whole);
        }
        log.sort_by_key(|call| text(&call["provider_id"]));
        logs.push(log);
    }
    assert_eq!(logs[0].len(), 6);
    assert_eq!(logs[0], logs[1]);
    assert_eq!(logs[0], logs[2]);
    let call = &logs[0][0];
    assert_eq!(
        (&call["state"], &call["duration_ms"], &call["cost_micros"]),
        (&json!("ended"), &json!(30_000), &json!(250_000))
    );
    assert_eq!((&call["summary"], &call["has_recording"]), (&json!("Call 0"), &json!(true)));
    assert_eq!(call["transcript"], json!([{"role": "agent", "text": "Hello"}, {"role": "caller", "text": "Good day"}]));
    assert_eq!(practice.send("GET", "/v1/calls", None).await.expect(200)["data"], json!([]));
}

async fn who_answers_and_to_whom_callers_are_passed_on(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let ask =
        async |kind: &str, call: &str| tell(&server, &line, SECRET, &message(kind, call, json!({}))).await.expect(200);
    let nobody = practice.send("GET", "/v1/phone-agent", None).await.expect(200);
    assert_eq!((&nobody["greeting"], &nobody["keep_days"]), (&json!(""), &json!(90)));
    assert!(ask("assistant-request", "call-0").await["error"].is_string());
    assert!(ask("transfer-destination-request", "call-0").await["error"].is_string());
    let agent = json!({"greeting": "Hello, this is the practice.", "instructions": "Never promise a price.",
        "transfer_number": "030 901820", "keep_days": 30});
    let put = practice.send("PUT", "/v1/phone-agent", Some(agent)).await.expect(200);
    assert_eq!(put["transfer_number"], "+4930901820");
    let answer = ask("assistant-request", "call-1").await;
    assert_eq!(answer["assistant"]["firstMessage"], "Hello, this is the practice.");
    let instructions = text(&answer["assistant"]["model"]["messages"][0]["content"]);
    assert!(instructions.ends_with("Never promise a price."), "{instructions}");
    let tools = answer["assistant"]["model"]["tools"].as_array().expect("tools");
    let names: Vec<_> = tools.iter().filter_map(|tool| tool["function"]["name"].as_str()).collect();
    assert!(names.contains(&"book_appointment") && names.contains(&"take_message"), "{names:?}");
    let to = ask("transfer-destination-request", "call-1").await;
    assert_eq!((&to["destination"]["type"], &to["destination"]["number"]), (&json!("number"), &json!("+4930901820")));
    let made = json!({"assistant_id": "asst-1"});
    practice.send("PUT", "/v1/phone-agent", Some(made)).await.expect(200);
    assert_eq!(ask("assistant-request", "call-2").await, json!({"assistantId": "asst-1"}));
    let calls = practice.send("GET", "/v1/calls", None).await.expect(200)["data"].clone();
    let seen: Vec<_> = calls
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| (text(&call["provider_id"]), call["outcome"].clone()))
        .collect();
    assert_eq!(seen, [("call-2".to_owned(), Value::Null), ("call-1".to_owned(), json!("transferred"))]);
    let wrong = json!({"greeting": "x".repeat(501), "assistant_id": "", "transfer_number": "call me", "keep_days": 0});
    let refused = practice.send("PUT", "/v1/phone-agent", Some(wrong)).await.refused(400, "invalid_input");
    assert_eq!(refused["fields"].as_array().map(Vec::len), Some(4), "{refused}");
}

async fn of_callers_on_the_phone_each_time_has_one(engine: Engine) {
    let settings =
        [crate::support::ALL_AT_ONCE, ("database.acquire_timeout_ms", "25000"), ("inbox.answer_timeout_ms", "19000")];
    let Some(server) = TestApp::start(engine, &settings).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let (day, time) = given(&practice.free("&limit=4").await[3]);
    let wish = json!({"date": day, "time": time, "name": "Somebody"});
    let calls: Vec<String> = (0..20).map(|caller| format!("call-{caller}")).collect();
    let callers = calls.iter().map(|call| use_tool(&server, &line, (call, "t1"), "book_appointment", wish.clone()));
    let (booked, told): (Vec<_>, Vec<_>) = join_all(callers).await.into_iter().partition(Result::is_ok);
    assert_eq!((booked.len(), told.len()), (1, 19));
    assert!(
        told.iter().all(|told| told.as_ref().is_err_and(|told| told.contains("The next free times are "))),
        "{told:?}"
    );
}

async fn calls_are_searched_and_masked(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let practice = Practice::open(&server, "ada", 1).await;
    let line = line_of(&practice).await;
    let contact = json!({"name": "Bea Moss", "phone": NUMBER});
    practice.send("POST", "/v1/contacts", Some(contact)).await.expect(200);
    let mask = json!({"greeting": "Hello", "mask": {"emails": true}});
    let agent = practice.send("PUT", "/v1/phone-agent", Some(mask)).await.expect(200);
    assert_eq!(agent["mask"], json!({"cards": true, "emails": true, "phones": false}));
    let said = "User: My crown is loose. Card 4242 4242 4242 4242, bea@example.com, 030 901820.";
    let report = async |call: &str, summary: &str, transcript: &str| {
        let more = json!({"endedReason": "customer-ended-call", "analysis": {"summary": summary},
            "artifact": {"transcript": transcript}});
        tell(&server, &line, SECRET, &message("end-of-call-report", call, more)).await.expect(200);
    };
    report("call-1", "A crown.", said).await;
    report("call-2", "A bridge.", "User: Nothing else.").await;
    let search = async |q: &str, more: &str| {
        let path = format!("/v1/calls?q={q}{more}");
        practice.send("GET", &path, None).await.expect(200)
    };
    let found = crate::support::eventually(async || {
        let found = search("bea%20crown", "").await;
        (found["data"].as_array().map(Vec::len) == Some(1)).then_some(found)
    })
    .await;
    assert_eq!((&found["data"][0]["provider_id"], &found["next"]), (&json!("call-1"), &Value::Null));
    let whole = practice.send("GET", &format!("/v1/calls/{}", text(&found["data"][0]["id"])), None).await.expect(200);
    let kept = text(&whole["transcript"][0]["text"]);
    assert_eq!(kept, "My crown is loose. Card [card], [email], 030 901820.");
    crate::support::eventually(async || {
        (search("moss", "").await["data"].as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let page = search("moss", "&limit=1").await;
    let rest = search("moss", &format!("&limit=1&after={}", text(&page["next"]))).await;
    assert_ne!(page["data"][0]["id"], rest["data"][0]["id"]);
    for none in ["4242", "implant", "moss&live=true"] {
        assert_eq!(search(none, "").await["data"], json!([]), "{none}");
    }
    assert_eq!(search("0100", "").await["data"].as_array().map(Vec::len), Some(2), "by the end of the number");
    for wrong in ["the", "%20", &"x".repeat(201)] {
        let path = format!("/v1/calls?q={wrong}");
        practice.send("GET", &path, None).await.refused(400, "invalid_input");
    }
    let log = practice.send("GET", "/v1/access-log", None).await.expect(200);
    assert!(log["data"].as_array().is_some_and(|rows| rows.iter().any(|row| row["what"] == "calls")), "{log}");
    // Somebody else finds none of it.
    let eve = server.person("eve").await;
    let theirs = server.send("GET", "/v1/calls?q=crown", Some(&eve.access_token), None).await.expect(200);
    assert_eq!(theirs["data"], json!([]));
}
