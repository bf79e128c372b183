//! Bounds and contradictions, section by section.

use mainstay_domain::Plan;

use super::super::schema::{Kind, SCHEMA};
use super::super::{Engine, ProviderName};
use super::{Config, single, warned};

const ISSUER: &str =
    "issuer = \"i\", audience = \"a\", jwks_url = \"https://i.example/jwks\", algorithms = [\"ES256\"]";

fn key(overrides: &[(&str, &str)]) -> String {
    single(Config::from_overrides(overrides)).key
}

#[test]
fn what_cannot_be_used_is_refused_by_its_key() {
    let postgres = ("database.url", "\"postgres://host/name\"");
    let app = ("database.app_url", "\"postgres://app@host/name\"");
    let system = ("database.system_url", "\"postgres://system@host/name\"");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("http.host", &[("http.host", "\"example.com\"")]),
        ("http.public_url", &[("http.public_url", "\"chat.example.com\"")]),
        ("http.public_url", &[("http.public_url", "\"ftp://chat.example.com\"")]),
        ("http.public_url", &[("http.public_url", "\"https://chat.example.com/app\"")]),
        ("http.public_url", &[("http.public_url", "\"https://user:word@chat.example.com\"")]),
        ("http.public_url", &[("http.public_url", "\"https://chat.example.com?a\"")]),
        ("http.trusted_proxies", &[("http.trusted_proxies", "[\"10.0.0.1\"]")]),
        ("database.url", &[("database.url", "\"mysql://host/name\"")]),
        ("database.url", &[("database.url", "\"sqlite:\"")]),
        ("database.url", &[("database.url", "\"\"")]),
        ("database.url", &[("database.url", "\"postgres://user:a/b@host/name\"")]),
        ("database.url", &[("database.url", "\"postgres://user:1/b@host/name\"")]),
        ("database.url", &[("database.url", "\"postgres://user:1#b@host/name\"")]),
        ("overload.least_in_flight", &[("overload.least_in_flight", "512"), ("overload.most_in_flight", "256")]),
        ("overload.first_in_flight", &[("overload.first_in_flight", "2000")]),
        ("redis.url", &[("redis.url", "\"http://host\"")]),
        ("redis.url", &[("redis.url", "\"host:6379\"")]),
        ("redis.url", &[("redis.url", "\"redis://:a/b@host\"")]),
        ("database.batch_size_per_tenant", &[("database.batch_size", "8")]),
        ("database.batch_queue", &[("database.batch_queue", "8")]),
        ("database.pool_size", &[postgres, ("database.batch_lanes", "14")]),
        ("database.pool_size", &[postgres, ("database.pool_size", "9")]),
        ("database.app_role", &[("database.app_role", "\"App; drop\"")]),
        ("database.system_role", &[("database.system_role", "\"mainstay_app\"")]),
        ("database.system_url", &[postgres, app]),
        ("database.app_url", &[postgres, system]),
        ("database.system_url", &[postgres, app, ("database.system_url", "\"postgres://app@host/name\"")]),
        ("database.transaction_pooler", &[postgres, ("database.transaction_pooler", "true")]),
        ("database.statement_timeout_ms", &[("database.statement_timeout_ms", "30000")]),
        ("database.acquire_timeout_ms", &[("database.acquire_timeout_ms", "30000")]),
        ("auth.signing_key", &[("auth.signing_key", "\"secret\"")]),
        (
            "auth.signing_key",
            &[("auth.signing_key", "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg\"")],
        ),
        (
            "auth.signing_key",
            &[("auth.signing_key", "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"")],
        ),
        ("auth.refresh_token_seconds", &[("auth.refresh_token_seconds", "900")]),
        ("auth.refresh_leeway_seconds", &[("auth.refresh_leeway_seconds", "60"), ("auth.access_token_seconds", "60")]),
        ("assistant.lease_seconds", &[("assistant.lease_seconds", "2")]),
        ("assistant.lease_seconds", &[("assistant.checkpoint_interval_ms", "4000")]),
        ("providers.order", &[("providers.order", "[\"gemini\"]")]),
        ("providers.order", &[("providers.order", "[\"offline\", \"offline\"]")]),
        ("providers.anthropic.api_key", &[("providers.order", "[\"anthropic\", \"offline\"]")]),
        ("providers.openai.api_key", &[("providers.order", "[\"openai\"]")]),
        ("providers.openai.api_key", &[("providers.openai.api_key", "\"two words\"")]),
        ("providers.openai.base_url", &[("providers.openai.base_url", "\"localhost:11434\"")]),
        ("providers.anthropic.model", &[("providers.anthropic.model", "\"\"")]),
        ("log.level", &[("log.level", "\"inof\"")]),
        ("log.level", &[("log.level", "\"info,mainstay_store=loud\"")]),
    ];
    for (expected, overrides) in cases {
        assert_eq!(key(overrides), *expected, "{overrides:?}");
    }
    let long = format!("\"{}\"", "x".repeat(65_537));
    assert_eq!(key(&[("assistant.system_prompt", &long)]), "assistant.system_prompt");
}

#[test]
fn what_is_sold_is_written_so_that_it_can_be() {
    for (expected, overrides) in [
        (
            "billing.fastspring.storefront",
            &[("billing.fastspring.storefront", "\"https://acme.onfastspring.com\"")][..],
        ),
        ("billing.fastspring.storefront", &[("billing.fastspring.storefront", "\"acme.onfastspring.com/\"")]),
        ("billing.fastspring.products", &[("billing.fastspring.products", "[\"core-monthly\"]")]),
        ("billing.fastspring.products", &[("billing.fastspring.products", "[\"core-monthly = free\"]")]),
        ("billing.fastspring.products", &[("billing.fastspring.products", "[\"a = core\", \"a = studio\"]")]),
        ("billing.fastspring.products", &[("billing.fastspring.products", "[\"a/b = core\"]")]),
        ("billing.fastspring.api_username", &[("billing.fastspring.api_username", "\"acme\"")]),
        ("billing.fastspring.api_url", &[("billing.fastspring.api_url", "\"api.fastspring.com\"")]),
    ] {
        assert_eq!(key(overrides), expected, "{overrides:?}");
    }
    let products = "[\"core-monthly = core\", \"core-yearly=core\", \"studio = studio\"]";
    let config = Config::from_overrides(&[("billing.fastspring.products", products)]).unwrap();
    let sold = &config.billing.fastspring;
    assert_eq!((sold.product_of(Plan::Core), sold.product_of(Plan::Free)), (Some("core-monthly"), None));
    assert_eq!(sold.plans().get("core-yearly"), Some(&Plan::Core));
    assert!(!sold.has_api());
    let test = Config::from_overrides(&[("billing.fastspring.test_orders", "true")]).unwrap();
    assert_eq!(warned(&test), ["billing.fastspring.test_orders"]);
}

#[test]
fn what_can_be_used_is_accepted() {
    let postgres = ("database.url", "\"postgresql://host/name\"");
    let cases: &[&[(&str, &str)]] = &[
        &[("http.host", "\"localhost\""), ("http.public_url", "\"https://chat.example.com/\"")],
        &[("http.host", "\"::1\""), ("http.port", "0")],
        &[("database.url", "\"sqlite:///var/lib/mainstay.db\"")],
        &[postgres],
        &[postgres, ("database.pool_size", "10")],
        // SQLite has no lanes.
        &[("database.pool_size", "1")],
        &[
            postgres,
            ("database.app_url", "\"postgres://app@host/name\""),
            ("database.system_url", "\"postgres://system@host/name\""),
            ("database.transaction_pooler", "true"),
        ],
        &[("providers.order", "[\"openai\"]"), ("providers.openai.base_url", "\"http://127.0.0.1:11434/v1\"")],
        &[("log.level", "\"WARN, mainstay_store=trace,hyper=off\"")],
        &[("http.trusted_proxies", "[\"10.0.0.0/8\", \"::1/128\"]")],
    ];
    for overrides in cases {
        let config = Config::from_overrides(overrides).unwrap_or_else(|faults| panic!("{overrides:?}: {faults}"));
        assert!(config.warnings().is_empty(), "{overrides:?}: {:?}", config.warnings());
    }
}

#[test]
fn urls_for_a_pooler_need_postgres() {
    let overrides = [("database.app_url", "\"postgres://a@h/n\""), ("database.system_url", "\"postgres://s@h/n\"")];
    let faults = Config::from_overrides(&overrides).unwrap_err();
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["database.app_url", "database.system_url"]);
}

#[test]
fn origins_are_written_as_browsers_send_them() {
    let origin = |origin: &str| Config::from_overrides(&[("http.allowed_origins", &format!("[\"{origin}\"]"))]);
    for good in [
        "https://app.example.com",
        "http://localhost:3000",
        "https://*.example.com",
        "https://*.example.com:8443",
        "http://*.localhost:3000",
        "capacitor://localhost",
    ] {
        assert!(origin(good).is_ok(), "{good}");
    }
    for bad in [
        "*",
        "null",
        "",
        "app.example.com",
        "https://*",
        "https://*.com",
        "https://app*.example.com",
        "https://*app.example.com",
        "https://a.*.example.com",
        "https://*.*.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "https://user@app.example.com",
        "*://app.example.com",
        "file://x",
        "https://",
    ] {
        assert_eq!(single(origin(bad)).key, "http.allowed_origins", "{bad}");
    }
}

#[test]
fn issuers_are_complete_and_take_signatures_by_a_private_key_only() {
    let issuer = |from: &str, to: &str| {
        let text = format!("[{{ {} }}]", ISSUER.replace(from, to));
        Config::from_overrides(&[("auth.issuers", &text)])
    };
    assert!(issuer("x", "x").is_ok());
    assert!(issuer("https://i.example", "http://localhost:9999").is_ok());
    for (from, to, field) in [
        ("\"i\"", "\"\"", "issuer"),
        ("\"a\"", "\" \"", "audience"),
        ("https://i.example", "http://i.example", "jwks_url"),
        ("https://i.example/jwks", "", "jwks_url"),
        ("[\"ES256\"]", "[]", "algorithms"),
        ("ES256", "HS256", "algorithms"),
        ("ES256", "none", "algorithms"),
    ] {
        assert_eq!(single(issuer(from, to)).key, format!("auth.issuers[0].{field}"), "{to}");
    }
    let twice = format!("[{{ {ISSUER} }}, {{ {ISSUER} }}]");
    assert_eq!(key(&[("auth.issuers", &twice)]), "auth.issuers[1].issuer");
}

#[test]
fn what_is_allowed_and_unwise_is_a_warning() {
    for (overrides, expected) in [
        (&[("http.host", "\"0.0.0.0\"")][..], "http.public_url"),
        (&[("http.public_url", "\"http://chat.example.com\"")], "http.public_url"),
        (&[("http.trusted_proxies", "[\"0.0.0.0/0\"]")], "http.trusted_proxies"),
        (&[("database.url", "\"sqlite::memory:\"")], "database.url"),
        (&[("auth.password_memory_kib", "64")], "auth.password_memory_kib"),
        (
            &[
                ("providers.anthropic.api_key", "\"k\""),
                ("providers.anthropic.input_price_micros", "0"),
                ("providers.anthropic.output_price_micros", "0"),
            ],
            "providers.anthropic.output_price_micros",
        ),
        (
            &[("providers.openai.api_key", "\"k\""), ("providers.openai.model", "\"another\"")],
            "providers.openai.output_price_micros",
        ),
        (
            &[("providers.openai.base_url", "\"http://gpu.example/v1\""), ("providers.openai.api_key", "\"k\"")],
            "providers.openai.base_url",
        ),
    ] {
        assert_eq!(warned(&Config::from_overrides(overrides).unwrap()), [expected]);
    }
}

#[test]
fn every_number_has_bounds_that_hold_and_that_its_type_can_hold() {
    let mut table = toml::Table::try_from(Config::from_overrides(&[]).unwrap()).unwrap();
    for key in SCHEMA.keys().filter(|key| key.default.is_integer()) {
        let Kind::Integer { least, greatest } = key.kind else { panic!("{} has no bounds", key.path) };
        for value in [least, greatest] {
            super::super::layers::insert(&mut table, &key.path, toml::Value::Integer(value));
            assert!(table.clone().try_into::<Config>().is_ok(), "{} = {value}", key.path);
        }
        for value in [least - 1, greatest + 1] {
            let fault = single(Config::from_overrides(&[(&key.path, &value.to_string())]));
            assert_eq!(fault.key, key.path);
            assert!(fault.reason.contains(&format!("from {least} to {greatest}, found {value}")), "{fault}");
        }
    }
}

#[test]
fn the_providers_asked_are_those_that_can_answer() {
    use ProviderName::{Anthropic, Offline, OpenAi};

    let order = |overrides: &[(&str, &str)]| Config::from_overrides(overrides).unwrap().providers.effective_order();
    let anthropic = ("providers.anthropic.api_key", "\"k\"");
    let openai = ("providers.openai.api_key", "\"k\"");
    assert_eq!(order(&[]), [Offline]);
    assert_eq!(order(&[openai]), [OpenAi]);
    assert_eq!(order(&[openai, anthropic]), [Anthropic, OpenAi]);
    assert_eq!(order(&[openai, anthropic, ("providers.order", "[\"openai\", \"offline\"]")]), [OpenAi, Offline]);
    assert_eq!(order(&[("providers.openai.base_url", "\"http://localhost/v1\"")]), [OpenAi]);
    assert_eq!(order(&[("providers.openai.base_url", "\"https://api.openai.com/v1/\"")]), [Offline]);
}

#[test]
fn accessors_give_what_the_parts_need() {
    let config = Config::from_overrides(&[("http.host", "\"::\""), ("http.port", "0")]).unwrap();
    assert_eq!(config.http.listen_address().to_string(), "[::]:0");
    assert_eq!(config.http.public_address(41000), "http://[::1]:41000");
    assert_eq!(config.http.request_timeout().as_millis(), 30_000);
    assert_eq!(config.auth.access_token_lifetime().as_secs(), 900);
    assert_eq!(config.auth.signing_key_bytes(), None);
    assert_eq!(config.database.engine(), Engine::Sqlite);
    assert_eq!(config.database.sqlite_path(), Some("data/mainstay.db"));
    let config = Config::from_overrides(&[("http.public_url", "\"https://chat.example.com/\"")]).unwrap();
    assert_eq!(config.http.public_address(1), "https://chat.example.com");
    let config = Config::from_overrides(&[("database.url", "\"postgres://host/name\"")]).unwrap();
    assert_eq!((config.database.engine(), config.database.sqlite_path()), (Engine::Postgres, None));
}
