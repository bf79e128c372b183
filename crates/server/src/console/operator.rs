//! The pages on which operators see the installation, and administrators their organisation: a frame that the server renders,
//! the same for everybody, and a module that asks the public API, as any other client would. A page is a line of [`PAGES`] and
//! its module; lists with filters, the life of one item and its buttons are in `listing.js`, the figures above in `board.js`.

use askama::Template;
use axum::response::Response;

use super::assets::assets;
use crate::http::{listening, playing};

/// Whom a page is for. Who else opens it is told so: what is on it comes from the API, which decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Those who run the installation.
    Operators,
    /// Those who manage an organisation.
    Administrators,
    /// Everybody in an organisation.
    Members,
}

impl Audience {
    const fn refused(self) -> &'static str {
        match self {
            Self::Operators => "This page is for operators of the installation.",
            Self::Administrators => "This page is for administrators of the organisation.",
            Self::Members => "This is for administrators of the organisation.",
        }
    }

    /// What the module of the menu calls those whom it is for.
    const fn word(self) -> &'static str {
        match self {
            Self::Operators => "operators",
            Self::Administrators => "administrators",
            Self::Members => "members",
        }
    }
}

/// A page.
pub(super) struct Shown {
    /// Where it is.
    pub(super) path: &'static str,
    /// What it is called.
    title: &'static str,
    /// What it shows, in a sentence.
    about: &'static str,
    /// Its module.
    script: &'static str,
    audience: Audience,
}

/// The pages, beside that of experiments, which has a frame of its own.
pub(super) static PAGES: [Shown; 16] = [
    Shown {
        path: "/calendar",
        title: "Calendar",
        about: "Appointments, as they are made here and on the phone.",
        script: "calendar.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/calls",
        title: "Calls",
        about: "Who called, what was said and done, and what callers want somebody to know. Whoever reads a call is noted.",
        script: "calls.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/contacts",
        title: "Contacts",
        about: "People for whom something is done. Whoever reads one, or a page of them, is noted.",
        script: "contacts.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/texts",
        title: "Text messages",
        about: "What people are told of their appointments by text message, and what became of it.",
        script: "texts.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/campaigns",
        title: "Campaigns",
        about: "Emails that go out step by step: who gets them, what they say, and what came of them.",
        script: "campaigns.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/sending-accounts",
        title: "Sending accounts",
        about: "What sends the emails of campaigns, what is not settled, and whom nobody writes to.",
        script: "sending-accounts.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/knowledge",
        title: "Knowledge",
        about: "What this organisation knows: documents that the assistant and the phone answer from.",
        script: "knowledge.js",
        audience: Audience::Administrators,
    },
    Shown {
        path: "/security",
        title: "Security",
        about: "Your password and your sign-ins, whether you agree to recordings, and who has changed what.",
        script: "security.js",
        audience: Audience::Members,
    },
    Shown {
        path: "/inbox",
        title: "Inbox",
        about: "What other services have told this organisation by webhooks, and what became of it. It may hold personal data.",
        script: "inbox.js",
        audience: Audience::Administrators,
    },
    Shown {
        path: "/deliveries",
        title: "Deliveries",
        about: "What this organisation tells others by webhooks: where to, what they answered, and what is tried again.",
        script: "deliveries.js",
        audience: Audience::Administrators,
    },
    Shown {
        path: "/jobs",
        title: "Jobs",
        about: "Work that was promised and is done later, of all organisations. What a job is to do may hold personal data.",
        script: "jobs.js",
        audience: Audience::Operators,
    },
    Shown {
        path: "/system",
        title: "System",
        about: "How this installation is: what was answered in the last five minutes, each node, what is wrong, what was deployed.",
        script: "system.js",
        audience: Audience::Operators,
    },
    Shown {
        path: "/replays",
        title: "Recordings",
        about: "What pages looked like when something went wrong, of people who have agreed, without what stood in them. Whoever looks at one is noted.",
        script: "replays.js",
        audience: Audience::Operators,
    },
    Shown {
        path: "/audit",
        title: "Audit",
        about: "Whether this installation is ready: what was measured, what is missing, and how to mend it.",
        script: "audit.js",
        audience: Audience::Operators,
    },
    Shown {
        path: "/backups",
        title: "Backups",
        about: "Copies of the whole database: when they were made, where they are, and whether one was restored for trial.",
        script: "backups.js",
        audience: Audience::Operators,
    },
    Shown {
        path: "/controls",
        title: "Controls",
        about: "For emergencies: limits, and parts that are off, for all servers while they run. Each ends by itself.",
        script: "controls.js",
        audience: Audience::Operators,
    },
];

/// The page on which recordings of calls are heard. They are where the provider of the calls keeps them.
const LISTENING: &str = "/calls";

/// Files that these pages share.
const SHARED: [&str; 6] = ["operator.js", "listing.js", "board.js", "attempts.js", "range.js", "operator.css"];

/// Files of the pages of the reception beside their modules.
const OF_RECEPTION: [&str; 13] = [
    "agent.js",
    "appointment.js",
    "booking.js",
    "calendars.js",
    "drag.js",
    "grid.js",
    "messages.js",
    "reception.js",
    "setup.js",
    "text-faults.js",
    "text-settings.js",
    "zone.js",
    RECEPTION_STYLES,
];
const RECEPTION_STYLES: &str = "reception.css";

/// Files of the pages of outreach beside their modules.
const OF_OUTREACH: [&str; 24] = [
    "campaign.js",
    "campaign-figures.js",
    "campaign-list.js",
    "campaign-settings.js",
    "checklist.js",
    "emails.js",
    "figure-tables.js",
    "gmail-account.js",
    "import-columns.js",
    "import-faults.js",
    "imports.js",
    "leads.js",
    "mailbox.js",
    "parts.js",
    "plot.js",
    "save-file.js",
    "sending-account.js",
    "sequence.js",
    "sequence-step.js",
    "sequence-trial.js",
    "suppressions.js",
    "template-faults.js",
    "upload.js",
    OUTREACH_STYLES,
];
const OUTREACH_STYLES: &str = "outreach.css";
/// The pages that these files belong to.
const OUTREACH: [&str; 2] = ["/campaigns", "/sending-accounts"];

/// A link of the menu on each of these pages.
pub(super) struct Link {
    /// Where it leads.
    pub(super) path: &'static str,
    /// What it says.
    pub(super) title: &'static str,
    audience: Audience,
}

impl Link {
    /// For whom it is hidden on a page until it is known who looks: members need not be administrators, nor those operators.
    pub(super) fn waits(&self, current: &str) -> Option<&'static str> {
        let here = LINKS.iter().find(|link| link.path == current)?.audience;
        let shown = match self.audience {
            Audience::Members => true,
            Audience::Administrators => here != Audience::Members,
            Audience::Operators => here == Audience::Operators,
        };
        (!shown).then(|| self.audience.word())
    }
}

/// The menu.
pub(super) static LINKS: [Link; 17] = [
    Link { path: "/calendar", title: "Calendar", audience: Audience::Members },
    Link { path: "/calls", title: "Calls", audience: Audience::Members },
    Link { path: "/contacts", title: "Contacts", audience: Audience::Members },
    Link { path: "/texts", title: "Texts", audience: Audience::Members },
    Link { path: "/campaigns", title: "Campaigns", audience: Audience::Members },
    Link { path: "/sending-accounts", title: "Sending", audience: Audience::Members },
    Link { path: "/security", title: "Security", audience: Audience::Members },
    Link { path: "/knowledge", title: "Knowledge", audience: Audience::Administrators },
    Link { path: "/inbox", title: "Inbox", audience: Audience::Administrators },
    Link { path: "/deliveries", title: "Deliveries", audience: Audience::Administrators },
    Link { path: "/jobs", title: "Jobs", audience: Audience::Operators },
    Link { path: "/system", title: "System", audience: Audience::Operators },
    Link { path: "/replays", title: "Recordings", audience: Audience::Operators },
    Link { path: "/audit", title: "Audit", audience: Audience::Operators },
    Link { path: "/backups", title: "Backups", audience: Audience::Operators },
    Link { path: "/controls", title: "Controls", audience: Audience::Operators },
    Link { path: "/experiments", title: "Experiments", audience: Audience::Operators },
];

/// The page on which recordings of pages are played, and its sheet.
const RECORDINGS: &str = "/replays";
const RECORDINGS_STYLES: &str = "replays.css";

/// Whether a file belongs to one of these pages. The first load of the console does not need it.
pub(super) fn has(name: &str) -> bool {
    SHARED.contains(&name)
        || OF_RECEPTION.contains(&name)
        || OF_OUTREACH.contains(&name)
        || name == RECORDINGS_STYLES
        || super::experiments::FILES.contains(&name)
        || PAGES.iter().any(|shown| shown.script == name)
}

#[derive(Template)]
#[template(path = "operator.html")]
struct Page<'a> {
    /// The path of the files: `/assets/<hash>`.
    base: &'a str,
    links: &'a [Link],
    /// The path of the page.
    current: &'a str,
    title: &'a str,
    about: &'a str,
    script: &'a str,
    /// Sheets of its own.
    styles: &'static [&'static str],
    /// What somebody is told whom it is not for.
    refused: &'static str,
}

impl<'a> Page<'a> {
    fn of(shown: &'a Shown) -> Self {
        let Shown { path, title, about, script, audience } = shown;
        let styles = styles(path, *audience);
        let refused = audience.refused();
        Self { base: assets().base(), links: &LINKS, current: path, title, about, script, styles, refused }
    }
}

/// The sheets of a page, beside those of all. What members use has forms, and those are styled with the reception.
fn styles(path: &str, audience: Audience) -> &'static [&'static str] {
    match audience {
        Audience::Members if OUTREACH.contains(&path) => &[RECEPTION_STYLES, OUTREACH_STYLES],
        Audience::Members => &[RECEPTION_STYLES],
        Audience::Operators if path == RECORDINGS => &[RECORDINGS_STYLES],
        Audience::Administrators | Audience::Operators => &[],
    }
}

/// A page, the same for everybody.
pub(super) async fn page(shown: &'static Shown) -> Response {
    let mut response = super::pages::page(&Page::of(shown));
    if shown.path == LISTENING {
        response.headers_mut().extend(listening());
    }
    if shown.path == RECORDINGS {
        response.headers_mut().extend(playing());
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_names_files_that_exist_and_has_nothing_inline() {
        let known: BTreeSet<&str> = assets().names().collect();
        assert!(SHARED.iter().chain(&OF_RECEPTION).chain(&OF_OUTREACH).all(|name| known.contains(name)));
        for shown in &PAGES {
            assert!(LINKS.iter().any(|link| link.path == shown.path), "{} is on the menu", shown.path);
            let html = Page::of(shown).render().expect("a page");
            let prefix = format!("\"{}/", assets().base());
            let named: BTreeSet<&str> = html.split(&prefix).skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(named.is_subset(&known) && named.contains(shown.script), "{named:?}");
            assert_eq!(html.matches("aria-current=\"page\"").count(), 1, "{html}");
            let hidden = |whom: &str| html.matches(&format!("data-for=\"{whom}\" hidden")).count();
            let links_for = |whom| LINKS.iter().filter(|link| link.audience == whom).count();
            let to_operators = if shown.audience == Audience::Operators { 0 } else { links_for(Audience::Operators) };
            let is_for_all = shown.audience == Audience::Members;
            let to_administrators = if is_for_all { links_for(Audience::Administrators) } else { 0 };
            assert_eq!((hidden("operators"), hidden("administrators")), (to_operators, to_administrators), "{html}");
            assert!(html.contains(shown.audience.refused()), "{html}");
            assert!(!html.contains(" style=") && !html.contains("<style"), "an inline style");
            for tag in html.split("<script").skip(1) {
                let (attributes, rest) = tag.split_once('>').expect("an end");
                assert!(attributes.contains(" src=\"/assets/") && rest.starts_with("</script>"), "{attributes}");
            }
        }
    }
}
