// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the image under the root is the one that was asked for.

use crate::config::Config;
use crate::facts::Facts;
use crate::facts::image::Image;
use crate::keys;
use crate::step::refusal::{Refusal, refuse};
use crate::value::diagnostics::suggest;

/// What the host, which can't see it, takes for the image of the next boot: the right one.
pub fn of_next_boot(config: &Config) -> Option<Image> {
    let path = "the image of the next boot".to_owned();
    config.image_sha256.value.clone().map(|sha256| Image { path, sha256, ..Image::default() })
}

/// Whether somebody wants the image to be a certain one, or tried to say so.
pub fn asked(config: &Config) -> bool {
    config.image_sha256.value.is_some() || misspelt(config)
}

/// A bad value, and a key that can only have been meant to be this one: a typing mistake must not boot any image.
fn misspelt(config: &Config) -> bool {
    config.issues.iter().any(|issue| match issue.key.strip_prefix("rd.overlay.image") {
        Some(rest) => suggest(rest.trim_matches(['.', '_', '-']), ["cache"]).is_none(),
        None => issue.nearest.as_deref() == Some(keys::IMAGE_SHA256.name),
    })
}

/// Refuses every image but the one that is asked for.
pub(crate) fn check(config: &Config, facts: &Facts) -> Result<(), Refusal> {
    let key = keys::IMAGE_SHA256.name;
    if misspelt(config) {
        return refuse("image", format!("{key} is not valid, so no image is accepted"));
    }
    let Some(wanted) = &config.image_sha256.value else {
        return Ok(());
    };
    match &facts.image {
        None => refuse("image", format!("{key} is for root=live:, and this root is not an image")),
        Some(image) if !image.unseen.is_empty() => {
            refuse("image", format!("the image {} could not be read: {}", image.path, image.unseen))
        }
        Some(image) if image.sha256 == *wanted => Ok(()),
        Some(image) => {
            let (path, bytes, is) = (&image.path, image.bytes, &image.sha256);
            refuse(
                "image",
                format!("the image is not the one of {key}: {path} ({bytes} bytes) has {is}, wanted is {wanted}"),
            )
        }
    }
}
