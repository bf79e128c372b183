//! One conversation with a server.

use std::fmt;
use std::time::Duration;

use tokio::net::TcpStream;

use super::response::{Response, Status, Words, capabilities};
use super::sign_in::sign_in;
use super::wire::{Bounds, Wire};
use super::{Answer, Cause, Failed, Folder, No, Security, Server, SignIn, Stage, Timeouts, name};
use crate::stream::{self, NoTls};

/// The longest argument, in bytes: no folder and no message id is longer.
const LONGEST_ARGUMENT: usize = 1_000;

/// A conversation that is signed in.
///
/// It belongs to one owner and is never shared: every response is read by the call that asked.
pub struct Session {
    talk: Talk,
    pub(super) timeouts: Timeouts,
    /// The folder that is open.
    pub(super) folder: Option<Folder>,
    /// Set before every exchange and taken back when it has ended well, so that a future that is dropped leaves it set.
    spent: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { talk, folder, spent, .. } = self;
        let mut show = f.debug_struct("Session");
        show.field("offered", &talk.offered).field("folder", folder).field("spent", spent).finish_non_exhaustive()
    }
}

impl Session {
    /// Waits for the greeting, protects the line and signs in, over a connection that was just made.
    ///
    /// # Errors
    /// The stage that failed, and why. The connection is closed.
    pub async fn sign_in(stream: TcpStream, server: &Server, timeouts: &Timeouts) -> Result<Self, Failed> {
        let at = |stage| move |cause| Failed { stage, cause };
        let _ = stream.set_nodelay(true);
        let near = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let mut wire = Wire::new(Box::new(stream), timeouts.idle);
        if server.security == Security::Tls {
            wire = encrypt(wire, server, timeouts).await.map_err(at(Stage::StartTls))?;
        }
        let mut talk = Talk { wire, next: 1, offered: Vec::new() };
        let known = talk.greeting(timeouts.greeting).await.map_err(at(Stage::Greeting))?;
        if server.security == Security::StartTls {
            if known {
                // Then STARTTLS is not allowed any more. Whoever wants to read along makes it look so.
                let why =
                    "The server takes the session as signed in before the line is encrypted; nothing was sent to it.";
                return Err(at(Stage::StartTls)(Cause::Unsuitable(why)));
            }
            talk = talk.start_tls(server, timeouts).await?;
        }
        if known && !matches!(server.sign_in, SignIn::None) {
            let why = "The server has signed the session in as somebody of its choice, not as the user that is set.";
            return Err(at(Stage::SignIn)(Cause::Unsuitable(why)));
        }
        if !known {
            if matches!(server.sign_in, SignIn::None) {
                return Err(at(Stage::SignIn)(Cause::Unsuitable("The server wants a sign-in and none is set.")));
            }
            if server.security == Security::None && !near {
                let why = "The line is not encrypted and the server is another machine: no secret is sent over it.";
                return Err(at(Stage::SignIn)(Cause::Unsuitable(why)));
            }
            talk.learn(timeouts.capability).await.map_err(at(Stage::Capability))?;
            sign_in(&mut talk, &server.sign_in, timeouts.sign_in).await.map_err(at(Stage::SignIn))?;
        }
        talk.learn(timeouts.capability).await.map_err(at(Stage::Capability))?;
        Ok(Self { talk, timeouts: *timeouts, folder: None, spent: false })
    }

    /// Whether the session is of no further use, and is to be dropped.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.spent
    }

    /// Opens a folder by its name, for reading only (`EXAMINE`). `INBOX` is always there.
    ///
    /// # Errors
    /// When the server refuses, as it does for a folder that is not there: then none is open. And when the conversation fails.
    pub async fn open(&mut self, folder: &str) -> Result<Folder, Failed> {
        let failed = |cause| Failed { stage: Stage::Folder, cause };
        self.folder = None;
        let argument = quoted(&name::encode(folder)).map_err(failed)?;
        let (mut exists, mut uid_validity, mut uid_next) = (0, None, None);
        let command = format!("EXAMINE {argument}");
        let done = self
            .command(Stage::Folder, &command, |response| match response {
                Response::Exists(count) => exists = count,
                Response::Status(Status::Ok, words) => {
                    uid_validity = words.number("UIDVALIDITY").or(uid_validity);
                    uid_next = words.number("UIDNEXT").or(uid_next);
                }
                _ => {}
            })
            .await?;
        done.map_err(|answer| failed(Cause::Answer(answer)))?;
        let Some(uid_validity) = uid_validity else {
            self.spent = true;
            return Err(failed(Cause::Garbage("a folder whose messages have no lasting numbers (UIDVALIDITY)")));
        };
        let uid_next = match uid_next {
            Some(uid_next) => uid_next,
            None => self.highest_uid(exists).await?.saturating_add(1),
        };
        let folder = Folder { uid_validity, uid_next, exists };
        self.folder = Some(folder);
        Ok(folder)
    }

    /// The uid of the last message of the folder that was just opened; 0 when there is none.
    async fn highest_uid(&mut self, exists: u32) -> Result<u32, Failed> {
        let mut highest = 0;
        if exists > 0 {
            let note = |response| {
                if let Response::Fetch(found) = response {
                    highest = highest.max(found.uid.unwrap_or_default());
                }
            };
            let done = self.command(Stage::Fetch, "UID FETCH * (UID)", note).await?;
            done.map_err(|answer| Failed { stage: Stage::Fetch, cause: Cause::Answer(answer) })?;
        }
        Ok(highest)
    }

    /// Says goodbye and closes the line. A spent session is only closed.
    pub async fn sign_out(mut self) {
        if !self.spent {
            let mut bounds = Bounds::new(self.timeouts.rest);
            let _ = self.talk.ask("LOGOUT", &mut bounds, |_| {}).await;
        }
        self.talk.wire.close(self.timeouts.rest).await;
    }

    pub(super) fn offers(&self, capability: &str) -> bool {
        self.talk.offers(capability)
    }

    /// One command. The outer error ends the session; the inner is a clear no, after which it is as good as before.
    pub(super) async fn command(
        &mut self,
        stage: Stage,
        command: &str,
        note: impl FnMut(Response),
    ) -> Result<Result<(), Answer>, Failed> {
        let failed = |cause| Failed { stage, cause };
        if self.spent {
            return Err(failed(Cause::Spent));
        }
        self.spent = true;
        let limit = match stage {
            Stage::Search => self.timeouts.search,
            Stage::Fetch => self.timeouts.fetch,
            _ => self.timeouts.folder,
        };
        let done = match self.talk.ask(command, &mut Bounds::new(limit), note).await {
            Ok(()) => Ok(()),
            Err(Cause::Answer(answer)) => Err(answer),
            Err(cause) => return Err(failed(cause)),
        };
        self.spent = false;
        Ok(done)
    }
}

/// Commands and responses, before anybody is signed in and after.
pub(super) struct Talk {
    wire: Wire,
    /// The number in the next tag.
    next: u64,
    /// What the server says that it can do, in capitals; empty when it is not known.
    offered: Vec<String>,
}

impl Talk {
    pub(super) fn offers(&self, capability: &str) -> bool {
        self.offered.iter().any(|known| known == capability)
    }

    /// Waits for the greeting. True when the server takes the session as signed in.
    async fn greeting(&mut self, limit: Duration) -> Result<bool, Cause> {
        match self.wire.response(&mut Bounds::new(limit)).await? {
            Response::Status(status @ (Status::Ok | Status::Preauth), words) => {
                self.note_words(&words);
                Ok(status == Status::Preauth)
            }
            _ => Err(Cause::Garbage("no greeting")),
        }
    }

    async fn start_tls(mut self, server: &Server, timeouts: &Timeouts) -> Result<Self, Failed> {
        let at = |stage| move |cause| Failed { stage, cause };
        self.learn(timeouts.capability).await.map_err(at(Stage::Capability))?;
        if !self.offers("STARTTLS") {
            let why = "The server does not offer STARTTLS; nothing was sent to it.";
            return Err(at(Stage::StartTls)(Cause::Unsuitable(why)));
        }
        let asked = self.ask("STARTTLS", &mut Bounds::new(timeouts.start_tls), |_| {}).await;
        asked.map_err(at(Stage::StartTls))?;
        let wire = encrypt(self.wire, server, timeouts).await.map_err(at(Stage::StartTls))?;
        // What was offered before may have been written by anybody on the way.
        Ok(Self { wire, next: self.next, offered: Vec::new() })
    }

    /// Asks what the server can do, unless it has said so unasked.
    async fn learn(&mut self, limit: Duration) -> Result<(), Cause> {
        if self.offered.is_empty() {
            self.ask("CAPABILITY", &mut Bounds::new(limit), |_| {}).await?;
        }
        Ok(())
    }

    /// Forgets what the server can do: it is another thing once somebody is signed in.
    pub(super) fn forget_offers(&mut self) {
        self.offered.clear();
    }

    /// Sends a command and reads to its end.
    pub(super) async fn ask(
        &mut self,
        command: &str,
        bounds: &mut Bounds,
        note: impl FnMut(Response),
    ) -> Result<(), Cause> {
        let tag = self.begin(command, bounds).await?;
        if self.until(&tag, bounds, note).await? {
            return Ok(());
        }
        Err(Cause::Garbage("a wish for more of a command that was whole"))
    }

    /// Sends a command, or the first part of one. Gives its tag.
    pub(super) async fn begin(&mut self, command: &str, bounds: &Bounds) -> Result<String, Cause> {
        let tag = format!("A{}", self.next);
        self.next += 1;
        self.wire.write(format!("{tag} {command}\r\n").as_bytes(), bounds).await?;
        Ok(tag)
    }

    /// Sends a further part of a command as it is.
    pub(super) async fn go_on(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<(), Cause> {
        self.wire.write(bytes, bounds).await
    }

    /// Reads until the command has ended well, or until the server wants more of it: then false.
    pub(super) async fn until(
        &mut self,
        tag: &str,
        bounds: &mut Bounds,
        mut note: impl FnMut(Response),
    ) -> Result<bool, Cause> {
        loop {
            match self.wire.response(bounds).await? {
                Response::More => return Ok(false),
                Response::Done(found, status, words) if found == tag => {
                    self.note_words(&words);
                    return match status {
                        Status::Ok => Ok(true),
                        Status::No => Err(Cause::Answer(words.into_answer(No::No))),
                        _ => Err(Cause::Answer(words.into_answer(No::Bad))),
                    };
                }
                Response::Done(..) => return Err(Cause::Garbage("an answer to what was not asked")),
                Response::Status(Status::Preauth, _) => return Err(Cause::Garbage("a second greeting")),
                Response::Capability(offered) => self.offered = offered,
                response => {
                    if let Response::Status(Status::Ok, words) = &response {
                        self.note_words(words);
                    }
                    note(response);
                }
            }
        }
    }

    /// What a server can do may stand in its words.
    fn note_words(&mut self, words: &Words) {
        if let Some(names) = words.of_code("CAPABILITY") {
            self.offered = capabilities(names);
        }
    }
}

/// A quoted string. Nothing in it can end the string or the line.
pub(super) fn quoted(text: &str) -> Result<String, Cause> {
    if text.is_empty() || text.len() > LONGEST_ARGUMENT || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Cause::Unsuitable("A name is empty, too long or holds characters that cannot be sent."));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

async fn encrypt(wire: Wire, server: &Server, timeouts: &Timeouts) -> Result<Wire, Cause> {
    let stream = wire.into_stream()?;
    match stream::encrypt(stream, &server.name, &server.tls, timeouts.start_tls).await {
        Ok(stream) => Ok(Wire::new(stream, timeouts.idle)),
        Err(NoTls::Name) => Err(Cause::Unsuitable(NoTls::NAME)),
        Err(NoTls::TimedOut) => Err(Cause::TimedOut),
        Err(NoTls::Cut) => Err(Cause::Cut),
        Err(NoTls::Failed(why)) => Err(Cause::Tls(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_quoted_string() {
        assert_eq!(quoted("a \"b\\").unwrap(), "\"a \\\"b\\\\\"");
        for bad in ["", "a\r\nA1 LOGOUT", "a\0", "é", "\u{7f}"] {
            assert!(quoted(bad).is_err(), "{bad:?}");
        }
        assert!(quoted(&"a".repeat(LONGEST_ARGUMENT + 1)).is_err());
    }
}
