//! Images of messages, as the server keeps them: made anew, so that they hold nothing but what is seen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ImageId;
use crate::account::{UnknownWord, words};

/// In which form an image is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImageKind {
    /// PNG.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
}

words!(ImageKind { Png = "image/png", Jpeg = "image/jpeg" });

/// An image that a message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageImage {
    /// Its id.
    pub id: ImageId,
    /// Its form.
    #[serde(rename = "type")]
    pub kind: ImageKind,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl MessageImage {
    /// The most images of one message.
    pub const MOST: usize = 4;
}
