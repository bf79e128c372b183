//! What a name server does instead of answering well.

/// What happens instead of the usual answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Nothing is said, by UDP and by TCP.
    Silence,
    /// The answer is this code alone: 1 FORMERR, 2 SERVFAIL, 3 NXDOMAIN, 4 NOTIMP, 5 REFUSED.
    Code(u8),
    /// As an old server: a question with EDNS gets FORMERR, one without the usual answer.
    NoExtensions,
    /// The answer by UDP is empty and says that it was cut; by TCP it is whole.
    Truncated,
    /// As `Truncated`, and the one by TCP says so, too.
    TruncatedAlways,
    /// The answer has another id than the question.
    WrongId,
    /// The answer is for another question.
    OtherQuestion,
    /// By UDP, two answers that somebody else made up come first: one with another id, one for another question. Then the
    /// usual one.
    Forged,
    /// The id of the question, and then these bytes.
    Garbage(Vec<u8>),
    /// The answer is empty, and from a server that neither has the name nor asks others for it.
    Referral,
    /// A name that is an alias is answered with the alias alone, without what that one has.
    AliasOnly,
}

/// A fault, for whom and how often.
pub(super) struct Rule {
    /// The name in small letters, or `*`.
    pub(super) name: String,
    pub(super) fault: NameFault,
    pub(super) times: Option<u32>,
}

impl Rule {
    /// Whether it acts on this question, which uses it up.
    pub(super) fn acts(&mut self, name: &str) -> bool {
        if self.name != "*" && self.name != name {
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}
