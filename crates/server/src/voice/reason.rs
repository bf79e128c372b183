//! Why a session ended.

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The client said `stop`.
    Stopped,
    /// The client closed its line.
    HungUp,
    /// The line dropped, and nobody came back.
    Dropped,
    /// Nobody said anything for long.
    Idle,
    /// It lasted as long as it may.
    TooLong,
    /// The client sent far too much.
    Flood,
    /// The client sent what is no frame, again and again.
    BadFrames,
    /// What the plan or a budget allows is spent.
    Spent,
    /// Its person signed out.
    SignedOut,
    /// Its place was lost to another session.
    PlaceLost,
    /// The node stops.
    ServerStopping,
    /// Nobody is there to listen.
    NobodyListens,
}

impl Reason {
    /// A stable word.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::HungUp => "hung_up",
            Self::Dropped => "dropped",
            Self::Idle => "idle",
            Self::TooLong => "too_long",
            Self::Flood => "flood",
            Self::BadFrames => "bad_frames",
            Self::Spent => "spent",
            Self::SignedOut => "signed_out",
            Self::PlaceLost => "place_lost",
            Self::ServerStopping => "server_stopping",
            Self::NobodyListens => "nobody_listens",
        }
    }

    /// How the socket is closed (RFC 6455, section 7.4).
    pub(super) const fn close_code(self) -> u16 {
        match self {
            Self::Stopped | Self::HungUp | Self::Dropped | Self::Idle | Self::TooLong => 1000,
            Self::BadFrames | Self::Spent => 1008,
            Self::Flood => 4429,
            Self::SignedOut => 4401,
            Self::PlaceLost => 4409,
            Self::ServerStopping => 1001,
            Self::NobodyListens => 1011,
        }
    }
}
