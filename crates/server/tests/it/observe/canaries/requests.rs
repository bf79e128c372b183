//! Requests for the operations of the document: as they should be, and with something wrong in each field in turn.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::minting::{Canary, Kind};
use super::values::{Maker, join};

/// The most forms of an operation that are all tried.
const MOST_TURNS: usize = 10;

/// An operation of the document.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) template: String,
    parameters: Vec<Value>,
    /// The media type and the schema.
    body: Option<(String, Value)>,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) method: String,
    pub(super) template: String,
    /// With the query.
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    /// The media type and the bytes.
    pub(super) body: Option<(String, Vec<u8>)>,
    /// Whether it is made as somebody who may.
    pub(super) signed_in: bool,
}

impl Shot {
    pub(super) fn new(method: &str, path: &str) -> Self {
        let (method, template, path) = (method.to_owned(), path.to_owned(), path.to_owned());
        Self { method, template, path, headers: Vec::new(), body: None, signed_in: true }
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub(super) fn bytes(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some((media.to_owned(), body.into()));
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// All operations of a document. What others need comes first, what turns things off last.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (template, operations) in document["paths"].as_object().expect("paths") {
        for (method, told) in operations.as_object().expect("operations") {
            let content = told["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
            all.push(Operation {
                method: method.to_uppercase(),
                template: template.clone(),
                parameters: told["parameters"].as_array().cloned().unwrap_or_default(),
                body: content.map(|(media, told)| (media.clone(), told["schema"].clone())),
            });
        }
    }
    let place = |operation: &Operation| {
        let switches = ["/v1/controls", "/v1/queues"].iter().any(|path| operation.template.starts_with(path));
        (switches, operation.method == "DELETE", operation.method == "GET")
    };
    all.sort_by_key(place);
    all
}

fn escaped(text: &str) -> String {
    let signs = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    signs.replace('+', "%20")
}

impl Operation {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    fn in_place<'a>(&'a self, place: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let there = self.parameters.iter().filter(move |parameter| parameter["in"] == place);
        there.filter_map(|parameter| Some((parameter["name"].as_str()?, &parameter["schema"])))
    }

    /// All requests of this operation.
    pub(super) fn shots(&self, maker: &Maker<'_>) -> Vec<Shot> {
        let forms = self.body.as_ref().map_or(1, |(_, schema)| maker.forms(schema, 0));
        let turns = (forms + 1).clamp(4, MOST_TURNS);
        let mut shots: Vec<Shot> = (0..turns).map(|turn| self.good(maker, turn)).collect();
        self.wrong_parameters(maker, &mut shots);
        self.wrong_tokens(maker, &mut shots);
        if let Some((media, _)) = &self.body {
            let goods: Vec<Value> = shots[..if forms > 2 { turns } else { 1 }].iter().filter_map(body_of).collect();
            for good in &goods {
                self.wrong_fields(maker, good, &mut shots);
            }
            self.wrong_bodies(maker, media, &mut shots);
        }
        shots
    }

    /// A request as it should be.
    fn good(&self, maker: &Maker<'_>, turn: usize) -> Shot {
        let path = maker.known.path(&self.template, turn);
        let path = self.in_place("path").fold(path, |path, (name, schema)| {
            // Where nothing is known it stands there as its name.
            let is_open = path.split('/').any(|part| part == name);
            if is_open {
                path.replace(name, &escaped(&maker.text(schema, &format!("path {name}"), turn)))
            } else {
                path
            }
        });
        let query = self.in_place("query").filter(|_| turn != 1).map(|(name, schema)| {
            let value = maker.value(schema, &format!("query {name}"), turn, 0);
            format!("{name}={}", escaped(value.as_str().unwrap_or(&value.to_string())))
        });
        let query: Vec<String> = query.filter(|pair| !pair.ends_with("=null")).collect();
        let joint = if query.is_empty() { "" } else { "?" };
        let mut shot = Shot::new(&self.method, &format!("{path}{joint}{}", query.join("&")));
        shot.template.clone_from(&self.template);
        for (name, schema) in self.in_place("header") {
            shot = shot.header(name, maker.text(schema, &format!("header {name}"), turn));
        }
        let shot = surroundings(maker, shot, turn);
        match &self.body {
            None => shot,
            Some((media, schema)) if media == "application/json" => shot.json(&maker.value(schema, "", turn, 0)),
            Some((media, schema)) if media.ends_with("urlencoded") => {
                let fields = maker.value(schema, "", turn, 0);
                let pairs = fields.as_object().into_iter().flatten();
                let pairs =
                    pairs.map(|(name, value)| format!("{name}={}", escaped(value.as_str().unwrap_or_default())));
                shot.bytes(media, pairs.collect::<Vec<_>>().join("&"))
            }
            Some((media, _)) => shot.bytes(media, raw(maker, turn)),
        }
    }

    /// The first good request with something else in one parameter, and with one that is not there.
    fn wrong_parameters(&self, maker: &Maker<'_>, shots: &mut Vec<Shot>) {
        let good = shots[0].clone();
        let (path, query) = good.path.split_once('?').unwrap_or((&good.path, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        for (place, part) in self.template.split('/').enumerate().filter(|(_, part)| part.starts_with('{')) {
            for kind in [Kind::Text, Kind::Email] {
                let canary = maker.canary(&format!("path {part}")).written(kind);
                let parts = path.split('/').enumerate();
                let parts = parts.map(|(at, part)| if at == place { escaped(&canary) } else { part.to_owned() });
                let path = parts.collect::<Vec<_>>().join("/");
                shots.push(Shot { path, ..good.clone() });
            }
        }
        let names = self.in_place("query").map(|(name, _)| name.to_owned());
        let unknown = maker.canary("query (name)").word();
        for name in names.chain(["email".to_owned(), unknown]) {
            for kind in [Kind::Text, Kind::Phone] {
                let canary = maker.canary(&format!("query {name}")).written(kind);
                let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with(&format!("{name}=")));
                let pair = format!("{name}={}", escaped(&canary));
                let pairs: Vec<&str> = others.chain([pair.as_str()]).collect();
                shots.push(Shot { path: format!("{path}?{}", pairs.join("&")), ..good.clone() });
            }
        }
        for (name, _) in self.in_place("header") {
            let canary = maker.canary(&format!("header {name}")).written(Kind::Text);
            let mut wrong = good.clone();
            wrong.headers.retain(|(given, _)| given != name);
            shots.push(wrong.header(name, canary.repeat(12)));
        }
    }

    /// Tokens that nobody has made.
    fn wrong_tokens(&self, maker: &Maker<'_>, shots: &mut Vec<Shot>) {
        let encoded = |text: String| URL_SAFE_NO_PAD.encode(text);
        let canary = |what: &str| maker.canary(&format!("header authorization ({what})"));
        let claims = json!({"sub": canary("claim").word(), "email": canary("claim").written(Kind::Email)});
        let head = encoded(json!({"alg": "ES256", "kid": canary("key id").word()}).to_string());
        let tokens = [
            format!("Bearer {}", canary("token").word()),
            format!("Bearer {}", ["mk", &format!("{}0123456789", canary("key").word())].join("_")),
            format!("Bearer {head}.{}.{}", encoded(claims.to_string()), encoded(canary("signature").word())),
            format!("Basic {}", encoded(canary("basic").written(Kind::Password))),
            format!("{} {}", canary("scheme").word(), canary("credentials").word()),
        ];
        let good = Shot { signed_in: false, ..shots[0].clone() };
        shots.extend(tokens.into_iter().map(|token| good.clone().header("authorization", token)));
    }

    /// A good body with something else in the place of each of its parts.
    fn wrong_fields(&self, maker: &Maker<'_>, good: &Value, shots: &mut Vec<Shot>) {
        let shot = shots[0].clone();
        let mut places = Vec::new();
        pointers(good, "", &mut places);
        for pointer in places {
            let there = good.pointer(&pointer).expect("it is there");
            let field = pointer.split('/').skip(1).fold(String::new(), |field, name| join(&field, name));
            let canary = |what: &str| maker.canary(&format!("{field} ({what})"));
            for wrong in wrongs(there, canary) {
                let mut body = good.clone();
                if let Some(part) = body.pointer_mut(&pointer) {
                    *part = wrong;
                }
                shots.push(shot.clone().json(&body));
            }
        }
    }

    /// Bodies that are not what they say.
    fn wrong_bodies(&self, maker: &Maker<'_>, media: &str, shots: &mut Vec<Shot>) {
        let canary = |what: &str| maker.canary(&format!("body ({what})"));
        let good = shots[0].clone();
        let twice = canary("a key twice").word();
        let mut bytes =
            format!("{{\"{}\": \"{}", canary("key before bad bytes").word(), canary("bad bytes").word()).into_bytes();
        bytes.extend([0xff, 0xfe, b'"', b'}']);
        let texts = [
            format!("{{\"name\": \"{}", canary("cut off").written(Kind::Email)),
            format!("{{\"name\": {}}}", canary("without quotes").word()),
            format!("{{\"{}\" \"name\": 1}}", canary("no colon").word()),
            format!("{{\"{twice}\": 1, \"{twice}\": 2}}"),
            format!("\"{}\"", canary("only a text").written(Kind::Text)),
            format!("[\"{}\"]", canary("a list").written(Kind::Name)),
            format!("email={}&name={}", canary("a form").word(), canary("a form").word()),
            canary("no JSON").written(Kind::Password),
        ];
        let shot = |body: Vec<u8>| Shot { body: Some((media.to_owned(), body)), ..good.clone() };
        shots.extend(texts.into_iter().map(String::into_bytes).chain([bytes]).map(shot));
        let other = format!("application/x-{}; charset={}", canary("media type").word(), canary("charset").word());
        shots.push(good.clone().bytes(&other, canary("of another type").written(Kind::Text)));
        let encoding = canary("content-encoding").word();
        shots.push(good.header("content-encoding", encoding));
    }
}

/// What browsers, proxies and people send along with any request.
fn surroundings(maker: &Maker<'_>, shot: Shot, turn: usize) -> Shot {
    let canary = |name: &str| maker.canary(&format!("header {name}"));
    let word = |name: &str| canary(name).word();
    let mut shot = shot
        .header("user-agent", canary("user-agent").written(Kind::Text))
        .header(
            "referer",
            format!("https://example.org/{}?q={}", word("referer"), canary("referer").written(Kind::Email)),
        )
        .header("cookie", format!("session={}; {}=1", word("cookie"), word("cookie (name)")))
        .header("x-request-id", canary("x-request-id").word())
        .header("x-forwarded-for", word("x-forwarded-for"))
        .header("x-forwarded-host", word("x-forwarded-host"))
        .header("forwarded", format!("for={}", word("forwarded")))
        .header("traceparent", word("traceparent"))
        .header("tracestate", format!("vendor={}", word("tracestate")))
        .header("baggage", format!("user={}", word("baggage")))
        .header("accept-language", word("accept-language"))
        .header("if-none-match", format!("\"{}\"", word("if-none-match")))
        .header(&format!("x-{}", word("(name)")), canary("x-anything").written(Kind::Phone));
    if turn == 2 {
        shot = shot
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .header("origin", format!("https://{}.example.org", word("origin")))
            .header("accept", format!("application/{}", word("accept")))
            .header("range", word("range"));
    }
    shot
}

/// A body of no certain form: a list of people, an image with a comment, a text.
fn raw(maker: &Maker<'_>, turn: usize) -> Vec<u8> {
    let cell = |name: &str, kind: Kind| maker.canary(&format!("body ({name})")).written(kind);
    match turn % 3 {
        0 => {
            let head = format!("email,name,phone,{}\n", cell("heading", Kind::Key));
            let good = [cell("email", Kind::Email), cell("name", Kind::Name), cell("phone", Kind::Phone)].join(",");
            format!("{head}{good},{}\n{},1,2,3\n", cell("cell", Kind::Text), cell("no address", Kind::Text))
                .into_bytes()
        }
        1 => image(&cell("comment of an image", Kind::Text)),
        _ => cell("text", Kind::Text).into_bytes(),
    }
}

/// An image of one pixel with a comment.
fn image(comment: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.add_text_chunk("Comment".to_owned(), comment.to_owned()).expect("a comment");
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&[255])).expect("an image");
    bytes
}

fn body_of(shot: &Shot) -> Option<Value> {
    let (media, body) = shot.body.as_ref()?;
    serde_json::from_slice(body).ok().filter(|_| media == "application/json")
}

/// Where all parts of a value are.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(parts) => {
            parts.iter().for_each(|(name, part)| {
                pointers(part, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found)
            });
        }
        Value::Array(parts) => {
            parts.iter().enumerate().for_each(|(place, part)| pointers(part, &format!("{at}/{place}"), found))
        }
        _ => {}
    }
}

/// What may stand there instead of a value, and should not.
fn wrongs(there: &Value, canary: impl Fn(&str) -> Canary) -> Vec<Value> {
    let object = json!({canary("key instead").word(): canary("object instead").written(Kind::Name)});
    match there {
        Value::Object(parts) => {
            let more = |name: String, value: Value| {
                Value::Object(parts.clone().into_iter().chain([(name, value)]).collect::<Map<_, _>>())
            };
            vec![
                json!(canary("text instead").written(Kind::Email)),
                json!([canary("list instead").written(Kind::Text)]),
                more(canary("further key").word(), json!(canary("further value").written(Kind::Password))),
                more("Password".to_owned(), json!(canary("further field").written(Kind::Password))),
            ]
        }
        Value::Array(parts) => {
            let many = std::iter::repeat_with(|| json!(canary("item").written(Kind::Text))).take(3);
            vec![
                json!(canary("text instead").written(Kind::Phone)),
                object,
                Value::Array(parts.iter().cloned().chain(many).collect()),
            ]
        }
        Value::String(_) => {
            let long = canary("too long").written(Kind::Text).repeat(300);
            let digits = canary("number instead").written(Kind::Phone).trim_start_matches('+').parse::<u64>().ok();
            vec![
                json!(canary("other text").written(Kind::Text)),
                json!(format!("{}\u{0}\u{7}\n", canary("control characters").word())),
                json!(long),
                json!(digits),
                object,
            ]
        }
        _ => {
            let digits = canary("other number").written(Kind::Phone).trim_start_matches('+').parse::<u64>().ok();
            vec![json!(canary("text instead").written(Kind::Name)), json!(digits), object]
        }
    }
}
