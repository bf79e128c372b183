//! The port for people who type the name alone: it speaks HTTP, and sends everybody on to the address with https.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Answers everything with 308 (RFC 9110, section 15.4.9) to the same path below `address`, which is an origin without a
/// slash at its end. What the request says of its host is not believed.
pub fn redirect(address: String) -> Router {
    Router::new().fallback(move |request: Request| {
        let answer = onward(&address, &request);
        async move { answer }
    })
}

fn onward(address: &str, request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // A path always begins with a slash, but for `OPTIONS *`.
    let path = if path.starts_with('/') { path } else { "/" };
    match HeaderValue::try_from(format!("{address}{path}")) {
        Ok(place) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, place)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn place(uri: &str, host: &str) -> String {
        let request = Request::builder().uri(uri).header("host", host).body(Body::empty()).expect("a request");
        let answer = onward("https://chat.example.com", &request);
        assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
        answer.headers()[header::LOCATION].to_str().expect("text").to_owned()
    }

    #[test]
    fn everybody_is_sent_to_the_same_path_and_to_nobody_else() {
        assert_eq!(place("/", "chat.example.com"), "https://chat.example.com/");
        assert_eq!(place("/a/b?c=d%20e", "chat.example.com"), "https://chat.example.com/a/b?c=d%20e");
        assert_eq!(place("/", "evil.example"), "https://chat.example.com/", "what the host says is not believed");
        assert_eq!(place("//evil.example/x", "chat.example.com"), "https://chat.example.com//evil.example/x");
        assert_eq!(place("http://evil.example/x", "chat.example.com"), "https://chat.example.com/x");
        assert_eq!(place("*", "chat.example.com"), "https://chat.example.com/");
    }
}
