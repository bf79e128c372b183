//! What readers do with an email: its image and its links lead through this server, and are signed.
//!
//! A link carries where it leads, so that it goes on leading there whatever becomes of the text, and also while the database
//! does not answer. Nobody but this server can make one: it redirects to what a campaign has written and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::outreach::{Asked, HitMethod, IMAGE, Visitor, links, rewrite, rewrite_text, text_links};
use mainstay_domain::{EmailId, EmailState, Error, Result, TenantId};
use mainstay_store::{Call, NoteHit, NotedHit};
use ring::hmac;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use uuid::Uuid;

use super::Outreach;
use super::compose::Filled;
use crate::accounts::keys::{Purpose, SigningKey};
use crate::app::App;
use crate::http::{Document, Path, Problem, RequestContext};

/// A tenant, an email, which link, and how many there are.
const NAMED: usize = 16 + 16 + 2 + 2;
const SIGNATURE: usize = 16;
/// How long whoever follows a link waits for it to be noted.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of what a program calls itself is looked at, in bytes.
const MOST_AGENT: usize = 512;
/// A GIF of one pixel that cannot be seen.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// Makes the links of emails that are followed, and reads them.
pub(super) struct TrackingLinks {
    key: hmac::Key,
    /// What comes before the token, without a domain of its own.
    address: String,
}

/// What a link of an email names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracked {
    tenant: TenantId,
    email: EmailId,
    /// [`IMAGE`], or which link.
    link: u16,
    links: u16,
    /// Where it leads; nothing for the image.
    url: Option<String>,
}

/// What is followed of an email.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracking<'a> {
    pub(super) links: &'a TrackingLinks,
    pub(super) tenant: TenantId,
    pub(super) email: EmailId,
    pub(super) opens: bool,
    pub(super) clicks: bool,
    /// The name under which its links are followed.
    pub(super) domain: Option<&'a str>,
}

impl std::fmt::Debug for TrackingLinks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackingLinks").field("address", &self.address).finish_non_exhaustive()
    }
}

impl TrackingLinks {
    pub(super) fn new(key: &SigningKey, public_address: &str) -> Self {
        Self { key: key.derive(Purpose::TrackingLink), address: format!("{public_address}/t/") }
    }

    fn of(&self, domain: Option<&str>, tracked: &Tracked) -> String {
        let url = tracked.url.as_deref().unwrap_or_default();
        let mut token = Vec::with_capacity(NAMED + url.len() + SIGNATURE);
        token.extend_from_slice(tracked.tenant.uuid().as_bytes());
        token.extend_from_slice(tracked.email.uuid().as_bytes());
        token.extend_from_slice(&tracked.link.to_be_bytes());
        token.extend_from_slice(&tracked.links.to_be_bytes());
        token.extend_from_slice(url.as_bytes());
        let signature = hmac::sign(&self.key, &token);
        token.extend_from_slice(signature.as_ref().get(..SIGNATURE).unwrap_or_default());
        let token = URL_SAFE_NO_PAD.encode(token);
        match domain {
            Some(domain) => format!("https://{domain}/t/{token}"),
            None => format!("{}{token}", self.address),
        }
    }

    /// The image of an email without links.
    pub(super) fn image(&self, tenant: TenantId, email: EmailId) -> String {
        self.of(None, &Tracked { tenant, email, link: IMAGE, links: 0, url: None })
    }

    /// The only link of an email, to where it leads.
    pub(super) fn link(&self, tenant: TenantId, email: EmailId, url: &str) -> String {
        self.of(None, &Tracked { tenant, email, link: 1, links: 1, url: Some(url.to_owned()) })
    }

    /// What a token names; nothing when it was not made here.
    fn read(&self, token: &str) -> Option<Tracked> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        let expected = hmac::sign(&self.key, named);
        if !bool::from(expected.as_ref().get(..SIGNATURE)?.ct_eq(signature)) {
            return None;
        }
        let (head, url) = named.split_at_checked(NAMED)?;
        let number = |at: usize| Some(u16::from_be_bytes(head.get(at..at + 2)?.try_into().ok()?));
        Some(Tracked {
            tenant: TenantId(Uuid::from_slice(head.get(..16)?).ok()?),
            email: EmailId(Uuid::from_slice(head.get(16..32)?).ok()?),
            link: number(32)?,
            links: number(34)?,
            url: (!url.is_empty()).then(|| String::from_utf8(url.to_vec())).transpose().ok()?,
        })
    }
}

impl Tracking<'_> {
    /// Puts links that are followed in the place of those of a text, and an image at its end. The link by which somebody
    /// leaves stays as it is. Links of plain text are replaced where there is nothing else.
    pub(super) fn put_in(&self, filled: &mut Filled, leaving: &str) {
        let found = match &filled.html {
            Some(html) => links(html),
            None => text_links(&filled.text),
        };
        let mut urls: Vec<String> = Vec::new();
        for link in found {
            if self.clicks && link.url != leaving && !urls.contains(&link.url) && urls.len() < usize::from(u16::MAX) {
                urls.push(link.url);
            }
        }
        let all = u16::try_from(urls.len()).unwrap_or(u16::MAX);
        let tracked = |link: u16, url: Option<String>| {
            let tracked = Tracked { tenant: self.tenant, email: self.email, link, links: all, url };
            self.links.of(self.domain, &tracked)
        };
        let replace = |url: &str, _: usize| {
            let place = urls.iter().position(|one| one == url)?;
            Some(tracked(u16::try_from(place + 1).ok()?, Some(url.to_owned())))
        };
        match &mut filled.html {
            Some(html) => {
                *html = rewrite(html, replace);
                if self.opens {
                    let image = format!("<img src=\"{}\" width=\"1\" height=\"1\" alt=\"\">", tracked(IMAGE, None));
                    html.insert_str(end_of_body(html), &image);
                }
            }
            None => filled.text = rewrite_text(&filled.text, replace),
        }
    }
}

/// Where the body of a page ends: before the last `</body>`, or at the end.
fn end_of_body(html: &str) -> usize {
    html.to_ascii_lowercase().rfind("</body").unwrap_or(html.len())
}

/// Shows the image of an email, or leads on to where one of its links leads. Both are noted.
#[utoipa::path(get, path = "/t/{token}", tag = "outreach", security(()), params(("token" = String, Path)),
    responses((status = 200, description = "The image of an email", content_type = "image/gif"),
        (status = 302, description = "Leads on to where the link leads"),
        (status = "default", body = Document<'static>)))]
pub async fn follow(
    State(app): State<Arc<App>>,
    context: RequestContext,
    method: Method,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let tracked = app.outreach.tracking.read(&token).ok_or_else(|| Error::not_found("link"))?;
    let url = tracked.url.clone();
    app.outreach.note(&context, tracked, (&method, &headers)).await;
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    let Some(url) = url else {
        return Ok(([no_store, (CONTENT_TYPE, HeaderValue::from_static("image/gif"))], PIXEL).into_response());
    };
    let location = HeaderValue::from_str(&location_of(&url)).map_err(Error::internal)?;
    let headers = [no_store, (LOCATION, location), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// An address as it stands in a header: what is not ASCII is written in per cent.
fn location_of(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| url.to_owned(), String::from)
}

impl Outreach {
    /// Notes that something of an email was asked for. Whoever asked gets what they want in any case.
    async fn note(&self, context: &RequestContext, tracked: Tracked, (method, headers): (&Method, &HeaderMap)) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let agent = text(USER_AGENT.as_str());
        let asked = Asked {
            link: tracked.link,
            links: tracked.links,
            method: match *method {
                Method::GET => HitMethod::Get,
                Method::HEAD => HitMethod::Head,
                _ => HitMethod::Other,
            },
            user_agent: agent.get(..agent.floor_char_boundary(MOST_AGENT)).unwrap_or_default().to_owned(),
            prefetch: ["sec-purpose", "purpose", "x-purpose"].iter().any(|name| text(name).contains("prefetch")),
            from_machine_range: self.machine_ranges.iter().any(|range| range.contains(&context.client_address)),
            at: self.clock.now(),
        };
        let (tenant, email) = (tracked.tenant, tracked.email);
        let kind = if tracked.link == IMAGE { "open" } else { "click" };
        let call = context.call.extended(Instant::now() + PATIENCE);
        let hit = NoteHit { tenant, email, asked, url: tracked.url };
        match self.store.run(&call, hit).await {
            Ok(Some(noted)) => self.noted(&call, (tenant, email), kind, noted).await,
            // The email is not kept any more.
            Ok(None) => self.figures.hit(kind, "gone"),
            Err(error) => {
                tracing::warn!(%error, %email, "what a reader did with an email was not noted");
                self.figures.hit(kind, "lost");
            }
        }
    }

    async fn noted(&self, call: &Call, (tenant, email): (TenantId, EmailId), kind: &'static str, noted: NotedHit) {
        self.figures.hit(
            kind,
            match noted.visitor {
                Visitor::Human => "human",
                Visitor::Machine(_) => "machine",
            },
        );
        // Nobody knew whether it was sent: that somebody has it says so.
        if noted.state == EmailState::Unknown
            && let Err(error) = self.resolve(call, tenant, email, false).await
        {
            tracing::debug!(%error, %email, "an email that was opened stays unknown");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links_of_tests() -> TrackingLinks {
        let key = mainstay_domain::Secret::new("0123456789abcdef".repeat(4));
        TrackingLinks::new(&SigningKey::from_hex(&key).expect("a key"), "https://x.example")
    }

    fn filled(text: &str, html: Option<&str>) -> Filled {
        Filled { subject: "s".to_owned(), text: text.to_owned(), html: html.map(str::to_owned) }
    }

    fn tracking(links: &TrackingLinks) -> Tracking<'_> {
        let (tenant, email) = (TenantId(Uuid::from_u128(1)), EmailId(Uuid::from_u128(2)));
        Tracking { links, tenant, email, opens: true, clicks: true, domain: None }
    }

    #[test]
    fn a_link_is_good_only_as_it_was_made() {
        let links = links_of_tests();
        for url in [None, Some("https://a.example/ü?x=1&y=2".to_owned())] {
            let (tenant, email) = (TenantId(Uuid::from_u128(1)), EmailId(Uuid::from_u128(2)));
            let tracked = Tracked { tenant, email, link: u16::from(url.is_some()), links: 300, url };
            let link = links.of(None, &tracked);
            let token = link.strip_prefix("https://x.example/t/").expect("its path");
            assert_eq!(links.read(token), Some(tracked.clone()));
            assert_eq!(links.of(Some("l.example"), &tracked), format!("https://l.example/t/{token}"));
            let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("bytes");
            for place in 0..bytes.len() {
                bytes[place] ^= 1;
                assert_eq!(links.read(&URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {place}");
                bytes[place] ^= 1;
            }
            for bad in ["", "a", "aaaa", &token[1..], &format!("{token}A")] {
                assert_eq!(links.read(bad), None, "{bad}");
            }
        }
    }

    #[test]
    fn links_of_html_are_followed_and_the_one_to_leave_is_not() {
        let links = links_of_tests();
        let html = "<body><a href=\"https://a.example/?x=1&amp;y=2\">a</a> <a href='https://b.example'>b</a> \
                    <a href=\"https://a.example/?x=1&amp;y=2\">again</a> <a href=\"https://x.example/u/t\">leave</a></body>";
        let mut one = filled("See https://a.example/?x=1&y=2", Some(html));
        tracking(&links).put_in(&mut one, "https://x.example/u/t");
        let html = one.html.expect("html");
        let found = mainstay_domain::outreach::links(&html);
        let read = |url: &str| url.strip_prefix("https://x.example/t/").and_then(|token| links.read(token));
        let tracked: Vec<Tracked> = found.iter().filter_map(|link| read(&link.url)).collect();
        let seen: Vec<_> = tracked.iter().map(|one| (one.link, one.links, one.url.as_deref())).collect();
        let (a, b) = (Some("https://a.example/?x=1&y=2"), Some("https://b.example"));
        assert_eq!(seen, [(1, 2, a), (2, 2, b), (1, 2, a)]);
        assert!(html.contains("https://x.example/u/t") && html.ends_with("alt=\"\"></body>"), "{html}");
        assert_eq!(one.text, "See https://a.example/?x=1&y=2", "beside HTML the text stays as it is");
    }

    #[test]
    fn links_of_plain_text_are_followed_where_there_is_nothing_else() {
        let links = links_of_tests();
        let mut one = filled("See https://a.example/b. Bye https://x.example/u/t", None);
        tracking(&links).put_in(&mut one, "https://x.example/u/t");
        assert!(one.text.starts_with("See https://x.example/t/") && one.text.ends_with("https://x.example/u/t"));
        let mut other = filled("See https://a.example/b", Some("<p>none</p>"));
        Tracking { opens: false, clicks: false, ..tracking(&links) }.put_in(&mut other, "");
        assert_eq!(other.html.as_deref(), Some("<p>none</p>"), "nothing is followed where nobody wants it");
    }

    #[test]
    fn where_a_link_leads_is_written_as_a_header_may_be() {
        assert_eq!(location_of("https://a.example/ü b"), "https://a.example/%C3%BC%20b");
    }
}
