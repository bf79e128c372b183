//! One of everything that an organisation has, and how each route is asked about it.

use std::sync::atomic::{AtomicUsize, Ordering};

use mainstay_server::billing::apply_fastspring;
use mainstay_server::http::RouteSpec;
use serde_json::{Value, json};

use super::{CANARY, CLIENT, api_key, text};
use crate::contract::outreach;
use crate::support::{Person, TestApp};

/// Things that somebody has, by id.
pub(super) struct Things {
    pub(super) member: String,
    pub(super) organisation: String,
    pub(super) conversation: String,
    pub(super) message: String,
    pub(super) generation: String,
    pub(super) api_key: String,
    pub(super) sender: String,
    pub(super) event: String,
    pub(super) endpoint: String,
    pub(super) delivery: String,
    pub(super) service: String,
    pub(super) staff: String,
    pub(super) feed: String,
    pub(super) contact: String,
    pub(super) appointment: String,
    pub(super) call: String,
    pub(super) phone_message: String,
    pub(super) text_message: String,
    pub(super) text_sender: String,
    pub(super) document: String,
    pub(super) image: String,
    pub(super) campaign: String,
    pub(super) lead: String,
    pub(super) sending_account: String,
    pub(super) import: String,
    pub(super) campaign_email: String,
    /// Of somebody else, who belongs to neither organisation.
    pub(super) email: String,
    /// How many names were made up.
    made: AtomicUsize,
}

/// The paths of outreach.
const OUTREACH: &[&str] =
    &["/v1/campaigns", "/v1/imports", "/v1/leads", "/v1/emails", "/v1/sending-accounts", "/v1/suppressions"];

impl Things {
    /// A name that nobody had: an account can be made once.
    fn fresh_name(&self) -> String {
        format!("another{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        vec![
            CANARY,
            &self.member,
            &self.organisation,
            &self.conversation,
            &self.message,
            &self.generation,
            &self.api_key,
            &self.sender,
            &self.event,
            &self.endpoint,
            &self.delivery,
            &self.service,
            &self.staff,
            &self.feed,
            &self.contact,
            &self.appointment,
            &self.call,
            &self.phone_message,
            &self.text_message,
            &self.text_sender,
            &self.document,
            &self.image,
            &self.campaign,
            &self.lead,
            &self.import,
            &self.sending_account,
            &self.campaign_email,
        ]
    }

    /// The address of a route with these things in it. A route with a parameter that this does not know fails: whoever
    /// adds one says here what it stands for.
    pub(super) fn path(&self, route: &RouteSpec) -> String {
        if let Some((before, after)) = route.path.split_once("{name}") {
            // Nobody's, and only for operators.
            let name = match before {
                "/v1/queues/" => "probes",
                "/v1/controls/" => "sync.interval",
                _ => panic!("say here what the parameter of {} stands for", route.path),
            };
            return format!("{before}{name}{after}");
        }
        if let Some((before, after)) = route.path.split_once("{day}") {
            return format!("{before}2026-12-24{after}?staff_id={}", self.staff);
        }
        if let Some((before, _)) = route.path.split_once("{subject}") {
            return format!("{before}canary0@example.org");
        }
        if route.path == "/v1/busy-times" {
            return format!("{}?staff_id={}", route.path, self.staff);
        }
        if route.path == "/v1/availability" {
            return format!("{}?service_id={}", route.path, self.service);
        }
        let Some((before, _)) = route.path.split_once("{id}") else {
            assert!(!route.path.contains('{'), "say here what the parameter of {} stands for", route.path);
            return route.path.to_owned();
        };
        let id = match before {
            "/v1/members/" | "/v1/budgets/members/" => &self.member,
            "/v1/api-keys/" => &self.api_key,
            "/v1/inbox-sources/" => &self.sender,
            "/v1/inbox/" => &self.event,
            "/v1/services/" => &self.service,
            "/v1/staff/" => &self.staff,
            "/v1/calendar-feeds/" => &self.feed,
            // There is none yet, and the appointment's id is none.
            "/v1/calendar-conflicts/" => &self.appointment,
            "/v1/contacts/" => &self.contact,
            "/v1/appointments/" => &self.appointment,
            "/v1/calls/" => &self.call,
            "/v1/phone-messages/" => &self.phone_message,
            "/v1/text-messages/" => &self.text_message,
            "/v1/webhook-endpoints/" => &self.endpoint,
            "/v1/webhook-deliveries/" => &self.delivery,
            "/v1/documents/" => &self.document,
            "/v1/images/" => &self.image,
            "/v1/campaigns/" => &self.campaign,
            "/v1/leads/" => &self.lead,
            "/v1/imports/" => &self.import,
            "/v1/sending-accounts/" => &self.sending_account,
            "/v1/emails/" => &self.campaign_email,
            "/v1/conversations/" => &self.conversation,
            "/v1/generations/" => &self.generation,
            // Nobody's, and only for operators.
            "/v1/experiments/" | "/v1/jobs/" | "/v1/replays/" => &self.conversation,
            _ => panic!("say here what the parameter of {} stands for", route.path),
        };
        let path = route.path.replacen("{id}", id, 1);
        assert!(!path.contains('{'), "say here what the parameters of {} stand for", route.path);
        path
    }

    /// The same for outreach.
    fn outreach_body(&self, route: &RouteSpec) -> Option<Value> {
        match (route.method.as_str(), route.path) {
            ("POST", "/v1/campaigns") | ("PUT", "/v1/campaigns/{id}") => Some(outreach::campaign("Another")),
            ("PUT", "/v1/campaigns/{id}/steps") => Some(outreach::steps()),
            ("PUT", "/v1/campaigns/{id}/accounts") => Some(json!({"account_ids": []})),
            ("POST", "/v1/campaigns/{id}/leads") => Some(outreach::leads(1)),
            ("POST", "/v1/campaigns/{id}/conversions") => Some(json!({"email": "somebody@example.com"})),
            ("POST", "/v1/campaigns/{id}/imports") => Some(json!({"name": "people.csv"})),
            ("POST", "/v1/imports/{id}/cancel") => None,
            ("POST", "/v1/campaigns/{id}/preview") => Some(json!({"step": 1})),
            ("POST", "/v1/campaigns/{id}/test-emails") => {
                Some(json!({"step": 1, "to": "me@example.com", "account_id": self.sending_account}))
            }
            ("POST", "/v1/campaigns/{id}/launch" | "/v1/campaigns/{id}/pause" | "/v1/campaigns/{id}/stop") => None,
            ("POST", "/v1/leads/{id}/stop" | "/v1/emails/{id}/resend" | "/v1/emails/{id}/sent") => None,
            ("POST", "/v1/sending-accounts") => Some(outreach::account(&self.fresh_name())),
            ("PUT", "/v1/sending-accounts/{id}") => Some(outreach::account("ada")),
            ("PUT", "/v1/sending-accounts/{id}/mailbox") => Some(outreach::mailbox()),
            (
                "POST",
                "/v1/sending-accounts/{id}/pause"
                | "/v1/sending-accounts/{id}/resume"
                | "/v1/sending-accounts/{id}/sign-in",
            ) => None,
            ("POST", "/v1/suppressions") => Some(json!({"subjects": ["somebody@example.net"]})),
            _ => panic!("say here what a good body of {} {} is", route.method, route.path),
        }
    }

    /// A good body for a route, which names these things where it can name anything.
    pub(super) fn body(&self, route: &RouteSpec) -> Option<Value> {
        match (route.method.as_str(), route.path) {
            ("GET" | "DELETE", _)
            | ("POST", "/v1/auth/sign-out" | "/v1/auth/sign-out-everywhere" | "/v1/generations/{id}/stop") => None,
            ("POST", "/v1/inbox/{id}/replay" | "/v1/inbox/{id}/cancel") => None,
            ("POST", "/v1/inbox-sources") => Some(json!({"name": "a sender", "provider": "generic"})),
            ("PATCH", "/v1/inbox-sources/{id}") => Some(json!({"name": "another"})),
            ("POST", "/v1/inbox/replays") => Some(json!({"filter": {}})),
            ("POST" | "PUT", path) if OUTREACH.iter().any(|part| path.starts_with(part)) => self.outreach_body(route),
            ("POST", "/v1/documents") => Some(json!({"title": "A title", "content": "A text."})),
            ("PATCH", "/v1/documents/{id}") => Some(json!({"title": "Another title"})),
            ("POST", "/v1/webhook-endpoints") => Some(json!({"url": "https://hooks.example/another"})),
            ("PATCH", "/v1/webhook-endpoints/{id}") => Some(json!({"description": "another"})),
            ("POST", "/v1/webhook-endpoints/{id}/replays") => Some(json!({"since": "2020-01-01T00:00:00Z"})),
            ("POST", "/v1/webhook-events") => Some(json!({"type": "invoice.paid", "data": {}})),
            ("POST", path) if path.starts_with("/v1/webhook-") => None,
            ("PUT", "/v1/controls/{name}") => Some(json!({"value": "30", "reason": "a test"})),
            ("POST", "/v1/controls/{name}/clear") => Some(json!({"reason": "a test"})),
            ("POST", "/v1/auth/switch") => Some(json!({"organisation_id": self.organisation})),
            ("POST", "/v1/organisations") => Some(json!({"name": "Another"})),
            ("POST", "/v1/members") => Some(json!({"email": self.email, "role": "member"})),
            ("PATCH", "/v1/members/{id}") => Some(json!({"role": "admin"})),
            ("POST", "/v1/api-keys") => Some(json!({"name": "a key", "scopes": ["read"]})),
            ("POST", "/v1/conversations") | ("PATCH", "/v1/conversations/{id}") => Some(json!({"title": "A title"})),
            ("POST", "/v1/conversations/{id}/messages") => Some(json!({"content": "Hello"})),
            ("POST", "/v1/messages") => Some(json!({"content": "Hello", "conversation_id": self.conversation})),
            ("PUT", "/v1/budgets/organisation" | "/v1/budgets/members/{id}") => Some(json!({"cost_micros": 5})),
            ("POST", "/v1/live/tickets" | "/v1/jobs/{id}/cancel" | "/v1/jobs/{id}/replay") => None,
            (
                "POST",
                "/v1/queues/{name}/pause"
                | "/v1/queues/{name}/resume"
                | "/v1/audit/runs"
                | "/v1/backups"
                | "/v1/backup-drills"
                | "/v1/alerts/tests"
                | "/v1/plan/cancel",
            ) => None,
            ("POST", "/v1/client-reports") => Some(json!({
                "page": "/", "reports": [{"kind": "error", "message": "a fault"}],
            })),
            ("PUT", "/v1/replay-consent") => None,
            ("POST", "/v1/replays") => Some(json!({
                "replay_id": CLIENT, "number": 0, "page": "/", "reason": "error", "events": "[]",
            })),
            ("POST", "/v1/jobs/replays") => Some(json!({"state": "dead"})),
            ("POST", "/v1/jobs/probes") => Some(json!({"count": 1})),
            ("POST", "/v1/checkout-sessions" | "/v1/plan/change") => Some(json!({"plan": "core"})),
            ("PUT", "/v1/reception") => Some(json!({"time_zone": "UTC", "week": crate::reception::always()})),
            ("PUT", "/v1/special-days/{day}") => Some(json!({"name": "A holiday"})),
            ("POST", "/v1/services") => Some(json!({"name": "Cleaning", "minutes": 30})),
            ("POST", "/v1/staff/{id}/calendar" | "/v1/staff/{id}/calendar/sync") => None,
            ("PATCH", "/v1/staff/{id}/calendar") => Some(json!({"calendar": "primary"})),
            ("POST", "/v1/calendar-sign-ins" | "/v1/gmail-sign-ins") => Some(json!({"state": "x", "code": "x"})),
            ("POST", "/v1/calendar-conflicts/{id}/resolve") => Some(json!({"keep": "ours"})),
            ("POST", "/v1/calendar-feeds") => Some(json!({"name": "A feed"})),
            ("POST", "/v1/staff") => Some(json!({"name": "Dr. Lee"})),
            ("PATCH", "/v1/services/{id}" | "/v1/staff/{id}" | "/v1/contacts/{id}") => Some(json!({"name": "Another"})),
            ("POST", "/v1/contacts") => Some(json!({"name": "Somebody"})),
            ("POST", "/v1/appointments") => Some(json!({
                "service_id": self.service, "starts_at": "2030-01-01T10:00:00Z", "contact_id": self.contact,
            })),
            ("PATCH", "/v1/appointments/{id}") => Some(json!({"note": "another", "contact_id": self.contact})),
            ("POST", "/v1/appointments/{id}/move") => Some(json!({"starts_at": "2030-01-01T10:00:00Z"})),
            ("PUT", "/v1/text-settings") => Some(json!({"sender_id": self.text_sender,
                "account_sid": "AC00000000000000000000000000000001", "from": "+15005550006"})),
            ("PATCH", "/v1/phone-messages/{id}") => Some(json!({"handled": true})),
            ("PUT", "/v1/phone-agent") => Some(json!({"greeting": "Hello"})),
            ("POST", "/v1/exposures") => Some(json!({"experiment": "none"})),
            ("POST", "/v1/events") => Some(json!({"events": [{"id": CLIENT, "name": "done"}]})),
            ("POST", "/v1/sync") => Some(json!({
                "client_id": CLIENT,
                "mutations": [{"kind": "conversation.delete", "id": CLIENT, "conversation_id": self.conversation}],
            })),
            // Not their password: what is theirs stays as it is.
            ("POST", "/v1/auth/password") => {
                Some(json!({"current_password": "somebody else's", "new_password": "another of theirs"}))
            }
            (method, path) => panic!("say here what a good body of {method} {path} is"),
        }
    }
}

/// Makes some of everything for a person. `other` is somebody whom a member may be made of.
pub(super) async fn things_of(server: &TestApp, person: &Person, other: &Person) -> Things {
    let token = Some(person.access_token.as_str());
    let headers = [("idempotency-key", "canary-key")];
    let body = json!({"content": "The canary sings"});
    let sent = server.send_with("POST", "/v1/messages", token, Some(body), &headers).await.expect(201);
    let conversation = text(&sent["conversation_id"]);
    let path = format!("/v1/conversations/{conversation}");
    server.send("PATCH", &path, token, Some(json!({"title": "A canary title"}))).await.expect(200);
    let body = json!({"name": "canary sender", "provider": "vapi", "secrets": ["canary"]});
    let sender = crate::inbox::sender(server, person, body).await;
    let body = Some(json!({"message": {"type": "hang", "canary": true}}));
    server.send_with("POST", &sender.path, None, body, &[("x-vapi-secret", "canary")]).await.expect(200);
    let event = text(&crate::inbox::events(server, &sender, "").await[0]["id"]);
    let told = json!({"url": "https://hooks.example/canary", "description": "The canary is told"});
    let endpoint = server.send("POST", "/v1/webhook-endpoints", token, Some(told)).await.expect(201);
    let told = json!({"type": "canary.sang", "data": {"canary": true}});
    server.send("POST", "/v1/webhook-events", token, Some(told)).await.expect(201);
    let deliveries = server.send("GET", "/v1/webhook-deliveries", token, None).await.expect(200);
    let known = json!({"title": "The canary knows", "content": "Hello, says the canary."});
    let document = server.send("POST", "/v1/documents", token, Some(known)).await.expect(201);
    let image = server.upload("/v1/images", token, "image/png", crate::images::png(5, 5)).await.expect(201);
    let reception = crate::calls::canary(server, person, &sender).await;
    let feed = json!({"name": "canary feed"});
    let feed = server.send("POST", "/v1/calendar-feeds", token, Some(feed)).await.expect(201);
    connect(server, person, &text(&reception["staff"])).await;
    let (campaign, sending_account, emails) = outreach::running(server, person, 1).await;
    let path = format!("/v1/sending-accounts/{sending_account}/mailbox");
    server.send("PUT", &path, token, Some(outreach::mailbox())).await.expect(200);
    let import = text(&outreach::read(server, person, &campaign, &outreach::list(1, 1)).await["id"]);
    let path = format!("/v1/campaigns/{campaign}/leads");
    let leads = server.send("GET", &path, token, None).await.expect(200);
    let created = server.now().as_millis();
    let tags = json!({"organisation": person.organisation});
    let paid = json!({"subscription": "canary-paid", "state": "active", "product": "core-monthly", "tags": tags});
    let order = json!({"id": "canary-order", "total": 9.5, "currency": "USD", "tags": tags});
    for (kind, data) in [("subscription.activated", paid), ("order.completed", order)] {
        let event = json!({"id": kind, "live": true, "type": kind, "created": created, "data": data});
        apply_fastspring(&server.app, None, &event).await.expect("applied");
    }
    Things {
        member: person.id.clone(),
        organisation: person.organisation.clone(),
        conversation,
        message: text(&sent["message"]["id"]),
        generation: text(&sent["generation_id"]),
        api_key: api_key(server, &person.access_token, "canary key", &["read"]).await.0,
        sender: sender.id,
        event,
        endpoint: text(&endpoint["id"]),
        delivery: text(&deliveries["data"][0]["id"]),
        service: text(&reception["service"]),
        staff: text(&reception["staff"]),
        feed: text(&feed["id"]),
        contact: text(&reception["contact"]),
        appointment: text(&reception["appointment"]),
        call: text(&reception["call"]),
        phone_message: text(&reception["phone_message"]),
        text_message: text(&reception["text_message"]),
        text_sender: text(&reception["text_sender"]),
        document: text(&document["id"]),
        image: text(&image["id"]),
        campaign,
        lead: text(&leads["data"][0]["id"]),
        sending_account,
        import,
        campaign_email: emails[0].clone(),
        made: AtomicUsize::new(0),
        email: other.email.clone(),
    }
}

/// A calendar that is connected, though there is no Google here.
async fn connect(server: &TestApp, person: &Person, staff: &str) {
    let tenant: mainstay_domain::TenantId = person.organisation.parse().expect("an id");
    let (app, now) = (&server.app, server.now());
    let id: mainstay_domain::CalendarConnectionId = app.ids.make();
    let column = mainstay_store::SealedColumn::CalendarToken;
    let place = mainstay_server::keys::Place { column, tenant, row: id.uuid() };
    let token = app.keys.seal(place, &mainstay_domain::Secret::new("canary token".to_owned())).expect("sealed");
    let (account, calendar) = ("canary@example.com".to_owned(), "primary".to_owned());
    let staff = staff.parse().expect("an id");
    let connect = mainstay_store::ConnectCalendar { id, tenant, staff, account, calendar, token, now };
    let call = mainstay_store::Call::within(std::time::Duration::from_secs(20));
    app.store.run(&call, connect).await.expect("connected");
}
