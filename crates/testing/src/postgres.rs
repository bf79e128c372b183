//! A private PostgreSQL: one for the test process, or one of a test's own that it may stop, kill and pause.
//!
//! Databases belong to the role `owner`, which is no superuser and may create roles: the product needs no more. They
//! sort text by the rules of a language (ICU, American English), as most installations do, so that a statement that
//! relies on the order of bytes fails here and not there.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Process, Program};
use crate::scratch::Scratch;
use crate::{Failure, Result, free_port, skip, table, while_doing};

/// Starting, stopping and making a database take a second at most; recovery after a crash may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A database is dropped within this time, or left: its server may be stopped or paused.
const DROP_PATIENCE: Duration = Duration::from_secs(5);
/// Another program may take the port between the choice and the start.
const PORT_ATTEMPTS: usize = 5;

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether commits reach the disk. Crash tests keep this; without it every test is faster.
    pub fsync: bool,
    /// Whether pages have checksums.
    pub checksums: bool,
    /// More settings of `postgresql.conf`, as name and value.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: true, checksums: false, settings: Vec::new() }
    }
}

/// How a server is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Ends the sessions and writes everything: SIGINT.
    Fast,
    /// Ends at once, as if the power had failed: SIGQUIT. The next start recovers from the log.
    Immediate,
}

/// A PostgreSQL server with a data directory of its own. Dropping it stops the server and removes the directory.
pub struct Cluster {
    // Before the directory, so that it is dropped first.
    server: Option<Process>,
    access: Access,
    options: Options,
    death_signal: &'static str,
    scratch: Scratch,
}

/// What a client program needs to reach a cluster.
#[derive(Clone)]
struct Access {
    binaries: PathBuf,
    port: u16,
}

impl Cluster {
    /// The server that all tests of this process share, started by the first that asks, without fsync. `None` where
    /// PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, or is not installed and [`crate::required`].
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        // QUIT lets it take its shared memory segment along, of which the system has only so many.
        SHARED.get_or_init(|| Self::set_up(Options { fsync: false, ..Options::default() }, "QUIT")).as_ref()
    }

    /// A server of the caller's own. `None` where PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, or is not installed and [`crate::required`].
    #[must_use]
    pub fn start(options: Options) -> Option<Self> {
        // It may be paused when this process dies, and only KILL ends what is paused.
        Self::set_up(options, "KILL")
    }

    fn set_up(options: Options, death_signal: &'static str) -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            skip(
                "PostgreSQL",
                "PostgreSQL is not installed: neither pg_config nor /usr/lib/postgresql nor PATH leads to initdb",
            );
            return None;
        };
        let cluster = Self::initialise(binaries, options, death_signal).and_then(Self::launch_on_a_free_port);
        #[expect(clippy::panic, reason = "a service that is installed and does not start must fail the test")]
        match cluster {
            Ok(cluster) => Some(cluster),
            Err(failure) => panic!("PostgreSQL is installed but did not start: {failure}"),
        }
    }

    fn initialise(binaries: PathBuf, options: Options, death_signal: &'static str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let data = scratch.path().join("data");
        fs::create_dir(&data).map_err(while_doing("making the data directory"))?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700))
            .map_err(while_doing("closing the data directory"))?;
        if let Some(user) = server_user()? {
            let (uid, gid) = ids_of(user)?;
            chown(&data, Some(uid), Some(gid)).map_err(while_doing("giving away the data directory"))?;
        }
        let initdb = Program::new(binaries.join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"])
            .args(["--locale-provider=icu", "--icu-locale=en-US"])
            .args(if options.fsync { None } else { Some("--no-sync") })
            .args(options.checksums.then_some("--data-checksums"))
            .args([OsString::from("--pgdata"), data.into_os_string()]);
        run(initdb.directory(scratch.path()).user(server_user()?), "initdb", PATIENCE)?;
        Ok(Self { server: None, access: Access { binaries, port: 0 }, options, death_signal, scratch })
    }

    fn launch_on_a_free_port(mut self) -> Result<Self> {
        let mut outcome = Ok(());
        for _ in 0..PORT_ATTEMPTS {
            self.access.port = free_port()?;
            outcome = self.launch();
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        run(self.access.client("createuser").args(["--createrole", "--createdb", "owner"]), "createuser", PATIENCE)?;
        Ok(self)
    }

    fn launch(&mut self) -> Result<()> {
        let on_or_off = if self.options.fsync { "on" } else { "off" };
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("shared_buffers", "128MB"),
            ("max_connections", "200"),
            // In the data directory, so that a killed server leaves nothing in /dev/shm.
            ("dynamic_shared_memory_type", "mmap"),
            ("fsync", on_or_off),
            ("full_page_writes", on_or_off),
        ];
        let more = self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let arguments =
            settings.into_iter().chain(more).flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
        let server = without_settings_of_the_caller(Program::new(self.access.binaries.join("postgres")))
            .args(["-p".to_owned(), self.access.port.to_string()])
            .args(arguments)
            .arg("-D")
            .arg(self.data())
            .directory(self.scratch.path())
            .user(server_user()?)
            .death_signal(self.death_signal)
            .start()?;
        server.wait_for_line_blocking("database system is ready to accept connections", PATIENCE)?;
        self.server = Some(server);
        Ok(())
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.access.port
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Where `pg_dump`, `pg_basebackup` and the others are.
    #[must_use]
    pub fn binaries(&self) -> &Path {
        &self.access.binaries
    }

    /// What the server has logged since it was last started.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.server.as_ref().map(Process::lines).unwrap_or_default()
    }

    /// A new empty database that belongs to `owner`, dropped with its handle.
    ///
    /// # Errors
    /// When the server does not make it.
    pub fn database(&self) -> Result<Database> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        run(self.access.client("createdb").args(["--owner=owner", &name]), "createdb", PATIENCE)?;
        let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/{name}", self.access.port);
        Ok(Database { url: url("owner"), superuser_url: url("postgres"), access: self.access.clone(), name })
    }

    /// Stops the server and waits for its end.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub fn stop(&mut self, mode: StopMode) -> Result<()> {
        let Some(server) = &self.server else { return Ok(()) };
        server.signal(match mode {
            StopMode::Fast => Signal::INT,
            StopMode::Immediate => Signal::QUIT,
        });
        server.wait_blocking(PATIENCE)?;
        self.server = None;
        Ok(())
    }

    /// Kills the server and all its sessions with SIGKILL, as the kernel does when memory runs out.
    ///
    /// # Errors
    /// When a process of it is still there after a minute.
    pub fn kill_9(&mut self) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        // The parent first: it starts no more children and does not clean up after those that die.
        server.kill();
        table::signal(&table::working_in(&self.data()), Signal::KILL);
        server.wait_blocking(PATIENCE)?;
        for _ in 0..6000 {
            if table::working_in(&self.data()).is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Failure("sessions of PostgreSQL outlived SIGKILL by a minute".to_owned()))
    }

    /// Starts the server again on the same port and data, after a [`StopMode::Fast`] stop when it runs.
    ///
    /// # Errors
    /// When it does not stop, or is not ready within a minute.
    pub fn restart(&mut self) -> Result<()> {
        self.stop(StopMode::Fast)?;
        self.launch()
    }

    /// Stops every process of the server where it is: connections stay open and nothing is answered, as when a
    /// machine hangs. Goes on after [`Self::resume`].
    pub fn pause(&mut self) {
        if let Some(server) = &self.server {
            server.pause();
            table::signal(&table::descendants(server.id()), Signal::STOP);
        }
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self) {
        if let Some(server) = &self.server {
            table::signal(&table::descendants(server.id()), Signal::CONT);
            server.resume();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // So that it cleans up after itself. Whatever still runs is killed with its handle.
        self.resume();
        let _ = self.stop(StopMode::Immediate);
    }
}

impl Access {
    /// A client program of PostgreSQL that logs in as the superuser.
    fn client(&self, name: &str) -> Program {
        without_settings_of_the_caller(Program::new(self.binaries.join(name))).args([
            "--host=127.0.0.1",
            "--username=postgres",
            "--no-password",
            &format!("--port={}", self.port),
        ])
    }
}

/// A database of one test. Dropping it drops the database, whoever is connected, when the server answers.
pub struct Database {
    /// Logs in as `owner`, which owns the database and may create roles.
    pub url: String,
    /// Logs in as `postgres`, the superuser.
    pub superuser_url: String,
    name: String,
    access: Access,
}

impl Database {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs one command of `psql` as the superuser, and gives the lines of its answer, values separated by `|`.
    ///
    /// # Errors
    /// When the command fails, with the server's message.
    pub fn psql(&self, command: &str) -> Result<Vec<String>> {
        let psql = self.access.client("psql").args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        run(psql.args(["--set=ON_ERROR_STOP=1", "--dbname", &self.name, "--command", command]), "psql", PATIENCE)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = run(self.access.client("dropdb").args(["--if-exists", "--force", &self.name]), "dropdb", DROP_PATIENCE);
    }
}

/// Runs a program to its end and gives its output.
fn run(program: Program, name: &str, within: Duration) -> Result<Vec<String>> {
    let process = program.start()?;
    let exit = process.wait_blocking(within)?;
    let lines = process.lines();
    if exit.success() { Ok(lines) } else { Err(Failure(format!("{name} failed ({exit}): {}", lines.join("\n")))) }
}

/// PGPORT, PGOPTIONS and their like would lead the programs elsewhere.
fn without_settings_of_the_caller(program: Program) -> Program {
    let ours = |name: &OsString| name.as_encoded_bytes().starts_with(b"PG");
    std::env::vars_os().map(|(name, _)| name).filter(ours).fold(program, Program::env_remove)
}

/// The directory with `initdb` and `postgres`: Debian keeps them off `PATH`.
fn find_binaries() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.and_then(|output| Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim())));
    let mut installed: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    installed.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    told.into_iter()
        .chain(installed.into_iter().map(|(_, directory)| directory))
        .chain(on_path)
        .find(|directory| directory.join("initdb").is_file() && directory.join("postgres").is_file())
}

/// The user to run the server as: it refuses to run as root. `None` when this process is not root.
fn server_user() -> Result<Option<&'static str>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    ids_of("postgres").map(|_| Some("postgres"))
}

/// The user and group ids of a user of the system.
fn ids_of(user: &str) -> Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").map_err(while_doing("reading /etc/passwd"))?;
    let found = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
        if *name == user { Some((uid.parse().ok()?, gid.parse().ok()?)) } else { None }
    });
    found.ok_or_else(|| Failure(format!("this process is root and there is no user {user} to run PostgreSQL as")))
}

#[cfg(test)]
mod tests;
