//! The listing, the reference page and the commands that print them.

use clap::Parser;

use super::super::schema::{DEFAULTS, Kind, SCHEMA};
use super::super::{Config, documentation};
use super::{Files, load};
use crate::cli::config::{ConfigCommand, run};

/// Every key of a table, with its sections.
fn paths(table: &toml::Table, section: &str) -> Vec<String> {
    table
        .iter()
        .flat_map(|(name, value)| match value {
            toml::Value::Table(inner) => paths(inner, &format!("{section}{name}.")),
            _ => vec![format!("{section}{name}")],
        })
        .collect()
}

#[test]
fn every_key_is_in_the_file_in_the_types_and_explained() {
    let in_file = paths(&DEFAULTS.parse().unwrap(), "");
    let config = Config::from_overrides(&[]).unwrap();
    assert_eq!(in_file, paths(&toml::Table::try_from(&config).unwrap(), ""));
    let mut read: Vec<_> = SCHEMA.keys().map(|key| key.path.clone()).collect();
    read.sort();
    let mut sorted = in_file;
    sorted.sort();
    assert_eq!(read, sorted);
    for section in &SCHEMA.sections {
        assert!(section.meaning.ends_with('.'), "[{}] has no comment", section.path);
    }
    for key in SCHEMA.keys() {
        assert!(key.meaning.ends_with(['.', ':']), "{} has no comment: {}", key.path, key.meaning);
    }
}

#[test]
fn the_fields_of_an_issuer_are_those_of_the_type() {
    let key = SCHEMA.key("auth.issuers").unwrap();
    let Kind::TableList(fields) = key.kind else { panic!("{:?}", key.kind) };
    let example: toml::Table = key.example.parse().unwrap();
    let config = Config::from_overrides(&[("auth.issuers", &example["auth"]["issuers"].to_string())]).unwrap();
    let mut names: Vec<_> = fields.iter().map(|field| field.name.to_owned()).collect();
    names.sort();
    assert_eq!(paths(&toml::Table::try_from(&config.auth.issuers[0]).unwrap(), ""), names);
}

#[test]
fn the_reference_page_is_fresh() {
    let page = include_str!("../../../../../docs/configuration.md");
    assert!(page == documentation(), "docs/configuration.md is stale; run: {}", super::super::documentation::COMMAND);
}

#[test]
fn the_reference_page_has_each_key_with_its_bounds_and_variables() {
    let page = documentation();
    let port = "### `http.port`\n\nThe port to listen on; 0 takes one that is free. PORT sets it too.\n\n\
                - Type: a whole number from 0 to 65535\n- Default: `8080`\n- Environment: `MAINSTAY_HTTP__PORT` or `PORT`\n";
    assert!(page.contains(port));
    assert!(page.contains("Empty: \\<host>:\\<port>."));
    assert!(page.contains("```toml\n[[auth.issuers]]\n"));
    for key in SCHEMA.keys() {
        assert!(page.contains(&format!("### `{}`", key.path)));
    }
}

#[test]
fn the_listing_is_toml_that_says_where_each_value_came_from() {
    let files = Files::new();
    let path = files.write(
        "mainstay.toml",
        "[assistant]\nsystem_prompt = \"\"\"a\nb \\\"c\\\" # d\"\"\"\n[log]\nlevel = \"warn\"\n",
    );
    let config = load(Some(&path), &[("PORT", "9000")]).unwrap();
    let listing = config.listing();
    for line in [
        "port = 9000 # environment variable PORT\n".to_owned(),
        "host = \"127.0.0.1\" # default\n".to_owned(),
        "url = \"sqlite:data/mainstay.db\" # default\n".to_owned(),
        format!("level = \"warn\" # {}, line 5\n", path.display()),
    ] {
        assert!(listing.contains(&line), "{line}{listing}");
    }
    let table: toml::Table = listing.parse().unwrap();
    assert_eq!(table["assistant"]["system_prompt"].as_str(), Some("a\nb \"c\" # d"));
    assert_eq!(paths(&table, ""), paths(&DEFAULTS.parse().unwrap(), ""));
}

#[test]
fn commands_answer_with_text_and_exit_code() {
    let environment = |port: &str| std::iter::once(("PORT".to_owned(), port.to_owned()));
    assert_eq!(run(ConfigCommand::Check, None, environment("1")), ("The configuration is good.\n".to_owned(), 0));
    let (text, code) = run(ConfigCommand::Check, None, environment(""));
    assert!(
        text.starts_with("The configuration is good.\n- warning: http.port (environment variable PORT): "),
        "{text}"
    );
    assert_eq!(code, 0);
    for command in [ConfigCommand::Check, ConfigCommand::Show] {
        let (text, code) = run(command, None, environment("x"));
        assert!(
            text.starts_with("The configuration has a fault:\n- http.port (environment variable PORT): "),
            "{text}"
        );
        assert_eq!((code, text.ends_with(".\n")), (1, true));
    }
    assert_eq!(run(ConfigCommand::Docs, None, environment("x")).1, 0);
    assert!(run(ConfigCommand::Show, None, environment("1")).0.contains("port = 1 # environment variable PORT"));
}

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[test]
fn the_commands_have_their_names() {
    for (name, command) in
        [("check", ConfigCommand::Check), ("show", ConfigCommand::Show), ("docs", ConfigCommand::Docs)]
    {
        assert_eq!(CommandLine::try_parse_from(["config", name]).unwrap().command, command);
    }
}
