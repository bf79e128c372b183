//! Text messages: why one is sent, where it is in its life, and when it may be sent at all.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::account::{UnknownWord, words};
use crate::reception::{DAY, ends, write_ends};
use crate::text::Refused;
use crate::{Timestamp, Zone};

/// Why somebody is sent a text message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextReason {
    /// An appointment was made for them.
    Confirmation,
    /// It is at another time now.
    Moved,
    /// It does not take place.
    Cancelled,
    /// It is soon.
    Reminder,
}

words!(TextReason {
    Confirmation = "confirmation",
    Moved = "moved",
    Cancelled = "cancelled",
    Reminder = "reminder",
});

/// Where a text message is in its life. Of those that a provider tells, a later one of this list is never followed by an
/// earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextState {
    /// It is to be sent.
    Waiting,
    /// It is being sent: the provider may have it by now.
    Sending,
    /// Nobody knows whether the provider has it; it is being found out.
    Unknown,
    /// The provider has it.
    Accepted,
    /// The network has it.
    Sent,
    /// The provider could not send it, or refused it.
    Failed,
    /// The network could not deliver it.
    Undelivered,
    /// It has arrived.
    Delivered,
    /// It was read.
    Read,
    /// It was not sent, and will not be.
    Dropped,
}

words!(TextState {
    Waiting = "waiting",
    Sending = "sending",
    Unknown = "unknown",
    Accepted = "accepted",
    Sent = "sent",
    Failed = "failed",
    Undelivered = "undelivered",
    Delivered = "delivered",
    Read = "read",
    Dropped = "dropped",
});

impl TextState {
    /// Whether the provider has not been told of it for certain: what comes after it waits.
    #[must_use]
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Waiting | Self::Sending | Self::Unknown)
    }

    /// Whether nothing more is to be heard of it, but that it was read.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Failed | Self::Undelivered | Self::Delivered | Self::Read | Self::Dropped)
    }
}

/// What a provider tells of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextTold {
    /// Where it is in its life.
    pub state: Option<TextState>,
    /// The provider's code of what went wrong.
    pub error_code: Option<i64>,
    /// How many messages of the network it took.
    pub segments: Option<i64>,
    /// What it cost, in millionths of the currency, and the currency (ISO 4217).
    pub price: Option<(i64, String)>,
}

/// What is known of a message that the provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextHeard {
    /// Where it is in its life.
    pub state: TextState,
    /// The provider's code of what went wrong.
    pub error_code: Option<i64>,
    /// How many messages of the network it took.
    pub segments: Option<i64>,
    /// What it cost, in millionths of the currency, and the currency.
    pub price: Option<(i64, String)>,
}

impl TextHeard {
    /// Takes in what is told. Whatever the order, and however often, the end is the same: of the states the furthest counts,
    /// with the code that came with it.
    pub fn hear(&mut self, told: &TextTold) {
        if let Some(state) = told.state
            && self.state != TextState::Dropped
        {
            if state > self.state {
                self.error_code = told.error_code;
            } else if state == self.state {
                self.error_code = self.error_code.max(told.error_code);
            }
            self.state = self.state.max(state);
        }
        self.segments = self.segments.max(told.segments);
        self.price = std::mem::take(&mut self.price).max(told.price.clone());
    }
}

/// The hours of the night in which nobody is disturbed: `21:00-08:00` on the wire, as the clock shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    from: u16,
    until: u16,
}

impl QuietHours {
    /// Whether it is quiet at a moment.
    #[must_use]
    pub fn is_quiet(self, zone: &Zone, at: Timestamp) -> bool {
        let (_, minute) = zone.clock(at);
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }

    /// The first moment from this one on at which it is not quiet.
    #[must_use]
    pub fn ends(self, zone: &Zone, at: Timestamp) -> Timestamp {
        if !self.is_quiet(zone, at) {
            return at;
        }
        let (day, minute) = zone.clock(at);
        let day = if minute < self.until { day } else { day.next() };
        let ends = zone.span(day, self.until, 1_440).map_or(at, |span| span.from());
        // The hour that comes twice may be quiet a second time.
        let mut ends = ends.max(at);
        while self.is_quiet(zone, ends) {
            ends = ends.plus(MINUTE);
        }
        ends
    }

    /// The last whole minute up to this moment at which it is not quiet.
    #[must_use]
    pub fn began(self, zone: &Zone, at: Timestamp) -> Timestamp {
        if !self.is_quiet(zone, at) {
            return at;
        }
        let (day, minute) = zone.clock(at);
        let day = if minute >= self.from { day } else { day.before() };
        // A time that the clock skips stands for the moment after the gap, which is quiet too.
        let began = zone.span(day, self.from, 1_440).map_or(at, |span| span.from());
        began.min(at).minus(MINUTE)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

impl FromStr for QuietHours {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        // The night has no end of the day in it: `24:00` is `00:00`.
        match ends(text).filter(|&(from, until)| from < DAY && until < DAY) {
            Some((from, until)) if from != until => Ok(Self { from, until }),
            _ => Err(Refused {
                code: "invalid_quiet_hours",
                detail: "Write from when until when nobody is disturbed, such as 21:00-08:00.".to_owned(),
            }),
        }
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ends(f, self.from, self.until)
    }
}

impl Serialize for QuietHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QuietHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|refused: Refused| de::Error::custom(refused.detail))
    }
}

/// When a message goes that is due at a moment and is about something that begins at another: not while it is quiet, unless
/// it would then come too late.
#[must_use]
pub fn text_due(due: Timestamp, begins: Timestamp, zone: &Zone, quiet: Option<QuietHours>) -> Timestamp {
    let after = quiet.map_or(due, |quiet| quiet.ends(zone, due));
    if after < begins || after == due { after } else { due }
}

/// When somebody is reminded of what begins at a moment, so long before it. Where that is quiet they are reminded when the
/// quiet is over, if half an hour is left then, and else before it begins. Nothing when that moment has passed.
#[must_use]
pub fn reminder_due(
    begins: Timestamp,
    before: Duration,
    zone: &Zone,
    quiet: Option<QuietHours>,
    now: Timestamp,
) -> Option<Timestamp> {
    const LEFT: Duration = Duration::from_secs(30 * 60);
    let due = begins.minus(before);
    let due = match quiet {
        None => due,
        Some(quiet) => {
            let after = quiet.ends(zone, due);
            if after == due || after.plus(LEFT) <= begins { after } else { quiet.began(zone, due) }
        }
    };
    (due >= now).then_some(due)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).expect("a zone")
    }

    fn moment(text: &str) -> Timestamp {
        text.parse().expect("a moment")
    }

    fn quiet() -> QuietHours {
        "21:00-08:00".parse().expect("quiet hours")
    }

    #[test]
    fn nobody_is_disturbed_at_night() {
        let berlin = zone("Europe/Berlin");
        let due = |at: &str, begins: &str| text_due(moment(at), moment(begins), &berlin, Some(quiet()));
        let (day, night) = ("2026-03-02T12:00:00.000Z", "2026-03-02T22:00:00.000Z");
        assert_eq!(due(day, "2026-03-09T08:00:00.000Z"), moment(day));
        assert_eq!(due(night, "2026-03-09T08:00:00.000Z"), moment("2026-03-03T07:00:00.000Z"));
        assert_eq!(due(night, "2026-03-03T06:30:00.000Z"), moment(night), "in the morning it would come too late");
        assert_eq!(text_due(moment(night), moment(day), &berlin, None), moment(night));
    }

    #[test]
    fn a_reminder_comes_in_time_and_not_at_night() {
        let (berlin, hour) = (zone("Europe/Berlin"), Duration::from_secs(3_600));
        let due = |begins: &str, before: u32, now: &str| {
            reminder_due(moment(begins), hour * before, &berlin, Some(quiet()), moment(now))
        };
        let now = "2026-03-01T00:00:00.000Z";
        assert_eq!(due("2026-03-05T09:00:00.000Z", 24, now), Some(moment("2026-03-04T09:00:00.000Z")));
        // Two hours before nine are seven: at eight an hour is left.
        assert_eq!(due("2026-03-05T08:00:00.000Z", 2, now), Some(moment("2026-03-05T07:00:00.000Z")));
        // Two hours before eight: the evening before.
        assert_eq!(due("2026-03-05T07:00:00.000Z", 2, now), Some(moment("2026-03-04T19:59:00.000Z")));
        assert_eq!(due("2026-03-05T09:00:00.000Z", 24, "2026-03-04T09:00:00.001Z"), None);
    }

    #[test]
    fn quiet_hours_are_written_as_the_clock_shows_them() {
        assert_eq!(quiet().to_string(), "21:00-08:00");
        for bad in ["", "21-8", "21:00-21:00", "24:00-08:00", "21:60-08:00", "-", "1:00-2:00", "٢١:00-08:00"] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn dropped_is_the_end() {
        let mut heard = TextHeard { state: TextState::Dropped, error_code: None, segments: None, price: None };
        heard.hear(&TextTold { state: Some(TextState::Delivered), ..TextTold::default() });
        assert_eq!(heard.state, TextState::Dropped);
    }

    proptest! {
        /// In zones that move their clocks, at any moment of two years.
        #[test]
        fn what_was_put_off_is_not_quiet(
            at in 1_767_225_600_000_i64..1_830_297_600_000, from in 0_u16..1_440, length in 1_u16..1_439,
            name in proptest::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
        ) {
            let quiet = QuietHours { from, until: (from + length) % 1_440 };
            let (zone, at) = (zone(name), Timestamp::from_millis(at));
            let (after, before) = (quiet.ends(&zone, at), quiet.began(&zone, at));
            prop_assert!(after >= at && before <= at);
            prop_assert!(!quiet.is_quiet(&zone, after));
            prop_assert!(after.since(at) <= Duration::from_secs(26 * 3_600));
            prop_assert!(at.since(before) <= Duration::from_secs(26 * 3_600));
        }

        #[test]
        fn the_order_of_what_is_told_does_not_matter(
            order in Just(vec![0, 1, 2, 3, 4, 0, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            let told = |state, error_code| TextTold { state: Some(state), error_code, ..TextTold::default() };
            let price = Some((7_500, "USD".to_owned()));
            let events = [
                told(TextState::Accepted, None),
                told(TextState::Sent, None),
                told(TextState::Undelivered, Some(30_003)),
                told(TextState::Undelivered, None),
                TextTold { segments: Some(2), price: price.clone(), ..TextTold::default() },
            ];
            let mut heard = TextHeard { state: TextState::Accepted, error_code: None, segments: Some(1), price: None };
            order.into_iter().for_each(|place| heard.hear(&events[place]));
            let state = TextState::Undelivered;
            prop_assert_eq!(heard, TextHeard { state, error_code: Some(30_003), segments: Some(2), price });
        }
    }
}
