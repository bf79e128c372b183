//! The images of a conversation, as a model is shown them: those of the question, and the newest before it.

use mainstay_domain::{ImageKind, MessageImage, TenantId};
use mainstay_store::Call;

use super::history::Heard;
use super::service::Assistant;
use crate::providers::Turn;

/// The most images that a model is shown for one reply. Older ones are told of in words.
const MOST_SHOWN: usize = MessageImage::MOST;

impl Assistant {
    /// The turns with their images. A reply can be made without, so a failure is logged and they are told of in words.
    pub(super) async fn with_pictures(&self, call: &Call, tenant: TenantId, heard: Vec<Heard>) -> Vec<Turn> {
        if heard.iter().all(|(_, images)| images.is_empty()) {
            return heard.into_iter().map(|(turn, _)| turn).collect();
        }
        let shown: Vec<MessageImage> =
            heard.iter().rev().flat_map(|(_, images)| images).take(MOST_SHOWN).copied().collect();
        let pictures = self.images.pictures(call, tenant, &shown).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the images of a conversation could not be read; it is answered without");
            std::collections::HashMap::new()
        });
        let whole = |(mut turn, images): Heard| {
            for image in images {
                match pictures.get(&image.id) {
                    Some(picture) => turn.pictures.push(picture.clone()),
                    None => turn.content.push_str(&note(&image)),
                }
            }
            turn
        };
        heard.into_iter().map(whole).collect()
    }
}

/// What stands for an image that is not shown.
fn note(image: &MessageImage) -> String {
    let kind = match image.kind {
        ImageKind::Png => "PNG",
        ImageKind::Jpeg => "JPEG",
    };
    format!("\n\n[An image came with this: {kind}, {} by {} pixels. It is not shown here.]", image.width, image.height)
}
