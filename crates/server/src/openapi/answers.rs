//! What every operation may be answered, whatever its handler says: refusals that follow from its line in the table of
//! routes, the headers of every answer, and a name that no other operation has.

use serde_json::{Map, Value, json};

use crate::http::{Access, Policy, RouteSpec};
use crate::limits::Class;

/// A refusal that the document describes once.
struct Refusal {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Whether it names a moment from which on another try is worth it.
    retry_after: bool,
}

const fn refusal(status: &'static str, name: &'static str, description: &'static str) -> Refusal {
    Refusal { status, name, description, retry_after: false }
}

const fn transient(status: &'static str, name: &'static str, description: &'static str) -> Refusal {
    Refusal { status, name, description, retry_after: true }
}

const REFUSALS: &[Refusal] = &[
    refusal("400", "BadRequest", "The request is not well formed, or a field breaks a bound: `fields` names each."),
    refusal("401", "Unauthenticated", "There is no token, or it is not good."),
    refusal("402", "PaymentRequired", "What may be spent is spent."),
    refusal("403", "Forbidden", "The caller is known and may not do this."),
    refusal("404", "NotFound", "There is no such thing, or none that this caller may know of."),
    refusal("408", "RequestTimeout", "The body did not arrive in time."),
    refusal("409", "Conflict", "The state of things does not allow it."),
    refusal("410", "Gone", "It was there and is there no more."),
    refusal("413", "TooLarge", "The body is larger than this address takes."),
    refusal("414", "AddressTooLong", "The address is longer than 8192 bytes."),
    refusal("415", "UnsupportedMediaType", "The media type is not one taken here."),
    refusal("422", "KeyReused", "The `Idempotency-Key` was used for another request."),
    refusal("426", "UpgradeRequired", "This address speaks WebSocket only."),
    refusal("429", "TooManyRequests", "A limit is spent for now. `Retry-After` says until when, where that is known."),
    refusal("500", "Internal", "Something went wrong here. It is in the log under the id of the request."),
    refusal("502", "Upstream", "A service of somebody else failed."),
    transient(
        "503",
        "Unavailable",
        "Not now: too much to do, switched off, starting or stopping, or something needed is away.",
    ),
    transient("504", "Timeout", "The answer took too long. What was asked may still be done."),
];

/// What the placeholders `default`, `4XX` and `5XX` of a handler stand for.
const PLACEHOLDERS: [&str; 3] = ["default", "4XX", "5XX"];

/// Writes into the document what follows from the table.
pub(super) fn complete(document: &mut Value, table: &[RouteSpec]) {
    let components = &mut document["components"];
    components["headers"] = headers();
    components["responses"] = REFUSALS.iter().map(|one| (one.name.to_owned(), response(one))).collect();
    for route in table {
        let method = route.method.as_str().to_lowercase();
        // The pages of the console are not described.
        let operation = document["paths"].get_mut(route.path).and_then(|path| path.get_mut(&method));
        let Some(operation) = operation.and_then(Value::as_object_mut) else { continue };
        operation.insert("operationId".to_owned(), operation_id(&method, route.path).into());
        let statuses = statuses(operation, route);
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            answer(responses, &statuses);
        }
    }
}

/// The statuses of refusals that this route may give before, around and behind its handler.
fn statuses(operation: &Map<String, Value>, route: &RouteSpec) -> Vec<&'static str> {
    let Policy { access, limit, .. } = route.policy;
    let token = access != Access::Public;
    let media = operation.get("requestBody").map(|body| &body["content"]);
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let has = |place: &str, name: Option<&str>| {
        let is = |one: &Value| one["in"] == place && name.is_none_or(|name| one["name"] == name);
        parameters.is_some_and(|all| all.iter().any(is))
    };
    let repeatable = has("header", Some("Idempotency-Key"));
    let mut all = vec!["400", "413", "414", "500", "503", "504"];
    let mut when = |holds: bool, statuses: &[&'static str]| {
        if holds {
            all.extend_from_slice(statuses);
        }
    };
    when(token, &["401", "403"]);
    when(token && !route.method.is_safe(), &["409"]);
    when(has("path", None), &["404"]);
    when(media.is_some(), &["408"]);
    when(media.is_some_and(|media| media["application/json"].is_object()), &["415"]);
    // What a key made may be gone when it is used again.
    when(repeatable, &["404", "422"]);
    when(limit != Class::Unlimited, &["429"]);
    all
}

/// Adds the refusals to the answers of one operation, and the headers of every answer to those that it has itself.
fn answer(responses: &mut Map<String, Value>, statuses: &[&str]) {
    for placeholder in PLACEHOLDERS {
        responses.remove(placeholder);
    }
    for one in REFUSALS {
        let own = responses.get(one.status);
        // A refusal that the handler names itself is a problem too, unless it says otherwise.
        let named = own.is_some_and(is_problem);
        if named || (own.is_none() && statuses.contains(&one.status)) {
            let mut reference = json!({ "$ref": format!("#/components/responses/{}", one.name) });
            let told = own.and_then(|own| own["description"].as_str()).filter(|told| !told.is_empty());
            if let Some(told) = told {
                reference["description"] = told.into();
            }
            responses.insert(one.status.to_owned(), reference);
        }
    }
    for (status, response) in responses.iter_mut() {
        if response.get("$ref").is_none() {
            response["headers"]["X-Request-Id"] = json!({ "$ref": "#/components/headers/X-Request-Id" });
            if response["description"].as_str().is_none_or(str::is_empty) {
                response["description"] = description(status).into();
            }
        }
    }
}

/// Whether a handler says that it answers with a problem, or with nothing in particular.
fn is_problem(response: &Value) -> bool {
    let content = response["content"].as_object();
    content
        .is_none_or(|content| content.values().any(|media| media["schema"]["$ref"] == "#/components/schemas/Problem"))
}

const fn description(status: &str) -> &'static str {
    match status.as_bytes() {
        b"101" => "The protocol is switched.",
        b"201" => "Made.",
        b"202" => "Accepted: it is done later.",
        b"204" => "Done.",
        b"304" => "It is as the client has it.",
        b"302" => "It is elsewhere.",
        b"503" => "It cannot serve now.",
        _ => "As asked.",
    }
}

/// A name that no other operation has: `get_v1_campaigns_id_steps`.
fn operation_id(method: &str, path: &str) -> String {
    let mut name = method.to_owned();
    for part in path.split(['/', '.', '-', '{', '}']).filter(|part| !part.is_empty()) {
        name.push('_');
        name.push_str(part);
    }
    name
}

fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "The request, as the log names it.",
            "required": true,
            "schema": { "type": "string", "format": "uuid" },
        },
        "Retry-After": {
            "description": "After how many seconds another try is worth it.",
            "required": true,
            "schema": { "type": "integer", "minimum": 1 },
        },
        "WWW-Authenticate": {
            "description": "How to say who is calling.",
            "required": true,
            "schema": { "type": "string", "pattern": "^Bearer" },
        },
    })
}

fn response(one: &Refusal) -> Value {
    let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    if one.retry_after {
        headers["Retry-After"] = header("Retry-After");
    }
    if one.status == "401" {
        headers["WWW-Authenticate"] = header("WWW-Authenticate");
    }
    if one.status == "429" {
        let description = "After how many seconds another try is worth it, where that is known.";
        headers["Retry-After"] = json!({ "description": description, "schema": { "type": "integer", "minimum": 1 } });
    }
    json!({
        "description": one.description,
        "headers": headers,
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}
