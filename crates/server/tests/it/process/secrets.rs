//! What an older release has stored plain is sealed by the first start, and the way back.

use mainstay_testing::postgres::Cluster;
use serde_json::json;

use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_plain_is_sealed_by_the_first_start() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.database().expect("a database");
    let installation = Installation::new().on(&database.url);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0011 keys"]);
    let tokens = installation.people(1).await;
    let server = installation.serve().await;
    let body = json!({"url": "https://example.com/hook"});
    server.send("POST", "/v1/webhook-endpoints", &tokens[0], Some(body)).await.expect("an answer").expect(201);
    let body = json!({"name": "Shop", "provider": "generic"});
    server.send("POST", "/v1/inbox-sources", &tokens[0], Some(body)).await.expect("an answer").expect(201);
    assert_eq!(server.stop().await, Some(0));

    // As an older release would have left them, with a key of its own that signs tokens.
    let plain = [
        r#"UPDATE webhook_endpoint SET secrets = '[{"secret":"plain","until":null}]'"#,
        r#"UPDATE inbox_source SET scheme = '{"settings":{"mode":"hmac"},"secrets":["plain","plainer"]}'"#,
        "UPDATE signing_key SET secret = repeat('0123456789abcdef', 4)",
    ];
    for text in plain {
        database.psql(text).expect("written");
    }
    let server = installation.serve().await;
    assert!(server.process.lines().join("\n").contains("stored plain are sealed"));
    let sealed = "SELECT count(*) FROM (SELECT secrets AS text FROM webhook_endpoint UNION ALL SELECT scheme FROM inbox_source \
                  UNION ALL SELECT secret FROM signing_key) everything WHERE text LIKE 'sealed1:00000001:%'";
    assert_eq!(database.psql(sealed).expect("read"), ["4"]);
    let body = json!({"email": "writer0@example.com", "password": "password of writer 0"});
    let token = server.send("POST", "/v1/auth/sign-in", "", Some(body)).await.expect("an answer").expect(200);
    let token = token["access_token"].as_str().expect("a token");
    let sender = server.list("/v1/inbox-sources", token, 10).await.remove(0);
    assert_eq!((&sender["scheme"], &sender["secrets"]), (&json!({"mode": "hmac"}), &json!(2)));
    assert_eq!(server.stop().await, Some(0));

    // Back again: an older release finds nothing that it cannot read, and nothing that works without new secrets.
    installation.run(&["migrate", "down", "--to", "10", "--yes"]).await.says(0, &["undone 0011 keys"]);
    let left = "SELECT e.secrets, e.state, s.scheme, s.disabled_at IS NOT NULL, (SELECT count(*) FROM signing_key) \
                FROM webhook_endpoint e, inbox_source s";
    let nothing = r#"[]|disabled|{"settings":{"mode":"shared_secret"},"secrets":[]}|t|0"#;
    assert_eq!(database.psql(left).expect("read"), [nothing]);
    installation.run(&["migrate", "up"]).await.says(0, &["applied 0011 keys"]);
    let server = installation.serve().await;
    assert_eq!(server.stop().await, Some(0));
}
