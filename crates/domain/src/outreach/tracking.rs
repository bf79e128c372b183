//! Whether an open or a click is somebody's, or a machine's.
//!
//! Mail is opened by programs before any person sees it: proxies that fetch all images as it arrives, and gateways that
//! follow every link to see where it leads. None of them can be told for certain, since some write the user agent of a
//! browser. So what is asked here is whether anything speaks for a machine, and what; both are kept and shown. Whatever has
//! consequences (a sequence that branches, a goal) goes by people alone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{UnknownWord, words};

/// What was done with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HitKind {
    /// Its image was fetched.
    Open,
    /// One of its links was followed.
    Click,
}

/// With which method it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HitMethod {
    /// As a browser asks for it.
    Get,
    /// Only whether it is there.
    Head,
    /// In any other way.
    Other,
}

/// A request for the image or a link of a mail.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'a> {
    /// Which of both.
    pub kind: HitKind,
    /// With which method.
    pub method: HitMethod,
    /// What the program calls itself; empty when it does not say.
    pub user_agent: &'a str,
    /// How long after the recipient's server took the mail; nothing when that is not known.
    pub after_delivery: Option<Duration>,
    /// How many links the mail has, and how many of them were followed within [`Hit::TOGETHER`] before this request, this
    /// one included. Equal links are one.
    pub links: LinksFollowed,
    /// Whether it is the link that no reader can see.
    pub hidden_link: bool,
    /// Whether it comes from an address of a range that the operator has named as one of machines.
    pub from_machine_range: bool,
    /// Whether the program asks ahead of the person: a header `Sec-Purpose` or `Purpose` with `prefetch`.
    pub prefetch: bool,
}

/// How many of the links of a mail were followed within a short time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinksFollowed {
    /// How many different ones were.
    pub followed: u32,
    /// How many there are.
    pub all: u32,
}

/// Why a request is taken for a machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineReason {
    /// It followed the link that no reader can see.
    HiddenLink,
    /// It did not ask as a browser does.
    Method,
    /// It said that it asks ahead.
    Prefetch,
    /// It comes from an address that the operator has named.
    Range,
    /// It says that it is a gateway that looks into mail.
    Scanner,
    /// It says that it is a program: a library, a crawler, a preview of links.
    Program,
    /// It does not say what it is.
    NoUserAgent,
    /// It is a proxy that fetches the images of all mail as it arrives.
    PrivacyProxy,
    /// It came so soon after the mail that nobody can have read it.
    TooSoon,
    /// All links were followed within seconds. It is found with the last of them: whoever keeps the others of those seconds
    /// marks them too.
    AllLinks,
}

words!(MachineReason {
    HiddenLink = "hidden_link",
    Method = "method",
    Prefetch = "prefetch",
    Range = "range",
    Scanner = "scanner",
    Program = "program",
    NoUserAgent = "no_user_agent",
    PrivacyProxy = "privacy_proxy",
    TooSoon = "too_soon",
    AllLinks = "all_links",
});

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visitor {
    /// Nothing speaks for a machine.
    Human,
    /// A machine, for this reason; of several the first of the list.
    Machine(MachineReason),
}

/// Gateways and scanners of mail, by a part of what they call themselves.
const SCANNERS: [&str; 21] = [
    "barracuda",
    "ciscosecureemail",
    "cloudmark",
    "fireeye",
    "forcepoint",
    "fortiguard",
    "fortimail",
    "ironport",
    "mailscanner",
    "messagelabs",
    "mimecast",
    "mxtoolbox",
    "proofpoint",
    "safelinks",
    "sophos",
    "spamassassin",
    "symantec",
    "trendmicro",
    "urldefense",
    "virustotal",
    "zscaler",
];

/// Libraries, crawlers and previews, by a part of what they call themselves.
const PROGRAMS: [&str; 34] = [
    "aiohttp",
    "apache-httpclient",
    "axios/",
    "bingpreview",
    "bot/",
    "bot;",
    "bot)",
    "bot-",
    "crawler",
    "curl/",
    "discordbot",
    "facebookexternalhit",
    "go-http-client",
    "guzzle",
    "headlesschrome",
    "http_client",
    "httpx/",
    "jakarta",
    "java/",
    "libwww",
    "node-fetch",
    "okhttp/",
    "phantomjs",
    "php/",
    "preview service",
    "python-requests",
    "python-urllib",
    "python/",
    "ruby",
    "scanner",
    "slackbot",
    "spider",
    "undici",
    "wget/",
];

/// Proxies through which a provider shows images to its people. They fetch when the mail is looked at, and sometimes as it
/// arrives, so they are as good or as bad as the time says.
const IMAGE_PROXIES: [&str; 2] = ["googleimageproxy", "yahoomailproxy"];

/// What the proxies of Apple's Mail Privacy Protection send, and nothing else.
const PRIVACY_PROXY: &str = "mozilla/5.0";

impl Hit<'_> {
    /// How close together requests for all links of a mail are one machine's.
    pub const TOGETHER: Duration = Duration::from_secs(10);
    /// Nobody has read a mail and followed a link so soon after their server took it.
    pub const SOONEST_CLICK: Duration = Duration::from_secs(5);
    /// Nobody has opened a mail so soon after their server took it.
    pub const SOONEST_OPEN: Duration = Duration::from_secs(2);
    /// A proxy that fetches so soon does so as the mail arrives: the person would have to see it that moment.
    pub const SOONEST_BY_PROXY: Duration = Duration::from_secs(10);
    /// With fewer links a person may well follow all of them.
    pub const LEAST_LINKS: u32 = 3;

    /// Whose it is.
    #[must_use]
    pub fn visitor(&self) -> Visitor {
        self.machine().map_or(Visitor::Human, Visitor::Machine)
    }

    fn machine(&self) -> Option<MachineReason> {
        // What a program calls itself is bounded by the server; all names looked for are ASCII.
        let agent = self.user_agent.trim().to_ascii_lowercase();
        let names = |list: &[&str]| list.iter().any(|name| agent.contains(name));
        let rules = [
            (MachineReason::HiddenLink, self.hidden_link),
            (MachineReason::Method, self.method != HitMethod::Get),
            (MachineReason::Prefetch, self.prefetch),
            (MachineReason::Range, self.from_machine_range),
            (MachineReason::Scanner, names(&SCANNERS)),
            (MachineReason::Program, names(&PROGRAMS) || agent.ends_with("bot")),
            (MachineReason::NoUserAgent, agent.is_empty()),
            (MachineReason::PrivacyProxy, agent == PRIVACY_PROXY),
            (MachineReason::TooSoon, self.is_too_soon(names(&IMAGE_PROXIES))),
            (MachineReason::AllLinks, self.is_all_links()),
        ];
        rules.into_iter().find(|(_, speaks)| *speaks).map(|(reason, _)| reason)
    }

    fn is_too_soon(&self, by_proxy: bool) -> bool {
        let soonest = match self.kind {
            HitKind::Click => Self::SOONEST_CLICK,
            HitKind::Open if by_proxy => Self::SOONEST_BY_PROXY,
            HitKind::Open => Self::SOONEST_OPEN,
        };
        self.after_delivery.is_some_and(|after| after < soonest)
    }

    fn is_all_links(&self) -> bool {
        let LinksFollowed { followed, all } = self.links;
        self.kind == HitKind::Click && all >= Self::LEAST_LINKS && followed >= all
    }
}

#[cfg(test)]
mod tests;
