//! One question to one server, by UDP and, where the answer does not fit, by TCP.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mainstay_domain::Entropy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::message::{DATAGRAM_SIZE, Kind, Message, query};
use super::{NO_SUCH_NAME, Name, Trouble};

/// The most datagrams that are heard for one question. Those that do not answer it are somebody else's, or broken.
const MOST_DATAGRAMS: usize = 100;
/// No wait is longer, whatever is set: the clock of the runtime has an end.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The answer of a server, whole, to this question, and one that says something.
pub(super) async fn exchange(
    server: SocketAddr,
    name: &Name,
    kind: Kind,
    wait: Duration,
    entropy: &dyn Entropy,
) -> Result<Message, Trouble> {
    let wait = wait.min(LONGEST_WAIT);
    match whole(server, name, kind, wait, entropy, true).await {
        // A server that knows no EDNS, and is asked without it (RFC 6891, 7).
        Err(Trouble::Declined(1 | 4)) => whole(server, name, kind, wait, entropy, false).await,
        other => other,
    }
}

async fn whole(
    server: SocketAddr,
    name: &Name,
    kind: Kind,
    wait: Duration,
    entropy: &dyn Entropy,
    extended: bool,
) -> Result<Message, Trouble> {
    let mut id = [0; 2];
    entropy.fill(&mut id);
    let id = u16::from_be_bytes(id);
    let question = query(id, name, kind, extended);
    let fits = |message: &Message| fits(message, id, name, kind);
    let mut message = timeout(wait, by_datagram(server, &question, fits)).await.map_err(|_| Trouble::TimedOut)??;
    if message.truncated {
        let bytes = timeout(wait, by_stream(server, &question)).await.map_err(|_| Trouble::TimedOut)?;
        let bytes = bytes.map_err(|error| Trouble::Unreachable(error.kind()))?;
        message = Message::read(&bytes).ok_or(Trouble::Garbage("an answer by TCP that cannot be read"))?;
        if !fits(&message) {
            return Err(Trouble::Garbage("an answer by TCP to another question"));
        }
        if message.truncated {
            return Err(Trouble::Garbage("an answer by TCP that was cut"));
        }
    }
    match message.code {
        0 if message.is_empty() && !message.competent => {
            Err(Trouble::Garbage("it neither holds the name nor asks others for it"))
        }
        0 | NO_SUCH_NAME => Ok(message),
        code => Err(Trouble::Declined(code)),
    }
}

/// Whether a message is the answer to the question with this id. One that declines may leave the question out.
fn fits(message: &Message, id: u16, name: &Name, kind: Kind) -> bool {
    let declined = !matches!(message.code, 0 | NO_SUCH_NAME);
    message.id == id && (message.answers(name, kind) || (declined && message.has_no_question()))
}

/// The first datagram that fits. What does not is passed over: it may come from somebody who guesses.
async fn by_datagram(server: SocketAddr, question: &[u8], fits: impl Fn(&Message) -> bool) -> Result<Message, Trouble> {
    let unreachable = |error: io::Error| Trouble::Unreachable(error.kind());
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    // A socket for this question alone: the system gives it a port by chance, and keeps away what others send.
    let socket = UdpSocket::bind(any).await.map_err(unreachable)?;
    socket.connect(server).await.map_err(unreachable)?;
    socket.send(question).await.map_err(unreachable)?;
    let mut bytes = [0; DATAGRAM_SIZE as usize];
    for _ in 0..MOST_DATAGRAMS {
        let length = socket.recv(&mut bytes).await.map_err(unreachable)?;
        match Message::read(bytes.get(..length).unwrap_or_default()) {
            Some(message) if fits(&message) => return Ok(message),
            _ => {}
        }
    }
    Err(Trouble::Garbage("answers to other questions"))
}

/// The bytes of the answer by TCP: at most 65,535, as their length is told before them (RFC 1035, 4.2.2).
async fn by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let mut framed = u16::try_from(question.len()).unwrap_or_default().to_be_bytes().to_vec();
    framed.extend_from_slice(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
