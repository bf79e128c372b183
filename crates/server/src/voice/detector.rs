//! Whether somebody speaks, by the energy of 20 milliseconds and by how often the sound crosses zero.
//!
//! What counts as loud follows the room: the floor is the quietest moment of the last seconds. Speech has pauses between its
//! words, so it never becomes the floor itself; a fan that is switched on does, after three seconds.

/// Samples of a frame: 20 milliseconds at 16 kHz.
const FRAME: u32 = 320;
/// How long a frame lasts.
pub(super) const FRAME_MS: u32 = 20;
/// Below this root of the mean square nothing is a voice, whatever the room: about -46 dBFS.
const FAINTEST: f64 = 160.0;
/// The floor is taken to be at least this.
const LEAST_FLOOR: f64 = 25.0;
/// By how much a voice is above the floor: about 10 dB.
const ABOVE_FLOOR: f64 = 3.2;
/// A sound that crosses zero more often than in this share of its samples is hiss,
const HISS: f64 = 0.35;
/// unless it is louder than the floor by this much: about 20 dB.
const LOUD: f64 = 10.0;
/// The quietest moment is looked for in two stretches of so many frames: 1.5 seconds each.
const STRETCH: u32 = 75;

/// What a slice of sound meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Speech has begun.
    Start,
    /// Speech is over.
    End,
}

/// Listens to one caller.
pub(super) struct Detector {
    start_ms: u32,
    end_ms: u32,
    // The frame that is collected.
    samples: u32,
    squares: f64,
    crossings: u32,
    last_negative: bool,
    // The quietest frame of this stretch and of the one before.
    quietest: [f64; 2],
    stretch: u32,
    speaks: bool,
    voiced_ms: u32,
    silent_ms: u32,
    level: f64,
}

impl Detector {
    pub(super) fn new(start_ms: u32, end_ms: u32) -> Self {
        Self {
            start_ms,
            end_ms,
            samples: 0,
            squares: 0.0,
            crossings: 0,
            last_negative: false,
            quietest: [f64::MAX, f64::MAX],
            stretch: 0,
            speaks: false,
            voiced_ms: 0,
            silent_ms: 0,
            level: 0.0,
        }
    }

    /// Speech is taken to be over: the client said so, or the turn is too long.
    pub(super) fn end(&mut self) {
        (self.speaks, self.voiced_ms, self.silent_ms) = (false, 0, 0);
    }

    /// Takes sound, at most one frame of it: 16 bits, little endian. What is left of an odd byte is ignored.
    pub(super) fn hear(&mut self, audio: &[u8]) -> Option<Heard> {
        let mut heard = None;
        for pair in audio.chunks_exact(2) {
            let sample = i16::from_le_bytes([pair[0], pair[1]]);
            self.squares += f64::from(sample) * f64::from(sample);
            let negative = sample < 0;
            self.crossings += u32::from(negative != self.last_negative);
            self.last_negative = negative;
            self.samples += 1;
            if self.samples == FRAME {
                heard = self.frame().or(heard);
            }
        }
        heard
    }

    fn frame(&mut self) -> Option<Heard> {
        let level = (self.squares / f64::from(FRAME)).sqrt();
        let hiss = f64::from(self.crossings) / f64::from(FRAME);
        (self.samples, self.squares, self.crossings) = (0, 0.0, 0);
        self.level = level;
        let floor = self.floor(level);
        let is_voice = level > FAINTEST && level > floor * ABOVE_FLOOR && (hiss < HISS || level > floor * LOUD);
        if is_voice {
            self.voiced_ms = (self.voiced_ms + FRAME_MS).min(self.start_ms.max(FRAME_MS));
            // A click does not make a silence young again.
            if self.voiced_ms >= 2 * FRAME_MS {
                self.silent_ms = 0;
            }
        } else {
            self.silent_ms += FRAME_MS;
            self.voiced_ms = self.voiced_ms.saturating_sub(FRAME_MS);
        }
        if !self.speaks && self.voiced_ms >= self.start_ms {
            self.speaks = true;
            self.silent_ms = 0;
            return Some(Heard::Start);
        }
        if self.speaks && self.silent_ms >= self.end_ms {
            self.end();
            return Some(Heard::End);
        }
        None
    }

    /// The floor before this frame; the frame is remembered.
    fn floor(&mut self, level: f64) -> f64 {
        let floor = self.quietest[0].min(self.quietest[1]);
        self.quietest[0] = self.quietest[0].min(level);
        self.stretch += 1;
        if self.stretch >= STRETCH {
            self.quietest = [f64::MAX, self.quietest[0]];
            self.stretch = 0;
        }
        // Before anything was heard the room is taken to be quiet.
        if floor == f64::MAX { LEAST_FLOOR } else { floor.max(LEAST_FLOOR) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hum with two overtones in the rhythm of syllables, which is what counts of a voice here.
    fn voice(ms: u32, amplitude: f64) -> Vec<f64> {
        let at = |n: u32| f64::from(n) / 16_000.0;
        let hum =
            |t: f64| [130.0, 260.0, 390.0].iter().map(|f| (t * f * std::f64::consts::TAU).sin()).sum::<f64>() / 3.0;
        let rhythm = |t: f64| 0.55 + 0.45 * (t * 4.0 * std::f64::consts::TAU).sin();
        (0..ms * 16).map(|n| amplitude * hum(at(n)) * rhythm(at(n))).collect()
    }

    /// Noise that repeats.
    fn noise(ms: u32, amplitude: f64) -> Vec<f64> {
        let mut state = 0x2545_F491_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0
        };
        (0..ms * 16).map(|_| amplitude * next()).collect()
    }

    fn mixed(one: &[f64], other: &[f64]) -> Vec<f64> {
        one.iter().zip(other).map(|(a, b)| a + b).collect()
    }

    fn hear(detector: &mut Detector, sound: &[f64]) -> Vec<(Heard, u32)> {
        #[expect(clippy::cast_possible_truncation, reason = "a sample of a test")]
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| (*sample as i16).to_le_bytes()).collect();
        let frames = bytes.chunks(640).enumerate();
        frames.filter_map(|(n, frame)| Some((detector.hear(frame)?, (u32::try_from(n).ok()? + 1) * FRAME_MS))).collect()
    }

    #[test]
    fn speech_is_heard_within_its_threshold_and_ends_with_silence() {
        let mut detector = Detector::new(200, 600);
        assert_eq!(hear(&mut detector, &noise(2_000, 60.0)), []);
        let started = hear(&mut detector, &mixed(&voice(1_000, 6_000.0), &noise(1_000, 60.0)));
        assert!(matches!(started[..], [(Heard::Start, 200..=260)]), "{started:?}");
        let ended = hear(&mut detector, &noise(1_000, 60.0));
        assert!(matches!(ended[..], [(Heard::End, 560..=640)]), "{ended:?}");
    }

    #[test]
    fn a_pause_between_words_does_not_end_a_turn() {
        let mut detector = Detector::new(200, 600);
        let _ = hear(&mut detector, &noise(1_000, 60.0));
        let mut sentence = voice(600, 5_000.0);
        for _ in 0..4 {
            sentence.extend(noise(400, 60.0));
            sentence.extend(voice(600, 5_000.0));
        }
        let heard: Vec<_> = hear(&mut detector, &sentence).into_iter().map(|(heard, _)| heard).collect();
        assert_eq!(heard, [Heard::Start]);
    }

    #[test]
    fn a_click_a_hiss_and_a_noisy_room_are_no_speech() {
        let mut detector = Detector::new(200, 600);
        let _ = hear(&mut detector, &noise(1_000, 60.0));
        let mut click = voice(60, 20_000.0);
        click.extend(noise(500, 60.0));
        assert_eq!(hear(&mut detector, &click), []);
        assert_eq!(hear(&mut detector, &noise(3_000, 250.0)), [], "hiss");
        let mut detector = Detector::new(200, 600);
        assert_eq!(hear(&mut detector, &noise(3_000, 2_000.0)).len() % 2, 0, "a loud room settles");
        assert_eq!(hear(&mut detector, &noise(5_000, 2_000.0)), []);
        let started = hear(&mut detector, &mixed(&voice(1_000, 30_000.0), &noise(1_000, 2_000.0)));
        assert!(matches!(started[..], [(Heard::Start, _)]), "and a voice is heard in it: {started:?}");
    }

    #[test]
    fn a_fan_that_is_switched_on_is_forgotten() {
        let mut detector = Detector::new(200, 600);
        let _ = hear(&mut detector, &noise(1_000, 60.0));
        let fan = voice(1, 0.0).len();
        assert_eq!(fan, 16);
        let heard = hear(&mut detector, &noise(8_000, 3_000.0));
        assert!(matches!(heard[..], [] | [(Heard::Start, _), (Heard::End, ..=5_000)]), "{heard:?}");
    }
}
