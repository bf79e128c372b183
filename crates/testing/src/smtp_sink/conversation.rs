//! One client of the sink.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::fault::{SinkAct, SinkStage};
use super::ledger::Ledger;
use super::{SinkOptions, SinkTls};

/// A larger message ends the conversation.
const LARGEST: usize = 32 * 1024 * 1024;
/// A longer command ends the conversation.
const LONGEST_LINE: usize = 16 * 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The conversation is over.
struct End;

type Step<T> = std::result::Result<T, End>;

struct Conversation {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    /// How much of the input was used.
    used: usize,
    output: Vec<u8>,
    options: Arc<SinkOptions>,
    ledger: Arc<Ledger>,
    signed_in: bool,
    encrypted: bool,
    sender: Option<String>,
    recipients: Vec<String>,
}

/// Holds a conversation until one side ends it.
pub(super) async fn hold(stream: TcpStream, options: Arc<SinkOptions>, ledger: Arc<Ledger>, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let implicit = options.tls == SinkTls::Implicit;
    let stream: Box<dyn Stream> = if implicit {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        Box::new(stream)
    } else {
        Box::new(stream)
    };
    let mut conversation = Conversation {
        stream,
        input: Vec::with_capacity(16 * 1024),
        used: 0,
        output: Vec::with_capacity(1024),
        signed_in: options.users.is_empty(),
        encrypted: implicit,
        options,
        ledger,
        sender: None,
        recipients: Vec::new(),
    };
    let _ = conversation.talk(&acceptor).await;
    let _ = conversation.flush().await;
    let _ = conversation.stream.shutdown().await;
}

impl Conversation {
    async fn talk(&mut self, acceptor: &TlsAcceptor) -> Step<()> {
        self.answer(SinkStage::Greeting, "220 sink.example ESMTP").await?;
        loop {
            let line = self.line().await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => self.hello(verb == "EHLO").await?,
                "STARTTLS" if self.options.tls == SinkTls::StartTls && !self.encrypted => {
                    if self.answer(SinkStage::StartTls, "220 2.0.0 go ahead").await? {
                        self.encrypt(acceptor).await?;
                    }
                }
                "AUTH" => self.sign_in(&line).await?,
                "MAIL" => self.begin(&line).await?,
                "RCPT" => self.recipient(&line).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.forget();
                    self.answer(SinkStage::Reset, "250 2.0.0 forgotten").await?;
                }
                "NOOP" => self.say("250 2.0.0 fine"),
                "QUIT" => {
                    self.say("221 2.0.0 goodbye");
                    return Err(End);
                }
                _ => self.say("500 5.5.2 what?"),
            }
        }
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    async fn hello(&mut self, extended: bool) -> Step<()> {
        let mut lines = vec!["sink.example".to_owned()];
        if extended {
            if self.options.pipelining {
                lines.push("PIPELINING".to_owned());
            }
            lines.extend(self.options.size.map(|size| format!("SIZE {size}")));
            if self.options.tls == SinkTls::StartTls && !self.encrypted {
                lines.push("STARTTLS".to_owned());
            }
            if !self.options.users.is_empty() {
                lines.push(format!("AUTH {}", self.options.auth));
            }
            lines.extend(["8BITMIME", "ENHANCEDSTATUSCODES"].map(str::to_owned));
        }
        let last = lines.len() - 1;
        let lines: Vec<String> = lines
            .into_iter()
            .enumerate()
            .map(|(place, line)| format!("250{}{line}", if place == last { ' ' } else { '-' }))
            .collect();
        self.forget();
        self.answer(SinkStage::Hello, &lines.join("\r\n")).await.map(|_| ())
    }

    async fn encrypt(&mut self, acceptor: &TlsAcceptor) -> Step<()> {
        self.flush().await?;
        // What was sent in the clear after the command is no part of what follows.
        self.input.clear();
        self.used = 0;
        let (nothing, _) = tokio::io::duplex(1);
        let stream = std::mem::replace(&mut self.stream, Box::new(nothing));
        let stream = acceptor.accept(stream).await.map_err(|_| End)?;
        self.stream = Box::new(stream);
        self.encrypted = true;
        Ok(())
    }

    async fn sign_in(&mut self, line: &str) -> Step<()> {
        let mut words = line.split(' ').skip(1);
        let way = words.next().unwrap_or_default().to_ascii_uppercase();
        let initial = words.next().map(str::to_owned);
        let (user, secret) = match way.as_str() {
            "LOGIN" => (self.question(None).await?, self.question(None).await?),
            "PLAIN" => {
                let text = self.question(initial).await?;
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            "XOAUTH2" => {
                let text = self.question(initial).await?;
                let part = |name: &str| {
                    text.split('\u{1}').find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
                };
                (part("user="), part("auth=Bearer "))
            }
            _ => {
                self.say("504 5.5.4 no such way");
                return Ok(());
            }
        };
        if self.options.users.contains(&(user, secret)) {
            self.signed_in = self.answer(SinkStage::SignIn, "235 2.7.0 welcome").await?;
            return Ok(());
        }
        if way == "XOAUTH2" {
            self.say(&format!("334 {}", STANDARD.encode("{\"status\":\"401\"}")));
            self.line().await?;
        }
        self.answer(SinkStage::SignIn, "535 5.7.8 wrong credentials").await.map(|_| ())
    }

    /// The decoded answer of the client: the one it gave already, or that to a question.
    async fn question(&mut self, given: Option<String>) -> Step<String> {
        let text = match given {
            Some(text) => text,
            None => {
                self.say("334 ");
                self.line().await?
            }
        };
        Ok(STANDARD.decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default())
    }

    async fn begin(&mut self, line: &str) -> Step<()> {
        if !self.signed_in {
            self.say("530 5.7.0 Authentication required");
            return Ok(());
        }
        if self.sender.is_some() {
            self.say("503 5.5.1 one sender at a time");
            return Ok(());
        }
        if self.answer(SinkStage::Sender, "250 2.1.0 fine").await? {
            self.sender = Some(address_in(line));
        }
        Ok(())
    }

    async fn recipient(&mut self, line: &str) -> Step<()> {
        if self.sender.is_none() {
            self.say("503 5.5.1 MAIL first");
            return Ok(());
        }
        // Known while the fault is looked for.
        self.recipients.push(address_in(line));
        if !self.answer(SinkStage::Recipient, "250 2.1.5 fine").await? {
            self.recipients.pop();
        }
        Ok(())
    }

    async fn data(&mut self) -> Step<()> {
        if self.recipients.is_empty() {
            self.say("554 5.5.1 no valid recipients");
            return Ok(());
        }
        if !self.answer(SinkStage::Data, "354 go on").await? {
            return Ok(());
        }
        let message = self.message().await?;
        let act = self.ledger.reach(SinkStage::Body, &self.recipients);
        if act.as_ref().is_none_or(SinkAct::keeps) {
            let told = act.as_ref().is_none_or(SinkAct::tells);
            let id = message_id(&message);
            let bytes = self.options.keep_bytes.then(|| Arc::from(message));
            let sender = self.sender.take().unwrap_or_default();
            self.ledger.keep(id, sender, std::mem::take(&mut self.recipients), told, bytes);
        }
        self.forget();
        self.act(act, "250 2.0.0 kept").await.map(|_| ())
    }

    /// The message up to the final dot, with its doubled dots single again.
    async fn message(&mut self) -> Step<Vec<u8>> {
        let mut searched = self.used;
        loop {
            let from = searched.saturating_sub(4).max(self.used);
            let rest = self.input.get(self.used..).unwrap_or_default();
            let alone = rest.starts_with(b".\r\n").then_some(0);
            let end = alone.or_else(|| {
                let window = self.input.get(from..).unwrap_or_default();
                window.windows(5).position(|five| five == b"\r\n.\r\n").map(|place| from + place + 2 - self.used)
            });
            if let Some(end) = end {
                let text = rest.get(..end).unwrap_or_default();
                let mut message = Vec::with_capacity(text.len());
                for line in text.split_inclusive(|byte| *byte == b'\n') {
                    message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
                }
                self.used += end + 3;
                return Ok(message);
            }
            if rest.len() > LARGEST {
                return Err(End);
            }
            searched = self.input.len();
            let before = self.used;
            self.more().await?;
            // Reading may have moved what is left to the front.
            searched -= before - self.used;
        }
    }

    /// Answers a command, or does what goes wrong there. True when the client heard yes.
    async fn answer(&mut self, stage: SinkStage, usual: &str) -> Step<bool> {
        let act = self.ledger.reach(stage, &self.recipients);
        self.act(act, usual).await
    }

    async fn act(&mut self, act: Option<SinkAct>, usual: &str) -> Step<bool> {
        match act {
            None => self.say(usual),
            Some(SinkAct::Answer(line) | SinkAct::KeepAndAnswer(line)) => {
                self.say(&line);
                return if line.starts_with("421") { Err(End) } else { Ok(line.starts_with(['2', '3'])) };
            }
            Some(SinkAct::Hang | SinkAct::KeepAndHang) => return self.until_the_client_goes().await,
            Some(SinkAct::Cut | SinkAct::KeepAndCut) => return Err(End),
            Some(SinkAct::HalfClose) => {
                self.flush().await?;
                let _ = self.stream.shutdown().await;
                return self.until_the_client_goes().await;
            }
            Some(SinkAct::Slow(time)) => {
                self.flush().await?;
                tokio::time::sleep(time).await;
                self.say(usual);
            }
            Some(SinkAct::Raw(bytes)) => {
                self.output.extend_from_slice(&bytes);
                self.flush().await?;
                return Ok(false);
            }
        }
        Ok(usual.starts_with(['2', '3']))
    }

    async fn until_the_client_goes(&mut self) -> Step<bool> {
        self.flush().await?;
        let mut nothing = [0; 4_096];
        while !matches!(self.stream.read(&mut nothing).await, Ok(0) | Err(_)) {}
        Err(End)
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self) -> Step<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await.map_err(|_| End)?;
            self.stream.flush().await.map_err(|_| End)?;
            self.output.clear();
        }
        Ok(())
    }

    /// The next line without its end. What was answered so far is sent before the sink waits.
    async fn line(&mut self) -> Step<String> {
        loop {
            let rest = self.input.get(self.used..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.get(..end).unwrap_or_default();
                let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
                self.used += end + 1;
                return Ok(line);
            }
            if rest.len() > LONGEST_LINE {
                return Err(End);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Step<()> {
        self.flush().await?;
        if self.used > 0 {
            self.input.drain(..self.used);
            self.used = 0;
        }
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => Err(End),
            Ok(_) => Ok(()),
        }
    }
}

fn address_in(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map_or("", |(address, _)| address).to_owned()
}

/// The Message-ID of a message, without brackets.
fn message_id(message: &[u8]) -> String {
    let lines = message.split(|byte| *byte == b'\n').take_while(|line| !matches!(*line, b"" | b"\r"));
    let mut lines = lines.filter(|line| line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:")));
    let value = lines.next().and_then(|line| line.get(11..)).unwrap_or_default();
    String::from_utf8_lossy(value).trim().trim_matches(['<', '>']).to_owned()
}
