//! What goes wrong, where, and for whom.

use std::time::Duration;

/// A stage of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SinkStage {
    /// The first word.
    Greeting,
    /// `EHLO` or `HELO`.
    Hello,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`.
    SignIn,
    /// `MAIL`.
    Sender,
    /// `RCPT`.
    Recipient,
    /// `DATA`.
    Data,
    /// After the final dot.
    Body,
    /// `RSET`.
    Reset,
}

impl SinkStage {
    pub(super) const COUNT: usize = 9;
}

/// What happens instead of the usual answer.
#[derive(Clone, Debug)]
pub enum SinkAct {
    /// This line is the answer: `451 4.3.0 later`. A message is kept only with a 2xx. With 421 the line is closed after it.
    Answer(String),
    /// As `Answer`, but the message was kept all the same.
    KeepAndAnswer(String),
    /// Nothing is ever said again; what comes is read and thrown away until the client goes.
    Hang,
    /// The message was kept, and nothing is ever said again.
    KeepAndHang,
    /// The connection is closed.
    Cut,
    /// The message was kept, and the connection is closed without a word.
    KeepAndCut,
    /// The message was kept; the sink ends its side without a word and reads on.
    HalfClose,
    /// The usual answer comes after this time. A message is kept before.
    Slow(Duration),
    /// These bytes are the answer. A message is not kept.
    Raw(Vec<u8>),
}

impl SinkAct {
    /// Whether a message that ends here is kept.
    pub(super) fn keeps(&self) -> bool {
        match self {
            Self::Answer(line) => line.starts_with('2'),
            Self::KeepAndAnswer(_) | Self::KeepAndHang | Self::KeepAndCut | Self::HalfClose | Self::Slow(_) => true,
            Self::Hang | Self::Cut | Self::Raw(_) => false,
        }
    }

    /// Whether the client hears that its message was taken.
    pub(super) fn tells(&self) -> bool {
        match self {
            Self::Answer(line) | Self::KeepAndAnswer(line) => line.starts_with('2'),
            Self::Slow(_) => true,
            _ => false,
        }
    }
}

/// When a fault acts.
#[derive(Clone, Debug)]
pub enum When {
    /// Always.
    Always,
    /// The next so many times.
    Next(u32),
    /// With this probability, from 0 to 1, decided by the seed of the sink.
    Chance(f64),
    /// For recipients whose address holds this text, from `RCPT` on.
    Recipient(String),
}

/// A fault.
#[derive(Clone, Debug)]
pub struct SinkFault {
    /// Where.
    pub stage: SinkStage,
    /// What.
    pub act: SinkAct,
    /// When.
    pub when: When,
}

impl SinkFault {
    /// A fault that always acts.
    #[must_use]
    pub fn always(stage: SinkStage, act: SinkAct) -> Self {
        Self { stage, act, when: When::Always }
    }

    /// A fault that acts once.
    #[must_use]
    pub fn once(stage: SinkStage, act: SinkAct) -> Self {
        Self { stage, act, when: When::Next(1) }
    }

    /// An answer for recipients whose address holds a text.
    #[must_use]
    pub fn for_recipient(text: &str, answer: &str) -> Self {
        let act = SinkAct::Answer(answer.to_owned());
        Self { stage: SinkStage::Recipient, act, when: When::Recipient(text.to_owned()) }
    }

    /// Whether it acts now. `draw` gives a number from 0 up to, and without, 1.
    pub(super) fn acts(&mut self, stage: SinkStage, recipients: &[String], draw: impl FnOnce() -> f64) -> bool {
        if self.stage != stage {
            return false;
        }
        match &mut self.when {
            When::Always => true,
            When::Next(0) => false,
            When::Next(left) => {
                *left -= 1;
                true
            }
            When::Chance(chance) => draw() < *chance,
            When::Recipient(text) => recipients.iter().any(|recipient| recipient.contains(text.as_str())),
        }
    }
}
