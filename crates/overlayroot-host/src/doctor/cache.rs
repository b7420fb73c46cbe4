// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether `rd.overlay.image.cache` can work at the next boot, and the image be checked before it is mounted.

use crate::doctor::{Finding, Grade, Host, KernelImage, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::live_image;
use overlayroot_core::feature::image_cache::{HANDLER, PROGRAM};
use overlayroot_core::feature::populate::CURL;
use overlayroot_core::keys::{IMAGE_CACHE, IMAGE_SHA256};
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::plan::image_cache::is_uppers;

/// Also where no overlay is asked for: the image may be kept without one.
pub(crate) fn examine(inputs: &Inputs, config: &Config, host: &Host, found: &mut Vec<Finding>) {
    let Some(asked) = &config.image_cache.value else {
        return;
    };
    let (key, before) = (IMAGE_CACHE.name, found.len());
    if is_uppers(config) {
        let text = format!("{key}: {asked} is the upper's own device, which can't be both");
        found.push(finding("cache", Grade::Problem, text, "use another partition for the cache"));
    }
    if !live_image::asked(&lex(&inputs.cmdline)) {
        let text = format!("{key} is for root=live:URL, which the kernel command line lacks");
        found.push(finding("cache", Grade::Warning, text, ""));
    }
    for kernel in &host.kernels {
        image(kernel, found);
    }
    if config.image_sha256.value.is_none() {
        let text = format!("{key}: the server must be there at each boot, and give the image's sum beside it");
        found.push(finding("cache", Grade::Note, text, format!("{}=HEX boots without it", IMAGE_SHA256.name)));
    }
    if found.iter().skip(before).all(|finding| finding.grade <= Grade::Note) {
        found.push(finding("cache", Grade::Ok, format!("the image of root=live: is kept on {asked}"), ""));
    }
}

/// What the initramfs of a kernel needs for it.
fn image(kernel: &KernelImage, found: &mut Vec<Finding>) {
    let (Some(image), Ok(files)) = (&kernel.image, &kernel.files) else {
        return;
    };
    let has = |name: &str| files.iter().any(|file| file == name);
    let key = IMAGE_CACHE.name;
    if !has("livenetroot") {
        let text = format!("{image} lacks dracut's module livenet, without which no image is fetched");
        let todo = format!("dracut --force --no-hostonly --add livenet --kver {}", kernel.release);
        return found.push(finding("cache", Grade::Problem, text, todo));
    }
    for program in [PROGRAM, HANDLER, CURL].into_iter().filter(|program| !has(program)) {
        let text = format!("{image} lacks {program}, which {key} needs");
        let todo = format!("overlayroot_image=yes in /etc/dracut.conf.d, and dracut --force --kver {}", kernel.release);
        found.push(finding("cache", Grade::Problem, text, todo));
    }
}

#[cfg(test)]
mod tests;
