//! Nothing that looks like a credential gets into the repository: the hook refuses it, and so does CI for the whole history.

use std::path::Path;
use std::process::Command;

use mainstay_testing::skip;

/// What each kind looks like, put together here so that no search finds one in this file.
fn credentials() -> Vec<String> {
    let digits = "0123456789abcdefghijABCDEFGHIJ0123456789klmnop";
    let take = |count: usize| &digits[..count];
    let upper = take(30).to_uppercase();
    vec![
        format!("-----BEGIN RSA {} KEY-----", "PRIVATE"),
        format!("AKIA{}", &upper[..16]),
        format!("AIza{}", take(35)),
        format!("GOCSPX-{}", take(28)),
        format!("ghp_{}", take(36)),
        format!("github_pat_{}", take(40)),
        format!("glpat-{}", take(20)),
        format!("npm_{}", take(36)),
        format!("xoxb-{}", take(20)),
        format!("https://hooks.slack.com/services/T{}/B{}/{}", &upper[..9], &upper[..9], take(24)),
        format!("sk-ant-{}", take(40)),
        format!("sk-proj-{}", take(40)),
        format!("sk_live_{}", take(20)),
        format!("SG.{}.{}", take(22), take(43)),
        format!("whsec_{}", take(40)),
        format!("AGE-SECRET-KEY-1{}{}", &upper[..30], &upper[..28]),
    ]
}

struct Repository(tempfile::TempDir);

impl Repository {
    fn git(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("git")
            .args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("git runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    /// Commits a file with this text; whether it went through, and what was said.
    fn commit(&self, name: &str, text: &str) -> (bool, String) {
        std::fs::write(self.0.path().join(name), text).expect("written");
        assert!(self.git(&["add", "--force", name]).0);
        let done = self.git(&["commit", "-m", "a change"]);
        if !done.0 {
            self.git(&["reset", "-q", "--hard"]);
        }
        done
    }

    fn search(&self) -> (bool, String) {
        let output = Command::new("bash").arg(".ci/secrets").current_dir(self.0.path()).output().expect("it runs");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }
}

#[test]
fn a_credential_is_refused_by_the_hook_and_found_in_the_history() {
    if Command::new("git").arg("--version").output().is_err() {
        skip("git", "there is no git on this machine");
        return;
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let repository = Repository(tempfile::tempdir().expect("a folder"));
    assert!(repository.git(&["init", "-q"]).0);
    for (folder, file) in [(".ci", "secrets"), (".githooks", "pre-commit")] {
        let folder = repository.0.path().join(folder);
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::copy(root.join(folder.file_name().expect("a name")).join(file), folder.join(file)).expect("copied");
    }
    std::fs::copy(root.join(".gitignore"), repository.0.path().join(".gitignore")).expect("copied");
    assert!(repository.git(&["add", "."]).0 && repository.git(&["commit", "-q", "-m", "first"]).0);
    assert!(repository.git(&["config", "core.hooksPath", ".githooks"]).0);
    assert!(repository.commit("a.txt", "nothing of note\n").0);
    for credential in credentials() {
        let (taken, said) = repository.commit("b.txt", &format!("key = \"{credential}\"\n"));
        assert!(!taken && said.contains("looks like a credential"), "{credential}: {said}");
        assert!(!said.contains(&credential) || credential.len() < 40, "it is not shown in full: {said}");
    }
    for name in [".env", ".env.production", "prod.env", ".env.bak", "server.key", "tls.pem.old", "config.toml.bak"] {
        let (taken, said) = repository.commit(name, "x\n");
        assert!(!taken && said.contains(name), "{name}: {said}");
        std::fs::write(repository.0.path().join(name), "x\n").expect("written");
        assert!(repository.git(&["check-ignore", "-q", name]).0, "{name} is not ignored");
        std::fs::remove_file(repository.0.path().join(name)).expect("removed");
    }
    assert!(repository.commit(".env.example", "MAINSTAY_HTTP__PORT=8080\n").0);
    assert!(repository.search().0, "{}", repository.search().1);
    // Past the hook and taken out again: it is in the history for ever.
    std::fs::write(repository.0.path().join("c.txt"), credentials().remove(1)).expect("written");
    assert!(repository.git(&["add", "c.txt"]).0 && repository.git(&["commit", "-q", "--no-verify", "-m", "oops"]).0);
    assert!(!repository.search().0);
    assert!(repository.git(&["rm", "-q", "c.txt"]).0 && repository.git(&["commit", "-q", "-m", "gone"]).0);
    let (clean, said) = repository.search();
    assert!(!clean && said.contains("the history has"), "{said}");
}
