//! One client of the server.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::command::{announced, words};
use super::fault::{ImapAct, ImapStage};
use super::mailbox::Mailbox;
use super::{ImapOptions, SinkTls};

/// A longer command ends the conversation.
const LONGEST: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The conversation is over.
struct End;

type Step<T> = std::result::Result<T, End>;

/// A folder that is open, and whether it can only be read.
struct Open {
    name: String,
    read_only: bool,
}

struct Conversation {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    options: Arc<ImapOptions>,
    mailbox: Arc<Mailbox>,
    encrypted: bool,
    signed_in: bool,
    open: Option<Open>,
}

/// Holds a conversation until one side ends it.
pub(super) async fn hold(stream: TcpStream, options: Arc<ImapOptions>, mailbox: Arc<Mailbox>, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let implicit = options.tls == SinkTls::Implicit;
    let stream: Box<dyn Stream> = if implicit {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        Box::new(stream)
    } else {
        Box::new(stream)
    };
    let signed_in = options.users.is_empty();
    let input = Vec::new();
    let mut conversation = Conversation { stream, input, options, mailbox, encrypted: implicit, signed_in, open: None };
    let _ = conversation.talk(&acceptor).await;
    let _ = conversation.stream.shutdown().await;
}

impl Conversation {
    async fn talk(&mut self, acceptor: &TlsAcceptor) -> Step<()> {
        let greeting = if self.signed_in { "* PREAUTH welcome\r\n" } else { "* OK hello\r\n" };
        self.answer(ImapStage::Greeting, "*", greeting.as_bytes()).await?;
        loop {
            let command = self.command().await?;
            let all = words(&command);
            let mut rest = all.iter();
            let tag = rest.next().cloned().unwrap_or_default();
            let mut verb = rest.next().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
            if verb == "UID" {
                verb = format!("UID {}", rest.next().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default());
            }
            let arguments = rest.as_slice();
            self.note(&all, &verb);
            match (verb.as_str(), self.signed_in, &self.open) {
                ("CAPABILITY", ..) => self.capability(&tag).await?,
                ("NOOP", ..) => self.say(format!("{tag} OK done\r\n").as_bytes()).await?,
                ("LOGOUT", ..) => {
                    let usual = format!("* BYE goodbye\r\n{tag} OK done\r\n");
                    self.answer(ImapStage::SignOut, &tag, usual.as_bytes()).await?;
                    return Err(End);
                }
                ("STARTTLS", false, _) if self.options.tls == SinkTls::StartTls && !self.encrypted => {
                    let usual = format!("{tag} OK go ahead\r\n");
                    if self.answer(ImapStage::StartTls, &tag, usual.as_bytes()).await? {
                        self.encrypt(acceptor).await?;
                    }
                }
                ("LOGIN" | "AUTHENTICATE", false, _) => self.sign_in(&tag, &verb, arguments).await?,
                ("SELECT" | "EXAMINE", true, _) => self.open(&tag, verb == "EXAMINE", arguments).await?,
                ("LIST", true, _) => self.list(&tag).await?,
                ("UID SEARCH", true, Some(_)) => self.search(&tag, arguments).await?,
                ("UID FETCH", true, Some(_)) => self.fetch(&tag, arguments).await?,
                _ => self.say(format!("{tag} BAD not now\r\n").as_bytes()).await?,
            }
        }
    }

    fn note(&self, all: &[String], verb: &str) {
        let most = if matches!(verb, "LOGIN" | "AUTHENTICATE") { 2 } else { usize::MAX };
        let words: Vec<&str> = all.iter().skip(1).take(most).map(String::as_str).collect();
        self.mailbox.note_command(words.join(" "));
    }

    async fn capability(&mut self, tag: &str) -> Step<()> {
        let start_tls = self.options.tls == SinkTls::StartTls && !self.encrypted;
        let start_tls = if start_tls { " STARTTLS" } else { "" };
        let usual = format!("* CAPABILITY IMAP4rev1{start_tls} {}\r\n{tag} OK done\r\n", self.options.capabilities);
        self.answer(ImapStage::Capability, tag, usual.as_bytes()).await.map(|_| ())
    }

    async fn encrypt(&mut self, acceptor: &TlsAcceptor) -> Step<()> {
        // What was sent in the clear after the command is no part of what follows.
        self.input.clear();
        let (nothing, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut self.stream, Box::new(nothing));
        self.stream = Box::new(acceptor.accept(stream).await.map_err(|_| End)?);
        self.encrypted = true;
        Ok(())
    }

    async fn sign_in(&mut self, tag: &str, verb: &str, arguments: &[String]) -> Step<()> {
        let (user, secret) = match (verb, arguments) {
            ("LOGIN", [user, password, ..]) => (user.clone(), password.clone()),
            ("AUTHENTICATE", [way, rest @ ..]) => {
                let text = self.question(rest.first()).await?;
                if way.eq_ignore_ascii_case("XOAUTH2") {
                    let part = |name: &str| {
                        text.split('\u{1}').find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
                    };
                    (part("user="), part("auth=Bearer "))
                } else {
                    let mut parts = text.split('\0').skip(1).map(str::to_owned);
                    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
                }
            }
            _ => return self.say(format!("{tag} BAD what?\r\n").as_bytes()).await,
        };
        if self.options.users.contains(&(user, secret)) {
            let usual = format!("{tag} OK welcome\r\n");
            self.signed_in = self.answer(ImapStage::SignIn, tag, usual.as_bytes()).await?;
            return Ok(());
        }
        if arguments.first().is_some_and(|way| way.eq_ignore_ascii_case("XOAUTH2")) {
            self.say(format!("+ {}\r\n", STANDARD.encode("{\"status\":\"401\"}")).as_bytes()).await?;
            self.line().await?;
        }
        let usual = format!("{tag} NO [AUTHENTICATIONFAILED] wrong credentials\r\n");
        self.answer(ImapStage::SignIn, tag, usual.as_bytes()).await.map(|_| ())
    }

    /// The decoded answer of the client: the one it gave already, or that to a question.
    async fn question(&mut self, given: Option<&String>) -> Step<String> {
        let text = match given {
            Some(text) => text.clone().into_bytes(),
            None => {
                self.say(b"+ \r\n").await?;
                self.line().await?
            }
        };
        let bytes = STANDARD.decode(text.trim_ascii()).unwrap_or_default();
        Ok(String::from_utf8(bytes).unwrap_or_default())
    }

    async fn open(&mut self, tag: &str, read_only: bool, arguments: &[String]) -> Step<()> {
        let name = arguments.first().cloned().unwrap_or_default();
        let found = self.mailbox.with_folder(&name, |folder| {
            format!(
                "* {} EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY {}] fine\r\n* OK [UIDNEXT {}] fine\r\n",
                folder.messages.len(),
                folder.uid_validity,
                folder.uid_next
            )
        });
        self.open = None;
        let usual = match &found {
            Some(found) => format!("{found}{tag} OK [READ-{}] open\r\n", if read_only { "ONLY" } else { "WRITE" }),
            None => format!("{tag} NO [NONEXISTENT] no such folder\r\n"),
        };
        if self.answer(ImapStage::Open, tag, usual.as_bytes()).await? && found.is_some() {
            self.open = Some(Open { name, read_only });
        }
        Ok(())
    }

    async fn list(&mut self, tag: &str) -> Step<()> {
        let folders = self.mailbox.folders();
        let lines = folders.iter().map(|(name, attributes)| format!("* LIST ({attributes}) \"/\" \"{name}\"\r\n"));
        let usual = format!("{}{tag} OK done\r\n", lines.collect::<String>());
        self.answer(ImapStage::List, tag, usual.as_bytes()).await.map(|_| ())
    }

    async fn search(&mut self, tag: &str, arguments: &[String]) -> Step<()> {
        let Some(open) = &self.open else { return Err(End) };
        let found = self.mailbox.with_folder(&open.name, |folder| folder.search(arguments)).flatten();
        let usual = match found {
            Some(uids) => {
                let uids: String = uids.iter().map(|uid| format!(" {uid}")).collect();
                format!("* SEARCH{uids}\r\n{tag} OK done\r\n")
            }
            None => format!("{tag} BAD what to look for?\r\n"),
        };
        self.answer(ImapStage::Search, tag, usual.as_bytes()).await.map(|_| ())
    }

    async fn fetch(&mut self, tag: &str, arguments: &[String]) -> Step<()> {
        let Some(open) = &self.open else { return Err(End) };
        let [set, items @ ..] = arguments else { return self.say(format!("{tag} BAD what?\r\n").as_bytes()).await };
        let items = items.join(" ");
        let read_only = open.read_only;
        let found = self.mailbox.with_folder(&open.name, |folder| folder.fetch(set, &items, read_only));
        let mut usual = found.unwrap_or_default();
        usual.extend_from_slice(format!("{tag} OK done\r\n").as_bytes());
        self.answer(ImapStage::Fetch, tag, &usual).await.map(|_| ())
    }

    /// Gives the usual answer, or does what goes wrong there. True when the usual answer was given.
    async fn answer(&mut self, stage: ImapStage, tag: &str, usual: &[u8]) -> Step<bool> {
        let half = usual.get(..usual.len() / 2).unwrap_or_default();
        match self.mailbox.reach(stage) {
            None => self.say(usual).await?,
            Some(ImapAct::Answer(answer)) => {
                self.say(format!("{tag} {answer}\r\n").as_bytes()).await?;
                return Ok(false);
            }
            Some(ImapAct::Bye(words)) => {
                self.say(format!("* BYE {words}\r\n").as_bytes()).await?;
                return Err(End);
            }
            Some(ImapAct::Hang) => return self.until_the_client_goes().await,
            Some(ImapAct::Cut) => return Err(End),
            Some(ImapAct::CutHalfway) => {
                self.say(half).await?;
                return Err(End);
            }
            Some(ImapAct::HangHalfway) => {
                self.say(half).await?;
                return self.until_the_client_goes().await;
            }
            Some(ImapAct::Slow(time)) => {
                tokio::time::sleep(time).await;
                self.say(usual).await?;
            }
            Some(ImapAct::Drip(time)) => self.drip(usual, time).await?,
            Some(ImapAct::Before(bytes)) => {
                self.say(&[&bytes, usual].concat()).await?;
            }
            Some(ImapAct::Raw(bytes)) => {
                self.say(&bytes).await?;
                return Ok(false);
            }
            Some(ImapAct::Flood(bytes)) => loop {
                self.say(&bytes).await?;
            },
        }
        Ok(true)
    }

    async fn drip(&mut self, bytes: &[u8], time: Duration) -> Step<()> {
        for byte in bytes {
            tokio::time::sleep(time).await;
            self.say(&[*byte]).await?;
        }
        Ok(())
    }

    async fn until_the_client_goes(&mut self) -> Step<bool> {
        let mut nothing = [0; 4_096];
        while !matches!(self.stream.read(&mut nothing).await, Ok(0) | Err(_)) {}
        Err(End)
    }

    async fn say(&mut self, bytes: &[u8]) -> Step<()> {
        self.stream.write_all(bytes).await.map_err(|_| End)?;
        self.stream.flush().await.map_err(|_| End)
    }

    /// The next command without its end, with its literals in it.
    async fn command(&mut self) -> Step<Vec<u8>> {
        let mut command = self.line().await?;
        while let Some((length, waits)) = announced(&command) {
            if length > LONGEST || command.len() > LONGEST {
                return Err(End);
            }
            if waits {
                self.say(b"+ go on\r\n").await?;
            }
            while self.input.len() < length {
                self.more().await?;
            }
            command.extend_from_slice(b"\r\n");
            command.extend(self.input.drain(..length));
            let rest = self.line().await?;
            // The end of a literal may look like an announcement; what follows it does not begin one.
            if rest.is_empty() {
                break;
            }
            command.extend(rest);
        }
        Ok(command)
    }

    /// The next line without its end.
    async fn line(&mut self) -> Step<Vec<u8>> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            if self.input.len() > LONGEST {
                return Err(End);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Step<()> {
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => Err(End),
            Ok(_) => Ok(()),
        }
    }
}
