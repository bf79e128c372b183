use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn reads_fields_in_their_order() {
    let read = fields(b"To=%2B15005550006&Body=caf%C3%A9+%26+more&Empty=&Bare&To=2&Sum=1=2").unwrap();
    let expected =
        [("To", "+15005550006"), ("Body", "café & more"), ("Empty", ""), ("Bare", ""), ("To", "2"), ("Sum", "1=2")];
    assert_eq!(read, owned(&expected));
    assert_eq!(fields(b""), Ok(Vec::new()));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for bad in ["=", "=1", "a=1&", "&a=1", "a=1&&b=2", "a=%", "a=%2", "a=%zz", "a=%+1", "a=%FF", "%C3=1"] {
        assert!(fields(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(fields(b"a=\xFF").is_err());
    let many = |count: usize| vec!["a"; count].join("&").into_bytes();
    assert!(fields(&many(MOST_FIELDS)).is_ok());
    assert!(fields(&many(MOST_FIELDS + 1)).is_err());
}

#[test]
fn a_form_says_so_once() {
    let mut headers = HeaderMap::new();
    assert!(!is_form(&headers));
    for (kind, form) in [
        ("application/x-www-form-urlencoded", true),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", true),
        ("application/x-www-form-urlencoded-not", false),
        ("application/json", false),
    ] {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        assert_eq!(is_form(&headers), form, "{kind}");
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    assert!(!is_form(&headers));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = fields(&body);
    }

    #[test]
    fn reads_what_was_written(written in prop::collection::vec((".{1,8}", ".{0,8}"), 0..6)) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&written).finish();
        prop_assert_eq!(fields(body.as_bytes()).unwrap(), written);
    }
}
