//! An image as it goes to a model: in the body of the request, as base64.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_domain::{ImageKind, MessageImage};
use tokio::sync::OwnedSemaphorePermit;

/// How many pixels a model counts as a token (platform.claude.com/docs/en/build-with-claude/vision).
const PIXELS_PER_TOKEN: u64 = 750;

/// An image that a model is shown. Clones share its bytes.
#[derive(Clone)]
pub struct Picture(Arc<Shown>);

struct Shown {
    image: MessageImage,
    bytes: usize,
    base64: String,
    /// The place that it takes among those that are on their way.
    _room: Option<OwnedSemaphorePermit>,
}

impl Picture {
    /// Of these bytes. `room` is given back when the last clone is gone.
    #[must_use]
    pub fn new(image: MessageImage, content: &[u8], room: Option<OwnedSemaphorePermit>) -> Self {
        Self(Arc::new(Shown { image, bytes: content.len(), base64: STANDARD.encode(content), _room: room }))
    }

    /// Its media type.
    pub(super) fn media_type(&self) -> &'static str {
        self.0.image.kind.as_str()
    }

    /// Its bytes as base64.
    pub(super) fn base64(&self) -> &str {
        &self.0.base64
    }

    /// As an address that holds it (RFC 2397).
    pub(super) fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.media_type(), self.base64())
    }

    /// A guess at the tokens that a model counts for it.
    pub(super) fn tokens(&self) -> u32 {
        let pixels = u64::from(self.0.image.width) * u64::from(self.0.image.height);
        u32::try_from(pixels.div_ceil(PIXELS_PER_TOKEN)).unwrap_or(u32::MAX)
    }

    /// What can be said of it without looking: "a PNG of 800 by 600 pixels, 12 KB".
    pub(super) fn facts(&self) -> String {
        let MessageImage { kind, width, height, .. } = self.0.image;
        let kind = match kind {
            ImageKind::Png => "PNG",
            ImageKind::Jpeg => "JPEG",
        };
        format!("a {kind} of {width} by {height} pixels, {} KB", self.0.bytes.div_ceil(1024))
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        self.0.image == other.0.image && self.0.base64 == other.0.base64
    }
}

impl Eq for Picture {}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({}, {} bytes)", self.0.image.id, self.0.bytes)
    }
}
