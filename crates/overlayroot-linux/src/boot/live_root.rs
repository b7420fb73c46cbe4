// SPDX-License-Identifier: GPL-2.0-or-later
//! A live image in dracut 059, which leaves two things undone for an overlay over it.

use crate::source;
use crate::sys::mounts;
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::facts::live_image;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::parse::mountinfo;

/// Makes the directories of dmsquash-live's own overlay, which sysroot.mount of dracut 059 expects and nobody makes.
///
/// # Errors
/// Those of mkdir(2).
pub fn prepare() -> Result<()> {
    if waits()? {
        for at in [paths::UPPER_LINK, paths::WORK_LINK] {
            mounts::make_dir(at)?;
        }
    }
    Ok(())
}

/// Makes the image of `root=live:` the root, where dmsquash-live mounted it and left the rest to a hook that acts
/// on `rd.live.overlay.overlayfs` only (dracut 059 and its shell initramfs).
///
/// # Errors
/// Those of mount(2).
pub fn mount() -> Result<()> {
    if waits()? {
        mounts::bind_as_is(paths::LOWER, paths::SYSROOT)?;
        mounts::unmount(paths::LOWER)?;
    }
    Ok(())
}

/// Whether an overlay is asked for over an image that is mounted, and there is no root yet.
fn waits() -> Result<bool> {
    let mounted = mounts::read()?;
    let there = |at| mountinfo::at(&mounted, at).is_some();
    if there(paths::SYSROOT) || !there(paths::LOWER) {
        return Ok(false);
    }
    let inputs = source::read(None);
    let config = Config::read(&inputs);
    Ok(live_image::asked(&lex(&inputs.cmdline)) && config.asks_for_overlay())
}
