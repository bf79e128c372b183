//! Classes of route: what is limited together.

use serde::Serialize;

/// What a route is limited as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Messages to the assistant.
    Messages,
    /// Looking at images.
    ImageAnalysis,
    /// Speech into text.
    SpeechToText,
    /// Text into speech.
    TextToSpeech,
    /// Opening a live connection, or a ticket for one: by person and by address.
    LiveConnect,
    /// Synchronising.
    Sync,
    /// Whatever else a member does.
    Other,
    /// What anybody may ask without a token: by address.
    Public,
    /// Never limited: health, metrics, the files of the console.
    Unlimited,
}

impl Class {
    /// Every class, in order.
    pub const ALL: [Self; 9] = [
        Self::Messages,
        Self::ImageAnalysis,
        Self::SpeechToText,
        Self::TextToSpeech,
        Self::LiveConnect,
        Self::Sync,
        Self::Other,
        Self::Public,
        Self::Unlimited,
    ];

    /// Its name in metrics and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ImageAnalysis => "image_analysis",
            Self::SpeechToText => "speech_to_text",
            Self::TextToSpeech => "text_to_speech",
            Self::LiveConnect => "live_connect",
            Self::Sync => "sync",
            Self::Other => "other",
            Self::Public => "public",
            Self::Unlimited => "unlimited",
        }
    }
}
