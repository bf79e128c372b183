//! The section `[outreach]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::rules::{self, durations};
use super::schema::Bound;
use super::{Fault, Warning};

pub(super) const BOUNDS: &[Bound] = &[
    ("outreach.slots", 1, 1_000),
    ("outreach.run_seconds", 1, 300),
    ("outreach.connect_timeout_ms", 10, 60_000),
    ("outreach.answer_seconds", 1, 600),
    ("outreach.accept_seconds", 10, 900),
    ("outreach.retry_seconds", 1, 86_400),
    ("outreach.most_attempts", 1, 100),
    ("outreach.mailbox_seconds", 1, 86_400),
    ("outreach.mailbox_slots", 1, 1_000),
    ("outreach.gmail.first_byte_timeout_ms", 10, 120_000),
];

/// Campaigns of email.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outreach {
    /// How many accounts a node sends by at once. Each has connections of its own.
    pub slots: u32,
    /// For how long an account is worked on before others have their turn, in seconds.
    pub run_seconds: u64,
    /// How long finding a mail server and connecting to it may take together, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a mail server may take for each answer before the message, in seconds.
    pub answer_seconds: u64,
    /// How long a mail server may take to accept a message that it has, in seconds (RFC 5321 asks for 600). When it takes longer, nobody knows whether it has accepted it: too short, and many emails are unknown.
    pub accept_seconds: u64,
    /// How long after a refusal for the moment, or a line that broke, an email is offered again, in seconds. Each further time it is twice as long, at most six hours.
    pub retry_seconds: u64,
    /// After how many refusals for the moment, and lines that broke in the middle of it, an email is given up.
    pub most_attempts: u32,
    /// The name by which this server greets mail servers; the host of the public address when it is empty. It should have an address whose reverse name it is.
    pub hello: String,
    /// Networks of mail servers that are called although they are not public, such as 10.1.0.0/16.
    pub allow_private: Vec<String>,
    /// How long after a mailbox was read to its end it is read again, in seconds.
    pub mailbox_seconds: u64,
    /// How many mailboxes a node reads at once.
    pub mailbox_slots: u32,
    /// Whether a campaign does not begin while the DNS says that its mail would be refused. The checklist of a campaign tells what it says in any case.
    pub check_domains: bool,
    /// The name servers that are asked about the domains of senders, such as 192.0.2.53 or 192.0.2.53:5353, at most three; those of the system where none is named.
    pub name_servers: Vec<String>,
    /// Networks from which machines look into mail, such as 192.0.2.0/24: what they open and follow is not told as what people did.
    pub machine_networks: Vec<String>,
    /// Accounts that send by the Gmail API.
    pub gmail: Gmail,
}

/// Accounts that send by the Gmail API. Their OAuth client is that of [calendars.google], with the API "Gmail" switched on and http.public_url with /sending-accounts behind it as a further redirect URI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gmail {
    /// Where the Gmail API is.
    pub api_url: String,
    /// How long Google may take to the beginning of an answer, in milliseconds. When it takes longer to take an email, nobody knows whether it has: too short, and many emails are unknown. Connecting, retries and the breaker are as in [providers]; an email is never sent twice.
    pub first_byte_timeout_ms: u64,
}

durations!(Gmail { first_byte_timeout: from_millis(first_byte_timeout_ms) });

durations!(Outreach {
    run: from_secs(run_seconds),
    connect_timeout: from_millis(connect_timeout_ms),
    answer: from_secs(answer_seconds),
    accept: from_secs(accept_seconds),
    retry: from_secs(retry_seconds),
    mailbox: from_secs(mailbox_seconds),
});

/// The address of a name server, with its port or without.
fn name_server(text: &str) -> Option<SocketAddr> {
    let alone = |address: IpAddr| SocketAddr::new(address, 53);
    text.parse().ok().or_else(|| text.parse().ok().map(alone))
}

impl Outreach {
    /// Networks that are called although they are not public.
    #[must_use]
    pub fn private_networks(&self) -> Vec<IpNet> {
        rules::networks(&self.allow_private)
    }

    /// The name servers that are asked about the domains of senders; those of the system where there is none.
    #[must_use]
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        self.name_servers.iter().filter_map(|text| name_server(text)).collect()
    }

    /// Networks from which machines look into mail.
    #[must_use]
    pub fn machine_ranges(&self) -> Vec<IpNet> {
        rules::networks(&self.machine_networks)
    }

    /// The wait before an email is offered for the time after so many refusals, before chance.
    #[must_use]
    pub fn wait_after(&self, attempts: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(6 * 3_600);
        self.retry().saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST)
    }

    pub(super) fn validate(&self, faults: &mut Vec<Fault>) {
        faults.extend(rules::no_network("outreach.allow_private", &self.allow_private));
        faults.extend(rules::no_network("outreach.machine_networks", &self.machine_networks));
        if let Some(bad) = self.name_servers.iter().find(|text| name_server(text).is_none()) {
            let reason = format!("{bad:?} is no address");
            faults.push(Fault::new("outreach.name_servers", reason, "Write it as 192.0.2.53 or [2001:db8::53]:53"));
        } else if self.name_servers.len() > 3 {
            let reason = "are more than three".to_owned();
            faults.push(Fault::new("outreach.name_servers", reason, "Name at most three"));
        }
        faults.extend(rules::web_address("outreach.gmail.api_url", &self.gmail.api_url, rules::Path::Any).err());
        if !self.hello.bytes().all(|byte| byte.is_ascii_graphic()) || self.hello.len() > 255 {
            let reason = "is no name of a machine".to_owned();
            faults.push(Fault::new("outreach.hello", reason, "Write it as mail.example.com"));
        }
    }

    pub(super) fn advise(&self, warnings: &mut Vec<Warning>) {
        if rules::is_open(&self.gmail.api_url) {
            let reason =
                format!("{} is not encrypted: tokens can be read on the way", rules::shown(&self.gmail.api_url));
            warnings.push(Fault::new("outreach.gmail.api_url", reason, "Use https"));
        }
        if self.accept_seconds < 300 {
            let reason = "is short: many servers look at a message for minutes before they accept it";
            warnings.push(Fault::new("outreach.accept_seconds", reason, "Set it to 600"));
        }
    }
}
