//! Reading an image that somebody has sent: what it is, by its first bytes; how large, by its header, before anything is
//! unpacked; and then its pixels. Of what moves, the first picture.

use std::io::Cursor;
use std::num::NonZeroU64;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::raster::{Orientation, Raster};

/// The most pixels of an image, and of one of its sides.
pub(super) const MOST_PIXELS: u64 = 40_000_000;
pub(super) const LONGEST_SIDE: u32 = 12_000;
/// The most bytes that a decoder may set aside beside the pixels themselves.
const MOST_BESIDE: usize = 64 * 1024 * 1024;
/// The most scans of a progressive JPEG: each goes over all of the pixels again. Programs write about ten.
const MOST_SCANS: usize = 20;

/// The forms that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Png,
    Jpeg,
    Webp,
    Gif,
}

impl Form {
    /// What bytes are, by how they begin: neither a name nor a header says it.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Gif => "gif",
        }
    }
}

/// Why an image is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It has more pixels than are taken.
    TooLarge { width: u32, height: u32 },
    /// It breaks off, or is not what its beginning says.
    Broken(String),
}

fn broken(error: impl std::fmt::Display) -> Unfit {
    Unfit::Broken(error.to_string())
}

/// An image whose header was read.
pub(super) struct Opened<'a> {
    form: Form,
    bytes: &'a [u8],
    /// In pixels.
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Opened<'_> {
    /// How many pixels it has, in millions, rounded up.
    pub(super) fn megapixels(&self) -> u32 {
        u32::try_from((u64::from(self.width) * u64::from(self.height)).div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }
}

/// Reads the header, and holds it against the bounds.
pub(super) fn open(form: Form, bytes: &[u8]) -> Result<Opened<'_>, Unfit> {
    let (width, height) = match form {
        Form::Png => {
            let mut decoder = png::Decoder::new(Cursor::new(bytes));
            let info = decoder.read_header_info().map_err(broken)?;
            (info.width, info.height)
        }
        Form::Jpeg => {
            let mut decoder = jpeg(bytes);
            decoder.decode_headers().map_err(broken)?;
            let info = decoder.info().ok_or_else(|| broken("no header"))?;
            (u32::from(info.width), u32::from(info.height))
        }
        Form::Webp => image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?.dimensions(),
        Form::Gif => {
            let decoder = gif(bytes)?;
            (u32::from(decoder.width()), u32::from(decoder.height()))
        }
    };
    if width == 0 || height == 0 {
        return Err(broken("it has no pixels"));
    }
    if width > LONGEST_SIDE || height > LONGEST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Unfit::TooLarge { width, height });
    }
    Ok(Opened { form, bytes, width, height })
}

/// Reads the pixels.
pub(super) fn decode(opened: &Opened<'_>) -> Result<(Raster, Orientation), Unfit> {
    match opened.form {
        Form::Png => decode_png(opened),
        Form::Jpeg => decode_jpeg(opened),
        Form::Webp => decode_webp(opened),
        Form::Gif => decode_gif(opened),
    }
}

fn decode_png(opened: &Opened<'_>) -> Result<(Raster, Orientation), Unfit> {
    let limits = png::Limits { bytes: MOST_BESIDE };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(opened.bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    let mut reader = decoder.read_info().map_err(broken)?;
    let size = reader.output_buffer_size().ok_or_else(|| broken("its size cannot be reckoned"))?;
    let most = usize::try_from(MOST_PIXELS).unwrap_or(usize::MAX).saturating_mul(4);
    if size > most {
        return Err(broken("its pixels take more than its header says"));
    }
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    // An animation may begin with a frame that is smaller than the whole.
    let (width, height) = (frame.width, frame.height);
    let channels = frame.color_type.samples();
    pixels.truncate(frame.buffer_size());
    let orientation = reader.info().exif_metadata.as_deref().map_or_else(Orientation::default, Orientation::of_exif);
    Ok((
        Raster::new(width, height, channels, pixels).ok_or_else(|| broken("its pixels are not all there"))?,
        orientation,
    ))
}

fn jpeg(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    let side = usize::try_from(LONGEST_SIDE).unwrap_or(usize::MAX);
    // A larger one is refused with its size, by us.
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX).max(side))
        .set_max_height(usize::from(u16::MAX).max(side))
        .jpeg_set_max_scans(MOST_SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

fn decode_jpeg(opened: &Opened<'_>) -> Result<(Raster, Orientation), Unfit> {
    // The decoder makes up the rest of one that breaks off. We do not: whoever sent it should know.
    if !opened.bytes.windows(2).any(|pair| pair == [0xff, 0xd9]) {
        return Err(broken("it breaks off before its end"));
    }
    let mut decoder = jpeg(opened.bytes);
    let pixels = decoder.decode().map_err(broken)?;
    let orientation = decoder.exif().map_or_else(Orientation::default, |exif| Orientation::of_exif(exif));
    let raster = Raster::new(opened.width, opened.height, 3, pixels);
    Ok((raster.ok_or_else(|| broken("its pixels are not all there"))?, orientation))
}

fn decode_webp(opened: &Opened<'_>) -> Result<(Raster, Orientation), Unfit> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(opened.bytes)).map_err(broken)?;
    decoder.set_memory_limit(MOST_BESIDE);
    let size = decoder.output_buffer_size().ok_or_else(|| broken("its size cannot be reckoned"))?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut pixels = vec![0; size];
    decoder.read_image(&mut pixels).map_err(broken)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.map_or_else(Orientation::default, |exif| Orientation::of_exif(&exif));
    let raster = Raster::new(opened.width, opened.height, channels, pixels);
    Ok((raster.ok_or_else(|| broken("its pixels are not all there"))?, orientation))
}

fn gif(bytes: &[u8]) -> Result<gif::Decoder<Cursor<&[u8]>>, Unfit> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let most = MOST_PIXELS.saturating_mul(4);
    options.set_memory_limit(NonZeroU64::new(most).map_or(gif::MemoryLimit::Unlimited, gif::MemoryLimit::Bytes));
    options.check_frame_consistency(true);
    options.read_info(Cursor::new(bytes)).map_err(broken)
}

/// The first picture, on the whole canvas. The others are not even looked at.
fn decode_gif(opened: &Opened<'_>) -> Result<(Raster, Orientation), Unfit> {
    let mut decoder = gif(opened.bytes)?;
    let frame = decoder.read_next_frame().map_err(broken)?.ok_or_else(|| broken("it has no picture"))?;
    let [left, top, width, height] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let canvas_width = usize::try_from(opened.width).map_err(broken)?;
    let canvas_height = usize::try_from(opened.height).map_err(broken)?;
    let mut pixels = vec![0; canvas_width * canvas_height * 4];
    if width > 0 {
        let shown = width.min(canvas_width.saturating_sub(left));
        for (row, line) in frame.buffer.chunks_exact(width * 4).take(height).enumerate() {
            let Some(y) = (top + row < canvas_height).then_some(top + row) else { break };
            let start = (y * canvas_width + left) * 4;
            if let (Some(to), Some(from)) = (pixels.get_mut(start..start + shown * 4), line.get(..shown * 4)) {
                to.copy_from_slice(from);
            }
        }
    }
    let raster = Raster::new(opened.width, opened.height, 4, pixels);
    Ok((raster.ok_or_else(|| broken("its pixels are not all there"))?, Orientation::default()))
}
