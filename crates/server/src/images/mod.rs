//! Images that people send with messages: bounded while they arrive, known by their content, unpacked only within bounds,
//! and written anew, so that nothing is kept but what is seen.
//!
//! Lives in one process: how many images are unpacked at once, and how many bytes of them are on their way to models, is
//! bounded for each node.

pub mod api;
mod decode;
mod figures;
mod raster;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use mainstay_domain::{
    Clock, Error, FieldFault, Ids, ImageId, Kind, MessageImage, PersonId, Result, TenantId, Timestamp, hexadecimal,
};
use mainstay_store::{
    Call, GetImage, ImageContent, ImageStored, ReadImages, SendableImages, Store, StoreImage, StoredImage, UNSENT_LASTS,
};
use prometheus_client::registry::Registry;
use ring::digest::{SHA256, digest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use self::decode::{Form, LONGEST_SIDE, MOST_PIXELS, Unfit};
use self::figures::ImageFigures;
use self::raster::Kept;
use crate::accounts::Member;
use crate::billing::refusal;
use crate::http::Problem;
use crate::providers::Picture;

/// The most bytes of an image as it is sent.
pub const LARGEST: usize = 10 * 1024 * 1024;
/// The longest side of what is kept, in pixels.
pub const LONGEST_KEPT_SIDE: u32 = raster::KEPT_SIDE;
/// The most bytes of what is kept.
pub const MOST_KEPT_BYTES: usize = raster::MOST_BYTES;
/// How many images are unpacked at once, and how many pixels of them in all, in millions.
const MOST_AT_ONCE: usize = 2;
const MOST_MEGAPIXELS: u32 = 48;
/// How many wait for that.
const MOST_WAITING: usize = 16;
/// The most bytes of images that are on their way to models, in KiB.
const MOST_ON_THEIR_WAY_KIB: usize = 256 * 1024;

/// The images of this node.
pub struct Images {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: Ids,
    figures: ImageFigures,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    pixels: Arc<Semaphore>,
    on_their_way: Arc<Semaphore>,
}

impl Images {
    /// Makes it ready.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, ids: Ids, registry: &mut Registry) -> Self {
        Self {
            store,
            clock,
            ids,
            figures: ImageFigures::register(registry),
            places: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            waiting: AtomicUsize::new(0),
            pixels: Arc::new(Semaphore::new(MOST_MEGAPIXELS as usize)),
            on_their_way: Arc::new(Semaphore::new(MOST_ON_THEIR_WAY_KIB)),
        }
    }

    /// Takes an image in. The same one again, while it is not sent, is the one that is there.
    ///
    /// # Errors
    /// 415 when it is none of the forms that are taken, 422 when it is broken or too large, 429 when the plan allows no more,
    /// 503 when too many wait.
    async fn upload(&self, call: &Call, by: &Member, bytes: Bytes) -> Result<StoredImage, Problem> {
        let Some(form) = Form::of(&bytes) else {
            self.figures.refused("form");
            let detail =
                "This is no PNG, JPEG, WebP or GIF. What it is called does not matter; what it begins with does.";
            return Err(Error::new(Kind::UnsupportedMediaType, "unsupported_image", detail).into());
        };
        let begun = Instant::now();
        let (kept, source_sha256) = self.anew(call, form, bytes).await?;
        self.figures.unpacked(form.as_str(), begun.elapsed());
        let image = MessageImage { id: self.ids.make(), kind: kept.kind, width: kept.width, height: kept.height };
        let sha256 = hexadecimal(digest(&SHA256, &kept.content).as_ref());
        let (tenant, person, now) = (by.tenant, by.person, self.clock.now());
        let store = StoreImage { tenant, person, image, content: kept.content.into(), sha256, source_sha256, now };
        match self.store.run(call, store).await.map_err(Error::from)? {
            ImageStored::Stored(stored) => {
                self.figures.stored(stored.bytes);
                Ok(stored)
            }
            ImageStored::Known(stored) => Ok(stored),
            ImageStored::Spent(spent) => {
                self.figures.refused("plan");
                Err(refusal(spent, now).into())
            }
        }
    }

    /// An image as it is kept, and the digest of what was sent.
    async fn anew(&self, call: &Call, form: Form, bytes: Bytes) -> Result<(Kept, String), Problem> {
        let place = self.place(call).await?;
        let (bytes, opened) = blocking(move || {
            let opened = decode::open(form, &bytes).map(|opened| opened.megapixels());
            (bytes, opened)
        })
        .await?;
        let megapixels = opened.map_err(|unfit| self.unfit(unfit))?;
        let pixels = Arc::clone(&self.pixels).acquire_many_owned(megapixels.clamp(1, MOST_MEGAPIXELS));
        let pixels = timeout_at(call.deadline(), pixels).await.map_err(|_| busy())?.map_err(Error::internal)?;
        let kept = blocking(move || {
            // Both are held until the work is done, also when nobody waits for it any more: it cannot be stopped.
            let _held = (place, pixels);
            let (raster, orientation) = decode::open(form, &bytes).and_then(|opened| decode::decode(&opened))?;
            let kept = raster.kept(orientation, matches!(form, Form::Png | Form::Gif))?;
            Ok((kept, hexadecimal(digest(&SHA256, &bytes).as_ref())))
        })
        .await?;
        kept.map_err(|unfit| self.unfit(unfit))
    }

    async fn place(&self, call: &Call) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::enter(&self.waiting)?;
        let place = timeout_at(call.deadline(), Arc::clone(&self.places).acquire_owned()).await;
        Ok(place.map_err(|_| busy())?.map_err(Error::internal)?)
    }

    fn unfit(&self, unfit: Unfit) -> Problem {
        let (why, code, detail, inside) = match unfit {
            Unfit::TooLarge { width, height } => {
                let detail = format!(
                    "It has {width} × {height} pixels. At most {} million are taken, and {LONGEST_SIDE} a side: make it smaller.",
                    MOST_PIXELS / 1_000_000
                );
                ("pixels", "image_too_large", detail, None)
            }
            Unfit::Broken(inside) => {
                let detail = "The image breaks off, or is not what its beginning says. Save it anew and send that.";
                ("broken", "image_broken", detail.to_owned(), Some(inside))
            }
        };
        self.figures.refused(why);
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        if let Some(inside) = inside { problem.because(inside) } else { problem }
    }

    /// Those images of a message, in their order, if somebody may send all of them.
    ///
    /// # Errors
    /// `invalid_input` when there are too many, when one is not theirs, was sent before or is gone, or is named twice.
    pub async fn sendable(
        &self,
        call: &Call,
        (tenant, person): (TenantId, PersonId),
        ids: &[ImageId],
    ) -> Result<Vec<MessageImage>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if ids.len() > MessageImage::MOST {
            let detail = format!("A message has at most {} images.", MessageImage::MOST);
            return Err(Error::invalid_field("images", "too_many", detail));
        }
        let found = self.store.run(call, SendableImages { tenant, person, ids: ids.to_vec() }).await?;
        let mut images = Vec::with_capacity(ids.len());
        for (place, id) in ids.iter().enumerate() {
            let field = || format!("images[{place}]");
            if ids.iter().take(place).any(|before| before == id) {
                return Err(Error::invalid(vec![FieldFault::new(field(), "duplicate", "It is named twice.")]));
            }
            let image = found.iter().find(|image| image.id == *id).copied().ok_or_else(|| {
                let detail = "You have no such image, or it was sent with another message. Upload it again.";
                Error::invalid(vec![FieldFault::new(field(), "unknown", detail)])
            })?;
            images.push(image);
        }
        Ok(images)
    }

    /// An image, for whoever has sent it.
    ///
    /// # Errors
    /// `not_found`.
    async fn get(&self, call: &Call, by: &Member, id: ImageId) -> Result<ImageContent> {
        let found = self.store.run(call, GetImage { tenant: by.tenant, person: by.person, id }).await?;
        found.ok_or_else(|| Error::not_found("image"))
    }

    /// Images as models are shown them, by their ids. What is gone is left out, and what there is no room for.
    ///
    /// # Errors
    /// As every intent.
    pub async fn pictures(
        &self,
        call: &Call,
        tenant: TenantId,
        images: &[MessageImage],
    ) -> Result<HashMap<ImageId, Picture>> {
        if images.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = images.iter().map(|image| image.id).collect();
        let read = self.store.run(call, ReadImages { tenant, ids }).await?;
        let mut pictures = HashMap::with_capacity(read.len());
        for content in read {
            let Some(image) = images.iter().find(|image| image.id == content.id) else { continue };
            let kib = u32::try_from(content.content.len().div_ceil(1024)).unwrap_or(u32::MAX);
            let room = Arc::clone(&self.on_their_way).acquire_many_owned(kib);
            match timeout_at(call.deadline(), room).await {
                Ok(room) => {
                    let room = room.map_err(Error::internal)?;
                    pictures.insert(content.id, Picture::new(*image, &content.content, Some(room)));
                }
                Err(_) => self.figures.refused("room"),
            }
        }
        Ok(pictures)
    }

    /// Forgets a bite of what was never sent. The answer is how much there was.
    ///
    /// # Errors
    /// As every intent.
    pub async fn sweep(&self, call: &Call, now: Timestamp) -> mainstay_store::Result<usize> {
        self.store.forget_unsent_images(call, now.minus(UNSENT_LASTS)).await
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Images")
    }
}

fn busy() -> Error {
    let detail = "Too many images are looked at just now. Try again in two seconds.";
    Error::new(Kind::Unavailable, "images_busy", detail).retry_after(Duration::from_secs(2))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

/// One place in the queue, left when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self> {
        waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                (waiting < MOST_WAITING).then_some(waiting + 1)
            })
            .map(|_| Self(waiting))
            .map_err(|_| busy())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
