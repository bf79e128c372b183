//! What strangers get who come without signing in, by links, webhooks and uploads, and what a guest of the audit's own gets.
//!
//! A guest has a token of this installation for an organisation that is not there: what it asks for belongs to nobody. Where
//! something is noted of it, that is taken away again.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mainstay_domain::hexadecimal;
use mainstay_store::{ForgetReadingOfNobody, KeptImage, ListAccesses, ReadNewestImages};

use super::refusals::{Refusals, put_off};
use super::{Looked, checks, some};
use crate::accounts::Guest;
use crate::images;
use crate::ops::audit::check::Seen;
use crate::ops::audit::subject::{Subject, Told};

checks! { Security:
    "security.links" High Passive Laptop links,
    "An address that opens something without signing in cannot be guessed.",
    "404 to each of five forged links of appointments and feeds of calendars, and to a forged link that would cancel",
    "Stop the server, and look at what stands in front of it: something answers in the place of /a and /calendars.";
    "security.webhooks" Critical Passive Laptop webhooks,
    "No webhook is taken that its sender has not signed.",
    "404 or 401 to webhooks of all five kinds at addresses that nobody was given, and to one of FastSpring without a signature",
    "Stop the server, and look at what stands in front of it: something answers in the place of /hooks.";
    "security.images" High Passive Laptop kept_images,
    "Nobody uploads who has not signed in, and what is kept is an image that was made anew.",
    "401 to an upload without a token; each of the newest 200 images is PNG or JPEG by its content, at most 2,048 pixels a side and 3.5 MB",
    "Stop the server, and look at what stands in front of it. Where images are named, something else has written to the database.";
    "security.images_refused" High Active Laptop images_refused,
    "What is no image, or would be too large when it is unpacked, is refused.",
    "415 or 422 to a page, a drawing with a script, an image that breaks off and one of 3,600 million pixels; nothing of them is kept",
    "Compare the server with a release that you trust, and see that nothing stands in front of it that answers uploads.";
    "security.access_log" High Active Laptop access_log,
    "Who reads contacts and calls is written down.",
    "a page of contacts and a search of calls that a guest reads are in the access log under the guest's id",
    "See that nothing in front of the server keeps answers of /v1/contacts and /v1/calls. Where nothing is in front, compare the server with a release that you trust.";
}

/// How long the token of a guest is good.
const GUEST: Duration = Duration::from_secs(60);

/// Bytes in the place of ids, and then so many of a signature.
fn forged(subject: &Subject, signature: usize) -> String {
    let ids = [subject.app.ids.make::<uuid::Uuid>().into_bytes(), subject.app.ids.make::<uuid::Uuid>().into_bytes()];
    URL_SAFE_NO_PAD.encode([ids.concat(), vec![0; signature]].concat())
}

async fn links(subject: &Subject) -> Looked {
    /// Bytes of a signature of a link, and of the secret of a feed.
    const LINK: usize = 12;
    const FEED: usize = 32;
    let mut refusals = Refusals::default();
    for (what, method, path) in [
        ("a link with an empty signature", Method::GET, format!("/a/{}", forged(subject, LINK))),
        ("a link without a signature", Method::GET, format!("/a/{}", forged(subject, 0))),
        ("a link that is none", Method::GET, "/a/null".to_owned()),
        ("a link that would cancel", Method::POST, format!("/a/{}", forged(subject, LINK))),
        ("a feed with an empty secret", Method::GET, format!("/calendars/{}.ics", forged(subject, FEED))),
        ("a feed that is none", Method::GET, "/calendars/null.ics".to_owned()),
    ] {
        let told = subject.live.send(method, &path, &[], None).await?;
        refusals.note(what, told.status, &[StatusCode::NOT_FOUND]);
    }
    Ok(refusals.seen("refused"))
}

async fn webhooks(subject: &Subject) -> Looked {
    let mut refusals = Refusals::default();
    let refused = [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED];
    let headers = [("content-type", "application/json"), ("x-vapi-secret", "guessed"), ("x-fs-signature", "guessed")];
    for provider in ["vapi", "twilio", "fastspring", "standard", "generic"] {
        let key = hexadecimal(&subject.app.ids.make::<uuid::Uuid>().into_bytes());
        let path = format!("/hooks/{provider}/{key}");
        let told = subject.live.send(Method::POST, &path, &headers, Some(b"{}".to_vec())).await?;
        refusals.note(provider, told.status, &refused);
    }
    let told =
        subject.live.send(Method::POST, "/hooks/fastspring", &headers, Some(b"{\"events\":[]}".to_vec())).await?;
    refusals.note("fastspring, of the installation", told.status, &refused);
    Ok(refusals.seen("refused"))
}

/// The head of a PNG that says that it has 60,000 by 60,000 pixels, with its right checksum, and nothing after it.
const BOMB: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\x0f\xb0\xe2\x15";

async fn kept_images(subject: &Subject) -> Looked {
    let headers = [("content-type", "image/png")];
    let told = subject.live.send(Method::POST, "/v1/images", &headers, Some(BOMB.to_vec())).await?;
    let mut refusals = Refusals::default();
    refusals.note("an upload without a token", told.status, &[StatusCode::UNAUTHORIZED]);
    let kept = subject.app.store.run(&subject.call(), ReadNewestImages).await?;
    Ok(judge_images(refusals, &kept))
}

fn judge_images(refusals: Refusals, kept: &[KeptImage]) -> Seen {
    let wrong = kept.iter().filter(|image| !is_made_anew(image));
    let wrong: Vec<String> =
        wrong.map(|image| format!("image {} of organisation {}", image.id, image.tenant)).collect();
    if refusals.unseen > 0 && wrong.is_empty() {
        return put_off(refusals.unseen, refusals.asked);
    }
    let measured = format!(
        "{} of {} uploads without a token refused; {} of the newest {} images are not what is kept of one",
        refusals.asked - refusals.taken.len(),
        refusals.asked,
        wrong.len(),
        kept.len()
    );
    Seen::told(wrong.is_empty() && refusals.taken.is_empty(), measured).by(some(&[refusals.taken, wrong].concat()))
}

/// Whether it is an image as it is kept: by how it begins, and within its bounds.
fn is_made_anew(image: &KeptImage) -> bool {
    let begins: &[u8] = match image.kind.as_str() {
        "image/png" => b"\x89PNG\r\n\x1a\n",
        "image/jpeg" => b"\xff\xd8\xff",
        _ => return false,
    };
    let sides = 1..=images::LONGEST_KEPT_SIDE;
    let most = u64::try_from(images::MOST_KEPT_BYTES).unwrap_or(u64::MAX);
    image.beginning.starts_with(begins)
        && sides.contains(&image.width)
        && sides.contains(&image.height)
        && image.bytes == image.there
        && image.there <= most
}

/// Asks as a guest. The answer is a finding where the guest is not known there.
async fn ask(subject: &Subject, guest: &Guest, asked: (Method, &str), body: Option<&[u8]>) -> Result<Told, Seen> {
    let bearer = format!("Bearer {}", guest.token.expose());
    let headers = [("authorization", bearer.as_str()), ("content-type", "image/png")];
    let told = subject.live.send(asked.0, asked.1, &headers, body.map(<[u8]>::to_vec)).await?;
    match told.status {
        StatusCode::UNAUTHORIZED => {
            Err(Seen::unknown("the server has another key than these settings: is --url the server of these settings?"))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(put_off(1, 1)),
        _ => Ok(told),
    }
}

async fn images_refused(subject: &Subject) -> Looked {
    let guest = subject.app.accounts.guest(GUEST);
    let wanted = [StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::UNPROCESSABLE_ENTITY];
    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let mut refusals = Refusals::default();
    for (what, body) in [
        ("a page", &b"<!doctype html><script>alert(1)</script>"[..]),
        ("a drawing with a script", drawing),
        ("an image that breaks off", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        ("an image of 3,600 million pixels", BOMB),
    ] {
        let told = ask(subject, &guest, (Method::POST, "/v1/images"), Some(body)).await?;
        refusals.note(what, told.status, &wanted);
    }
    let kept = subject.app.store.run(&subject.call(), ReadNewestImages).await?;
    if kept.iter().any(|image| image.tenant == guest.tenant) {
        refusals.taken.push("something of it is kept".to_owned());
    }
    Ok(refusals.seen("refused"))
}

async fn access_log(subject: &Subject) -> Looked {
    let guest = subject.app.accounts.guest(GUEST);
    let seen = reads_noted(subject, &guest).await;
    let forget = ForgetReadingOfNobody { tenant: guest.tenant, by: guest.person };
    subject.app.store.run(&subject.call(), forget).await?;
    seen
}

async fn reads_noted(subject: &Subject, guest: &Guest) -> Looked {
    let mut missing = Vec::new();
    for (what, path) in [("contacts", "/v1/contacts?limit=1"), ("calls", "/v1/calls?q=audit&limit=1")] {
        let told = ask(subject, guest, (Method::GET, path), None).await?;
        if told.status != StatusCode::OK {
            return Ok(Seen::unknown(format!("{path} was not answered")).by(super::line(&told)));
        }
        missing.push(what);
    }
    let asked = missing.len();
    let list = ListAccesses { tenant: guest.tenant, before: None, limit: 10 };
    let noted = subject.app.store.run(&subject.call(), list).await?;
    missing.retain(|what| !noted.iter().any(|one| one.what == *what && one.person == guest.person));
    let missing: Vec<String> =
        missing.into_iter().map(|what| format!("{what} were read, and nobody is noted")).collect();
    Ok(Seen::told(missing.is_empty(), format!("{} of {asked} reads noted", asked - missing.len())).by(some(&missing)))
}

#[cfg(test)]
mod tests {
    use mainstay_domain::{ImageId, TenantId};

    use super::*;
    use crate::ops::audit::check::Verdict;

    fn kept() -> KeptImage {
        KeptImage {
            id: ImageId(uuid::Uuid::nil()),
            tenant: TenantId(uuid::Uuid::nil()),
            kind: "image/png".to_owned(),
            width: 2_048,
            height: 1,
            bytes: 3_500_000,
            there: 3_500_000,
            beginning: b"\x89PNG\r\n\x1a\n".to_vec(),
        }
    }

    #[test]
    fn what_is_kept_is_an_image_within_its_bounds() {
        assert!(is_made_anew(&kept()));
        assert!(is_made_anew(&KeptImage {
            kind: "image/jpeg".to_owned(),
            beginning: b"\xff\xd8\xff\xe0".to_vec(),
            ..kept()
        }));
        for bad in [
            KeptImage { kind: "image/svg+xml".to_owned(), ..kept() },
            KeptImage { kind: "image/jpeg".to_owned(), ..kept() },
            KeptImage { width: 2_049, ..kept() },
            KeptImage { height: 0, ..kept() },
            KeptImage { bytes: 1, ..kept() },
            KeptImage { bytes: 3_500_001, there: 3_500_001, ..kept() },
        ] {
            assert!(!is_made_anew(&bad), "{bad:?}");
            assert_eq!(judge_images(Refusals::default(), &[kept(), bad]).verdict, Verdict::Fail);
        }
        let put_off = Refusals { asked: 1, unseen: 1, ..Refusals::default() };
        assert_eq!(judge_images(put_off, &[kept()]).verdict, Verdict::Unknown);
    }
}
