//! Messages of the writer, read by Python's parsers and verified by dkimpy: programs that know nothing of this one.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{Secret, Timestamp};
use mainstay_mail::dkim::{Key, SIGNED, Signer, sign};
use mainstay_mail::lint::lint;
use mainstay_mail::message::{Address, AutoSubmitted, Letter, Mailbox, Unsubscribe, lines_of, one_line, one_name};
use mainstay_testing::python;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_795_982_400_000);
/// Further than any line is long, so that whatever is put behind so many letters meets each place where one is folded.
const LONGEST_LINE: usize = 80;
/// How many letters are drawn at random.
const RANDOM: usize = 250;

/// What people and attackers type into names, subjects and texts.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        " ",
        " \t\r\n ",
        "Ada",
        "Ada Lovelace, Countess of \"Lovelace\" \\",
        "\"Ada\"",
        "\\",
        "a\\\"b\\\\\"c",
        "O'Brien (Sales), Jr.",
        "(((",
        "Ada <eve@example.com>",
        "eve@example.com, mallory@example.com",
        "undisclosed-recipients:;",
        "x\r\nBcc: eve@example.com\r\n\r\nbody",
        "x\nBcc: eve@example.com",
        "x\rBcc: eve@example.com",
        "x\u{b}Bcc: eve@example.com\u{c}y\u{1c}z",
        "tab\there\u{0}nul\u{7}bell",
        "=?utf-8?Q?forged?= and =?broken",
        "=?utf-8?q?a?= =?utf-8?q?b?=",
        "=?us-ascii?B?Qg==?=",
        "?= =?",
        "Zoë Ümläut-Straße",
        "Ünï",
        "日本語の名前",
        "שלום עולם",
        "مرحبا بالعالم",
        "\u{202E}gnp.exe\u{202C}",
        "\u{2066}isolated\u{2069}",
        "👩‍👩‍👧‍👦 family 🇩🇪",
        "e\u{301}\u{301}\u{301} combining",
        "\u{200b}zero\u{200d}width\u{ad}",
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
        "\u{fffd}\u{10ffff}\u{e000}",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend([
        "word ".repeat(60),
        "word ".repeat(200),
        "ü".repeat(300),
        "é x ".repeat(250),
        "W".repeat(1_000),
        "🎉".repeat(250),
        "\"".repeat(1_000),
        "\\ ".repeat(500),
        format!("https://a.example/{}", "x".repeat(900)),
    ]);
    // What takes several bytes, what is quoted and what is encoded meets each place of a line.
    for length in 0..LONGEST_LINE {
        texts.push(format!("{}é🎉日本e\u{301}", "a".repeat(length)));
        texts.push(format!("{} \"b\", c \\ d", "ab ".repeat(length / 3)));
        texts.push(format!("{}=?x é  ü", "a ".repeat(length / 2)));
    }
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
            "\r\n.\r\n",
            "--=_\n--",
            "line with no end",
        ]
        .map(str::to_owned),
    );
    texts.extend([
        "W".repeat(10_000),
        "é".repeat(5_000),
        ". ".repeat(2_000),
        " ".repeat(2_000),
        format!("{}\n", "From ".repeat(300)),
        format!("see https://a.example/?{}", "a=%20&".repeat(400)),
    ]);
    texts.extend((0..LONGEST_LINE).map(|length| format!("{}. From é\n.\n", "a".repeat(length))));
    texts
}

/// Addresses, with the local part and the domain that they are.
fn addresses() -> Vec<(String, String, String)> {
    let mut list: Vec<(String, String, String)> = [
        ("bob@b.example", "bob", "b.example"),
        ("\"b..b\"@b.example", "b..b", "b.example"),
        (".b.@b.example", ".b.", "b.example"),
        ("\"a@b\"@b.example", "a@b", "b.example"),
        ("\"a\\\"b\"@b.example", "a\"b", "b.example"),
        ("\"a\\\\b\"@b.example", "a\\b", "b.example"),
        ("\"<a>,;:()[]\"@b.example", "<a>,;:()[]", "b.example"),
        ("o'hara+x=y@b.example", "o'hara+x=y", "b.example"),
        ("!#$%&'*+-/=?^_`{|}~@b.example", "!#$%&'*+-/=?^_`{|}~", "b.example"),
        ("=?x@b.example", "=?x", "b.example"),
        ("bob@bücher.example", "bob", "xn--bcher-kva.example"),
        ("bob@例え.テスト", "bob", "xn--r8jz45g.xn--zckzah"),
        ("Bob@B.EXAMPLE", "Bob", "b.example"),
        ("b@localhost", "b", "localhost"),
    ]
    .map(|(address, local, domain)| (address.to_owned(), local.to_owned(), domain.to_owned()))
    .to_vec();
    let (local, label) = ("l".repeat(64), "d".repeat(63));
    // 64 and an @, and 189 for the domain: 254, the longest that fits a path.
    let domain = format!("{label}.{label}.{}", "e".repeat(61));
    assert_eq!(local.len() + 1 + domain.len(), 254);
    list.push((format!("{local}@{domain}"), local.clone(), domain));
    list.push((format!("\"{}..\"@b.example", "q".repeat(62)), format!("{}..", "q".repeat(62)), "b.example".to_owned()));
    list
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

/// What a letter is made of, as a campaign has it: names and texts that anybody typed, and whom it goes to.
#[derive(Clone, Debug)]
struct Typed {
    from: String,
    to: String,
    reply_to: Option<String>,
    subject: String,
    text: String,
    html: Option<String>,
    address: (String, String, String),
    /// How many were sent before.
    earlier: usize,
    /// How long the links and identifiers are made.
    long: bool,
}

impl Typed {
    fn letter(&self, number: usize) -> Letter {
        let address = |address: &str| Address::parse("to", address).unwrap();
        let fill = if self.long { "i".repeat(200) } else { String::new() };
        let id = |number: usize| format!("{number}.x{fill}@a.example");
        let link = if self.long { "u".repeat(860) } else { "0123456789abcdef".to_owned() };
        Letter {
            from: Mailbox { name: self.from.clone(), address: address("ada@a.example") },
            to: Mailbox { name: self.to.clone(), address: address(&self.address.0) },
            reply_to: self.reply_to.clone().map(|name| Mailbox { name, address: address("r@a.example") }),
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            message_id: id(number + 1_000),
            date: NOW,
            in_reply_to: (self.earlier > 0).then(|| id(self.earlier - 1)),
            references: (0..self.earlier).map(id).collect(),
            list_unsubscribe: Some(Unsubscribe {
                https: format!("https://a.example/u/{link}"),
                mailto: self.long.then(|| format!("mailto:unsubscribe+{link}@a.example")),
            }),
            list_id: Some("0198c0de-0000-7000-8000-000000000000.a.example".to_owned()),
            feedback_id: self.long.then(|| "a:b:c:d".to_owned()),
            auto_submitted: self.long.then_some(AutoSubmitted::Generated),
        }
    }

    /// What it must read as.
    fn wanted(&self, letter: &Letter, thorough: bool) -> Value {
        let bracketed = |id: &String| format!("<{id}>");
        let ids = &letter.references;
        let kept = ids.iter().enumerate().filter(|(place, _)| *place == 0 || ids.len() - place < 20);
        let kept: Vec<String> = kept.map(|(_, id)| bracketed(id)).collect();
        let unsubscribe = letter.list_unsubscribe.as_ref().unwrap();
        let mut links = bracketed(&unsubscribe.https);
        if let Some(mailto) = &unsubscribe.mailto {
            write!(links, ", <{mailto}>").unwrap();
        }
        let optional = [
            ("In-Reply-To", letter.in_reply_to.as_ref().map(bracketed)),
            ("References", (!kept.is_empty()).then(|| kept.join(" "))),
            ("List-Id", letter.list_id.as_ref().map(bracketed)),
            ("List-Unsubscribe", Some(links)),
            ("List-Unsubscribe-Post", Some("List-Unsubscribe=One-Click".to_owned())),
            ("Feedback-ID", letter.feedback_id.clone()),
            ("Auto-Submitted", letter.auto_submitted.map(|_| "auto-generated".to_owned())),
        ];
        let mut headers = serde_json::Map::new();
        headers.insert("Message-ID".to_owned(), json!(bracketed(&letter.message_id)));
        headers.insert("Date".to_owned(), json!("Sun, 29 Nov 2026 20:00:00 +0000"));
        headers.insert("MIME-Version".to_owned(), json!("1.0"));
        let mut order = vec!["From", "To"];
        order.extend(letter.reply_to.as_ref().map(|_| "Reply-To"));
        order.extend(["Subject", "Date", "Message-ID"]);
        for (name, value) in optional {
            let Some(value) = value else { continue };
            headers.insert(name.to_owned(), json!(value));
            order.push(name);
        }
        order.extend(["MIME-Version", "Content-Type"]);
        if letter.html.is_none() {
            order.push("Content-Transfer-Encoding");
        }
        let signed: Vec<_> = SIGNED.into_iter().filter(|name| order.contains(name)).collect();
        let (_, local, domain) = &self.address;
        json!({
            "subject": one_line(&self.subject), "headers": headers, "order": order, "signed": signed, "thorough": thorough,
            "From": [one_name(&self.from), "ada", "a.example"], "To": [one_name(&self.to), local, domain],
            "Reply-To": self.reply_to.as_ref().map(|name| json!([one_name(name), "r", "a.example"])),
            "text": lines_of(&self.text), "html": self.html.as_ref().map(|html| lines_of(html)), "signatures": 2,
        })
    }
}

/// Each of the hostile texts in each place.
fn corpus() -> Vec<Typed> {
    let (names, bodies, addresses) = (hostile(), bodies(), addresses());
    (0..bodies.len())
        .map(|number| {
            let pick = |list: &[String], step: usize, from: usize| list[(number * step + from) % list.len()].clone();
            let short = |text: String| text.chars().take(1_000).collect::<String>();
            let text = pick(&bodies, 1, 0);
            let html = (number % 2 == 0).then(|| format!("<p>{}</p>", pick(&bodies, 5, 3)));
            Typed {
                from: short(pick(&names, 1, 0)),
                to: short(pick(&names, 1, 11)),
                reply_to: (number % 3 > 0).then(|| short(pick(&names, 1, 23))),
                subject: pick(&names, 1, 37),
                // A text of nothing would be taken from the HTML.
                text: if html.is_some() && text.trim().is_empty() { "text".to_owned() } else { text },
                html,
                address: addresses[number % addresses.len()].clone(),
                earlier: [0, 1, 3, 30][number % 4],
                long: number % 5 == 0,
            }
        })
        .collect()
}

/// Letters of pieces that were put together by chance.
fn random() -> Vec<Typed> {
    let piece = prop_oneof![
        4 => "[a-zA-Z ,.!?'\"<>@()\\\\;:=_-]{0,12}",
        2 => any::<String>().prop_map(|text| text.chars().take(12).collect()),
        1 => "[\\x00-\\x1f\\x7f-\\u{9f}\\u{2028}\\u{2029}]{1,3}",
        2 => prop::sample::select(hostile()).prop_map(|text| text.chars().take(90).collect()),
        1 => prop::sample::select(vec!["\r\n", "\n.\n", "\nFrom ", "=?utf-8?Q?x?=", "?=", "  ", "=3D", "=\r\n", "--=_"])
            .prop_map(str::to_owned),
    ];
    let text = prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat().chars().take(1_000).collect());
    let text: BoxedStrategy<String> = text.boxed();
    let all = (
        (text.clone(), text.clone(), prop::option::of(text.clone())),
        (text.clone(), text.clone(), prop::option::of(text)),
        prop::sample::select(addresses()),
        0_usize..25,
        any::<bool>(),
    );
    let letters = all.prop_map(|((from, to, reply_to), (subject, text, html), address, earlier, long)| {
        let text = if html.is_some() && text.trim().is_empty() { format!("text{text}") } else { text };
        Typed { from, to, reply_to, subject, text, html, address, earlier, long }
    });
    let mut runner = TestRunner::new(Config::default());
    (0..RANDOM).map(|_| letters.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn an_independent_parser_and_verifier_find_nothing_wrong() {
    let signers = signers();
    let records: serde_json::Map<_, _> = signers.iter().map(|one| (one.record_name(), json!(one.record()))).collect();
    let letters: Vec<Typed> = corpus().into_iter().chain(random()).collect();
    let mut input = format!("{}\n", json!(records));
    for (number, typed) in letters.iter().enumerate() {
        let letter = typed.letter(number);
        let signed = sign(&letter.write().unwrap(), &signers, NOW).unwrap();
        assert_eq!(lint(&signed), [], "{typed:?}\n{}", String::from_utf8_lossy(&signed));
        let wanted = typed.wanted(&letter, number % 8 == 0);
        writeln!(input, "{}", json!({"name": number, "raw": STANDARD.encode(&signed), "wanted": wanted})).unwrap();
    }
    let Some(python) = python(&["dkim", "nacl.signing"], "python3, python3-dkim and python3-nacl") else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/independent.py");
    let mut reader = Command::new(python);
    let mut reader = reader.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = reader.stdin.take().unwrap();
    // It answers while it is still being told: whoever waited to be done with the telling would wait for ever.
    let telling = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let (mut answered, mut alterations, mut wrong) = (0, 0, String::new());
    for line in BufReader::new(reader.stdout.take().unwrap()).lines() {
        let answer: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(answer["name"], answered, "each in its order");
        alterations += answer["alterations"].as_u64().unwrap();
        for what in answer["wrong"].as_array().unwrap() {
            writeln!(wrong, "{}: {}\n  of {:?}", answered, what.as_str().unwrap(), letters[answered]).unwrap();
        }
        answered += 1;
    }
    telling.join().unwrap().unwrap();
    assert!(reader.wait().unwrap().success());
    assert_eq!(wrong, "");
    assert_eq!(answered, letters.len());
    // Five at least of each, by two signatures.
    assert!(alterations >= 10 * u64::try_from(answered).unwrap(), "{alterations}");
}

/// What cannot be an address of mail today, or would be another one with a character replaced, is refused and not mended.
#[test]
fn an_address_that_cannot_be_sent_to_is_refused() {
    let long = format!("{}@b.example", "l".repeat(65));
    let refused = [
        ("пример@b.example", "not_ascii"),
        ("\"б\"@b.example", "not_ascii"),
        ("a b@b.example", "invalid_email"),
        ("\"a b\"@b.example", "invalid_email"),
        ("a\r\nBcc: eve@b.example", "invalid_email"),
        ("a@b.example\r\nBcc: eve@e.example", "invalid_email"),
        ("a\0@b.example", "invalid_email"),
        ("a@b.example>\r\n", "invalid_email"),
        (&long, "invalid_email"),
        // Readers decode it, although they must not: it would be shown, and answered, as another address.
        ("=?utf-8?q?eve?=@b.example", "invalid_email"),
        (" \t ", "missing"),
    ];
    for (address, code) in refused {
        let refusal = Address::parse("to", address).expect_err(address);
        assert_eq!((refusal.field.as_str(), refusal.code), ("to", code), "{address:?}");
    }
}
