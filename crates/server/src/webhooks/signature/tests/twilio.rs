//! The vectors of twilio-python, and the traps of its addresses.

use super::*;

const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const FORM: &[u8] =
    b"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
const JSON: &[u8] = br#"{"property": "value", "boolean": true}"#;
const JSON_HASH: &str = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
const JSON_SIGNATURE: &str = "a9nBmqA0ju/hNViExpshrM61xv4=";

fn scheme() -> Scheme {
    Scheme::Twilio(Twilio { secrets: secrets(&["12345"]) })
}

fn form(url: &str, body: &[u8], signature: &str) -> Request {
    Request::new(body).at(url).with_form().with("x-twilio-signature", signature)
}

fn json(url: &str, body: &[u8], signature: &str) -> Request {
    let request = Request::new(body).at(url).with("content-type", "application/json");
    request.with("x-twilio-signature", signature)
}

fn json_url() -> String {
    format!("{URL}&bodySHA256={JSON_HASH}")
}

#[test]
fn the_vectors_are_good() {
    let address = |start: &str| URL.replace("https://mycompany.com", start);
    for (url, signature) in [
        (URL.to_owned(), SIGNATURE),
        (address("https://mycompany.com:443"), "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (address("http://mycompany.com:80"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (address("http://mycompany.com:1234"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ] {
        assert_eq!(form(&url, FORM, signature).code(&scheme()), "good", "{url}");
    }
    let repeated = b"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234";
    assert_eq!(form(URL, repeated, "IK+Dwps556ElfBT0I3Rgjkr1wJU=").code(&scheme()), "good");
    assert_eq!(json(&json_url(), JSON, JSON_SIGNATURE).code(&scheme()), "good");
}

#[test]
fn the_vectors_of_a_callback_are_good() {
    let scheme = Scheme::Twilio(Twilio { secrets: secrets(&["test_auth_token"]) });
    let url = "https://clinic.example.com/webhooks/twilio/status";
    let body = b"SmsSid=SM00000000000000000000000000000001&SmsStatus=delivered&MessageStatus=delivered\
        &To=%2B15005550006&MessageSid=SM00000000000000000000000000000001\
        &AccountSid=AC00000000000000000000000000000001&From=%2B15005550001&ApiVersion=2010-04-01";
    assert_eq!(form(url, body, "teuOtJhJKtXdVoK80Ij3DbLYn2k=").code(&scheme), "good");
    let empty = "Qm8FYqRFjYTTVDGb6C+P9ddFvv0=";
    assert_eq!(form(url, b"A=&B=x", empty).code(&scheme), "good", "an empty value has a name");
    assert_eq!(form(url, b"B=x", empty).code(&scheme), "signature_mismatch");
    assert_eq!(form(url, b"A=&B=x&C=y", empty).code(&scheme), "signature_mismatch");
}

#[test]
fn the_usual_is_refused() {
    refuses_the_usual(&scheme(), &form(URL, FORM, SIGNATURE), "x-twilio-signature");
    refuses_the_usual(&scheme(), &json(&json_url(), JSON, JSON_SIGNATURE), "x-twilio-signature");
    assert_eq!(form(&URL.replace("foo=1", "foo=2"), FORM, SIGNATURE).code(&scheme()), "signature_mismatch");
    assert_eq!(form(&URL.replace("https", "http"), FORM, SIGNATURE).code(&scheme()), "signature_mismatch");
    assert_eq!(form(&format!("{URL}&more=1"), FORM, SIGNATURE).code(&scheme()), "signature_mismatch");
}

#[test]
fn a_default_port_may_be_there_or_not() {
    let with_port = URL.replace(".com/", ".com:443/");
    assert_eq!(form(&with_port, FORM, SIGNATURE).code(&scheme()), "good");
    assert_eq!(form(URL, FORM, "kvajT1Ptam85bY51eRf/AJRuM3w=").code(&scheme()), "good");
    // A port of our own, which Twilio left out when it signed.
    assert_eq!(form(&URL.replace(".com/", ".com:8443/"), FORM, SIGNATURE).code(&scheme()), "good");
    assert_eq!(form(&URL.replace(".com/", ".com:x/"), FORM, SIGNATURE).code(&scheme()), "signature_mismatch");
}

#[test]
fn settings_for_retries_are_not_signed() {
    assert_eq!(form(&format!("{URL}#rc=3&rp=all"), FORM, SIGNATURE).code(&scheme()), "good");
}

#[test]
fn ports_are_found_in_every_address() {
    use super::super::twilio::addresses;
    for (url, without, with) in [
        ("https://h/p", "https://h/p", "https://h:443/p"),
        ("https://h:1/p:2", "https://h/p:2", "https://h:1/p:2"),
        ("http://h?a=b:1", "http://h?a=b:1", "http://h:80?a=b:1"),
        ("wss://h", "wss://h", "wss://h:443"),
        ("https://user:1@h/p", "https://user:1@h/p", "https://user:1@h:443/p"),
        ("https://user:1@h:2/p", "https://user:1@h/p", "https://user:1@h:2/p"),
        ("https://[::1]/p", "https://[::1]/p", "https://[::1]:443/p"),
        ("https://[::1]:2/p", "https://[::1]/p", "https://[::1]:2/p"),
        ("nonsense", "nonsense", "nonsense"),
    ] {
        assert_eq!(addresses(url), [without, with], "{url}");
    }
}

#[test]
fn a_body_that_nothing_signs_is_refused() {
    // The signature of an address alone, as for a GET, is good for no body.
    let bare = "zYQTYrRWXE7LtzbG4PfP7/bkkGo=";
    let with = |request: Request| request.code(&scheme());
    assert_eq!((with(json(URL, b"", bare)), with(form(URL, b"", bare))), ("good", "good"));
    assert_eq!(with(json(URL, JSON, bare)), "signature_malformed");
    assert_eq!(with(form(URL, b"=&=", bare)), "signature_malformed");
    assert_eq!(with(form(URL, b"&", bare)), "signature_malformed");
    assert_eq!(with(form(&json_url(), b"", JSON_SIGNATURE)), "signature_mismatch", "nor as a form without fields");
    assert_eq!(with(form(&json_url(), JSON, JSON_SIGNATURE)), "signature_mismatch");
    assert_eq!(with(json(URL, FORM, SIGNATURE)), "signature_malformed", "a form that says that it is none");
}

#[test]
fn the_hash_of_a_body_is_that_of_these_bytes() {
    let compact = br#"{"property":"value","boolean":true}"#;
    assert_eq!(json(&json_url(), compact, JSON_SIGNATURE).code(&scheme()), "signature_mismatch");
    let twice = format!("{}&bodySHA256={JSON_HASH}", json_url());
    assert_eq!(json(&twice, JSON, JSON_SIGNATURE).code(&scheme()), "signature_malformed");
    assert_eq!(json(&json_url()[..json_url().len() - 2], JSON, JSON_SIGNATURE).code(&scheme()), "signature_malformed");
    let detail = json(&json_url(), compact, JSON_SIGNATURE).verify(&scheme()).unwrap_err().detail();
    assert!(detail.contains("bodySHA256"), "{detail}");
}

#[test]
fn the_secondary_token_is_good_too() {
    let both = Scheme::Twilio(Twilio { secrets: secrets(&["primary", "12345"]) });
    assert_eq!(form(URL, FORM, SIGNATURE).code(&both), "good");
    let gone = Scheme::Twilio(Twilio { secrets: secrets(&["primary"]) });
    assert_eq!(form(URL, FORM, SIGNATURE).code(&gone), "signature_mismatch");
}
