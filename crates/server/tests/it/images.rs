//! Images of messages, over the wire, with files that mean no good.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::fake_provider::FakeProvider;
use crate::support::{Answer, Engine, Person, TestApp, both, by_anthropic};

both! {
    what_is_no_image_is_refused_by_its_content,
    a_bomb_is_refused_before_it_is_unpacked,
    what_is_kept_is_made_anew,
    a_plan_allows_so_many,
    only_whoever_has_sent_it_sees_it,
    the_model_is_shown_what_was_sent,
}

/// A picture in which no two neighbours are alike.
fn pixels(width: u32, height: u32, channels: usize) -> Vec<u8> {
    (0..width * height)
        .flat_map(|at| [at * 7 % 251, at * 13 % 241, at * 29 % 239, 255].into_iter().take(channels))
        .map(|value| u8::try_from(value).expect("a byte"))
        .collect()
}

/// A PNG of this size, with a text in it.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(width, height, png::ColorType::Rgb, &pixels(width, height, 3))
}

fn png_of(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk("Comment".to_owned(), "the secret place".to_owned()).expect("a text");
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(pixels).expect("pixels");
    writer.finish().expect("an end");
    bytes
}

/// A JPEG with a note in EXIF, which also says that it is to be turned.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
    exif.extend_from_slice(b"the secret place");
    encoder.add_app_segment(1, exif).expect("a segment");
    let data = pixels(width.into(), height.into(), 3);
    encoder.encode(&data, width, height, jpeg_encoder::ColorType::Rgb).expect("encoded");
    bytes
}

fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut bytes);
    encoder.encode(&pixels(width, height, 4), width, height, image_webp::ColorType::Rgba8).expect("encoded");
    bytes
}

/// A GIF with so many pictures, the first of them smaller than the canvas.
fn gif(frames: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    {
        let mut encoder = gif::Encoder::new(&mut bytes, 8, 6, &[0, 0, 0, 250, 10, 20]).expect("an encoder");
        for number in 0..frames {
            let mut frame = gif::Frame { width: 4, height: 3, ..gif::Frame::default() };
            (frame.left, frame.top) = (2, 1);
            frame.buffer = vec![u8::from(number == 0); 12].into();
            encoder.write_frame(&frame).expect("a frame");
        }
    }
    bytes
}

/// The chunk of a PNG that says how large it is, with its checksum.
fn resized(mut png: Vec<u8>, width: u32, height: u32) -> Vec<u8> {
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = u32::MAX;
    for byte in &png[12..29] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

async fn upload(server: &TestApp, person: &Person, bytes: Vec<u8>) -> Answer {
    server.upload("/v1/images", Some(&person.access_token), "image/png", bytes).await
}

async fn shown(server: &TestApp, token: &str, id: &Value) -> (reqwest::header::HeaderMap, Vec<u8>) {
    let path = format!("{}/v1/images/{}", server.address, id.as_str().expect("an id"));
    let response = server.client.get(path).bearer_auth(token).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    (response.headers().clone(), response.bytes().await.expect("a body").to_vec())
}

async fn say(server: &TestApp, person: &Person, body: Value) -> Answer {
    server.send("POST", "/v1/messages", Some(&person.access_token), Some(body)).await
}

async fn what_is_no_image_is_refused_by_its_content(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for bytes in [
        Vec::new(),
        b"<html><script>alert(1)</script></html>".to_vec(),
        svg.as_bytes().to_vec(),
        format!("<?xml version=\"1.0\"?>{svg}").into_bytes(),
        b"\x89PNG\r\n".to_vec(),
        b"BM\x3a\0\0\0\0\0\0\0".to_vec(),
        b"%PDF-1.7".to_vec(),
        b"RIFF\x10\0\0\0WAVEfmt ".to_vec(),
        [b"GIF88a".as_slice(), &gif(1)[6..]].concat(),
        [b"\0".as_slice(), &png(3, 3)].concat(),
    ] {
        upload(&server, &ada, bytes).await.refused(415, "unsupported_image");
    }
    // What begins well and goes on badly.
    let (good_png, good_jpeg, good_webp, good_gif) = (png(40, 30), jpeg(40, 30), webp(40, 30), gif(3));
    for good in [&good_png, &good_jpeg, &good_webp, &good_gif] {
        for length in [12, good.len() / 3, good.len() / 2] {
            let answer = upload(&server, &ada, good[..length.min(good.len() - 1)].to_vec()).await;
            assert!(answer.status == 422 || (answer.status == 201 && *good == good_gif), "{}: {}", length, answer.text);
        }
        let mut noise = good.clone();
        let end = noise.len();
        for (at, byte) in noise[12..end].iter_mut().enumerate() {
            *byte = u8::try_from(at * 31 % 256).expect("a byte");
        }
        upload(&server, &ada, noise).await.refused(422, "image_broken");
    }
    let mixed = upload(&server, &ada, [b"GIF89a".as_slice(), &good_png].concat()).await;
    assert_eq!(mixed.status, 422, "{}", mixed.text);
    // Each is what it is, whatever the header says.
    for (bytes, kind) in
        [(good_png, "text/html"), (good_jpeg, "image/png"), (good_webp, "application/json"), (good_gif, "x/y")]
    {
        server.upload("/v1/images", Some(&ada.access_token), kind, bytes).await.expect(201);
    }
    server.upload("/v1/images", None, "image/png", png(3, 3)).await.refused(401, "unauthenticated");
    // One byte too many.
    let mut large = png(3, 3);
    large.resize(10 * 1024 * 1024 + 1, 0);
    upload(&server, &ada, large.clone()).await.refused(413, "too_large");
    large.pop();
    upload(&server, &ada, large).await.expect(201);
}

async fn a_bomb_is_refused_before_it_is_unpacked(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    for (width, height) in [(12_001, 1), (1, 12_001), (8_000, 8_000), (u32::MAX >> 1, u32::MAX >> 1)] {
        let problem = upload(&server, &ada, resized(png(3, 3), width, height)).await.refused(422, "image_too_large");
        assert!(problem["detail"].as_str().expect("words").contains(&width.to_string()), "{problem}");
    }
    let mut large = jpeg(16, 16);
    let frame = large.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    large[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    upload(&server, &ada, large).await.refused(422, "image_too_large");
    let mut wide = gif(1);
    wide[6..10].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    upload(&server, &ada, wide).await.refused(422, "image_too_large");
    // Said to be large, and not there: nothing is made up.
    upload(&server, &ada, resized(png(3, 3), 6_000, 6_000)).await.refused(422, "image_broken");
    // A real one: 36 million pixels of one colour in some kilobytes. It is taken, and made small.
    let flat = png_of(6_000, 6_000, png::ColorType::Grayscale, &vec![7; 36_000_000]);
    assert!(flat.len() < 1024 * 1024, "{} bytes", flat.len());
    let kept = upload(&server, &ada, flat).await.expect(201);
    assert_eq!((&kept["width"], &kept["height"]), (&json!(2048), &json!(2048)));
    // Ten thousand pictures: the first one is looked at.
    let kept = upload(&server, &ada, gif(10_000)).await.expect(201);
    assert_eq!((&kept["width"], &kept["height"]), (&json!(8), &json!(6)));
    let figures = [
        "mainstay_image_refusals_total{why=\"pixels\"} 6",
        "mainstay_image_refusals_total{why=\"broken\"} 1",
        "mainstay_images_total 2",
    ];
    server.tells(&figures).await;
}

async fn what_is_kept_is_made_anew(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    // Each also carries a page behind its end.
    let page = b"<html><script>alert('polyglot')</script>";
    for (bytes, kind, width, height) in [
        (png(40, 30), "image/png", 40, 30),
        (jpeg(40, 30), "image/jpeg", 30, 40),
        (webp(40, 30), "image/jpeg", 40, 30),
        (gif(3), "image/png", 8, 6),
    ] {
        let polyglot = [bytes.as_slice(), page].concat();
        let kept = upload(&server, &ada, polyglot.clone()).await.expect(201);
        assert_eq!((&kept["type"], &kept["width"], &kept["height"]), (&json!(kind), &json!(width), &json!(height)));
        let (headers, content) = shown(&server, &ada.access_token, &kept["id"]).await;
        assert_eq!(headers["content-type"], kind);
        assert_eq!(kept["bytes"], content.len());
        for secret in [b"the secret place".as_slice(), b"polyglot", b"Exif", b"Comment"] {
            assert!(!content.windows(secret.len()).any(|part| part == secret), "{kind} still has {secret:?}");
        }
        // The same file is the same image, as long as it was not sent.
        assert_eq!(upload(&server, &ada, polyglot).await.expect(201)["id"], kept["id"]);
    }
    // What is transparent stays so.
    let glass = png_of(2, 1, png::ColorType::Rgba, &[255, 0, 0, 0, 0, 255, 0, 128]);
    let kept = upload(&server, &ada, glass).await.expect(201);
    let (_, content) = shown(&server, &ada.access_token, &kept["id"]).await;
    let mut reader = png::Decoder::new(std::io::Cursor::new(content)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("pixels");
    assert_eq!(pixels, [255, 0, 0, 0, 0, 255, 0, 128]);
}

async fn a_plan_allows_so_many(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let images = mainstay_domain::Allowance { per_day: Some(2), per_month: None };
    let limits = mainstay_domain::PlanLimits { images, ..mainstay_domain::PlanLimits::default() };
    let call = mainstay_store::Call::within(std::time::Duration::from_secs(10));
    let set = mainstay_store::SetPlanLimits(mainstay_domain::Plan::Free, limits);
    server.app.store.run(&call, set).await.expect("set");
    for side in [3, 3, 4] {
        upload(&server, &ada, png(side, side)).await.expect(201);
    }
    let refused = upload(&server, &ada, png(5, 5)).await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.refused(429, "quota_exceeded");
    let usage = server.send("GET", "/v1/usage", Some(&ada.access_token), None).await.expect(200);
    assert_eq!(usage["images"], 2, "what is there already is not counted again, nor what was refused");
}

async fn only_whoever_has_sent_it_sees_it(engine: Engine) {
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let (ada, bob) = (server.person("ada").await, server.person("bob").await);
    let image = upload(&server, &ada, png(30, 20)).await.expect(201);
    let path = format!("/v1/images/{}", image["id"].as_str().expect("an id"));
    let add = json!({"email": bob.email, "role": "owner"});
    server.send("POST", "/v1/members", Some(&ada.access_token), Some(add)).await.expect(201);
    let there = json!({"organisation_id": ada.organisation});
    let bob_there = server.send("POST", "/v1/auth/switch", Some(&bob.access_token), Some(there)).await.expect(200);
    for token in [bob.access_token.as_str(), bob_there["access_token"].as_str().expect("a token")] {
        server.send("GET", &path, Some(token), None).await.refused(404, "not_found");
        let body = json!({"content": "Mine?", "images": [image["id"]]});
        let problem = server.send("POST", "/v1/messages", Some(token), Some(body)).await.refused(400, "invalid_input");
        assert_eq!(problem["fields"][0]["field"], "images[0]");
    }
    let (headers, _) = shown(&server, &ada.access_token, &image["id"]).await;
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["content-security-policy"].to_str().expect("text").contains("sandbox"));
    assert!(headers["cache-control"].to_str().expect("text").starts_with("private"));
    let etag = headers["etag"].to_str().expect("text").to_owned();
    let token = Some(ada.access_token.as_str());
    let again = server.send_with("GET", &path, token, None, &[("if-none-match", &etag)]).await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));

    // It is sent once, and its message tells of it wherever it is read.
    let body = json!({"content": "Look!", "images": [image["id"]]});
    let key = [("idempotency-key", "look")];
    let sent = server.send_with("POST", "/v1/messages", token, Some(body.clone()), &key).await.expect(201);
    let expected = json!([{"id": image["id"], "type": "image/png", "width": 30, "height": 20}]);
    assert_eq!(sent["message"]["images"], expected);
    let again = server.send_with("POST", "/v1/messages", token, Some(body.clone()), &key).await.expect(201);
    assert_eq!(again["message"], sent["message"], "a repeat is no second sending");
    let problem = say(&server, &ada, body).await.refused(400, "invalid_input");
    assert_eq!(problem["fields"][0]["code"], "unknown");
    for (images, code) in
        [(vec![&image["id"]; 5], "too_many"), (vec![&json!("01a1ff20-0000-7000-8000-000000000001")], "unknown")]
    {
        let body = json!({"content": "x", "images": images});
        assert_eq!(say(&server, &ada, body).await.refused(400, "invalid_input")["fields"][0]["code"], code);
    }
    let conversation = sent["conversation_id"].as_str().expect("an id");
    let list = server.send("GET", &format!("/v1/conversations/{conversation}/messages"), token, None).await.expect(200);
    assert_eq!(list["data"][1]["images"], expected);
    assert!(list["data"][0].get("images").is_none());
    let synced = server.send("GET", "/v1/sync", token, None).await.expect(200);
    assert!(synced.to_string().contains(&expected.to_string()), "{synced}");

    // It goes with its conversation.
    server.send("DELETE", &format!("/v1/conversations/{conversation}"), token, None).await.expect(204);
    server.send("GET", &path, token, None).await.refused(404, "not_found");
}

async fn the_model_is_shown_what_was_sent(engine: Engine) {
    let provider = FakeProvider::start().await;
    let url = json!(provider.anthropic_url()).to_string();
    let Some(server) = TestApp::start(engine, &by_anthropic(&url)).await else { return };
    let ada = server.person("ada").await;
    let mut ids = Vec::new();
    for side in 3..8 {
        ids.push(upload(&server, &ada, png(side, side)).await.expect(201)["id"].clone());
    }
    let sent = say(&server, &ada, json!({"content": "One", "images": [ids[0]]})).await.expect(201);
    let body = json!({"content": "Four", "images": ids[1..], "conversation_id": sent["conversation_id"]});
    say(&server, &ada, body).await.expect(201);
    let received = provider.received();
    let first = &received[0].body["messages"][0]["content"];
    assert_eq!(first[1], json!({"type": "text", "text": "One"}));
    assert_eq!((&first[0]["type"], &first[0]["source"]["media_type"]), (&json!("image"), &json!("image/png")));
    let (_, content) = shown(&server, &ada.access_token, &ids[0]).await;
    let base64 = base64::engine::general_purpose::STANDARD.encode(content);
    assert_eq!(first[0]["source"], json!({"type": "base64", "media_type": "image/png", "data": base64}));
    // Four at most: the older one is told of.
    let messages = received[1].body["messages"].as_array().expect("messages").clone();
    let told = messages[0]["content"].as_str().expect("words alone");
    assert!(told.starts_with("One") && told.contains("PNG, 3 by 3 pixels"), "{told}");
    let last = messages.last().expect("a question")["content"].as_array().expect("blocks").clone();
    assert_eq!(last.iter().filter(|block| block["type"] == "image").count(), 4);

    // Without a model, what can be said without looking.
    let Some(server) = TestApp::start(engine, &[]).await else { return };
    let ada = server.person("ada").await;
    let image = upload(&server, &ada, png(30, 20)).await.expect(201);
    let sent = say(&server, &ada, json!({"content": "What is it?", "images": [image["id"]]})).await.expect(201);
    let said = sent["reply"]["content"].as_str().expect("a text");
    assert!(said.contains("a PNG of 30 by 20 pixels") && said.contains("No language model"), "{said}");
}
