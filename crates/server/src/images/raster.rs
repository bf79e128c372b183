//! Pixels: made smaller, turned, and written anew.

use mainstay_domain::ImageKind;

use super::decode::Unfit;

/// The longest side of what is kept, in pixels.
pub(super) const KEPT_SIDE: u32 = 2_048;
/// A PNG of more bytes than these is kept as JPEG, if nothing of it is transparent.
const LARGE_PNG: usize = 1024 * 1024;
/// The most bytes of what is kept: providers take five million, written as base64.
pub(super) const MOST_BYTES: usize = 3_500_000;
/// How well a JPEG is kept: at first, and where it would be too large.
const QUALITIES: [u8; 3] = [85, 60, 30];

/// Pixels of eight bits, row by row: grey, grey and alpha, red green blue, or with alpha.
pub(super) struct Raster {
    width: u32,
    height: u32,
    channels: usize,
    pixels: Vec<u8>,
}

/// An image as it is kept.
pub(super) struct Kept {
    pub(super) kind: ImageKind,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) content: Vec<u8>,
}

/// How an image is to be turned before it is shown: the eight ways of EXIF (tag 0x0112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Default for Orientation {
    fn default() -> Self {
        Self(1)
    }
}

impl Orientation {
    /// Reads it from EXIF; upright where that says nothing that can be read.
    pub(super) fn of_exif(exif: &[u8]) -> Self {
        Self::read(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)).unwrap_or_default()
    }

    fn read(tiff: &[u8]) -> Option<Self> {
        let little = match tiff.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let short = |at: usize| -> Option<u16> {
            let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
            Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
        };
        let long = |at: usize| -> Option<u32> {
            let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
            Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
        };
        let directory = usize::try_from(long(4)?).ok()?;
        let entries = usize::from(short(directory)?);
        (0..entries)
            .find_map(|entry| {
                let at = directory.checked_add(2 + entry * 12)?;
                (short(at)? == 0x0112).then(|| short(at + 8)).flatten()
            })
            .and_then(|value| u8::try_from(value).ok())
            .filter(|value| (1..=8).contains(value))
            .map(Self)
    }
}

impl Raster {
    /// Nothing when there are fewer pixels than the size says.
    pub(super) fn new(width: u32, height: u32, channels: usize, mut pixels: Vec<u8>) -> Option<Self> {
        let count = usize::try_from(u64::from(width) * u64::from(height)).ok()?.checked_mul(channels)?;
        if !(1..=4).contains(&channels) || pixels.len() < count || count == 0 {
            return None;
        }
        pixels.truncate(count);
        Some(Self { width, height, channels, pixels })
    }

    /// Whether the last channel says how much is to be seen.
    const fn has_alpha(&self) -> bool {
        self.channels == 2 || self.channels == 4
    }

    /// No side longer than `most`. Each pixel is the mean of those that it stands for, by how much of them is seen.
    pub(super) fn shrunk(self, most: u32) -> Self {
        let longest = self.width.max(self.height);
        if longest <= most {
            return self;
        }
        let side = |length: u32| {
            let scaled = (u64::from(length) * u64::from(most) + u64::from(longest) / 2) / u64::from(longest);
            u32::try_from(scaled).unwrap_or(most).clamp(1, most)
        };
        let (width, height) = (side(self.width), side(self.height));
        let mut pixels = Vec::with_capacity(width as usize * height as usize * self.channels);
        for y in 0..height {
            let rows = span(y, height, self.height);
            for x in 0..width {
                let columns = span(x, width, self.width);
                self.mean(rows.clone(), columns, &mut pixels);
            }
        }
        Self { width, height, channels: self.channels, pixels }
    }

    fn mean(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>, into: &mut Vec<u8>) {
        let channels = self.channels;
        let colours = if self.has_alpha() { channels - 1 } else { channels };
        let (mut sums, mut weight, mut count) = ([0_u64; 4], 0_u64, 0_u64);
        for row in rows {
            let start = (row * self.width as usize + columns.start) * channels;
            let end = start + columns.len() * channels;
            for pixel in self.pixels.get(start..end).unwrap_or_default().chunks_exact(channels) {
                let seen = if self.has_alpha() { u64::from(pixel[colours]) } else { 255 };
                for (sum, value) in sums.iter_mut().zip(&pixel[..colours]) {
                    *sum += u64::from(*value) * seen;
                }
                weight += seen;
                count += 1;
            }
        }
        let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        into.extend(sums[..colours].iter().map(|sum| byte(sum.checked_div(weight).unwrap_or(0))));
        if self.has_alpha() {
            into.push(byte(weight.checked_div(count).unwrap_or(0)));
        }
    }

    /// The same with four channels.
    fn rgba(self) -> Self {
        if self.channels == 4 {
            return self;
        }
        let mut pixels = Vec::with_capacity(self.pixels.len() / self.channels * 4);
        for pixel in self.pixels.chunks_exact(self.channels) {
            pixels.extend_from_slice(&match *pixel {
                [grey] => [grey, grey, grey, 255],
                [grey, alpha] => [grey, grey, grey, alpha],
                [red, green, blue] => [red, green, blue, 255],
                _ => [0, 0, 0, 0],
            });
        }
        Self { channels: 4, pixels, ..self }
    }

    /// Turned upright. It must have four channels.
    fn upright(self, Orientation(how): Orientation) -> Self {
        if how == 1 {
            return self;
        }
        let swaps = how >= 5;
        let (width, height) = if swaps { (self.height, self.width) } else { (self.width, self.height) };
        let mut pixels = Vec::with_capacity(self.pixels.len());
        let (right, bottom) = (self.width as usize - 1, self.height as usize - 1);
        for y in 0..height as usize {
            for x in 0..width as usize {
                // Where in the old one this pixel stands.
                let (old_x, old_y) = match how {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                let at = (old_y * self.width as usize + old_x) * 4;
                pixels.extend_from_slice(self.pixels.get(at..at + 4).unwrap_or(&[0; 4]));
            }
        }
        Self { width, height, channels: 4, pixels }
    }

    /// As it is kept: small enough, upright, and written anew, so that nothing is in it but what is seen. `drawn` says that
    /// it came in a form for drawings and screens, whose edges a JPEG would blur.
    pub(super) fn kept(self, orientation: Orientation, drawn: bool) -> Result<Kept, Unfit> {
        let mut raster = self.shrunk(KEPT_SIDE).rgba().upright(orientation);
        let is_opaque = raster.pixels.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX);
        if drawn || !is_opaque {
            let content = raster.png(is_opaque)?;
            if content.len() <= if is_opaque { LARGE_PNG } else { MOST_BYTES } {
                return Ok(Kept { kind: ImageKind::Png, width: raster.width, height: raster.height, content });
            }
        }
        loop {
            let rgb = raster.on_white();
            for quality in QUALITIES {
                let content = raster.jpeg(&rgb, quality)?;
                if content.len() <= MOST_BYTES {
                    return Ok(Kept { kind: ImageKind::Jpeg, width: raster.width, height: raster.height, content });
                }
            }
            // Noise, at most. Half of it is a quarter of the bytes.
            let half = raster.width.max(raster.height) / 2;
            raster = raster.shrunk(half.max(1));
        }
    }

    fn on_white(&self) -> Vec<u8> {
        let mut rgb = Vec::with_capacity(self.pixels.len() / 4 * 3);
        for pixel in self.pixels.chunks_exact(4) {
            let alpha = u32::from(pixel[3]);
            let mixed = |value: u8| u8::try_from((u32::from(value) * alpha + 255 * (255 - alpha)) / 255).unwrap_or(255);
            rgb.extend([mixed(pixel[0]), mixed(pixel[1]), mixed(pixel[2])]);
        }
        rgb
    }

    fn png(&self, is_opaque: bool) -> Result<Vec<u8>, Unfit> {
        let mut content = Vec::new();
        let mut encoder = png::Encoder::new(&mut content, self.width, self.height);
        encoder.set_color(if is_opaque { png::ColorType::Rgb } else { png::ColorType::Rgba });
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let failed = |error: png::EncodingError| Unfit::Broken(error.to_string());
        let mut writer = encoder.write_header().map_err(failed)?;
        if is_opaque {
            writer.write_image_data(&self.on_white()).map_err(failed)?;
        } else {
            writer.write_image_data(&self.pixels).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        Ok(content)
    }

    fn jpeg(&self, rgb: &[u8], quality: u8) -> Result<Vec<u8>, Unfit> {
        let mut content = Vec::new();
        let side = |length: u32| u16::try_from(length).map_err(|error| Unfit::Broken(error.to_string()));
        jpeg_encoder::Encoder::new(&mut content, quality)
            .encode(rgb, side(self.width)?, side(self.height)?, jpeg_encoder::ColorType::Rgb)
            .map_err(|error| Unfit::Broken(error.to_string()))?;
        Ok(content)
    }
}

/// Which of `old` pixels the one at `at` of `new` stands for.
fn span(at: u32, new: u32, old: u32) -> std::ops::Range<usize> {
    let edge = |at: u32| usize::try_from(u64::from(at) * u64::from(old) / u64::from(new)).unwrap_or(usize::MAX);
    let start = edge(at);
    start..edge(at + 1).max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raster(width: u32, height: u32, channels: usize, pixels: &[u8]) -> Raster {
        Raster::new(width, height, channels, pixels.to_vec()).expect("pixels")
    }

    #[test]
    fn a_smaller_one_is_the_mean_by_what_is_seen() {
        let grey = raster(4, 2, 1, &[0, 100, 10, 20, 100, 200, 30, 40]).shrunk(2);
        assert_eq!((grey.width, grey.height, grey.pixels.as_slice()), (2, 1, &[100, 25][..]));
        // What is not seen has no colour to give.
        let seen = raster(2, 1, 4, &[200, 0, 0, 255, 0, 250, 0, 0]).shrunk(1);
        assert_eq!(seen.pixels, [200, 0, 0, 127]);
        let thin = raster(5000, 1, 1, &[7; 5000]).shrunk(2048);
        assert_eq!((thin.width, thin.height), (2048, 1));
    }

    #[test]
    fn it_is_turned_as_exif_says() {
        // 1 2 / 3 4 / 5 6
        let old = || raster(2, 3, 1, &[1, 2, 3, 4, 5, 6]).rgba();
        let turned = |how: u8| -> Vec<u8> {
            old().upright(Orientation(how)).pixels.chunks_exact(4).map(|pixel| pixel[0]).collect()
        };
        assert_eq!(turned(1), [1, 2, 3, 4, 5, 6]);
        assert_eq!(turned(2), [2, 1, 4, 3, 6, 5]);
        assert_eq!(turned(3), [6, 5, 4, 3, 2, 1]);
        assert_eq!(turned(4), [5, 6, 3, 4, 1, 2]);
        assert_eq!(turned(5), [1, 3, 5, 2, 4, 6]);
        assert_eq!(turned(6), [5, 3, 1, 6, 4, 2]);
        assert_eq!(turned(7), [6, 4, 2, 5, 3, 1]);
        assert_eq!(turned(8), [2, 4, 6, 1, 3, 5]);
        let exif = |head: &[u8]| Orientation::of_exif(head);
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!((exif(little), exif(big)), (Orientation(6), Orientation(8)));
        for bad in [&b""[..], b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"nonsense"] {
            assert_eq!(exif(bad), Orientation::default());
        }
    }
}
