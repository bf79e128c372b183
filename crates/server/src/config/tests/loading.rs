//! Layers: what wins, what is not known, and what has the wrong type.

use super::super::LogFormat;
use super::{Config, Files, load, load_text, single, warned};

#[test]
fn defaults_are_valid_and_need_nothing() {
    let config = load(None, &[]).unwrap();
    assert_eq!(config.http.port, 8080);
    assert_eq!(config.database.url.expose(), "sqlite:data/mainstay.db");
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text = "[http]\nport = 9000\nhost = \"0.0.0.0\"\npublic_url = \"https://chat.example.com\"\n";
    let config = load_text(text, &[("MAINSTAY_HTTP__PORT", "9001")]).unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("0.0.0.0", 9001));
    assert_eq!(config.http.max_connections, 15_000);
}

#[test]
fn conventional_variables_set_their_keys() {
    let config = load(
        None,
        &[
            ("PORT", "9002"),
            ("DATABASE_URL", "postgres://user:p@host/name"),
            ("REDIS_URL", "rediss://:p@host:6379/1"),
            ("ANTHROPIC_API_KEY", "one"),
            ("OPENAI_API_KEY", "two"),
            ("OPENAI_BASE_URL", "http://localhost:11434/v1"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.http.port, 9002);
    assert_eq!(config.database.url.expose(), "postgres://user:p@host/name");
    assert_eq!(config.redis.url.expose(), "rediss://:p@host:6379/1");
    assert!(!config.warnings().iter().any(|warning| warning.to_string().contains("redis")));
    assert_eq!(config.providers.anthropic.api_key.expose(), "one");
    assert_eq!(config.providers.openai.api_key.expose(), "two");
    assert_eq!(config.providers.openai.base_url, "http://localhost:11434/v1");
}

#[test]
fn two_variables_for_one_key_must_agree() {
    assert_eq!(load(None, &[("PORT", "9000"), ("MAINSTAY_HTTP__PORT", "9000")]).unwrap().http.port, 9000);
    let fault = single(load(None, &[("PORT", "9000"), ("MAINSTAY_HTTP__PORT", "9001")]));
    assert_eq!(fault.key, "http.port");
    assert_eq!(fault.reason, "MAINSTAY_HTTP__PORT and PORT are both set and differ");
}

#[test]
fn the_environment_is_read_by_the_type_of_the_key() {
    let config = load(
        None,
        &[
            ("MAINSTAY_AUTH__SIGN_UP_ENABLED", "false"),
            ("MAINSTAY_PROVIDERS__ANTHROPIC__API_KEY", "12345"),
            ("MAINSTAY_PROVIDERS__ANTHROPIC__MODEL", "true"),
            ("MAINSTAY_PROVIDERS__ORDER", "anthropic, offline"),
            ("MAINSTAY_HTTP__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"fd00::/8\"]"),
            ("MAINSTAY_LOG__FORMAT", "json"),
            (
                "MAINSTAY_AUTH__ISSUERS",
                "[{ issuer = \"i\", audience = \"a\", jwks_url = \"https://i.example/jwks\", algorithms = [\"ES256\"] }]",
            ),
        ],
    )
    .unwrap();
    assert!(!config.auth.sign_up_enabled);
    assert_eq!(config.providers.anthropic.api_key.expose(), "12345");
    assert_eq!(config.providers.anthropic.model, "true");
    assert_eq!(config.providers.order, ["anthropic", "offline"]);
    assert_eq!(config.http.trusted_networks().len(), 2);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.auth.issuers[0].algorithms, ["ES256"]);
}

#[test]
fn issuers_are_read_from_the_file() {
    let text = "[[auth.issuers]]\nissuer = \"https://i.example\"\naudience = \"a\"\n\
                jwks_url = \"https://i.example/jwks\"\nalgorithms = [\"RS256\", \"EdDSA\"]\n";
    assert_eq!(load_text(text, &[]).unwrap().auth.issuers[0].issuer, "https://i.example");
}

#[test]
fn an_empty_variable_counts_as_not_set_and_is_mentioned() {
    let config = load(None, &[("DATABASE_URL", ""), ("PORT", "")]).unwrap();
    assert_eq!(config.database.url.expose(), "sqlite:data/mainstay.db");
    assert_eq!(warned(&config), ["database.url", "http.port"]);
    assert!(config.warnings()[0].to_string().contains("(environment variable DATABASE_URL)"));
}

#[test]
fn variables_that_are_not_ours_to_judge_are_ignored() {
    let names = [
        ("MAINSTAY_CONFIG", "mainstay.toml"),
        ("MAINSTAY_TEST_POSTGRES", "postgres://localhost"),
        ("MAINSTAY_SERVICE_HOST", "10.0.0.1"),
        ("MAINSTAY_SERVICE_PORT_HTTP", "80"),
        ("MAINSTAY_PORT", "tcp://10.0.0.1:80"),
        ("MAINSTAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("MAINSTAY_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MAINSTAY_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ("REDIS_URL", "redis://localhost"),
    ];
    assert_eq!(load(None, &names).unwrap().http.port, 8080);
}

#[test]
fn what_is_not_known_is_a_fault_that_names_what_was_probably_meant() {
    for (text, key, cure) in [
        ("[http]\nprot = 1\n", "http.prot", "Did you mean http.port"),
        ("port = 1\n", "port", "Did you mean http.port"),
        ("[htpp]\nport = 1\n", "htpp", "Did you mean [http]"),
        ("[provider.openai]\nmodel = \"m\"\n", "provider", "Did you mean [providers]"),
        ("[log]\ncolour = 1\n", "log.colour", "Remove it, or look it up in docs/configuration.md"),
        ("[http]\n\"a\\nb\" = 1\n", "http.a\nb", "Remove it, or look it up in docs/configuration.md"),
    ] {
        let fault = single(load_text(text, &[]));
        assert_eq!((fault.key.as_str(), fault.cure.as_str()), (key, cure), "{text}");
        assert_eq!(fault.to_string().lines().count(), 1);
    }
    for (name, cure) in [
        ("MAINSTAY_HTTP_PORT", "Did you mean MAINSTAY_HTTP__PORT"),
        ("MAINSTAY_PORT", "Did you mean MAINSTAY_HTTP__PORT"),
        ("MAINSTAY_PROVIDERS__OPENAI__KEY", "Did you mean MAINSTAY_PROVIDERS__OPENAI__API_KEY"),
        ("MAINSTAY_DATABASE__BATCH_SIZE_PER_TENNANT", "Did you mean MAINSTAY_DATABASE__BATCH_SIZE_PER_TENANT"),
        ("MAINSTAY_ZZZ", "Remove it, or look it up in docs/configuration.md"),
    ] {
        let fault = single(load(None, &[(name, "1")]));
        assert_eq!((fault.key.as_str(), fault.cure.as_str()), (name, cure));
    }
}

#[test]
fn a_wrong_type_says_what_was_expected_and_where_it_came_from() {
    for (text, line) in [
        ("[http]\nport = \"80\"", "(FILE, line 2): expected a whole number from 0 to 65535, found the text '80'."),
        ("[http]\nport = 80.5", "(FILE, line 2): expected a whole number from 0 to 65535, found 80.5, a number with"),
        ("[http]\nport = 65536", "(FILE, line 2): expected a whole number from 0 to 65535, found 65536."),
        ("[http]\nport = -1", "(FILE, line 2): expected a whole number from 0 to 65535, found -1."),
        ("\n[http]\nport = 99999999999999999999", "(FILE, line 3): the value cannot be read."),
        ("[http.port]\n", "(FILE, line 1): expected a whole number from 0 to 65535, found a section."),
        ("http = 1", "(FILE, line 1): expected a section, found a value."),
        ("[log]\nlevel = 1", "(FILE, line 2): expected text, found 1. Put it in quotation marks."),
        ("[log]\nformat = \"xml\"", "(FILE, line 2): unknown word `xml`, expected `text` or `json`."),
        ("[providers]\norder = [1]", "(FILE, line 2): expected a list of texts, found a list with other things in it."),
        ("[database]\nurl = 42", "(FILE, line 2): expected text, secret, found something else."),
        ("[auth]\nsign_up_enabled = 1", "(FILE, line 2): expected true or false, found 1."),
    ] {
        let files = Files::new();
        let path = files.write("mainstay.toml", text);
        let fault = single(load(Some(&path), &[])).to_string().replace(path.to_str().unwrap(), "FILE");
        assert!(fault.contains(line), "{fault}");
    }
    for (name, value, line) in [
        ("PORT", "80a", "http.port (environment variable PORT): expected a whole number from 0 to 65535, found '80a'."),
        ("MAINSTAY_AUTH__SIGN_UP_ENABLED", "yes", "expected true or false, found 'yes'. Write true or false."),
        ("MAINSTAY_HTTP__ALLOWED_ORIGINS", "[\"a\"", "expected a list of texts, found '[\"a\"'."),
        ("MAINSTAY_AUTH__ISSUERS", "x", "expected a list of tables, each with issuer, audience, jwks_url, algorithms"),
        ("MAINSTAY_LOG__FORMAT", "xml", "(environment variable MAINSTAY_LOG__FORMAT): unknown word"),
    ] {
        let fault = single(load(None, &[(name, value)])).to_string();
        assert!(fault.contains(line), "{fault}");
    }
}

#[test]
fn issuers_with_missing_and_unknown_fields_are_faults() {
    let text = "[[auth.issuers]]\nissuer = \"i\"\naudience = 1\nurl = \"u\"\nalgorithms = \"RS256\"\n";
    let faults = load_text(text, &[]).unwrap_err();
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let path = "auth.issuers[0]";
    let expected = ["url", "audience", "jwks_url", "algorithms"].map(|name| format!("{path}.{name}"));
    assert_eq!(keys, expected);
}

#[test]
fn every_fault_is_reported_in_one_go() {
    let text = "[http]\nprot = 1\nport = \"x\"\n[nothing]\na = 1\n[log]\nformat = \"xml\"\nlevel = \"inof\"\n\
                [database]\nbatch_size = 8\nurl_file = \"/nowhere/at/all\"\n";
    let environment =
        [("MAINSTAY_AUTH__SIGNING_KEY", "abc"), ("MAINSTAY_X", "1"), ("MAINSTAY_HTTP__MAX_JSON_DEPTH", "0")];
    let faults = load_text(text, &environment).unwrap_err();
    let mut keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    keys.sort_unstable();
    let expected = [
        "MAINSTAY_X",
        "auth.signing_key",
        "database.batch_size_per_tenant",
        "database.url_file",
        "http.max_json_depth",
        "http.port",
        "http.prot",
        "log.format",
        "log.level",
        "nothing",
    ];
    assert_eq!(keys, expected);
    let text = faults.to_string();
    assert!(text.starts_with("The configuration has 10 faults:\n- "), "{text}");
    assert_eq!(text.lines().count(), 11);
}

#[test]
fn several_lines_that_are_not_toml_are_all_named() {
    let text = "[http]\nport = \nprot = 1\n[log]\nlevel = inof\n[lifecycle]\ndrain_seconds = -1\n";
    let faults = load_text(text, &[]).unwrap_err();
    assert_eq!(faults.count(), 4, "{faults}");
    let text = faults.to_string();
    for part in ["line 2 is not TOML", "http.prot", "line 5 is not TOML", "lifecycle.drain_seconds"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let files = Files::new();
    let missing = files.0.path().join("missing.toml");
    let fault = single(load(Some(&missing), &[]));
    assert_eq!(fault.key, missing.to_str().unwrap());
    assert_eq!(fault.reason, "the configuration file cannot be read (entity not found)");
    let large = files.write("large.toml", &"#".repeat((1 << 20) + 1));
    assert!(single(load(Some(&large), &[])).reason.contains("is larger than"));
}

#[test]
fn overrides_are_toml_and_checked_like_the_rest() {
    let config = Config::from_overrides(&[("http.port", "0"), ("log.level", "\"debug\"")]).unwrap();
    assert_eq!((config.http.port, config.log.level.as_str()), (0, "debug"));
    for (key, value) in [("http.prot", "1"), ("http.port", "x"), ("http.port", "70000"), ("http.port", "1\nb = 2")] {
        assert_eq!(single(Config::from_overrides(&[(key, value)])).key, key);
    }
}
