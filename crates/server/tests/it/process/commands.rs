//! The commands beside `serve`.

use serde_json::{Value, json};

use crate::support::binary::Installation;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_explains_itself() {
    let installation = Installation::new();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = Vec::new();
    while let Some(command) = waiting.pop() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = installation.run(&arguments).await;
        help.says(0, &["Usage: mainstay", "--help"]);
        // The subcommands stand indented under "Commands:", up to an empty line.
        let listed = help.text.lines().skip_while(|line| *line != "Commands:").skip(1);
        for line in listed.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  ")) {
            let Some(name) = line.split_whitespace().next().filter(|_| !line.starts_with("   ")) else { continue };
            if name != "help" {
                waiting.push(command.iter().cloned().chain([name.to_owned()]).collect());
            }
        }
        seen.push(command.join(" "));
    }
    for command in ["serve", "migrate plan", "migrate down", "config show", "user create", "user operator", "token"] {
        assert!(seen.iter().any(|name| name == command), "{command} is not among {seen:?}");
    }
    installation.run(&["--version"]).await.says(0, &["mainstay "]);
    installation.run(&["srve"]).await.says(2, &["srve", "serve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_operators_and_tokens_are_made() {
    let installation = Installation::new();
    let create = ["user", "create", "--email", "Ada@Example.com", "--name", "Ada"];
    let short = installation.run_with_input(&create, "short\n").await;
    short.says(1, &["mainstay: ", "password"]);
    let made = installation.run_with_input(&create, "the password of ada\n").await;
    let id = made.says(0, &[]).text.trim().to_owned();
    assert_eq!(id.len(), 36, "{id}");
    installation.run_with_input(&create, "the password of ada\n").await.says(1, &["mainstay: "]);
    installation.run(&["user", "operator", "--email", "ada@example.com"]).await.says(0, &["is an operator."]);
    let revoke = ["user", "operator", "--email", "ada@example.com", "--revoke"];
    installation.run(&revoke).await.says(0, &["is no operator any more."]);
    installation.run(&["user", "operator", "--email", "nobody@example.com"]).await.says(1, &["mainstay: "]);
    installation.run(&["token", "--email", "nobody@example.com"]).await.says(1, &["mainstay: "]);
    installation.run(&["token"]).await.says(2, &["--email"]);
    let token = installation.run(&["token", "--email", "ada@example.com"]).await.says(0, &[]).text.trim().to_owned();
    // What the command line wrote is what the server reads, also while it runs.
    let server = installation.serve().await;
    assert_eq!(server.get("/v1/me", &token).await["user"]["id"], id);
    let body = json!({"email": "ada@example.com", "password": "the password of ada"});
    server.send("POST", "/v1/auth/sign-in", "", Some(body)).await.expect("an answer").expect(200);
    let create = ["user", "create", "--email", "bob@example.com"];
    installation.run_with_input(&create, "the password of bob").await.says(0, &[]);
    let token = installation.run(&["token", "--email", "bob@example.com"]).await.says(0, &[]).text.trim().to_owned();
    assert_eq!(server.get("/v1/me", &token).await["user"]["email"], "bob@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_imported_once() {
    let installation = Installation::new();
    installation.write("people.csv", "a@example.com,password of a,A\n\nb@example.com,password of b\nnonsense,x\n");
    let first = installation.run(&["user", "import", "people.csv"]).await;
    first.says(1, &["line 4: ", "2 made, 0 were there already, 1 lines refused"]);
    let again = installation.run(&["user", "import", "people.csv"]).await;
    again.says(1, &["0 made, 2 were there already"]);
    installation.run(&["user", "import", "missing.csv"]).await.says(1, &["missing.csv cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_api_is_printed() {
    let done = Installation::new().run(&["openapi"]).await;
    let document: Value = serde_json::from_str(&done.says(0, &[]).text).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{}", document["openapi"]);
    assert!(document["paths"]["/v1/messages"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_setting_that_is_secret_is_shown() {
    let key = "3f9a0c5be871d264a0b95d7e42f1c86339cd07be5a1482f60b97e3c51d68fa24";
    let installation = Installation::new()
        .on("postgres://owner:tellnobody1@db.example.com/chat")
        .with("MAINSTAY_DATABASE__APP_URL", "postgres://app:tellnobody2@db.example.com/chat")
        .with("MAINSTAY_DATABASE__SYSTEM_URL", "postgres://system:tellnobody3@db.example.com/chat")
        .with("MAINSTAY_AUTH__SIGNING_KEY", key)
        .with("ANTHROPIC_API_KEY", "tellnobody4")
        .with("MAINSTAY_PROVIDERS__OPENAI__API_KEY", "tellnobody5");
    for arguments in [["config", "show"], ["config", "check"]] {
        let done = installation.run(&arguments).await;
        done.says(0, &[]);
        for secret in ["tellnobody", key] {
            assert!(!done.text.contains(secret), "{arguments:?} shows {secret}:\n{}", done.text);
        }
    }
    installation.run(&["config", "show"]).await.says(0, &["db.example.com", "signing_key"]);
    let text = installation.run(&["config", "docs"]).await;
    text.says(0, &["drain_seconds"]);
}
