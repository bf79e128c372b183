//! The folders of the server, what was reached, what is to go wrong: shared by its conversations and the test.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::fault::{ImapAct, ImapFault, ImapStage};
use super::folder::Folder;

pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    folders: Vec<Folder>,
    reached: [u64; ImapStage::COUNT],
    faults: Vec<ImapFault>,
    commands: Vec<String>,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let state = State {
            folders: vec![Folder::new("INBOX", "\\HasNoChildren")],
            reached: [0; ImapStage::COUNT],
            faults: Vec::new(),
            commands: Vec::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a folder, which may not be there.
    pub(super) fn with_folder<T>(&self, name: &str, act: impl FnOnce(&mut Folder) -> T) -> Option<T> {
        let done = self.state().folders.iter_mut().find(|folder| is_named(folder, name)).map(act);
        self.changed.notify_waiters();
        done
    }

    pub(super) fn add_folder(&self, name: &str, attributes: &str) {
        self.state().folders.push(Folder::new(name, attributes));
    }

    pub(super) fn append(&self, name: &str, message: &[u8], uid: Option<u32>) -> u32 {
        let mut state = self.state();
        if !state.folders.iter().any(|folder| is_named(folder, name)) {
            state.folders.push(Folder::new(name, ""));
        }
        let folder = state.folders.iter_mut().find(|folder| is_named(folder, name));
        folder.map_or(0, |folder| folder.append(message, uid))
    }

    pub(super) fn expunge(&self, name: &str, uid: u32) {
        self.with_folder(name, |folder| folder.messages.retain(|message| message.uid != uid));
    }

    pub(super) fn renumber(&self, name: &str, uid_validity: u32) {
        self.with_folder(name, |folder| folder.renumber(uid_validity));
    }

    pub(super) fn read(&self, name: &str) -> Vec<u32> {
        let state = self.state();
        state.folders.iter().find(|folder| is_named(folder, name)).map(|folder| folder.read.clone()).unwrap_or_default()
    }

    pub(super) fn seen(&self, name: &str) -> Vec<u32> {
        let state = self.state();
        let folder = state.folders.iter().find(|folder| is_named(folder, name));
        let messages = folder.map(|folder| folder.messages.as_slice()).unwrap_or_default();
        messages.iter().filter(|message| message.seen).map(|message| message.uid).collect()
    }

    /// Every folder, with its name and attributes.
    pub(super) fn folders(&self) -> Vec<(String, String)> {
        let state = self.state();
        state.folders.iter().map(|folder| (folder.name.clone(), folder.attributes.clone())).collect()
    }

    /// Notes that a stage is reached, and gives what goes wrong there.
    pub(super) fn reach(&self, stage: ImapStage) -> Option<ImapAct> {
        let mut state = self.state();
        state.reached[stage as usize] += 1;
        let act = state.faults.iter_mut().find_map(|fault| fault.acts(stage).then(|| fault.act.clone()));
        drop(state);
        self.changed.notify_waiters();
        act
    }

    pub(super) fn reached(&self, stage: ImapStage) -> u64 {
        self.state().reached[stage as usize]
    }

    pub(super) fn note_command(&self, command: String) {
        self.state().commands.push(command);
    }

    pub(super) fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    pub(super) fn add_fault(&self, fault: ImapFault) {
        self.state().faults.push(fault);
    }

    pub(super) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Waits until `done`; false when it is not within `patience`.
    pub(super) async fn wait(&self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before the look, so that no change falls between.
                changed.as_mut().enable();
                if done(self) {
                    return;
                }
                changed.await;
            }
        };
        timeout(patience, waiting).await.is_ok()
    }
}

/// Whether a folder has a name: that of the inbox may be written in any letters.
fn is_named(folder: &Folder, name: &str) -> bool {
    folder.name == name || name.eq_ignore_ascii_case("INBOX") && folder.name == "INBOX"
}
