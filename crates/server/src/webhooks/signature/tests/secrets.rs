use super::*;

#[test]
fn an_empty_list_verifies_nothing() {
    let none = || Secrets::default();
    let body = b"{}";
    let signed = |scheme: Scheme, request: Request| assert_eq!(request.code(&scheme), "signature_mismatch");
    let token = |header: &str, value: &str| Request::new(body).with(header, value);
    signed(Scheme::Vapi(Vapi::SharedSecret { secrets: none() }), token("x-vapi-secret", "x"));
    signed(Scheme::Vapi(Vapi::bearer(none())), token("authorization", "Bearer x"));
    signed(Scheme::Vapi(Vapi::OAuth2 { granted: Vec::new() }), token("authorization", "Bearer x"));
    let hex = "0".repeat(64);
    let hmac = token("x-signature", &hex).with("x-timestamp", "1700000000");
    signed(Scheme::Vapi(Vapi::Hmac(Vapi::hmac(none()))), hmac);
    signed(Scheme::Generic(Hmac::new(name("x-signature"), none())), token("x-signature", &hex));
    let base64 = format!("{}=", "A".repeat(43));
    signed(Scheme::FastSpring(FastSpring { secrets: none() }), token("x-fs-signature", &base64));
    let standard = token("webhook-signature", &format!("v1,{base64}"));
    let standard = standard.with("webhook-id", "msg_1").with("webhook-timestamp", "1700000000");
    signed(Scheme::Standard(Standard::new(none())), standard);
    let twilio = token("x-twilio-signature", &format!("{}=", "A".repeat(27))).with_form().saying(b"a=1");
    signed(Scheme::Twilio(Twilio { secrets: none() }), twilio);
}

#[test]
fn a_secret_has_bounds() {
    let text = |text: &str| Secrets::text(&listed(&[text])).map(|_| ());
    assert_eq!(text("x"), Ok(()));
    assert_eq!(text(""), Err(BadSecret::Empty));
    assert_eq!(text(&"x".repeat(1024)), Ok(()));
    assert_eq!(text(&"x".repeat(1025)), Err(BadSecret::Length { bytes: 1025, least: 1, most: 1024 }));
    assert_eq!(Secrets::text(&listed(&["x"; 10])).map(|_| ()), Ok(()));
    assert_eq!(Secrets::text(&listed(&["x"; 11])).map(|_| ()), Err(BadSecret::TooMany));
    assert_eq!(Secrets::base64(&listed(&["%"])).map(|_| ()), Err(BadSecret::NotBase64));
    assert_eq!(Secrets::base64(&listed(&[""])).map(|_| ()), Err(BadSecret::Empty));
    assert!(Secrets::text(&[]).unwrap().is_empty());
}

#[test]
fn a_secret_of_standard_webhooks_has_24_to_64_bytes() {
    use base64::Engine as _;
    let of = |bytes: usize, prefix: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]);
        Secrets::standard(&listed(&[&format!("{prefix}{text}")])).map(|_| ())
    };
    assert_eq!((of(24, "whsec_"), of(64, "whsec_"), of(32, "")), (Ok(()), Ok(()), Ok(())));
    for bytes in [1, 23, 65] {
        assert_eq!(of(bytes, "whsec_"), Err(BadSecret::Length { bytes, least: 24, most: 64 }));
    }
    assert_eq!(of(0, "whsec_"), Err(BadSecret::Empty));
    assert_eq!(of(32, "whsk_"), Err(BadSecret::NotBase64), "a key of the other kind");
    assert_eq!(of(32, "whsec_whsec_"), Err(BadSecret::NotBase64));
}

#[test]
fn bad_secrets_say_what_to_do_and_never_what_they_are() {
    let told = Secrets::standard(&listed(&["whsec_hunter2"])).unwrap_err();
    assert_eq!(told.code(), "secret_not_base64");
    assert!(!told.detail().contains("hunter2"));
    assert_eq!(format!("{:?}", secrets(&["hunter2"])), "Secrets(1 of ***)");
}
