//! The real binary as a process: what it is started with, what it says, and a client that speaks to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_testing::{Process, Program};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Answer;

/// The binary under test.
pub(crate) const MAINSTAY: &str = env!("CARGO_BIN_EXE_mainstay");
/// How long a command may take. Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One installation: a folder of its own and the settings that each of its commands is given.
pub(crate) struct Installation {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    /// What the binary is started by, when not directly.
    wrapper: Vec<String>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    /// Both streams.
    pub(crate) text: String,
}

impl Done {
    /// Demands an exit code and words of the output.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "{word:?} is missing in:\n{}", self.text);
        }
        self
    }
}

impl Installation {
    /// On SQLite, in the default place under the folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let installation = Self { folder, environment: Vec::new(), wrapper: Vec::new() };
        // No limits, cheap hashes, and a disk as full as that of this machine: what is tested here is something else.
        super::no_limits()
            .into_iter()
            .fold(installation, |installation, key| installation.set(&key, "1000000"))
            .with("PORT", "0")
            .with("MAINSTAY_ALERTS__DISK_PERCENT", "100")
            .with("MAINSTAY_OUTREACH__CHECK_DOMAINS", "false")
            .with("MAINSTAY_AUTH__PASSWORD_MEMORY_KIB", "64")
            .with("MAINSTAY_AUTH__PASSWORD_PASSES", "1")
    }

    /// With this database.
    pub(crate) fn on(self, url: &str) -> Self {
        self.with("DATABASE_URL", url)
    }

    /// With this variable; the last one of a name counts.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this setting, by its key.
    #[must_use]
    pub(crate) fn set(self, key: &str, value: &str) -> Self {
        self.with(&variable(key), value)
    }

    /// Started through this program and its arguments.
    #[must_use]
    pub(crate) fn through<T: AsRef<str>>(mut self, wrapper: &[T]) -> Self {
        self.wrapper = wrapper.iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// What each command is told by its environment; the last one of a name counts.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Its working directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into its working directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path
    }

    /// The binary with these arguments. What the developer's own environment says about Mainstay does not count.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        let mut words = self.wrapper.iter().map(String::as_str).chain([MAINSTAY]).chain(arguments.iter().copied());
        let first = words.next().unwrap_or(MAINSTAY);
        let foreign = |name: &str| {
            let ours = ["MAINSTAY_", "ANTHROPIC_", "OPENAI_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix));
            ours || ["PORT", "DATABASE_URL"].contains(&name)
        };
        let program = Program::new(first).args(words).directory(self.folder());
        let program = std::env::vars()
            .map(|(name, _)| name)
            .filter(|name| foreign(name))
            .fold(program, |program, name| program.env_remove(name));
        self.environment.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Done {
        ended(self.program(arguments).start().expect("it starts")).await
    }

    /// Runs a command that reads this.
    pub(crate) async fn run_with_input(&self, arguments: &[&str], input: &str) -> Done {
        ended(self.program(arguments).input(input).start().expect("it starts")).await
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn serve(&self) -> Instance {
        let begun = Instant::now();
        let process = self.program(&[]).start().expect("it starts");
        let line = process.wait_for_line("Mainstay serves on ", PATIENCE).await.expect("it greets");
        let address = line.trim_start_matches("Mainstay serves on ").trim().to_owned();
        process.wait_for_http(&format!("{address}/readyz"), PATIENCE).await.expect("it becomes ready");
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Instance { process, address, client, ready_after: begun.elapsed() }
    }

    /// Makes this many people and gives a token for each.
    pub(crate) async fn people(&self, count: usize) -> Vec<String> {
        let line = |number: usize| format!("writer{number}@example.com,password of writer {number},Writer {number}\n");
        self.write("people.csv", &(0..count).map(line).collect::<String>());
        self.run(&["user", "import", "people.csv"]).await.says(0, &[&format!("{count} made")]);
        let email = |number: usize| format!("writer{number}@example.com\n");
        self.write("emails.txt", &(0..count).map(email).collect::<String>());
        let done = self.run(&["token", "--email-file", "emails.txt", "--seconds", "86400"]).await;
        let tokens: Vec<String> = done.says(0, &[]).text.lines().map(str::to_owned).collect();
        assert_eq!(tokens.len(), count, "{}", done.text);
        tokens
    }
}

/// The environment variable of a setting.
pub(crate) fn variable(key: &str) -> String {
    format!("MAINSTAY_{}", key.to_uppercase().replace('.', "__"))
}

/// Waits for the end of a command.
pub(crate) async fn ended(process: Process) -> Done {
    let exit = process.wait(PATIENCE).await.expect("it ends");
    Done { code: exit.code(), text: process.lines().join("\n") }
}

/// A server that runs.
pub(crate) struct Instance {
    pub(crate) process: Process,
    pub(crate) address: String,
    pub(crate) client: reqwest::Client,
    /// From the start of the process to its first readiness, as seen from outside.
    pub(crate) ready_after: Duration,
}

impl Instance {
    /// A request with JSON, as somebody.
    pub(crate) fn request(&self, method: &str, path: &str, token: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.address));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When none comes.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.request(method, path, token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// Reads something that must be there.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Value {
        self.send("GET", path, token, None).await.expect("an answer").expect(200)
    }

    /// All rows of a list.
    pub(crate) async fn list(&self, path: &str, token: &str, limit: usize) -> Vec<Value> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let joined = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{joined}limit={limit}{after}"), token).await;
            rows.extend(page["data"].as_array().expect("rows").iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return rows,
            }
        }
    }

    /// Sends a message and begins to read its reply as events.
    pub(crate) async fn stream(&self, token: &str, content: &str) -> Events {
        let request = self.request("POST", "/v1/messages", token).header("accept", "text/event-stream");
        let response = request.json(&json!({"content": content})).send().await.expect("an answer");
        assert!(response.status().is_success(), "{}", response.status());
        Events::new(response)
    }

    /// Asks it to stop and waits for its end: the exit code.
    pub(crate) async fn stop(&self) -> Option<i32> {
        self.process.terminate();
        self.process.wait(PATIENCE).await.expect("it ends").code()
    }
}

/// The events of an answer, one after the other.
pub(crate) struct Events {
    response: reqwest::Response,
    waiting: Vec<u8>,
}

impl Events {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self { response, waiting: Vec::new() }
    }

    /// The next event: its name and data. Nothing at the end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) async fn next(&mut self) -> reqwest::Result<Option<(String, Value)>> {
        loop {
            if let Some(end) = self.waiting.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.waiting.drain(..end + 2).collect();
                let block = String::from_utf8_lossy(&block).into_owned();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let (Some(event), Some(data)) = (field("event:"), field("data:")) {
                    return Ok(Some((event.to_owned(), serde_json::from_str(data).unwrap_or(Value::Null))));
                }
            } else {
                match self.response.chunk().await? {
                    Some(chunk) => self.waiting.extend_from_slice(&chunk),
                    None => return Ok(None),
                }
            }
        }
    }

    /// Waits for an event of this name.
    pub(crate) async fn until(&mut self, name: &str) -> Value {
        let mut before = Vec::new();
        while let Some((event, data)) = self.next().await.expect("the stream goes on") {
            if event == name {
                return data;
            }
            before.push(event);
        }
        panic!("the stream ended without {name}, after {before:?}")
    }
}
