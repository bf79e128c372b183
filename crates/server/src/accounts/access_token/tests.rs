use mainstay_domain::Entropy;
use uuid::Uuid;

use super::*;
use crate::accounts::refresh_token::RefreshTokens;
use crate::outside::SystemEntropy;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

fn key() -> SigningKey {
    SigningKey::from_hex(&SigningKey::generate(&SystemEntropy)).unwrap()
}

fn claims() -> Claims {
    Claims {
        person: PersonId(Uuid::from_u128(1)),
        tenant: TenantId(Uuid::from_u128(2)),
        role: Role::Admin,
        session: SessionId(Uuid::from_u128(3)),
        as_of: 41,
        issued_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(900)),
    }
}

/// A token of any header and payload, signed with the right key: what only a fault of ours could make.
fn signed(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let mac = hmac::sign(&key.derive(Purpose::AccessToken), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
}

fn payload() -> serde_json::Value {
    let id = |number| Uuid::from_u128(number).to_string();
    serde_json::json!({
        "iss": "mainstay", "aud": "mainstay", "sub": id(1), "org": id(2), "role": "admin", "sid": id(3),
        "rev": 41, "iat": 1_800_000_000.123, "exp": 1_800_000_900,
    })
}

#[test]
fn verifies_what_it_mints() {
    let tokens = AccessTokens::new(&key());
    let token = tokens.mint(&claims());
    assert!(tokens.looks_like(token.expose()));
    assert_eq!(tokens.verify(token.expose(), NOW), Ok(claims()));
    assert!(token.expose().len() < 512, "it has {} bytes", token.expose().len());
}

#[test]
fn times_survive_to_the_millisecond() {
    let tokens = AccessTokens::new(&key());
    for millis in (0..2000).chain(1_799_999_999_000..1_800_000_001_000).chain(253_402_300_700_000..253_402_300_700_100)
    {
        let issued_at = Timestamp::from_millis(millis);
        assert_eq!(moment(numeric_date(issued_at)), Some(issued_at));
    }
    let exact = Claims { issued_at: Timestamp::from_millis(1_799_999_999_999), ..claims() };
    assert_eq!(tokens.verify(tokens.mint(&exact).expose(), NOW), Ok(exact));
}

#[test]
fn the_header_is_the_one_that_the_form_demands() {
    let tokens = AccessTokens::new(&key());
    let token = tokens.mint(&claims());
    let header = URL_SAFE_NO_PAD.decode(token.expose().split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, serde_json::json!({"alg": "HS256", "kid": "mainstay", "typ": "at+jwt"}));
}

#[test]
fn time_is_checked_with_five_seconds_of_leeway() {
    let tokens = AccessTokens::new(&key());
    let token = tokens.mint(&claims());
    let at = |moment: Timestamp| tokens.verify(token.expose(), moment).map(|_| ());
    let (start, end) = (NOW, NOW.plus(Duration::from_secs(900)));
    assert_eq!(at(start.minus(LEEWAY)), Ok(()));
    assert_eq!(at(start.minus(LEEWAY).minus(Duration::from_millis(1))), Err(TokenFault::NotYetValid));
    assert_eq!(at(end.plus(LEEWAY).minus(Duration::from_millis(1))), Ok(()));
    assert_eq!(at(end.plus(LEEWAY)), Err(TokenFault::Expired));
}

#[test]
fn unknown_claims_are_ignored_and_known_ones_are_not_repeated() {
    let key = key();
    let tokens = AccessTokens::new(&key);
    let mut with_more = payload();
    with_more["scope"] = "everything".into();
    let token = signed(&key, HEADER, with_more.to_string().as_bytes());
    assert_eq!(
        tokens.verify(&token, NOW),
        Ok(Claims { expires_at: Timestamp::from_millis(1_800_000_900_000), ..claims() })
    );
    for (name, value) in
        [("sub", "\"00000000-0000-0000-0000-000000000009\""), ("exp", "9999999999"), ("role", "\"owner\"")]
    {
        let text = payload().to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        assert_eq!(tokens.verify(&signed(&key, HEADER, text.as_bytes()), NOW), Err(TokenFault::Claims), "{name} twice");
    }
}

/// Every payload here carries a good signature; only its claims are wrong.
#[test]
fn wrong_claims_are_refused() {
    let key = key();
    let tokens = AccessTokens::new(&key);
    let cases: &[(&str, Option<serde_json::Value>, TokenFault)] = &[
        ("iss", None, TokenFault::Claims),
        ("iss", Some("mainstay.example".into()), TokenFault::Issuer),
        ("iss", Some(serde_json::json!(["mainstay"])), TokenFault::Claims),
        ("aud", None, TokenFault::Claims),
        ("aud", Some("somebody".into()), TokenFault::Audience),
        ("aud", Some(serde_json::json!(["mainstay"])), TokenFault::Claims),
        ("sub", None, TokenFault::Claims),
        ("sub", Some("".into()), TokenFault::Claims),
        ("sub", Some("' or 1=1 --".into()), TokenFault::Claims),
        ("org", None, TokenFault::Claims),
        ("sid", None, TokenFault::Claims),
        ("role", None, TokenFault::Claims),
        ("role", Some("operator".into()), TokenFault::Claims),
        ("exp", None, TokenFault::Claims),
        ("exp", Some("1800000900".into()), TokenFault::Claims),
        ("exp", Some(serde_json::Value::Null), TokenFault::Claims),
        ("exp", Some((-1).into()), TokenFault::Claims),
        ("exp", Some(1e300.into()), TokenFault::Claims),
        ("exp", Some(1_799_999_000.into()), TokenFault::Expired),
        ("rev", None, TokenFault::Claims),
        ("rev", Some("41".into()), TokenFault::Claims),
        ("iat", None, TokenFault::Claims),
        ("iat", Some(1_800_000_060.into()), TokenFault::NotYetValid),
    ];
    for (name, value, fault) in cases {
        let mut wrong = payload();
        match value {
            Some(value) => wrong[*name] = value.clone(),
            None => drop(wrong.as_object_mut().unwrap().remove(*name)),
        }
        let token = signed(&key, HEADER, wrong.to_string().as_bytes());
        assert_eq!(tokens.verify(&token, NOW), Err(*fault), "{name} = {value:?}");
    }
    for text in ["", "null", "[]", "\"text\"", "{", "{}", &format!("{}x", payload()), "\u{0}"] {
        assert_eq!(tokens.verify(&signed(&key, HEADER, text.as_bytes()), NOW), Err(TokenFault::Claims), "{text:?}");
    }
}

/// Headers of every kind that a forger tries, each with a signature that is good for them: the header alone refuses.
#[test]
fn every_other_header_is_refused() {
    let key = key();
    let tokens = AccessTokens::new(&key);
    let mut headers: Vec<String> =
        ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "", "hs256"]
            .iter()
            .map(|alg| format!(r#"{{"alg":"{alg}","kid":"mainstay","typ":"at+jwt"}}"#))
            .collect();
    for kid in ["../../../../dev/null", "' union select 'key' --", "mainstay2", "", "/etc/hostname"] {
        headers.push(format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"at+jwt"}}"#));
    }
    for parameter in [
        r#""jku":"https://evil.test/keys""#,
        r#""jwk":{"kty":"oct","k":"AAAA"}"#,
        r#""x5u":"https://evil.test/cert""#,
        r#""x5c":["AAAA"]"#,
        r#""crit":["exp"]"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
    ] {
        headers.push(format!(r#"{{"alg":"HS256","kid":"mainstay","typ":"at+jwt",{parameter}}}"#));
    }
    headers.extend(
        [
            r#"{"alg":"HS256","typ":"at+jwt"}"#,
            r#"{"alg":"HS256","kid":"mainstay"}"#,
            r#"{"alg":"HS256","kid":"mainstay","typ":"JWT"}"#,
            r#"{"kid":"mainstay","typ":"at+jwt"}"#,
            r#"{"alg":"HS256","alg":"none","kid":"mainstay","typ":"at+jwt"}"#,
            r#"{"typ":"at+jwt","alg":"HS256","kid":"mainstay"}"#,
            r#" {"alg":"HS256","kid":"mainstay","typ":"at+jwt"}"#,
            "{}",
            "",
        ]
        .map(str::to_owned),
    );
    for header in headers {
        let token = signed(&key, header.as_bytes(), payload().to_string().as_bytes());
        assert_eq!(tokens.verify(&token, NOW), Err(TokenFault::Header), "{header}");
    }
}

#[test]
fn every_other_text_is_refused() {
    let key = key();
    let tokens = AccessTokens::new(&key);
    let token = tokens.mint(&claims());
    let good = token.expose();
    let parts: Vec<&str> = good.split('.').collect();
    let [header, body, signature] = parts[..] else { panic!("a token has three parts") };
    let mut random = [0; 32];
    SystemEntropy.fill(&mut random);
    let foreign = AccessTokens::new(&self::key()).mint(&claims());
    let refresh = RefreshTokens::new(&key).mint(claims().session, 1);
    let with_refresh_key = {
        let mac = hmac::sign(&key.derive(Purpose::RefreshToken), format!("{header}.{body}").as_bytes());
        format!("{header}.{body}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
    };
    let cases: Vec<(&str, String)> = vec![
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("without a signature", format!("{header}.{body}")),
        ("an empty signature", format!("{header}.{body}.")),
        ("an empty payload", format!("{header}..{signature}")),
        ("an empty header", format!(".{body}.{signature}")),
        ("a further segment", format!("{good}.{signature}")),
        ("five segments", format!("{header}.{body}.{body}.{body}.{signature}")),
        ("a random signature", format!("{header}.{body}.{}", URL_SAFE_NO_PAD.encode(random))),
        ("a signature of zeros", format!("{header}.{body}.{}", URL_SAFE_NO_PAD.encode([0; 32]))),
        ("half a signature", format!("{header}.{body}.{}", &signature[..22])),
        ("a padded signature", format!("{good}=")),
        ("white space before", format!(" {good}")),
        ("white space after", format!("{good}\n")),
        ("white space within", format!("{header}. {body}.{signature}")),
        ("the scheme before", format!("Bearer {good}")),
        ("a payload that is no base64", format!("{header}.{body}!.{signature}")),
        ("the standard alphabet", format!("{header}.++//.{signature}")),
        ("bytes beyond ASCII", format!("{header}.{body}é.{signature}")),
        ("another installation", foreign.expose().to_owned()),
        ("a refresh token", refresh.expose().to_owned()),
        ("the key of refresh tokens", with_refresh_key),
        ("a long signature", format!("{header}.{body}.{}", "A".repeat(1000))),
    ];
    for (what, text) in &cases {
        assert!(tokens.verify(text, NOW).is_err(), "{what} was taken");
    }
    assert_eq!(
        tokens.verify(&format!("{header}.{}.{signature}", "A".repeat(MOST_BYTES)), NOW),
        Err(TokenFault::TooLong)
    );
    for end in 0..good.len() {
        assert!(tokens.verify(&good[..end], NOW).is_err(), "the first {end} bytes were taken");
    }
    assert!(RefreshTokens::new(&key).read(good).is_err());
}

#[test]
fn a_payload_that_is_not_text_is_refused() {
    let key = key();
    let tokens = AccessTokens::new(&key);
    for bytes in [&b"\xff\xfe{}"[..], b"{\"iss\":\"\xc3\x28\"}", &[0; 64]] {
        assert_eq!(tokens.verify(&signed(&key, HEADER, bytes), NOW), Err(TokenFault::Claims));
    }
    // The longest payload that passes the bound is read without harm.
    let start = URL_SAFE_NO_PAD.encode(HEADER).len() + 2 + SIGNATURE_CHARACTERS;
    let padding = (MOST_BYTES - start) / 4 * 3 - payload().to_string().len() - 9;
    let long = payload().to_string().replacen('{', &format!("{{\"x\":\"{}\",", "y".repeat(padding)), 1);
    let token = signed(&key, HEADER, long.as_bytes());
    assert!(token.len() <= MOST_BYTES && token.len() > MOST_BYTES - 8, "it has {} bytes", token.len());
    assert!(tokens.verify(&token, NOW).is_ok());
}

#[test]
fn every_changed_character_is_refused() {
    let tokens = AccessTokens::new(&key());
    let token = tokens.mint(&claims());
    let good = token.expose();
    for at in 0..good.len() {
        for other in ['A', 'B', 'x', '9', '-', '_', '.'] {
            let mut changed = good.to_owned();
            changed.replace_range(at..=at, &other.to_string());
            assert!(changed == good || tokens.verify(&changed, NOW).is_err(), "{other} at {at} was taken");
        }
    }
}
