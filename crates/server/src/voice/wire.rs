//! The frames of a voice session. Text is JSON and controls; binary is audio.

use bytes::{BufMut as _, Bytes, BytesMut};
use mainstay_domain::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The largest text frame of a client, in bytes.
pub(super) const LARGEST_TEXT: usize = 4096;
/// The largest frame of a client, in bytes.
pub(super) const LARGEST_FRAME: usize = 64 * 1024;
/// Bytes before the audio in a binary frame of the server.
pub(super) const HEADER: usize = 8;
/// Samples in a second of what a client sends as PCM.
pub(super) const RATE: u32 = 16_000;

/// How the client's audio is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    /// 16 bits, little endian, one channel, 16 kHz.
    #[default]
    PcmS16le,
    /// One packet of Opus (RFC 6716) in each frame.
    Opus,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClientFrame {
    Start(Start),
    Commit {},
    Cancel {},
    Played {
        turn: u32,
        ms: u32,
    },
    Ping {
        #[serde(default)]
        t: Option<i64>,
    },
    Stop {},
}

/// How a session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    #[serde(default)]
    pub(super) conversation_id: Option<Uuid>,
    #[serde(default)]
    pub(super) encoding: Encoding,
    #[serde(default)]
    pub(super) sample_rate: Option<u32>,
    #[serde(default)]
    pub(super) language: Option<String>,
    #[serde(default)]
    pub(super) resume: Option<String>,
}

/// The language of a session, when none is named.
const LANGUAGE: &str = "en";
/// The longest name of a language (RFC 5646, section 4.4.1).
const LONGEST_LANGUAGE: usize = 35;

impl Start {
    /// The language, checked: it is named to providers and to a program.
    pub(super) fn language(&self) -> Result<String, Error> {
        let language = self.language.as_deref().unwrap_or(LANGUAGE);
        let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let first = language.split('-').next().unwrap_or_default();
        let fits = language.len() <= LONGEST_LANGUAGE
            && (2..=3).contains(&first.len())
            && first.bytes().all(|byte| byte.is_ascii_lowercase())
            && language.split('-').all(part);
        if !fits {
            return Err(Error::invalid_field(
                "language",
                "not_a_language",
                "Write it as en, pt-BR or zh-Hans (BCP 47).",
            ));
        }
        Ok(language.to_owned())
    }

    /// Demands a rate that is understood.
    pub(super) fn check_rate(&self) -> Result<(), Error> {
        match (self.encoding, self.sample_rate) {
            (_, None) | (Encoding::PcmS16le, Some(RATE)) | (Encoding::Opus, Some(RATE | 48_000)) => Ok(()),
            _ => Err(Error::invalid_field("sample_rate", "not_supported", "Send audio with 16000 samples a second.")),
        }
    }
}

/// Reads a text frame.
pub(super) fn read(text: &str) -> Result<ClientFrame, Error> {
    if text.len() > LARGEST_TEXT {
        return Err(Error::invalid_field("frame", "too_large", "A text frame has at most 4096 bytes."));
    }
    serde_json::from_str(text).map_err(|error| {
        let shown: String = error.to_string().chars().take(200).collect();
        Error::invalid_field("frame", "not_a_frame", format!("This is no frame of a voice session: {shown}."))
    })
}

/// What the server says.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerFrame<'a> {
    Ready {
        session_id: Uuid,
        resume_token: &'a str,
        resumed: bool,
        conversation_id: Option<Uuid>,
        turn: u32,
        limits: Limits,
    },
    SpeechStarted {
        turn: u32,
    },
    Transcript {
        turn: u32,
        role: &'static str,
        #[serde(rename = "final")]
        is_final: bool,
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        conversation_id: Option<Uuid>,
    },
    AudioStart {
        turn: u32,
        encoding: &'static str,
        sample_rate: u32,
    },
    AudioEnd {
        turn: u32,
    },
    Clear {
        turn: u32,
    },
    Latency {
        turn: u32,
        transcript_ms: Option<u64>,
        first_token_ms: Option<u64>,
        first_audio_ms: Option<u64>,
    },
    Warning {
        code: &'static str,
        count: u64,
    },
    Error {
        code: &'a str,
        message: &'a str,
        retry_after_ms: Option<u64>,
    },
    Pong {
        t: Option<i64>,
    },
    Ended {
        reason: &'static str,
        duration_ms: u64,
    },
}

/// What a session may do.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Limits {
    pub(super) chunks_per_second: u32,
    pub(super) chunk_burst: u32,
    pub(super) max_frame_bytes: usize,
    pub(super) max_session_ms: u64,
    pub(super) max_turn_ms: u64,
    pub(super) idle_ms: u64,
    pub(super) resume_ms: u64,
}

impl ServerFrame<'_> {
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A binary frame: which turn, its number in the turn, and the audio.
pub(super) fn audio_frame(turn: u32, sequence: u32, audio: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER + audio.len());
    frame.put_u32_le(turn);
    frame.put_u32_le(sequence);
    frame.put_slice(audio);
    frame.freeze()
}

/// How long a packet of Opus lasts, in milliseconds (RFC 6716, section 3.1 and 3.2); nothing for what is none.
pub(super) fn opus_ms(packet: &[u8]) -> Option<u32> {
    let first = *packet.first()?;
    let (config, code) = (first >> 3, first & 3);
    let tenths: u32 = match config {
        0..=11 => [100, 200, 400, 600][usize::from(config % 4)],
        12..=15 => [100, 200][usize::from(config % 2)],
        _ => [25, 50, 100, 200][usize::from(config % 4)],
    };
    let frames = match code {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3F),
    };
    let whole = tenths * frames;
    (frames > 0 && whole <= 1200).then(|| whole.div_ceil(10))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_read_and_what_is_none_is_told() {
        assert_eq!(read(r#"{"type":"start"}"#).ok(), Some(ClientFrame::Start(Start::default())));
        assert_eq!(read(r#"{"type":"played","turn":3,"ms":840}"#).ok(), Some(ClientFrame::Played { turn: 3, ms: 840 }));
        assert_eq!(read(r#"{"type":"stop"}"#).ok(), Some(ClientFrame::Stop {}));
        for bad in [
            "",
            "[]",
            "null",
            "{}",
            r#"{"type":"sing"}"#,
            r#"{"type":"played","turn":-1,"ms":1}"#,
            r#"{"type":"start","x":1}"#,
        ] {
            let told = read(bad).expect_err(bad);
            assert!(told.detail.contains("no frame of a voice session") || !told.fields.is_empty(), "{bad}");
        }
        assert!(read(&format!(r#"{{"type":"ping","t":{}}}"#, " ".repeat(LARGEST_TEXT))).is_err());
    }

    #[test]
    fn a_language_is_one_or_is_refused() {
        let language = |text: &str| Start { language: Some(text.to_owned()), ..Start::default() }.language().ok();
        for good in ["en", "pt-BR", "zh-Hans-CN", "gsw"] {
            assert_eq!(language(good).as_deref(), Some(good));
        }
        for bad in ["", "e", "EN", "en_US", "en; rm", "-v", "en-", "en-\u{e9}", &"en-".repeat(20)] {
            assert_eq!(language(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_length_of_a_packet_is_read_from_its_first_bytes() {
        assert_eq!(opus_ms(&[0b0000_1000]), Some(20), "SILK, 20 ms");
        assert_eq!(opus_ms(&[0b1111_1000, 1, 2]), Some(20), "CELT, 20 ms");
        assert_eq!(opus_ms(&[0b1000_0000]), Some(3), "CELT, 2.5 ms");
        assert_eq!(opus_ms(&[0b0000_1001]), Some(40), "two of them");
        assert_eq!(opus_ms(&[0b1111_1011, 6]), Some(120));
        assert_eq!(opus_ms(&[0b1111_1011, 7]), None, "longer than any packet");
        assert_eq!(opus_ms(&[]), None);
    }

    proptest! {
        #[test]
        fn nothing_that_arrives_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = opus_ms(&bytes);
            let _ = read(&String::from_utf8_lossy(&bytes));
        }
    }
}
