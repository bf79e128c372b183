//! Certificates in files that change. What comes over the wire is tried where connections are.

use std::fs;
use std::path::PathBuf;

use mainstay_testing::{Scratch, SelfSigned};

use super::*;

struct Files {
    scratch: Scratch,
}

impl Files {
    fn with(own: &SelfSigned) -> Self {
        let files = Self { scratch: Scratch::new().expect("a folder") };
        files.write(own);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn write(&self, own: &SelfSigned) {
        own.write_to(self.scratch.path());
    }

    fn settings(&self) -> config::Tls {
        config::Tls {
            certificate_path: self.path("certificate.pem").display().to_string(),
            key_path: self.path("key.pem").display().to_string(),
            look_seconds: 1,
            redirect_port: 0,
        }
    }

    fn open(&self) -> Result<Option<Arc<Tls>>> {
        Tls::open(&self.settings(), &HttpMetrics::register(&mut Registry::default()))
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

#[test]
fn it_is_known_for_whom_and_until_when_a_certificate_is() {
    let own = SelfSigned::between(
        &["chat.example.com", "*.example.net", "192.0.2.7", "::1"],
        "260101000000Z",
        "260401000000Z",
    );
    let known = Files::with(&own).open().expect("it opens").expect("it is on").certificate();
    assert_eq!((known.from, known.until), (at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z")));
    assert!((known.spent_percent(at("2026-02-15T00:00:00Z")) - 50.0).abs() < 0.01);
    assert!(known.spent_percent(at("2026-05-01T00:00:00Z")) > 100.0);
    for (host, whose) in [
        ("chat.example.com", true),
        ("a.example.net", true),
        ("192.0.2.7", true),
        ("[::1]", true),
        ("example.com", false),
        ("a.b.example.net", false),
        ("192.0.2.8", false),
        ("", false),
    ] {
        assert_eq!(known.names(host), whose, "{host}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_the_setting_the_file_and_the_reason() {
    let (own, other) = (SelfSigned::of(&["a.example"]), SelfSigned::of(&["a.example"]));
    let files = Files::with(&own);
    let refused = |name: &str, text: &str| {
        files.write(&own);
        fs::write(files.path(name), text).expect("written");
        let detail = files.open().err().expect("it is refused").detail;
        assert!(detail.contains(name), "{detail}");
        detail
    };
    assert!(refused("certificate.pem", "").contains("http.tls.certificate_path"));
    assert!(refused("certificate.pem", "no certificate").contains("has no certificate"));
    assert!(refused("certificate.pem", &own.certificate_pem().replace("MII", "AAA")).contains("cannot be read"));
    assert!(refused("certificate.pem", &other.certificate_pem()).contains("does not belong to"));
    let detail = refused("key.pem", "a secret that nobody may see");
    assert!(detail.contains("http.tls.key_path") && !detail.contains("a secret"), "{detail}");
    assert!(refused("key.pem", &other.key_pem()).contains("does not belong to"));
    fs::remove_file(files.path("key.pem")).expect("removed");
    assert!(files.open().err().expect("it is refused").detail.contains("cannot be read"));
}

#[test]
fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
    let (first, second) =
        (SelfSigned::of(&["a.example"]), SelfSigned::between(&["a.example"], "260101000000Z", "270101000000Z"));
    let files = Files::with(&first);
    let tls = files.open().expect("it opens").expect("it is on");
    tls.look();
    assert_eq!((tls.certificate().certificate, tls.fault()), (first.certificate(), None));
    assert_eq!((tls.figures.reloads.get(), tls.figures.faults.get()), (0, 0));

    fs::write(files.path("certificate.pem"), second.certificate_pem()).expect("written");
    tls.look();
    tls.look();
    assert_eq!(tls.certificate().certificate, first.certificate(), "the one before stays");
    assert!(tls.fault().is_some_and(|fault| fault.contains("does not belong to")));
    assert_eq!(tls.figures.faults.get(), 1, "it is told once");

    fs::write(files.path("key.pem"), second.key_pem()).expect("written");
    tls.look();
    assert_eq!((tls.certificate().certificate, tls.fault()), (second.certificate(), None));
    assert_eq!(tls.figures.until.get(), at("2027-01-01T00:00:00Z").as_seconds());
    assert_eq!(tls.figures.reloads.get(), 1);

    files.write(&first);
    fs::remove_file(files.path("key.pem")).expect("removed");
    tls.look();
    assert_eq!(tls.certificate().certificate, second.certificate(), "without its files it goes on");
    assert!(tls.fault().is_some());
}
