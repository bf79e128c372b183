//! Every control on one page: its name, which values it takes, and what it does.

use std::fmt;

use mainstay_domain::{Error, Result};
use mainstay_store::DELIVERIES;

use crate::config::MOST_LIMIT;
use crate::job_list::INBOX;
use crate::limits::Class;

/// The longest interval between syncs, in seconds.
const MOST_INTERVAL: u32 = 3_600;
/// The most sockets of one person, as in the settings.
const MOST_OF_A_PERSON: u32 = 1_000;
/// The most sockets of a node, as many as there may be connections.
const MOST_OF_A_NODE: u32 = 1_000_000;

/// A part that can be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Making an account.
    SignUp,
    /// Signing in by a password.
    SignIn,
    /// Messages to the assistant.
    Messages,
    /// Beginning a conversation.
    Conversations,
    /// Delta sync.
    Sync,
    /// Live sockets.
    Live,
    /// Buying and changing a plan.
    Purchases,
    /// Processing webhooks that have arrived.
    Webhooks,
    /// Telling organisations by webhooks.
    Deliveries,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SignUp,
        Self::SignIn,
        Self::Messages,
        Self::Conversations,
        Self::Sync,
        Self::Live,
        Self::Purchases,
        Self::Webhooks,
        Self::Deliveries,
    ];

    /// The name of its control, and its label in figures.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::SignIn => "sign_in",
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::Sync => "sync",
            Self::Live => "live",
            Self::Purchases => "purchases",
            Self::Webhooks => "webhooks",
            Self::Deliveries => "deliveries",
        }
    }

    /// What a caller is told is off.
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::SignUp => "Making accounts is",
            Self::SignIn => "Signing in is",
            Self::Messages => "Messages to the assistant are",
            Self::Conversations => "New conversations are",
            Self::Sync => "Sync is",
            Self::Live => "Live updates are",
            Self::Purchases => "Buying and changing plans is",
            Self::Webhooks => "Processing webhooks is",
            Self::Deliveries => "Deliveries are",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::SignUp => "Nobody makes an account; 503.",
            Self::SignIn => {
                "Nobody signs in by a password; 503. Who is signed in stays so. The command line turns it on again."
            }
            Self::Messages => {
                "No message is sent to the assistant; 503. Replies in the making are finished, and everything can be read."
            }
            Self::Conversations => "No conversation is begun; 503. In those that are there it goes on.",
            Self::Sync => "No client syncs; 503. Clients keep what they wrote, and send it later.",
            Self::Live => "Sockets that are open are ended and told when to come back; no new one is opened, 503.",
            Self::Purchases => "No plan is bought or changed; 503. Plans can be cancelled, and payments are taken in.",
            Self::Webhooks => {
                "Webhooks that arrive are stored and acknowledged, and processed later. Nobody who asks by one is answered."
            }
            Self::Deliveries => "Deliveries wait. What is published is kept, and delivered later.",
        }
    }

    /// The queue whose jobs are the work of this part; nothing where it is the work of requests.
    const fn queue(self) -> Option<&'static str> {
        match self {
            Self::Webhooks => Some(INBOX),
            Self::Deliveries => Some(DELIVERIES),
            _ => None,
        }
    }
}

/// Something that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// What all limits are multiplied by.
    Percent,
    /// What the limits of a class are multiplied by, in place of [`Control::Percent`].
    ClassPercent(Class),
    /// The limit of one person for a class, or of one address for the class public, in place of all factors.
    ClassLimit(Class),
    /// The least time between two syncs that a client is told, in seconds.
    SyncInterval,
    /// The most sockets of one member of an organisation on a node.
    SocketsPerPerson,
    /// The most sockets of a node.
    SocketsPerNode,
    /// A part is off.
    Off(Part),
    /// No job of a queue is begun.
    QueueOff(&'static str),
}

/// What a control can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// `off` alone: whoever turns it on again clears it.
    Off,
    /// A whole number.
    Number {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
        /// Of what: per cent, seconds, sockets.
        unit: &'static str,
    },
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Number { least, most, unit } => write!(f, "{least} to {most} {unit}"),
        }
    }
}

/// What a control is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Off.
    Off,
    /// This number.
    Number(u32),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Control {
    /// What stops the jobs of a queue.
    #[must_use]
    pub fn of_queue(queue: &'static str) -> Self {
        Part::ALL.into_iter().find(|part| part.queue() == Some(queue)).map_or(Self::QueueOff(queue), Self::Off)
    }

    /// Whether this stops the jobs of a queue.
    pub(super) fn stops(self, queue: &str) -> bool {
        match self {
            Self::Off(part) => part.queue() == Some(queue),
            Self::QueueOff(own) => own == queue,
            _ => false,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Percent => "limits.percent".to_owned(),
            Self::ClassPercent(class) => format!("limits.{}.percent", class.as_str()),
            Self::ClassLimit(class) => format!("limits.{}", class.as_str()),
            Self::SyncInterval => "sync.interval".to_owned(),
            Self::SocketsPerPerson => "live.sockets_per_person".to_owned(),
            Self::SocketsPerNode => "live.sockets_per_node".to_owned(),
            Self::Off(part) => part.as_str().to_owned(),
            Self::QueueOff(queue) => format!("jobs.{queue}"),
        }
    }

    /// What it can be set to.
    #[must_use]
    pub const fn values(self) -> Values {
        match self {
            Self::Percent | Self::ClassPercent(_) => Values::Number { least: 1, most: 1_000, unit: "per cent" },
            Self::ClassLimit(_) => Values::Number { least: 1, most: MOST_LIMIT, unit: "requests in a window" },
            Self::SyncInterval => Values::Number { least: 1, most: MOST_INTERVAL, unit: "seconds" },
            Self::SocketsPerPerson => Values::Number { least: 1, most: MOST_OF_A_PERSON, unit: "sockets" },
            Self::SocketsPerNode => Values::Number { least: 0, most: MOST_OF_A_NODE, unit: "sockets" },
            Self::Off(_) | Self::QueueOff(_) => Values::Off,
        }
    }

    /// What it does, in a sentence or two.
    #[must_use]
    pub fn about(self) -> String {
        match self {
            Self::Percent => "Every limit of every class is so much of what the settings say: also those of keys and \
                              organisations."
                .to_owned(),
            Self::ClassPercent(class) => {
                format!("The limits of the class {} are so much of what the settings say.", class.as_str())
            }
            Self::ClassLimit(Class::Public) => {
                "The limit of one address for what needs no token, whatever the settings and the factors say.".to_owned()
            }
            Self::ClassLimit(class) => format!(
                "The limit of one person for the class {}, whatever the plan, the settings and the factors say.",
                class.as_str()
            ),
            Self::SyncInterval => {
                "Clients are told to leave at least so much time between two syncs. Who does not is held by limits.sync."
                    .to_owned()
            }
            Self::SocketsPerPerson => {
                "Nobody opens a further socket with so many on a node. Those that are open stay.".to_owned()
            }
            Self::SocketsPerNode => "A node with so many sockets opens no further one; 503.".to_owned(),
            Self::Off(part) => part.about().to_owned(),
            Self::QueueOff(queue) => {
                format!("No job of the queue {queue} is begun. What runs is finished, what is promised waits.")
            }
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// `invalid_input`, with what it takes.
    pub fn setting(self, text: &str) -> Result<Setting> {
        let refused = |code, detail: String| Err(Error::invalid_field("value", code, detail));
        match self.values() {
            Values::Off if text == "off" => Ok(Setting::Off),
            Values::Off => {
                refused("unknown", format!("{} is a switch: it is set to off. To turn it on, clear it.", self.name()))
            }
            Values::Number { least, most, .. } => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                match text.parse::<u32>() {
                    Ok(number) if digits && (least..=most).contains(&number) => Ok(Setting::Number(number)),
                    _ => refused("out_of_range", format!("{} takes a whole number: {}.", self.name(), self.values())),
                }
            }
        }
    }
}

/// All controls of this program.
#[derive(Clone, Debug)]
pub struct Catalogue(Vec<Control>);

impl Catalogue {
    /// With these queues.
    #[must_use]
    pub fn new(queues: impl IntoIterator<Item = &'static str>) -> Self {
        let classes = || Class::ALL.into_iter().filter(|class| *class != Class::Unlimited);
        let mut all = vec![Control::Percent];
        all.extend(classes().map(Control::ClassPercent));
        all.extend(classes().map(Control::ClassLimit));
        all.extend([Control::SyncInterval, Control::SocketsPerPerson, Control::SocketsPerNode]);
        all.extend(Part::ALL.map(Control::Off));
        let of_queues = queues.into_iter().map(Control::of_queue);
        all.extend(of_queues.filter(|control| matches!(control, Control::QueueOff(_))));
        Self(all)
    }

    /// Each of them.
    #[must_use]
    pub fn all(&self) -> &[Control] {
        &self.0
    }

    /// Finds one by its name.
    ///
    /// # Errors
    /// `invalid_input`, with all names.
    pub fn find(&self, name: &str) -> Result<Control> {
        self.known(name).ok_or_else(|| {
            let names = self.0.iter().map(|control| control.name()).collect::<Vec<_>>().join(", ");
            Error::invalid_field("name", "unknown", format!("There is no such control. There are {names}."))
        })
    }

    /// Finds one by its name; nothing when this program does not know it.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<Control> {
        self.0.iter().copied().find(|control| control.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn catalogue() -> Catalogue {
        Catalogue::new(["probes", INBOX, DELIVERIES])
    }

    #[test]
    fn every_control_is_found_by_its_name_and_says_what_it_does() {
        let catalogue = catalogue();
        let names: BTreeSet<String> = catalogue.all().iter().map(|control| control.name()).collect();
        assert_eq!(names.len(), catalogue.all().len(), "a name stands twice");
        for control in catalogue.all() {
            assert_eq!(catalogue.find(&control.name()).ok(), Some(*control));
            assert!(control.about().ends_with('.') && control.about().len() > 20, "{control:?}");
        }
        for name in
            ["limits.percent", "limits.messages.percent", "limits.public", "webhooks", "deliveries", "jobs.probes"]
        {
            assert!(names.contains(name), "{name}");
        }
        for other in ["jobs.inbox", "jobs.deliveries", "limits.unlimited", "limits.unlimited.percent", ""] {
            let error = catalogue.find(other).expect_err("it is none");
            assert!(error.fields[0].detail.contains("limits.messages.percent, "), "{error}");
        }
    }

    #[test]
    fn values_are_held_to_what_a_control_takes() {
        let cases = [
            ("limits.percent", "1", Some(Setting::Number(1))),
            ("limits.percent", "1000", Some(Setting::Number(1_000))),
            ("limits.percent", "0", None),
            ("limits.percent", "1001", None),
            ("limits.percent", "+5", None),
            ("limits.percent", "5.5", None),
            ("limits.percent", "", None),
            ("limits.percent", "off", None),
            ("limits.sync", "1000000", Some(Setting::Number(1_000_000))),
            ("limits.sync", "99999999999", None),
            ("live.sockets_per_node", "0", Some(Setting::Number(0))),
            ("sync.interval", "3601", None),
            ("sign_up", "off", Some(Setting::Off)),
            ("sign_up", "on", None),
            ("jobs.probes", "1", None),
        ];
        for (name, text, expected) in cases {
            let read = catalogue().find(name).expect("a name").setting(text);
            assert_eq!(read.as_ref().ok(), expected.as_ref(), "{name} = {text}");
            if let Err(error) = read {
                assert_eq!(error.fields[0].field, "value");
            }
        }
    }

    #[test]
    fn the_jobs_of_a_queue_have_one_control() {
        assert_eq!(Control::of_queue(INBOX), Control::Off(Part::Webhooks));
        assert_eq!(Control::of_queue("probes"), Control::QueueOff("probes"));
        assert!(Control::of_queue(DELIVERIES).stops(DELIVERIES) && !Control::Percent.stops(INBOX));
        assert!(Control::QueueOff("probes").stops("probes") && !Control::Off(Part::SignUp).stops("probes"));
    }
}
