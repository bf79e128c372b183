//! Messages of the writer, read by Python's parser and verified by dkimpy: two programs that know nothing of this one.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{Secret, Timestamp};
use mainstay_mail::dkim::{Key, Signer, sign};
use mainstay_mail::lint::lint;
use mainstay_mail::message::{Address, Letter, Mailbox, Unsubscribe, lines_of, one_line, one_name};
use mainstay_testing::{Scratch, skip};
use serde_json::json;

/// A Python that has dkimpy and PyNaCl: the system's own first, since packages of the system are for it.
fn python() -> Option<&'static str> {
    let found = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let imports = Command::new(python).args(["-c", "import dkim, nacl.signing"]).output();
        imports.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip("dkimpy", "no python3 can import dkim and nacl (packages python3-dkim and python3-nacl)");
    }
    found
}

/// What people and attackers type into names, subjects and texts.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "Ada",
        "Ada Lovelace, Countess of \"Lovelace\" \\",
        "Ada <eve@example.com>",
        "eve@example.com",
        "x\r\nBcc: eve@example.com\r\n\r\nbody",
        "tab\there\u{0}nul\u{7}bell",
        "=?utf-8?Q?forged?= and =?broken",
        "Zoë Ümläut-Straße",
        "Ünï",
        "日本語の名前",
        "שלום עולם",
        "مرحبا بالعالم",
        "\u{202E}gnp.exe\u{202C}",
        "👩‍👩‍👧‍👦 family 🇩🇪",
        "e\u{301}\u{301}\u{301} combining",
        "two  spaces   and more",
        " leading and trailing ",
        "semi;colon:comma,(comment) [x] <y>",
        "--=_0123",
        "a.b.c",
        ".",
        "From here to there",
        "it's \u{2028} a \u{2029} line \u{85} end",
        "\u{feff}bom",
        "100 % = 1/1 _under_score_ ?why?",
        "no-break\u{a0}space",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("word ".repeat(60));
    texts.push("ü".repeat(300));
    texts.push("W".repeat(900));
    texts.push("🎉".repeat(100));
    texts
}

fn bodies() -> Vec<String> {
    let mut texts = hostile();
    texts.extend(
        [
            ".\n..\n.dot\nFrom the start\n>From\n",
            "trailing space \ntab\t\n\n\n\n",
            "a\rb\nc\r\nd",
            "=\n=3D\n==\n=E9",
            "\n.\n",
            "line with no end",
        ]
        .map(str::to_owned),
    );
    texts.push("W".repeat(10_000));
    texts.push("é".repeat(5_000));
    texts.push(". ".repeat(2_000));
    texts
}

fn signers() -> [Signer; 2] {
    let label = ["RSA", "PRIVATE", "KEY"].join(" ");
    let der = STANDARD.encode(include_bytes!("../keys/rsa2048.pkcs1.der"));
    let pem = Secret::new(format!("-----BEGIN {label}-----\n{der}\n-----END {label}-----\n"));
    [
        Signer::new("a.example", "rsa", Key::from_pem(&pem).unwrap()).unwrap(),
        Signer::new("a.example", "new", Key::from_seed(&[7; 32]).unwrap()).unwrap(),
    ]
}

fn write(folder: &Path) -> usize {
    let signers = signers();
    let records: serde_json::Map<_, _> = signers.iter().map(|one| (one.record_name(), json!(one.record()))).collect();
    fs::write(folder.join("dns.json"), serde_json::to_vec(&records).unwrap()).unwrap();
    let (names, bodies) = (hostile(), bodies());
    let count = bodies.len() * 2;
    for number in 0..count {
        let pick = |list: &[String], step: usize| list[(number * step) % list.len()].clone();
        let address = |address| Address::parse("to", address).unwrap();
        let (from, to, subject) = (pick(&names, 1), pick(&names, 7), pick(&names, 3));
        let text = pick(&bodies, 1);
        let html = (number % 2 == 0).then(|| format!("<p>{}</p>", pick(&bodies, 5)));
        let text = if html.is_some() && text.trim().is_empty() { "text".to_owned() } else { text };
        let recipient =
            ["bob@b.example", "\"b..b\"@b.example", "bob@bücher.example", "o'hara+x=y@b.example"][number % 4];
        let letter = Letter {
            from: Mailbox { name: from.clone(), address: address("ada@a.example") },
            to: Mailbox { name: to.clone(), address: address(recipient) },
            reply_to: Some(Mailbox { name: subject.clone(), address: address("r@a.example") }),
            subject: subject.clone(),
            text: text.clone(),
            html: html.clone(),
            message_id: format!("{number}.x@a.example"),
            date: Timestamp::from_millis(1_795_982_400_000),
            in_reply_to: Some("0@a.example".to_owned()),
            references: (0..number).map(|earlier| format!("{earlier}@a.example")).collect(),
            list_unsubscribe: Some(Unsubscribe {
                https: "https://a.example/u/0123456789abcdef".to_owned(),
                mailto: Some("mailto:unsubscribe+0123456789abcdef@a.example".to_owned()),
            }),
            list_id: Some("spring.a.example".to_owned()),
            feedback_id: Some("a:b:c:d".to_owned()),
            auto_submitted: None,
        };
        let written = letter.write().unwrap();
        let signed = sign(&written, &signers, Timestamp::from_millis(1_795_982_400_000)).unwrap();
        assert_eq!(lint(&signed), [], "{}", String::from_utf8_lossy(&signed));
        let wanted = json!({
            "subject": one_line(&subject), "from": "ada@a.example", "to": address(recipient).as_str().replace('"', ""),
            "from_name": one_name(&from), "to_name": one_name(&to), "text": lines_of(&text),
            "html": html.map(|html| lines_of(&html)), "signatures": signers.len(),
        });
        fs::write(folder.join(format!("{number:03}.eml")), signed).unwrap();
        fs::write(folder.join(format!("{number:03}.json")), serde_json::to_vec(&wanted).unwrap()).unwrap();
    }
    count
}

#[test]
fn an_independent_parser_and_verifier_find_nothing_wrong() {
    let scratch = Scratch::new().unwrap();
    let count = write(scratch.path());
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent.py");
    let output = Command::new(python).arg(script).arg(scratch.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!("checked {count} messages")), "{said}");
}
