//! Secrets: from files, and never shown.

use std::path::Path;
use std::sync::LazyLock;

use super::super::schema::SCHEMA;
use super::super::{Config, database};
use super::{Files, load, load_text, set_mode, single, warned};
use crate::cli::config::{ConfigCommand, run};
use mainstay_domain::Secret;
use mainstay_store::SealedColumn;
use proptest::prelude::*;

/// A signing key that passes for made by chance. It is no literal, so that no search for secrets stops at it.
static KEY: LazyLock<String> =
    LazyLock::new(|| (0_u8..32).map(|byte| format!("{:02x}", byte.wrapping_mul(37))).collect());

#[test]
fn a_secret_is_read_from_its_file_without_the_line_end() {
    let files = Files::new();
    let path = files.write("key", &format!("{}\r\n", *KEY));
    let config = load(None, &[("MAINSTAY_AUTH__SIGNING_KEY_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(config.auth.signing_key.expose(), *KEY);
    assert!(config.auth.signing_key_bytes().unwrap().starts_with(&[0, 37, 74]));
    assert!(config.warnings().is_empty());
    assert!(config.listing().contains(&format!("signing_key = \"***\" # the file {}", path.display())));
}

#[test]
fn a_file_named_anywhere_wins_over_a_default() {
    let files = Files::new();
    let path = files.write("url", "postgres://user:secret@host/name\n");
    let text = format!("[database]\nurl_file = \"{}\"\n", path.display());
    assert_eq!(load_text(&text, &[]).unwrap().database.url.expose(), "postgres://user:secret@host/name");
}

#[test]
fn a_secret_and_its_file_in_one_layer_contradict_each_other() {
    let files = Files::new();
    let path = files.write("key", "from-the-file");
    let name = path.to_str().unwrap();
    let text = format!("[providers.openai]\napi_key = \"given\"\napi_key_file = \"{name}\"\n");
    let fault = single(load_text(&text, &[]));
    assert_eq!(fault.key, "providers.openai.api_key_file");
    assert_eq!(fault.cure, "Keep providers.openai.api_key or providers.openai.api_key_file, not both");
    let environment = [("OPENAI_API_KEY", "given"), ("MAINSTAY_PROVIDERS__OPENAI__API_KEY_FILE", name)];
    assert!(single(load(None, &environment)).reason.contains("environment variable OPENAI_API_KEY"));
}

#[test]
fn of_a_secret_and_its_file_in_two_layers_the_environment_wins() {
    let files = Files::new();
    let path = files.write("key", "from-the-file");
    let name = path.to_str().unwrap();
    let text = format!("[providers.openai]\napi_key_file = \"{name}\"\n");
    let config = load_text(&text, &[("OPENAI_API_KEY", "given")]).unwrap();
    assert_eq!(config.providers.openai.api_key.expose(), "given");
    assert_eq!(config.providers.openai.api_key_file, "");
    assert!(config.listing().contains("api_key_file = \"\" # set aside, environment variable OPENAI_API_KEY wins"));
    let text = "[providers.openai]\napi_key = \"given\"\n";
    let config = load_text(text, &[("MAINSTAY_PROVIDERS__OPENAI__API_KEY_FILE", name)]).unwrap();
    assert_eq!(config.providers.openai.api_key.expose(), "from-the-file");
}

#[test]
fn a_file_that_holds_no_secret_is_a_fault() {
    let files = Files::new();
    let directory = files.0.path().to_str().unwrap().to_owned();
    let cases = [
        (files.write("empty", "\n\n").display().to_string(), "is empty"),
        (files.write("large", &"x".repeat(65_537)).display().to_string(), "is larger than 65536 bytes"),
        (format!("{directory}/missing"), "cannot be read"),
        (directory, "cannot be read"),
    ];
    for (path, reason) in cases {
        let fault = single(load(None, &[("MAINSTAY_AUTH__SIGNING_KEY_FILE", &path)]));
        assert_eq!(fault.key, "auth.signing_key_file");
        assert!(fault.reason.contains(reason) && fault.reason.contains(&path), "{fault}");
    }
}

#[test]
fn a_file_that_others_can_read_is_a_warning() {
    let files = Files::new();
    let path = files.write("key", &KEY);
    set_mode(&path, 0o640);
    let config = load(None, &[("MAINSTAY_AUTH__SIGNING_KEY_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(warned(&config), ["auth.signing_key_file"]);
    let path = files.write("mainstay.toml", "[providers.openai]\napi_key = \"given\"\n");
    set_mode(&path, 0o644);
    assert_eq!(warned(&load(Some(&path), &[]).unwrap()), ["providers.openai.api_key"]);
    set_mode(&path, 0o600);
    assert!(load(Some(&path), &[]).unwrap().warnings().is_empty());
}

#[test]
fn the_list_of_secrets_is_that_of_the_types() {
    // A `Secret` serialises as something other than what it holds.
    let config = load(None, &[]).unwrap();
    let table = toml::Table::try_from(&config).unwrap();
    for key in SCHEMA.keys() {
        let value = key
            .path
            .split('.')
            .skip(1)
            .fold(table[key.path.split('.').next().unwrap()].clone(), |value, part| value[part].clone());
        assert_eq!(value != key.default, key.is_secret(), "{}", key.path);
    }
}

#[test]
fn an_address_is_shown_without_what_may_be_secret() {
    for (address, shown) in [
        ("sqlite:data/mainstay.db", "sqlite:data/mainstay.db"),
        ("postgres://host/name", "postgres://host/name"),
        ("postgres://user:word@host:5432/name", "postgres://***@host:5432/name"),
        ("postgresql://user:wo%40rd@[::1]/name?sslmode=require", "postgresql://***@[::1]/name?***"),
        ("postgres://user:wo@rd@host/name", "postgres://***@host/name"),
        ("postgres://user:12/word@host/name", "***"),
        ("postgres://user:12#word@host/name", "***"),
        ("postgres://user:12?word@host/name", "***"),
        ("postgres://host/name?password=word", "postgres://host/name?***"),
        ("", ""),
        ("anything else", "***"),
    ] {
        assert_eq!(database::masked(&Secret::new(address.to_owned())), shown, "{address}");
    }
}

/// Every secret key with a canary in it, and what a file of them would hold.
fn canaries(canary: &str, shape: usize) -> Vec<(&'static str, String)> {
    let address = |login: &str| match shape % 4 {
        0 => format!("postgres://{login}:{canary}@host/name"),
        1 => format!("postgres://{login}@host/name?password={canary}"),
        2 => format!("postgres://{login}:1/{canary}@host/name"),
        _ => format!("mysql://{login}:{canary}@host/name"),
    };
    vec![
        ("database.url", address("owner")),
        ("database.app_url", address("app")),
        ("database.system_url", address("system")),
        (
            "auth.signing_key",
            if shape.is_multiple_of(2) { format!("{canary}{}", &KEY[24..]) } else { canary.to_owned() },
        ),
        ("providers.anthropic.api_key", canary.to_owned()),
        (
            "providers.openai.api_key",
            if shape.is_multiple_of(2) { canary.to_owned() } else { format!("{canary} {shape}") },
        ),
    ]
}

fn everything_printed(file: Option<&Path>, environment: &[(String, String)]) -> String {
    let print = |command| run(command, file, environment.iter().cloned()).0;
    let loaded = Config::load(file, environment.iter().cloned());
    let faults = loaded.as_ref().err().map(ToString::to_string);
    format!("{} {} {loaded:?} {faults:?}", print(ConfigCommand::Check), print(ConfigCommand::Show))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is wrong with a secret, and wherever it stands, no output holds it.
    #[test]
    fn no_secret_is_ever_printed(canary in "[0-9a-f]{24}", shape in 0_usize..8, slip in 0_usize..4) {
        let values = canaries(&canary, shape);
        let environment: Vec<_> = values
            .iter()
            .map(|(path, value)| (SCHEMA.key(path).unwrap().variables[0].clone(), value.clone()))
            .collect();
        prop_assert!(!everything_printed(None, &environment).contains(&canary));
        // Some of them pass, so that the listing is looked at and not the faults alone.
        prop_assert_eq!(Config::load(None, environment.into_iter()).is_ok(), shape.is_multiple_of(4));

        let files = Files::new();
        let mut text = String::new();
        for (path, value) in &values {
            let (section, name) = path.rsplit_once('.').unwrap();
            let line = match slip {
                0 => format!("{name} = \"{value}\""),
                1 => format!("{name}x = \"{value}\""),
                2 => format!("{name} = {value}"),
                _ => format!("{name} = [\"{value}\"]"),
            };
            text.push_str(&format!("[{section}]\n{line}\n"));
        }
        let path = files.write("mainstay.toml", &text);
        prop_assert!(!everything_printed(Some(&path), &[]).contains(&canary), "{text}");

        // The secret itself where the name of its file belongs.
        let name = "MAINSTAY_AUTH__SIGNING_KEY_FILE".to_owned();
        prop_assert!(!everything_printed(None, &[(name, canary.clone())]).contains(&canary));
    }
}

#[test]
fn a_good_secret_does_not_show_in_the_listing() {
    let environment = [("MAINSTAY_AUTH__SIGNING_KEY", KEY.as_str()), ("OPENAI_API_KEY", "canary")];
    let config = load(None, &environment).unwrap();
    let listing = config.listing();
    assert!(!listing.contains(KEY.as_str()) && !listing.contains("canary"));
    assert!(listing.contains("api_key = \"***\" # environment variable OPENAI_API_KEY"));
    assert!(listing.contains("api_key = \"\" # default"));
}

/// The page on which it is said how each secret is replaced.
const PAGE: &str = include_str!("../../../../../docs/operations/secrets.md");

#[test]
fn each_secret_setting_is_on_the_page_that_says_how_it_is_replaced() {
    for (secret, _) in SCHEMA.secret_files() {
        assert!(PAGE.contains(&format!("`{}`", secret.path)), "{} is not there", secret.path);
    }
}

#[test]
fn so_is_each_secret_that_the_database_holds() {
    for column in SealedColumn::ALL {
        let said = match column {
            SealedColumn::InboxScheme => "a secret of a sender in the inbox",
            SealedColumn::EndpointSecrets => "a secret of an endpoint",
            SealedColumn::CalendarToken => "a calendar, an account at Gmail",
            SealedColumn::AccountSecret => "the password of an account that sends",
            SealedColumn::AccountDkimKey => "its key for DKIM",
            SealedColumn::MailboxSecret => "or of its mailbox",
            SealedColumn::SigningKey => "all sign-ins of everybody",
        };
        assert!(PAGE.contains(said), "{column:?}: {said}");
    }
}
