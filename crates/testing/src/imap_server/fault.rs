//! What goes wrong, and where.

use std::time::Duration;

/// A stage of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImapStage {
    /// The first word.
    Greeting,
    /// `CAPABILITY`.
    Capability,
    /// `STARTTLS`.
    StartTls,
    /// `LOGIN` and `AUTHENTICATE`, once the credentials are there.
    SignIn,
    /// `SELECT` and `EXAMINE`.
    Open,
    /// `LIST`.
    List,
    /// `SEARCH`.
    Search,
    /// `FETCH`.
    Fetch,
    /// `LOGOUT`.
    SignOut,
}

impl ImapStage {
    pub(super) const COUNT: usize = 9;
}

/// What happens instead of the usual answer.
#[derive(Clone, Debug)]
pub enum ImapAct {
    /// This is the answer, after the tag: `NO [UNAVAILABLE] later`. What was asked for is not done.
    Answer(String),
    /// The server says goodbye with these words, and closes the connection.
    Bye(String),
    /// Nothing is ever said again; what comes is read and thrown away until the client goes.
    Hang,
    /// The connection is closed.
    Cut,
    /// Half of the usual answer is said and the connection is closed. Of the answer with a message that is within its text.
    CutHalfway,
    /// Half of the usual answer is said, and then nothing ever again.
    HangHalfway,
    /// The usual answer comes after this time.
    Slow(Duration),
    /// The usual answer comes one byte after the other, with this time between.
    Drip(Duration),
    /// These bytes come before the usual answer: lines with their ends, as `* 3 EXISTS`.
    Before(Vec<u8>),
    /// These bytes are the answer.
    Raw(Vec<u8>),
    /// These bytes are said again and again until the client goes.
    Flood(Vec<u8>),
}

/// A fault.
#[derive(Clone, Debug)]
pub struct ImapFault {
    /// Where.
    pub stage: ImapStage,
    /// What.
    pub act: ImapAct,
    /// How often it still acts; without a number always.
    pub left: Option<u32>,
}

impl ImapFault {
    /// A fault that always acts.
    #[must_use]
    pub fn always(stage: ImapStage, act: ImapAct) -> Self {
        Self { stage, act, left: None }
    }

    /// A fault that acts once.
    #[must_use]
    pub fn once(stage: ImapStage, act: ImapAct) -> Self {
        Self { stage, act, left: Some(1) }
    }

    /// Whether it acts now.
    pub(super) fn acts(&mut self, stage: ImapStage) -> bool {
        if self.stage != stage {
            return false;
        }
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}
