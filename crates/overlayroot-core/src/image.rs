// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.image.sha256`: nothing of an image runs that is not the one which was meant.

use crate::config::Config;
use crate::facts::Facts;
use crate::grammar;
use crate::issue::nearest;
use crate::refusal::{Refusal, refuse};
use crate::upper::Problem;
use serde::{Deserialize, Serialize};

/// A refusal with this code ends in the emergency shell, whatever the fallback.
pub const CODE: &str = "image";

/// The image under a root of `root=live:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// The file or device.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them all, in lower case; empty where it could not be read.
    pub sha256: String,
    /// Why it could not be read.
    pub unseen: String,
}

impl Image {
    /// What the host, which can't see it, takes for the image of the next boot: the right one.
    pub fn of_next_boot(config: &Config) -> Option<Self> {
        let path = "the image of the next boot".to_owned();
        config.image_sha256.value.clone().map(|sha256| Self { path, sha256, ..Self::default() })
    }
}

/// The value of `rd.overlay.image.sha256`, in lower case.
///
/// # Errors
/// What is no SHA-256.
pub fn parse_sha256(value: &str) -> Result<Option<String>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && value.len() == 64 {
        return Ok(Some(value.to_ascii_lowercase()));
    }
    Err(Problem::new("not the 64 hexadecimal digits of a SHA-256; no image is accepted", None))
}

/// Whether somebody wants the image to be a certain one, or tried to say so.
pub fn asked(config: &Config) -> bool {
    config.image_sha256.value.is_some() || misspelt(config)
}

/// A bad value, and a key that can only have been meant to be this one: a typing mistake must not boot any image.
fn misspelt(config: &Config) -> bool {
    config.issues.iter().any(|issue| match issue.key.strip_prefix("rd.overlay.image") {
        Some(rest) => nearest(rest.trim_matches(['.', '_', '-']), ["cache"]).is_none(),
        None => issue.nearest.as_deref() == Some(grammar::IMAGE_SHA256.name),
    })
}

/// Refuses every image but the one that is asked for.
pub(crate) fn check(config: &Config, facts: &Facts) -> Result<(), Refusal> {
    let key = grammar::IMAGE_SHA256.name;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let sum = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        assert_eq!(parse_sha256(sum).unwrap(), Some(sum.to_ascii_lowercase()));
        assert_eq!(parse_sha256("").unwrap(), None);
        for bad in ["e3b0", &sum[1..], &format!("{sum}0"), &sum.replace('E', "g")] {
            assert!(parse_sha256(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_was_meant_to_be_this_one_asks_for_a_certain_image() {
        let asks = |line: &str| {
            let cmdline = vec![crate::cmdline::Source::new("/proc/cmdline", line)];
            asked(&Config::read(&crate::config::Inputs { cmdline, ..Default::default() }))
        };
        for bad in ["sha256=x", "sha265=x", "sha=x", "checksum=x", "sha512=x"] {
            assert!(asks(&format!("rd.overlay rd.overlay.image.{bad}")), "{bad}");
        }
        for other in ["rd.overlay", "rd.overlay rd.overlay.image.cahce=x", "rd.overlay rd.overlay.rest"] {
            assert!(!asks(other), "{other}");
        }
    }
}
