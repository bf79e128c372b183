use super::*;

const BODY: &[u8] = br#"{"events":[{"id":"evt_1","live":false,"processed":false,"type":"subscription.activated","created":1700000000000,"data":{"subscription":"sub_1"}}]}"#;
const SIGNATURE: &str = "yxCVWBtBt4kk9hBUz6Hhzuii+T/qL0BuyukGESHSK58=";

fn scheme(texts: &[&str]) -> Scheme {
    Scheme::FastSpring(FastSpring { secrets: secrets(texts) })
}

fn good() -> Request {
    Request::new(BODY).with("X-FS-Signature", SIGNATURE)
}

#[test]
fn the_vector_is_good() {
    assert_eq!(BODY.len(), 146);
    assert_eq!(good().code(&scheme(&["fs-test-secret"])), "good");
    assert_eq!(good().later(86_400_000).code(&scheme(&["fs-test-secret"])), "good", "no moment is signed");
}

#[test]
fn the_usual_is_refused() {
    refuses_the_usual(&scheme(&["fs-test-secret"]), &good(), "x-fs-signature");
    let spaced = good().saying(&[BODY, b"\n"].concat());
    assert_eq!(spaced.code(&scheme(&["fs-test-secret"])), "signature_mismatch");
    let capital = good().with("x-fs-signature", &SIGNATURE.to_uppercase());
    assert_eq!(capital.code(&scheme(&["fs-test-secret"])), "signature_mismatch");
}

#[test]
fn several_secrets_are_good_while_one_is_replaced() {
    assert_eq!(good().code(&scheme(&["new", "fs-test-secret"])), "good");
    assert_eq!(good().code(&scheme(&["new"])), "signature_mismatch");
}
