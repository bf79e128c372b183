//! An installation on PostgreSQL that is deployed to: two nodes on this machine.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mainstay_domain::hexadecimal;
use mainstay_testing::postgres::Cluster;
use mainstay_testing::{Database, Program};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::support::binary::{Done, Installation, MAINSTAY};

/// How long a whole deployment may take: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(240);
/// How many people use it.
const PEOPLE: usize = 6;

/// A build, as a file.
pub(super) struct Build {
    path: PathBuf,
    pub(super) digest: String,
}

pub(super) struct World {
    pub(super) installation: Installation,
    pub(super) database: Arc<Database>,
    pub(super) ports: [u16; 2],
    pub(super) tokens: Vec<String>,
    root: PathBuf,
    settings: Vec<(String, String)>,
}

impl Drop for World {
    fn drop(&mut self) {
        for process in self.processes().into_iter().flatten() {
            // Only what this test has started: the program lies in its own folder, or is what its scripts lead to.
            let ours = std::fs::read_to_string(format!("/proc/{process}/environ"));
            if ours.is_ok_and(|known| known.contains(&self.database.url)) {
                let _ = Command::new("kill").args(["-KILL", &process]).status();
            }
        }
    }
}

impl World {
    /// With its schema, a backup and some people; nothing runs yet. Nothing where there is no PostgreSQL.
    pub(super) async fn new() -> Option<Self> {
        let database = Arc::new(Cluster::shared()?.database().expect("a database"));
        let installation = Installation::new().on(&database.url).with("MAINSTAY_DATABASE__POOL_SIZE", "12");
        let root = installation.folder().join("root");
        // Both are for all nodes, and for the commands that run elsewhere.
        let place = |name: &str| root.join(name).display().to_string();
        let installation = installation.with("MAINSTAY_BACKUP__TO", &place("backups"));
        let installation = installation.with("MAINSTAY_KEYS__DIRECTORY", &place("keys"));
        std::fs::create_dir_all(root.join("backups")).expect("made");
        installation.run(&["migrate", "up"]).await.says(0, &[]);
        let limits = ["plan", "limits", "free", "--messages-per-day", "none", "--messages-per-month", "none"];
        installation.run(&limits).await.says(0, &[]);
        installation.run(&["backup", "make"]).await.says(0, &[]);
        let tokens = installation.people(PEOPLE).await;
        // Both at once, so that they differ.
        let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let ports = taken.map(|listener| listener.local_addr().expect("an address").port());
        let settings = installation.environment().iter().filter(|(name, _)| name != "PORT").cloned().collect();
        let world = Self { installation, database, ports, tokens, root, settings };
        world.write_settings();
        Some(world)
    }

    fn write_settings(&self) {
        let lines = self.settings.iter().map(|(name, value)| format!("{name}={value}\n"));
        std::fs::write(self.root.join("environment"), lines.collect::<String>()).expect("written");
    }

    /// Changes a setting of the installation; gives what it was.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Option<String> {
        let before = self.settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        self.settings.retain(|(known, _)| known != name);
        self.settings.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self.write_settings();
        before
    }

    /// The binary under test with something behind its end: it runs as before, and is another build.
    pub(super) fn program(&self, name: &str, behind: &[u8]) -> Build {
        let mut bytes = std::fs::read(MAINSTAY).expect("read");
        bytes.extend_from_slice(behind);
        self.file(name, &bytes)
    }

    /// A script in the place of a program.
    pub(super) fn script(&self, name: &str, text: &str) -> Build {
        self.file(name, text.as_bytes())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Build {
        let path = self.installation.folder().join(name);
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
        Build { path, digest: hexadecimal(digest(&SHA256, bytes).as_ref()) }
    }

    fn evidence(&self) -> PathBuf {
        self.installation.folder().join("evidence")
    }

    /// Lets a build write that it has passed these.
    pub(super) async fn passed(&self, build: &Build, stages: &[&str]) {
        for stage in stages {
            let program = Program::new(&build.path).args(["preflight", "--passed", stage, "--evidence"]);
            let program = program.arg(self.evidence()).env("DATABASE_URL", &self.database.url);
            done(program.directory(self.installation.folder())).await.says(0, &["has passed"]);
        }
    }

    fn script_of_the_pipeline(&self, name: &str, further: &[(&str, &str)]) -> Program {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/pipeline").join(name);
        let ports = self.ports.map(|port| port.to_string()).join(" ");
        let program = Program::new("bash").arg(script).arg("production").directory(self.installation.folder());
        let program = program
            .env("DEPLOY_TARGET", "local")
            .env("DEPLOY_PROFILE", "server")
            .env("DEPLOY_EVIDENCE", self.evidence())
            .env("DEPLOY_REQUIRE", "database.url backup.to")
            .env("DEPLOY_SMOKE_PROGRAM", MAINSTAY)
            .env("DEPLOY_BY", "a test")
            .env("LOCAL_ROOT", &self.root)
            .env("LOCAL_PORTS", ports);
        further.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    pub(super) async fn promote(&self, build: &Build, further: &[(&str, &str)]) -> Done {
        done(self.script_of_the_pipeline("promote.sh", further).env("DEPLOY_PROGRAM", &build.path)).await
    }

    pub(super) async fn rollback(&self) -> Done {
        done(self.script_of_the_pipeline("rollback.sh", &[])).await
    }

    /// Makes the working directory a repository with one commit; gives the commit.
    pub(super) fn repository(&self) -> String {
        self.git(&["init", "--quiet"]);
        self.git(&[
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.com",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "x",
        ]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(super) fn git(&self, words: &[&str]) -> String {
        let done = Command::new("git").args(words).current_dir(self.installation.folder()).output().expect("git");
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The digest that each node tells.
    pub(super) async fn told(&self) -> [String; 2] {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut told = [String::new(), String::new()];
        for (port, told) in self.ports.iter().zip(&mut told) {
            let answer = client.get(format!("http://127.0.0.1:{port}/health")).send().await.expect("an answer");
            let body: Value = answer.json().await.expect("JSON");
            body["digest"].as_str().unwrap_or_default().clone_into(told);
        }
        told
    }

    /// The process of each node.
    pub(super) fn processes(&self) -> [Option<String>; 2] {
        let of = |port: u16| std::fs::read_to_string(self.root.join(format!("nodes/{port}/process"))).ok();
        self.ports.map(|port| of(port).map(|text| text.trim().to_owned()))
    }

    /// Whether nothing was ever started.
    pub(super) fn is_untouched(&self) -> bool {
        !self.root.join("nodes").exists() && !self.root.join("current").exists()
    }

    /// The register, the last entry first.
    pub(super) async fn register(&self) -> Value {
        let done = self.installation.run(&["deploy", "list", "--environment", "production", "--form", "json"]).await;
        serde_json::from_str(&done.says(0, &[]).text).expect("JSON")
    }
}

async fn done(program: Program) -> Done {
    let process = program.start().expect("it starts");
    let exit = process.wait(PATIENCE).await.expect("it ends");
    Done { code: exit.code(), text: process.lines().join("\n") }
}
