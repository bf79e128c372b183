//! Errors on the wire: RFC 9457 `application/problem+json`.
//!
//! A handler returns `Result<_, Problem>`. The response that a [`Problem`] turns into carries it as an extension and has
//! no body yet: the stack, which knows the request's id, writes the body and logs the error, once (see
//! [`Problem::take`]).

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use mainstay_domain::{Error, FieldFault, Kind, RequestId, Timestamp};
use serde::Serialize;

use crate::controls::SWITCHED_OFF;
use crate::openapi;

/// The media type of a problem.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error on its way to the caller. One word wide, so that results stay small.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    error: Error,
    headers: HeaderMap,
    reason: Option<&'static str>,
    violated: Vec<&'static str>,
    alternatives: Vec<Timestamp>,
    /// Refused for there being too much to do: counted and told once a minute, and not logged each time.
    shed: bool,
}

/// The response extension that carries a problem to the stack.
#[derive(Clone)]
struct Carried(Arc<Problem>);

impl From<mainstay_store::Error> for Problem {
    fn from(error: mainstay_store::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (headers, reason) = (HeaderMap::new(), None);
        let (violated, alternatives) = (Vec::new(), Vec::new());
        let status = status_of(error.kind);
        Self(Box::new(Inner { status, error, headers, reason, violated, alternatives, shed: false }))
    }
}

impl Problem {
    /// A problem of the wire itself, whose status has no kind of its own in the domain.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let mut problem = Self::from(Error::new(kind_of(status), code, detail));
        problem.0.status = status;
        problem
    }

    /// What a bare status says, for answers of the router and of libraries that bring no problem.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => ("bad_request", "The request is not well formed."),
            StatusCode::UNAUTHORIZED => ("unauthenticated", "Sign in, or send a token in the header Authorization."),
            StatusCode::FORBIDDEN => ("forbidden", "This is not allowed."),
            StatusCode::NOT_FOUND => ("not_found", "There is nothing at this address."),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "This address takes other methods; the header Allow names them.")
            }
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "The request did not arrive in time."),
            StatusCode::CONFLICT => ("conflict", "The state of things does not allow it."),
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "The body is larger than this address takes."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "The media type is not one taken here."),
            StatusCode::UPGRADE_REQUIRED => ("upgrade_required", "This address speaks WebSocket (RFC 6455) only."),
            StatusCode::TOO_MANY_REQUESTS => ("too_many_requests", "Too many requests for now."),
            StatusCode::INTERNAL_SERVER_ERROR => {
                ("internal", "Something went wrong here. It has been recorded under the request id.")
            }
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "The service cannot answer now."),
            StatusCode::GATEWAY_TIMEOUT => ("timeout", "The answer took too long. What was asked may still be done."),
            other if other.is_server_error() => ("server_error", "Something went wrong here."),
            _ => ("request_refused", "The request was refused."),
        };
        Self::new(status, code, detail)
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Adds a word that a program can go by, beside the code.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = Some(reason);
        self
    }

    /// Names the limits that it is about, as the header `RateLimit-Policy` does.
    #[must_use]
    pub fn violating(mut self, policies: Vec<&'static str>) -> Self {
        self.0.violated = policies;
        self
    }

    /// Names the moments that could be had instead of the one that was asked for.
    #[must_use]
    pub fn or_at(mut self, alternatives: Vec<Timestamp>) -> Self {
        self.0.alternatives = alternatives;
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, inside: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.error.inside = Some(inside.into());
        self
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Marks a refusal for there being too much to do, which is counted and not logged each time.
    pub(super) fn shed(mut self) -> Self {
        self.0.shed = true;
        self
    }

    /// Whether it is one.
    pub(super) fn is_shed(&self) -> bool {
        self.0.shed
    }

    /// The moments that could be had instead.
    #[must_use]
    pub fn alternatives(&self) -> &[Timestamp] {
        &self.0.alternatives
    }

    /// The error inside.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// What the caller reads, for answers that are not the body of a response: the event `error` of a stream.
    #[must_use]
    pub fn document(&self, request_id: RequestId) -> Document<'_> {
        let error = &self.0.error;
        Document {
            kind: format!("urn:mainstay:problem:{}", error.code),
            title: title_of(error.code),
            status: self.0.status.as_u16(),
            code: error.code,
            detail: &error.detail,
            request_id,
            fields: error.fields.iter().map(Field::from).collect(),
            reason: self.0.reason,
            violated_policies: &self.0.violated,
            alternatives: &self.0.alternatives,
        }
    }

    /// Logs it with everything that the caller does not see. The stack does this for problems that are answered; whoever
    /// tells one in another way (in a stream, on a socket) does it there.
    pub fn log(&self, request_id: RequestId, route: &str) {
        let error = &self.0.error;
        let (status, code, detail) = (self.0.status.as_u16(), error.code, error.detail.as_str());
        let inside = error.inside.as_deref().map(|inside| chain(inside)).unwrap_or_default();
        if self.0.status == StatusCode::SERVICE_UNAVAILABLE {
            // Shedding is meant to happen, and thousands of times a second: the overload itself says so once a minute.
            // So is what an operator has turned off.
            if self.0.shed || code == SWITCHED_OFF {
                tracing::debug!(%request_id, route, status, code, detail, inside, "request refused");
                return;
            }
            tracing::warn!(%request_id, route, status, code, detail, inside, "request refused");
        } else if self.0.status.is_server_error() {
            // What a service of others has said may be what somebody wrote.
            let detail = if error.kind == Kind::Upstream { "" } else { detail };
            tracing::error!(%request_id, route, status, code, detail, inside, "request failed");
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            // The detail may repeat what was sent, and is told to whoever has sent it.
            let fields = told(&error.fields);
            tracing::debug!(%request_id, route, status, code, fields, inside, "request refused");
        }
    }

    /// Takes the problem that a response carries. A response of a library (a rejection in plain text, a bare status)
    /// carries none: it is read as what its status says.
    pub(super) fn take(response: &mut Response) -> Option<Arc<Self>> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return None;
        }
        if let Some(Carried(problem)) = response.extensions_mut().remove::<Carried>() {
            return Some(problem);
        }
        let text = match response.headers().get(CONTENT_TYPE) {
            None => true,
            Some(media_type) => media_type.as_bytes().starts_with(b"text/plain"),
        };
        text.then(|| Arc::new(Self::from_status(status)))
    }

    /// Writes it into the response that carried it.
    pub(super) fn write(&self, response: &mut Response, request_id: RequestId) {
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let headers = response.headers_mut();
        headers.remove(axum::http::header::CONTENT_LENGTH);
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        *response.body_mut() = Body::from(body);
    }
}

/// The most fields that a line of the log names.
const MOST_NAMED: usize = 8;

/// Which fields are at fault and how, without a word that the caller has chosen: a name that is in no document of ours is
/// written as `?`.
fn told(faults: &[FieldFault]) -> String {
    let name = |part: &str| {
        let (name, rest) = part.split_at(part.find('[').unwrap_or(part.len()));
        let known =
            part == "(body)" || openapi::has_field(name) && rest.bytes().all(|byte| b"[]0123456789".contains(&byte));
        if known { part.to_owned() } else { "?".to_owned() }
    };
    let one = |fault: &FieldFault| {
        let path: Vec<String> = fault.field.split('.').map(name).collect();
        format!("{} {}", path.join("."), fault.code)
    };
    faults.iter().take(MOST_NAMED).map(one).collect::<Vec<_>>().join(", ")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        let headers = response.headers_mut();
        headers.extend(self.0.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.entry(WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Carried(Arc::new(self)));
        response
    }
}

impl Problem {
    /// Whole seconds, rounded up and at least one: who comes back at that time is not too early. What is away now
    /// (503, 504) is worth another try after a second when nothing better is known.
    fn retry_after_seconds(&self) -> Option<u64> {
        let seconds = self.0.error.retry_after.map(|after| after.as_secs() + u64::from(after.subsec_nanos() > 0));
        let transient = matches!(self.0.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        seconds.or(transient.then_some(1)).map(|seconds| seconds.max(1))
    }
}

/// What the caller of a failed request reads.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// `urn:mainstay:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// Stable: branch on it.
    code: &'static str,
    /// What happened and what to do.
    detail: &'a str,
    /// The request, as the log names it.
    #[schema(value_type = uuid::Uuid)]
    request_id: RequestId,
    /// For bad input: every field that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Field<'a>>,
    /// A word that tells cases of one code apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// For a refusal by limits: their names in `RateLimit-Policy`.
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: &'a [&'static str],
    /// For a time that cannot be had: the next that can.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<String>)]
    alternatives: &'a [Timestamp],
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
struct Field<'a> {
    field: &'a str,
    code: &'static str,
    detail: &'a str,
}

impl<'a> From<&'a FieldFault> for Field<'a> {
    fn from(fault: &'a FieldFault) -> Self {
        Self { field: &fault.field, code: fault.code, detail: &fault.detail }
    }
}

/// The title belongs to the type and never varies (RFC 9457, section 3.1.3), so it is made from the code.
fn title_of(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

const fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

const fn kind_of(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED => Kind::Unauthenticated,
        StatusCode::PAYMENT_REQUIRED => Kind::PaymentRequired,
        StatusCode::FORBIDDEN => Kind::Forbidden,
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::CONFLICT => Kind::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Kind::UnsupportedMediaType,
        StatusCode::TOO_MANY_REQUESTS => Kind::TooManyRequests,
        StatusCode::BAD_GATEWAY => Kind::Upstream,
        StatusCode::SERVICE_UNAVAILABLE => Kind::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => Kind::Timeout,
        other if other.as_u16() >= 500 => Kind::Internal,
        _ => Kind::Invalid,
    }
}

/// An error and its causes in one line, each once.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_names_the_fields_that_there_are_and_no_other() {
        let fault = |field: &str, code| FieldFault::new(field, code, "what was sent is wrong");
        let faults = [
            fault("secrets[3]", "too_short"),
            fault("scheme.ada@example.com", "unknown"),
            fault("ada", "unknown"),
            fault("secrets[ada]", "unknown"),
            fault("(body)", "invalid_type"),
        ];
        assert_eq!(
            told(&faults),
            "secrets[3] too_short, scheme.?.? unknown, ? unknown, ? unknown, (body) invalid_type"
        );
    }

    fn id() -> RequestId {
        RequestId(uuid::Uuid::from_u128(7))
    }

    fn header(problem: Problem, name: &str) -> Option<String> {
        problem.into_response().headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    #[test]
    fn a_document_has_the_members_of_rfc_9457_and_ours() {
        let problem = Problem::from(Error::invalid_field("items[3].name", "too_long", "at most 200 characters"));
        assert_eq!(
            serde_json::to_value(problem.document(id())).expect("JSON"),
            json!({
                "type": "urn:mainstay:problem:invalid_input",
                "title": "Invalid input",
                "status": 400,
                "code": "invalid_input",
                "detail": "items[3].name: at most 200 characters",
                "request_id": "00000000-0000-0000-0000-000000000007",
                "fields": [{"field": "items[3].name", "code": "too_long", "detail": "at most 200 characters"}],
            })
        );
        let bare = serde_json::to_value(Problem::from(Error::not_found("message")).document(id())).expect("JSON");
        assert_eq!(bare.get("fields"), None);
    }

    #[test]
    fn the_inside_never_reaches_the_caller() {
        let problem = Problem::from(Error::internal("password=hunter2 in /var/lib"));
        let text = serde_json::to_string(&problem.document(id())).expect("JSON");
        assert!(!text.contains("hunter2") && !text.contains("/var/lib"), "{text}");
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let after = |duration| {
            header(Error::new(Kind::TooManyRequests, "limited", "").retry_after(duration).into(), "retry-after")
        };
        assert_eq!(after(Duration::from_millis(1)).as_deref(), Some("1"));
        assert_eq!(after(Duration::from_millis(2001)).as_deref(), Some("3"));
        assert_eq!(after(Duration::from_secs(2)).as_deref(), Some("2"));
        assert_eq!(after(Duration::ZERO).as_deref(), Some("1"));
        assert_eq!(header(Error::new(Kind::TooManyRequests, "limited", "").into(), "retry-after"), None);
        assert_eq!(header(Error::new(Kind::Unavailable, "stopping", "").into(), "retry-after").as_deref(), Some("1"));
    }

    #[test]
    fn unauthenticated_names_the_scheme() {
        let problem = Problem::from(Error::new(Kind::Unauthenticated, "token_expired", ""));
        assert_eq!(header(problem, "www-authenticate").as_deref(), Some("Bearer"));
    }

    #[test]
    fn bare_answers_of_libraries_become_problems_and_our_own_stay() {
        let mut bare = (StatusCode::NOT_FOUND, "nope").into_response();
        assert_eq!(Problem::take(&mut bare).map(|problem| problem.error().code), Some("not_found"));
        let mut json = (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"status": "failing"}))).into_response();
        assert!(Problem::take(&mut json).is_none());
        let mut fine = "fine".into_response();
        assert!(Problem::take(&mut fine).is_none());
    }

    #[test]
    fn the_log_line_has_every_cause_once() {
        let inner = std::io::Error::other("disk full");
        let error = Error::internal(inner);
        let outer = Error::internal(error);
        assert!(chain(&outer).ends_with("disk full"));
    }
}
