//! Tokens that nobody should take.

use super::*;

/// Two issuers that both publish a key of the same name, and one more key each.
struct Scene {
    issuers: Issuers,
    first: Signer,
    second: Signer,
    _fakes: [FakeIssuer; 2],
}

async fn scene() -> Scene {
    let (first, second) = (Signer::p256(), Signer::p256());
    let here = FakeIssuer::start(Answer::Keys(vec![first.jwk("k"), rsa_jwk()], "")).await;
    let there = FakeIssuer::start(Answer::Keys(vec![second.jwk("k"), Signer::ed25519().jwk("ed")], "")).await;
    let issuers = issuers(vec![
        issuer(ISSUER, &here.url(), &["ES256", "RS256"]),
        issuer(OTHER, &there.url(), &["ES256", "EdDSA"]),
    ]);
    Scene { issuers, first, second, _fakes: [here, there] }
}

impl Scene {
    async fn refuses(&self, what: &str, token: &str, fault: TokenFault) {
        assert_eq!(self.issuers.verify(token, soon()).await, Err(fault), "{what}");
    }
}

fn unsigned(header: &str, claims: &Value, signature: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()), encode(signature))
}

fn signed_with_secret(header: &str, claims: &Value, secret: &[u8]) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encode(header), encode(&claims.to_string()));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
}

#[tokio::test]
async fn no_algorithm_but_the_pinned_ones() {
    let scene = scene().await;
    for alg in
        ["none", "None", "NONE", "nOnE", "", " none", "HS256", "HS384", "HS512", "PS256", "ES512", "es256", "ES256K"]
    {
        for signature in [&b""[..], b"x", &[0; 64]] {
            let token = unsigned(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#), &claims(), signature);
            let fault = if signature.is_empty() { TokenFault::Malformed } else { TokenFault::Header };
            scene.refuses(alg, &token, fault).await;
        }
    }
    for header in
        [r#"{"kid":"k"}"#, r#"{"alg":null,"kid":"k"}"#, r#"{"alg":["ES256"],"kid":"k"}"#, "{}", "null", "[]", ""]
    {
        let fault = if header.is_empty() { TokenFault::Malformed } else { TokenFault::Header };
        scene.refuses(header, &scene.first.token_of_text(header, &claims().to_string()), fault).await;
    }
    // Pinned for the other issuer only, and signed well.
    let ed = Signer::ed25519();
    scene.refuses("EdDSA", &ed.token(&header(&ed, "k"), &claims()), TokenFault::Header).await;
    // Pinned, but the key of that name is of another kind.
    scene
        .refuses(
            "RS256 by an EC key",
            &unsigned(r#"{"alg":"RS256","kid":"k"}"#, &claims(), &[1; 256]),
            TokenFault::Header,
        )
        .await;
    scene
        .refuses(
            "ES256 by an RSA key",
            &unsigned(r#"{"alg":"ES256","kid":"rsa"}"#, &claims(), &[1; 64]),
            TokenFault::Header,
        )
        .await;
    let longer = scene.first.token(&json!({"alg": "RS256", "kid": "k"}), &claims());
    scene.refuses("an EC signature as RS256", &longer, TokenFault::Header).await;
}

/// The public key is known to everybody: it must not be taken for a secret, in whatever form it was published.
#[tokio::test]
async fn no_public_key_is_a_secret() {
    let scene = scene().await;
    let modulus = rsa_fixture::bytes(rsa_fixture::MODULUS);
    // SubjectPublicKeyInfo of a key of 2048 bits: all but the modulus is the same for each.
    let mut der = rsa_fixture::bytes("30820122300d06092a864886f70d01010105000382010f003082010a0282010100");
    der.extend_from_slice(&modulus);
    der.extend_from_slice(&[0x02, 0x03, 0x01, 0x00, 0x01]);
    let armour = |text: &str| ["-----", text, " PUBLIC KEY-----\n"].concat();
    let lines: Vec<String> = base64::engine::general_purpose::STANDARD
        .encode(&der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8(line.to_vec()).unwrap() + "\n")
        .collect();
    let pem = armour("BEGIN") + &lines.concat() + &armour("END");
    let jwk = rsa_jwk();
    let secrets: [&[u8]; 8] = [
        pem.as_bytes(),
        pem.trim().as_bytes(),
        &der,
        &modulus,
        jwk["n"].as_str().unwrap().as_bytes(),
        &serde_json::to_vec(&jwk).unwrap(),
        &serde_json::to_vec(&json!({"keys": [scene.first.jwk("k"), jwk]})).unwrap(),
        b"",
    ];
    for secret in secrets {
        for alg in ["HS256", "RS256"] {
            let token = signed_with_secret(&format!(r#"{{"alg":"{alg}","kid":"rsa","typ":"JWT"}}"#), &claims(), secret);
            let fault = if alg == "HS256" { TokenFault::Header } else { TokenFault::Signature };
            scene.refuses(alg, &token, fault).await;
        }
    }
}

#[tokio::test]
async fn no_key_but_those_that_are_published() {
    let scene = scene().await;
    let mine = Signer::p256();
    for kid in [
        "../../../../dev/null",
        "/etc/hostname",
        "' union select 'x' --",
        "K",
        "k ",
        "k\u{0}",
        "",
        "http://evil.test/key",
        "ed",
        &"k".repeat(4000),
    ] {
        let token = mine.token(&json!({"alg": "ES256", "kid": kid}), &claims());
        scene.refuses(kid, &token, TokenFault::UnknownKey).await;
    }
    scene.refuses("no kid", &mine.token(&json!({"alg": "ES256"}), &claims()), TokenFault::UnknownKey).await;
    scene
        .refuses("kid null", &mine.token(&json!({"alg": "ES256", "kid": null}), &claims()), TokenFault::UnknownKey)
        .await;
    for kid in [json!(7), json!(["k"]), json!({"k": 1})] {
        scene
            .refuses(
                "kid of a type",
                &scene.first.token(&json!({"alg": "ES256", "kid": kid}), &claims()),
                TokenFault::Header,
            )
            .await;
    }
    scene.refuses("my key", &mine.token(&header(&mine, "k"), &claims()), TokenFault::Signature).await;
    // The header brings a key, or says where to get one; the signature is good by the key of the issuer all the same.
    let jwk = mine.jwk("k");
    for (name, value) in [
        ("jku", json!("https://issuer.test/jwks")),
        ("jku", Value::Null),
        ("jwk", jwk.clone()),
        ("jwk", Value::Null),
        ("x5u", json!("https://evil.test/cert")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("")),
        ("typ", json!(1)),
    ] {
        for signer in [&scene.first, &mine] {
            let mut header = header(signer, "k");
            header[name] = value.clone();
            scene.refuses(name, &signer.token(&header, &claims()), TokenFault::Header).await;
        }
    }
    let twice = scene.first.token_of_text(r#"{"alg":"ES256","kid":"rsa","kid":"k"}"#, &claims().to_string());
    scene.refuses("kid twice", &twice, TokenFault::Header).await;
    let twice = scene.first.token_of_text(r#"{"alg":"none","alg":"ES256","kid":"k"}"#, &claims().to_string());
    scene.refuses("alg twice", &twice, TokenFault::Header).await;
}

#[tokio::test]
async fn no_claims_but_good_ones() {
    let scene = scene().await;
    for (changes, fault) in [
        (json!({"exp": NOW - 3600}), TokenFault::Expired),
        (json!({"exp": null}), TokenFault::Claims),
        (json!({"exp": "never"}), TokenFault::Claims),
        (json!({"exp": (NOW + 900).to_string()}), TokenFault::Claims),
        (json!({"exp": -1}), TokenFault::Claims),
        (json!({"exp": 1e300}), TokenFault::Claims),
        (json!({"iat": null}), TokenFault::Claims),
        (json!({"iat": NOW + 3600}), TokenFault::NotYetValid),
        (json!({"nbf": NOW + 3600}), TokenFault::NotYetValid),
        (json!({"nbf": "soon"}), TokenFault::Claims),
        (json!({"aud": "somebody"}), TokenFault::Audience),
        (json!({"aud": ""}), TokenFault::Audience),
        (json!({"aud": "mainstay "}), TokenFault::Audience),
        (json!({"aud": "mainstay,other"}), TokenFault::Audience),
        (json!({"aud": ["a", "b"]}), TokenFault::Audience),
        (json!({"aud": []}), TokenFault::Audience),
        (json!({"aud": [["mainstay"]]}), TokenFault::Claims),
        (json!({"aud": {"mainstay": true}}), TokenFault::Claims),
        (json!({"aud": null}), TokenFault::Claims),
        (json!({"iss": "https://issuer.test"}), TokenFault::Issuer),
        (json!({"iss": "https://ISSUER.test/"}), TokenFault::Issuer),
        (json!({"iss": "https://issuer.test/x"}), TokenFault::Issuer),
        (json!({"iss": ""}), TokenFault::Issuer),
        (json!({"iss": "mainstay"}), TokenFault::Issuer),
        (json!({"iss": [ISSUER]}), TokenFault::Claims),
        (json!({"iss": null}), TokenFault::Claims),
        // The other issuer has a key of the same name; this is not signed with it.
        (json!({"iss": OTHER}), TokenFault::Signature),
        (json!({"sub": null}), TokenFault::Claims),
        (json!({"sub": ""}), TokenFault::Claims),
        (json!({"sub": 7}), TokenFault::Claims),
        (json!({"sub": "a\nb"}), TokenFault::Claims),
        (json!({"sub": "s".repeat(256)}), TokenFault::Claims),
    ] {
        let token = scene.first.token(&header(&scene.first, "k"), &with(&changes));
        scene.refuses(&changes.to_string(), &token, fault).await;
    }
    for missing in ["exp", "iat", "aud", "iss", "sub"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        scene.refuses(missing, &scene.first.token(&header(&scene.first, "k"), &claims), TokenFault::Claims).await;
    }
    for (name, value) in
        [("exp", "9999999999"), ("sub", "\"x\""), ("aud", "\"mainstay\""), ("iss", "\"https://other.test/\"")]
    {
        let text = claims().to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        let token = scene.first.token_of_text(&header(&scene.first, "k").to_string(), &text);
        scene.refuses(&format!("{name} twice"), &token, TokenFault::Claims).await;
    }
    let swapped = scene.second.token(&header(&scene.second, "k"), &claims());
    scene.refuses("the key of the other issuer", &swapped, TokenFault::Signature).await;
}

#[tokio::test]
async fn no_other_text() {
    let scene = scene().await;
    let good = scene.first.token(&header(&scene.first, "k"), &claims());
    assert!(scene.issuers.verify(&good, soon()).await.is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("a token has three parts") };
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_signature = |bytes: &[u8]| format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let key = SigningKey::from_hex(&SigningKey::generate(&SystemEntropy)).unwrap();
    let now = Timestamp::from_millis(NOW * 1000);
    let own = AccessTokens::new(&key).mint(&access_token::Claims {
        person: PersonId(Uuid::from_u128(1)),
        tenant: TenantId(Uuid::from_u128(2)),
        role: Role::Owner,
        session: SessionId(Uuid::from_u128(3)),
        as_of: 41,
        issued_at: now,
        expires_at: now.plus(Duration::from_secs(900)),
    });
    let refresh = RefreshTokens::new(&key).mint(SessionId(Uuid::from_u128(3)), 1);
    let other_body = URL_SAFE_NO_PAD.encode(with(&json!({"sub": "somebody else"})).to_string());
    for (what, text, fault) in [
        ("nothing", String::new(), TokenFault::Malformed),
        ("dots", "..".to_owned(), TokenFault::Malformed),
        ("two parts", format!("{head}.{body}"), TokenFault::Malformed),
        ("no signature", format!("{head}.{body}."), TokenFault::Malformed),
        ("four parts", format!("{good}.{signature}"), TokenFault::Malformed),
        ("white space before", format!(" {good}"), TokenFault::Malformed),
        ("white space after", format!("{good}\n"), TokenFault::Malformed),
        ("white space within", format!("{head}.{body} .{signature}"), TokenFault::Malformed),
        ("padding", format!("{good}=="), TokenFault::Malformed),
        ("no base64", format!("{head}.{body}.!!!!"), TokenFault::Malformed),
        ("a header that is no base64", format!("e!.{body}.{signature}"), TokenFault::Malformed),
        ("a header that is not text", format!("__79.{body}.{signature}"), TokenFault::Header),
        ("a payload that is not text", format!("{head}.__79.{signature}"), TokenFault::Claims),
        ("beyond ASCII", format!("{head}.{body}é.{signature}"), TokenFault::Malformed),
        ("r and s of zero", with_signature(&[0; 64]), TokenFault::Signature),
        ("r and s of ones", with_signature(&[0xFF; 64]), TokenFault::Signature),
        ("half a signature", with_signature(&raw[..32]), TokenFault::Signature),
        ("a longer signature", with_signature(&[&raw[..], &[0]].concat()), TokenFault::Signature),
        ("other claims", format!("{head}.{other_body}.{signature}"), TokenFault::Signature),
        ("too long", format!("{head}.{}.{signature}", "A".repeat(MOST_BYTES)), TokenFault::TooLong),
        ("our access token", own.expose().to_owned(), TokenFault::Issuer),
        ("our refresh token", refresh.expose().to_owned(), TokenFault::Malformed),
    ] {
        scene.refuses(what, &text, fault).await;
    }
    for bit in 0..raw.len() * 8 {
        let mut flipped = raw.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        scene.refuses(&format!("bit {bit}"), &with_signature(&flipped), TokenFault::Signature).await;
    }
    for end in 0..good.len() {
        assert!(scene.issuers.verify(&good[..end], soon()).await.is_err(), "the first {end} bytes were taken");
    }
    assert!(AccessTokens::new(&key).verify(&good, now).is_err());
    assert!(RefreshTokens::new(&key).read(&good).is_err());
    let rsa = rsa_token("RS256", rsa_fixture::RS256);
    assert!(scene.issuers.verify(&rsa, soon()).await.is_ok());
    scene.refuses("RS384 not pinned", &rsa_token("RS384", rsa_fixture::RS384), TokenFault::Header).await;
    scene.refuses("RS256 by RS384", &rsa_token("RS256", rsa_fixture::RS384), TokenFault::Signature).await;
    scene.refuses("RSA of zeros", &rsa_token("RS256", &"00".repeat(256)), TokenFault::Signature).await;
    scene.refuses("RSA cut short", &rsa_token("RS256", &rsa_fixture::RS256[..510]), TokenFault::Signature).await;
}
