//! What people send crosses the network in a way that nobody reads.

use reqwest::Url;

use super::{Looked, checks, some};
use crate::http::{Known, MOST_SPENT_PERCENT};
use crate::ops::audit::check::Seen;
use crate::ops::audit::handshake::{GOOD, Reply, TLS12, VERSIONS, WEAK, offer, shown};
use crate::ops::audit::subject::{Subject, place};

checks! { Security:
    "security.https" Critical Passive Server https,
    "What people send crosses the network encrypted.",
    "http.public_url begins with https://",
    "Set [http.tls], or put a proxy with a certificate in front, and set http.public_url to the address that people use.";
    "security.tls_versions" Critical Passive Server versions,
    "Nobody is spoken with in a way that can be broken.",
    "SSL 3.0, TLS 1.0 and TLS 1.1 are refused in the handshake, and so are twelve suites without encryption, forward secrecy or authentication",
    "Where a proxy in front has the certificate, have it speak TLS 1.2 and 1.3 only, with ECDHE and with AES-GCM or ChaCha20.";
    "security.certificate" High Passive Server certificate,
    "The certificate is for the address that people use, and does not end soon.",
    "it names the host of http.public_url, has begun, and at most 85 % of its life are over",
    "Renew it, and see that whatever renews it writes the files of http.tls.certificate_path and http.tls.key_path, or those of the proxy in front.";
}

async fn https(subject: &Subject) -> Looked {
    let url = &subject.app.config.http.public_url;
    let measured =
        if url.is_empty() { "http.public_url is not set".to_owned() } else { format!("http.public_url is {url}") };
    Ok(Seen::told(url.starts_with("https://"), measured))
}

/// Where TLS is spoken: by the server itself, or by what stands in front of it.
fn endpoint(subject: &Subject) -> Result<(String, u16), Seen> {
    let own = subject.live.base();
    let public = Url::parse(&subject.app.config.http.public_url).ok();
    let url = if own.scheme() == "https" { Some(own.clone()) } else { public.filter(|url| url.scheme() == "https") };
    let none = || Seen::unknown("neither the server nor http.public_url speaks TLS; security.https says so");
    url.as_ref().map(place).ok_or_else(none)
}

/// The host that people use; of the server itself where none is set.
fn public_host(subject: &Subject, own: &str) -> String {
    let url = Url::parse(&subject.app.config.http.public_url).ok();
    url.filter(Url::has_host).map_or_else(|| own.to_owned(), |url| place(&url).0)
}

async fn versions(subject: &Subject) -> Looked {
    let (host, port) = endpoint(subject)?;
    let ask = async |version, suites: &[u16]| {
        let reply = offer((host.as_str(), port), version, suites).await;
        reply.map_err(|error| Seen::unknown(format!("no handshake with {host}:{port}: {error}")))
    };
    // What refuses everything would pass: the same greeting with good suites has to be taken, or TLS 1.3 be asked for.
    let good = ask(TLS12, &GOOD).await?;
    let speaks = matches!(good, Reply::Accepts { version: TLS12, .. } | Reply::Refuses(_));
    if !speaks {
        return Ok(Seen::unknown(format!("{host}:{port} does not speak TLS")));
    }
    let mut taken = Vec::new();
    let all: Vec<u16> = GOOD.into_iter().chain(WEAK.map(|(suite, _)| suite)).collect();
    for (version, name) in VERSIONS.iter().filter(|(version, _)| *version < TLS12) {
        if let Reply::Accepts { .. } = ask(*version, &all).await? {
            taken.push((*name).to_owned());
        }
    }
    for (suite, fault) in WEAK {
        if let Reply::Accepts { .. } = ask(TLS12, &[suite]).await? {
            taken.push(format!("suite {suite:#06x} ({fault})"));
        }
    }
    let tried = VERSIONS.len() - 1 + WEAK.len();
    Ok(Seen::told(taken.is_empty(), format!("{} of {tried} taken", taken.len())).by(some(&taken)))
}

async fn certificate(subject: &Subject) -> Looked {
    let (host, port) = endpoint(subject)?;
    let name = public_host(subject, &host);
    let unseen = |error: &dyn std::fmt::Display| Seen::unknown(format!("no certificate from {host}:{port}: {error}"));
    let shown = shown((host.as_str(), port), &name).await.map_err(|error| unseen(&error))?;
    let known = Known::of(shown).map_err(|error| unseen(&error))?;
    let now = subject.app.clock.now();
    let (spent, names) = (known.spent_percent(now), known.names(&name));
    let measured = format!(
        "good from {} until {}; {} name {name}",
        known.from,
        known.until,
        if names { "it does" } else { "it does not" }
    );
    Ok(Seen::told(names && now >= known.from && spent <= MOST_SPENT_PERCENT, measured))
}
