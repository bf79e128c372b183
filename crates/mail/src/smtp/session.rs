//! One conversation with a server.

use std::fmt;
use std::time::Duration;

use tokio::net::TcpStream;

use super::sign_in::sign_in;
use super::wire::Wire;
use super::{Cause, Outcome, Refused, Reply, Security, Server, SignIn, Stage, Timeouts};
use crate::message::Address;
use crate::stream::{self, NoTls};

/// What a server says that it can do.
#[derive(Clone, Debug, Default)]
pub(super) struct Capabilities {
    pipelining: bool,
    start_tls: bool,
    /// It speaks of sizes; the most bytes that it takes, when it says so.
    size: Option<Option<u64>>,
    auth: Vec<String>,
}

impl Capabilities {
    fn read(lines: &[String]) -> Self {
        let mut offered = Self::default();
        for line in lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // Old servers write AUTH=.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("PIPELINING") => offered.pipelining = true,
                Some("STARTTLS") => offered.start_tls = true,
                Some("SIZE") => {
                    offered.size = Some(words.next().and_then(|most| most.parse().ok()).filter(|most| *most > 0))
                }
                Some("AUTH") => offered.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offered
    }

    pub(super) fn has_auth(&self, way: &str) -> bool {
        self.auth.iter().any(|known| known == way)
    }
}

/// A conversation that is signed in. Whoever holds it gives one message after another.
///
/// It belongs to one owner and is never shared: every answer is read by the call that asked.
pub struct Session {
    wire: Wire,
    offered: Capabilities,
    timeouts: Timeouts,
    /// Set before every exchange and taken back when it has ended well, so that a future that is dropped leaves it set.
    spent: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("offered", &self.offered).field("spent", &self.spent).finish_non_exhaustive()
    }
}

impl Session {
    /// Greets, protects the line and signs in, over a connection that was just made.
    ///
    /// # Errors
    /// The stage that failed, and why. The connection is closed.
    pub async fn open(stream: TcpStream, server: &Server, timeouts: &Timeouts) -> Result<Self, Refused> {
        let at = |stage| move |cause| Refused { stage, cause };
        let _ = stream.set_nodelay(true);
        let near = stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let hello = &server.hello;
        if hello.is_empty() || hello.len() > 255 || !hello.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "The name for EHLO is empty, too long or not ASCII; set it to the name of this machine.";
            return Err(at(Stage::Hello)(Cause::Unsuitable(why)));
        }
        let mut wire = Wire::new(Box::new(stream), timeouts.idle);
        if server.security == Security::Tls {
            wire = encrypt(wire, server, timeouts).await.map_err(at(Stage::StartTls))?;
        }
        let greeting = wire.answer(timeouts.greeting).await.map_err(at(Stage::Greeting))?;
        positive(greeting).map_err(at(Stage::Greeting))?;
        let mut offered = greet(&mut wire, hello, timeouts).await.map_err(at(Stage::Hello))?;
        if server.security == Security::StartTls {
            if !offered.start_tls {
                let why = "The server does not offer STARTTLS; nothing was sent to it.";
                return Err(at(Stage::StartTls)(Cause::Unsuitable(why)));
            }
            let answer = ask(&mut wire, "STARTTLS\r\n", timeouts.start_tls).await;
            answer.and_then(positive).map_err(at(Stage::StartTls))?;
            wire = encrypt(wire, server, timeouts).await.map_err(at(Stage::StartTls))?;
            // What was offered before may have been written by anybody on the way.
            offered = greet(&mut wire, hello, timeouts).await.map_err(at(Stage::Hello))?;
        }
        if server.security == Security::None && !near && !matches!(server.sign_in, SignIn::None) {
            let why = "The line is not encrypted and the server is another machine: no secret is sent over it.";
            return Err(at(Stage::SignIn)(Cause::Unsuitable(why)));
        }
        sign_in(&mut wire, &offered, &server.sign_in, timeouts.sign_in).await.map_err(at(Stage::SignIn))?;
        Ok(Self { wire, offered, timeouts: *timeouts, spent: false })
    }

    /// Whether the session can take no further message, and is to be dropped.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.spent
    }

    /// Names the sender (`None` is the null sender of automatic answers), the recipient, and the size of the message in bytes;
    /// asks to begin, and waits for the word to begin. Where the server takes commands together it is one round trip.
    ///
    /// # Errors
    /// The first stage that was refused. Nothing was accepted, whatever it says. The session is good for another message
    /// unless [`Self::is_spent`].
    pub async fn offer(
        &mut self,
        sender: Option<&Address>,
        recipient: &Address,
        size: usize,
    ) -> Result<Offered<'_>, Refused> {
        let refused = |cause| Refused { stage: Stage::Sender, cause };
        if self.spent {
            return Err(refused(Cause::Spent));
        }
        if let Some(Some(most)) = self.offered.size
            && size as u64 > most
        {
            return Err(refused(Cause::TooLarge { most }));
        }
        self.spent = true;
        self.wire.quiet().map_err(refused)?;
        let sender = sender.map_or("", Address::as_str);
        let size = if self.offered.size.is_some() { format!(" SIZE={size}") } else { String::new() };
        let commands = [
            (Stage::Sender, format!("MAIL FROM:<{sender}>{size}\r\n"), self.timeouts.sender),
            (Stage::Recipient, format!("RCPT TO:<{}>\r\n", recipient.as_str()), self.timeouts.recipient),
            (Stage::Data, "DATA\r\n".to_owned(), self.timeouts.data),
        ];
        let first =
            if self.offered.pipelining { self.together(&commands).await } else { self.in_turn(&commands).await };
        match first {
            Ok(()) => Ok(Offered { session: self }),
            Err((refused, clean)) => {
                if clean {
                    self.reset().await;
                }
                Err(refused)
            }
        }
    }

    /// One command after the other's answer.
    async fn in_turn(&mut self, commands: &[(Stage, String, Duration)]) -> Result<(), (Refused, bool)> {
        for (stage, command, limit) in commands {
            let answer = ask(&mut self.wire, command, *limit).await;
            if let Some(cause) = judge(*stage, answer) {
                let clean = is_clean(&cause);
                return Err((Refused { stage: *stage, cause }, clean));
            }
        }
        Ok(())
    }

    /// All commands in one write, then every answer (RFC 2920).
    async fn together(&mut self, commands: &[(Stage, String, Duration)]) -> Result<(), (Refused, bool)> {
        let all: String = commands.iter().map(|(_, command, _)| command.as_str()).collect();
        let cut = |cause| (Refused { stage: Stage::Sender, cause }, false);
        self.wire.write(all.as_bytes(), self.timeouts.sender).await.map_err(|(cause, _)| cut(cause))?;
        let mut first: Option<Refused> = None;
        for (stage, _, limit) in commands {
            let cause = judge(*stage, self.wire.answer(*limit).await);
            match cause {
                // The word to begin for a message without a recipient: only an empty message would end it. The line is
                // given up instead.
                None if *stage == Stage::Data && first.is_some() => {
                    return Err((first.take().unwrap_or(Refused { stage: *stage, cause: Cause::Cut }), false));
                }
                None => {}
                Some(cause) => {
                    let clean = is_clean(&cause);
                    let known = first.get_or_insert(Refused { stage: *stage, cause });
                    if !clean {
                        return Err((known.clone(), false));
                    }
                }
            }
        }
        match first {
            None => Ok(()),
            Some(refused) => Err((refused, true)),
        }
    }

    /// Takes back what was begun. The session is good again when the server says so.
    async fn reset(&mut self) {
        let answer = ask(&mut self.wire, "RSET\r\n", self.timeouts.rest).await;
        self.spent = !matches!(answer, Ok(reply) if reply.class() == 2);
    }

    /// Says goodbye and closes the line. A spent session is only closed.
    pub async fn quit(mut self) {
        if !self.spent {
            let _ = ask(&mut self.wire, "QUIT\r\n", self.timeouts.rest).await;
        }
        self.wire.close(self.timeouts.rest).await;
    }
}

/// A message that the server waits for. Dropping it spends the session: there is no way back but to close the line.
#[derive(Debug)]
#[must_use = "deliver the message; an offer that is dropped spends the session"]
pub struct Offered<'a> {
    session: &'a mut Session,
}

impl Offered<'_> {
    /// Sends the message and its final dot, and waits for the answer.
    ///
    /// From the first byte on only the server's answer tells what became of it.
    pub async fn deliver(self, message: &[u8]) -> Outcome {
        let Self { session } = self;
        let unknown = |why, whole| Outcome::Unknown { why, whole };
        // An answer before the message is none to it. Nothing has been sent yet, so this is still a refusal.
        if let Err(cause) = session.wire.quiet() {
            return Outcome::Refused(Refused { stage: Stage::Data, cause });
        }
        let bytes = dotted(message);
        let written = session.wire.write(&bytes, session.timeouts.block).await;
        if let Err((cause, written)) = &written
            && *cause == Cause::TimedOut
        {
            return unknown(Cause::TimedOut, *written == bytes.len());
        }
        // A server may refuse in the middle and close: then the answer is there although the line is cut.
        let whole = written.as_ref().map_or_else(|(_, count)| *count == bytes.len(), |()| true);
        // A line that is cut has said already what it will ever say.
        let limit = if written.is_err() { session.timeouts.rest } else { session.timeouts.answer };
        match session.wire.answer(limit).await {
            Ok(reply) if matches!(reply.class(), 4 | 5) => {
                session.spent = reply.code == 421 || written.is_err() || session.wire.quiet().is_err();
                Outcome::Refused(Refused { stage: Stage::Body, cause: Cause::Answer(reply) })
            }
            Ok(reply) if reply.class() == 2 && whole => {
                session.spent = written.is_err() || session.wire.quiet().is_err();
                Outcome::Accepted(reply)
            }
            Ok(_) => unknown(Cause::Garbage("an answer to the message that is neither yes nor no"), whole),
            Err(cause) => unknown(cause, whole),
        }
    }
}

/// The message as it is sent: dots at the start of lines doubled, CRLF at its end, and the final dot.
fn dotted(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + message.len() / 64 + 8);
    let mut start = true;
    for &byte in message {
        if start && byte == b'.' {
            bytes.push(b'.');
        }
        bytes.push(byte);
        start = byte == b'\n';
    }
    if !bytes.is_empty() && !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b".\r\n");
    bytes
}

/// Whether the session can be set right after this.
fn is_clean(cause: &Cause) -> bool {
    matches!(cause, Cause::Answer(reply) if reply.code != 421)
}

/// What is wrong with the answer to a command; `None` when it is the one that is wanted.
fn judge(stage: Stage, answer: Result<Reply, Cause>) -> Option<Cause> {
    match answer {
        Err(cause) => Some(cause),
        Ok(reply) if matches!(reply.class(), 4 | 5) => Some(Cause::Answer(reply)),
        Ok(reply) if stage == Stage::Data && reply.code == 354 => None,
        Ok(reply) if stage != Stage::Data && reply.class() == 2 => None,
        Ok(_) => Some(Cause::Garbage("an answer that does not belong to the command")),
    }
}

fn positive(reply: Reply) -> Result<(), Cause> {
    match reply.class() {
        2 => Ok(()),
        4 | 5 => Err(Cause::Answer(reply)),
        _ => Err(Cause::Garbage("an answer that is neither yes nor no")),
    }
}

async fn ask(wire: &mut Wire, command: &str, limit: Duration) -> Result<Reply, Cause> {
    wire.write(command.as_bytes(), limit).await.map_err(|(cause, _)| cause)?;
    wire.answer(limit).await
}

/// `EHLO`, and `HELO` for a server that does not know it.
async fn greet(wire: &mut Wire, name: &str, timeouts: &Timeouts) -> Result<Capabilities, Cause> {
    wire.quiet()?;
    wire.write(format!("EHLO {name}\r\n").as_bytes(), timeouts.hello).await.map_err(|(cause, _)| cause)?;
    let (reply, lines) = wire.answer_lines(timeouts.hello).await?;
    if matches!(reply.code, 500..=504) {
        positive(ask(wire, &format!("HELO {name}\r\n"), timeouts.hello).await?)?;
        return Ok(Capabilities::default());
    }
    positive(reply)?;
    Ok(Capabilities::read(&lines))
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
