//! A program under test as a child process: its output, its readiness, its end.
//!
//! Waiting is done on signals from the threads that read the output and reap the child, so it costs nothing and ends
//! at once. The async methods wait on a blocking thread in real time, also where a test has paused tokio's clock.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use crate::{Failure, Result, spawn, while_doing};

/// Output is kept up to this many lines; after that the oldest are forgotten.
const KEPT_LINES: usize = 100_000;
/// A [`Failure`] shows this many of the last lines.
const SHOWN_LINES: usize = 30;

/// A program and how to start it. The environment is this process's own, with changes.
#[derive(Debug)]
pub struct Program {
    path: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    directory: Option<PathBuf>,
    user: Option<String>,
    death_signal: &'static str,
    input: Option<Vec<u8>>,
}

impl Program {
    /// A program by path, or by name when it is on `PATH`.
    pub fn new(path: impl AsRef<OsStr>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            user: None,
            death_signal: "KILL",
            input: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Unsets an environment variable.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), None));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.directory = Some(path.as_ref().to_owned());
        self
    }

    /// What it reads on its standard input, which then ends. Empty unless said otherwise.
    #[must_use]
    pub fn input(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Runs it as this user of the system; only root may.
    #[must_use]
    pub(crate) fn user(mut self, name: Option<&str>) -> Self {
        self.user = name.map(str::to_owned);
        self
    }

    /// What it gets when this process dies, as `setpriv` names it. KILL unless said otherwise.
    #[must_use]
    pub(crate) fn death_signal(mut self, name: &'static str) -> Self {
        self.death_signal = name;
        self
    }

    /// Starts it in a process group of its own.
    ///
    /// # Errors
    /// When no process can be made. A path that cannot be executed shows as exit code 127 and a line that says so.
    pub fn start(self) -> Result<Process> {
        let name = Path::new(&self.path).file_name().unwrap_or(&self.path).to_string_lossy().into_owned();
        let mut command = spawn::bound_command(&self.path, self.death_signal, self.user.as_deref());
        command.args(&self.arguments).process_group(0);
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        for (variable, value) in &self.environment {
            match value {
                Some(value) => command.env(variable, value),
                None => command.env_remove(variable),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let mut child = spawn::spawn(command).map_err(while_doing(format_args!("starting {name} through setpriv")))?;
        let stdin = child.stdin.take();
        let process = Process::watch(name, child)?;
        if let (Some(mut stdin), Some(input)) = (stdin, self.input) {
            // On its own thread: a program that does not read would block the caller. One that ends first is fine.
            on_thread("input", move || drop(stdin.write_all(&input)))?;
        }
        Ok(process)
    }
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// How many lines were forgotten.
    dropped: usize,
    open_streams: usize,
    exit: Option<ExitStatus>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `done` or for `within`, whichever is first.
    fn wait(&self, within: Duration, mut done: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_timeout_while(self.lock(), within, |state| !done(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A child process. Dropping it kills its whole process group.
pub struct Process {
    name: String,
    id: u32,
    shared: Arc<Shared>,
}

impl Process {
    fn watch(name: String, mut child: Child) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.lock().open_streams = 2;
        let id = child.id();
        // Built first, so that whatever fails below kills the child.
        let process = Self { name, id, shared: Arc::clone(&shared) };
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|err| Box::new(err) as _)];
        for stream in streams.into_iter().flatten() {
            let shared = Arc::clone(&shared);
            on_thread("output", move || keep_lines(&shared, stream))?;
        }
        on_thread("reaper", move || reap(&shared, child))?;
        Ok(process)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it wrote on standard output and standard error until now, in the order of arrival (at most the last
    /// 20,000 lines).
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.shared.lock().lines.iter().cloned().collect()
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.shared.lock().exit.is_none()
    }

    /// The first line that contains `part`, from the start of the output; waits for it.
    ///
    /// # Errors
    /// When the process ends or `within` passes before.
    pub async fn wait_for_line(&self, part: &str, within: Duration) -> Result<String> {
        let (shared, name, part) = (Arc::clone(&self.shared), self.name.clone(), part.to_owned());
        blocking(move || wait_for_line(&shared, &name, &part, within)).await
    }

    /// [`Self::wait_for_line`] on the calling thread.
    pub(crate) fn wait_for_line_blocking(&self, part: &str, within: Duration) -> Result<String> {
        wait_for_line(&self.shared, &self.name, part, within)
    }

    /// Waits until a GET of the address is answered with a status of success, asking every 20 ms.
    ///
    /// # Errors
    /// When the process ends or `within` passes before.
    pub async fn wait_for_http(&self, url: &str, within: Duration) -> Result<()> {
        let client = crate::browser::http_client()?;
        let mut last = "no answer".to_owned();
        let ready = async {
            while self.is_running() {
                match client.get(url).send().await {
                    Ok(answer) if answer.status().is_success() => return true,
                    Ok(answer) => last = answer.status().to_string(),
                    Err(error) => last = error.to_string(),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        };
        if tokio::time::timeout(within, ready).await == Ok(true) {
            return Ok(());
        }
        let state = self.shared.lock();
        Err(failure(&self.name, &format!("was not ready at {url} within {within:?} (last: {last})"), &state))
    }

    /// Waits for its end and the end of its output.
    ///
    /// # Errors
    /// When it still runs after `within`.
    pub async fn wait(&self, within: Duration) -> Result<ExitStatus> {
        let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
        blocking(move || wait(&shared, &name, within)).await
    }

    /// [`Self::wait`] on the calling thread.
    pub(crate) fn wait_blocking(&self, within: Duration) -> Result<ExitStatus> {
        wait(&self.shared, &self.name, within)
    }

    /// Asks it to stop: SIGTERM. Does nothing when it has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it as a crash would: SIGKILL, to it alone. Does nothing when it has ended.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Stops it where it is, so that it answers nothing and closes nothing: SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::pause`].
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The reaper needs this lock to reap, so the number cannot belong to another process yet.
        let state = self.shared.lock();
        if let (None, Some(pid)) = (state.exit, pid(self.id)) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(pid) = pid(self.id) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        // The reaper waits for what was killed; a second is for a machine under load.
        drop(self.shared.wait(Duration::from_secs(1), |state| state.exit.is_some()));
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

fn on_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(while_doing(format_args!("starting the {name} thread")))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(while_doing("waiting on a blocking thread"))?
}

fn keep_lines(shared: &Shared, stream: impl Read) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        shared.change(|state| {
            if state.lines.len() == KEPT_LINES {
                state.lines.pop_front();
                state.dropped += 1;
            }
            state.lines.push_back(text);
        });
        line.clear();
    }
    shared.change(|state| state.open_streams -= 1);
}

fn reap(shared: &Shared, mut child: Child) {
    // First only look, so that the process id stays taken until the lock is held: see `Process::signal`.
    let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    if let Some(pid) = pid(child.id()) {
        while waitid(WaitId::Pid(pid), only_look).is_err_and(|error| error == Errno::INTR) {}
    }
    shared.change(|state| state.exit = child.wait().ok());
}

fn wait_for_line(shared: &Shared, name: &str, part: &str, within: Duration) -> Result<String> {
    let mut found = None;
    let mut seen = 0_usize;
    let state = shared.wait(within, |state| {
        // Only what is new since the last look, counting what was forgotten meanwhile.
        let mut new = state.lines.iter().skip(seen.saturating_sub(state.dropped));
        found = new.find(|line| line.contains(part)).cloned();
        seen = state.dropped + state.lines.len();
        found.is_some() || ended(state)
    });
    found.ok_or_else(|| failure(name, &format!("did not write a line with {part:?} within {within:?}"), &state))
}

fn wait(shared: &Shared, name: &str, within: Duration) -> Result<ExitStatus> {
    let state = shared.wait(within, |state| ended(state));
    state.exit.ok_or_else(|| failure(name, &format!("did not end within {within:?}"), &state))
}

/// Ended, and nothing more will be read: a line may arrive after the exit.
fn ended(state: &State) -> bool {
    state.exit.is_some() && state.open_streams == 0
}

fn failure(name: &str, what: &str, state: &State) -> Failure {
    let exit = state.exit.map_or_else(|| "still running".to_owned(), |exit| exit.to_string());
    let skipped = state.lines.len().saturating_sub(SHOWN_LINES);
    let lines: Vec<&str> = state.lines.iter().skip(skipped).map(String::as_str).collect();
    Failure(format!("{name} {what} ({exit}); its last lines:\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests;
