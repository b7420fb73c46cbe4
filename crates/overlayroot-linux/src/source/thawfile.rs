// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl thaw` has left in a root: the same for the initramfs and for the host, which sees it in the lower.

use crate::sys::files;
use crate::sys::inroot::{self, Links};
use anyhow::{Context, Result};
use overlayroot_core::feature::thaw::{Asked, DIR, REQUEST};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::io::ErrorKind;

/// Bytes of a request.
const MOST: u64 = 64 << 10;

/// The request below a root, and its directory; `None` where there is none, or a link leads there.
///
/// # Errors
/// Where it can't be read, or is not valid.
pub fn read(root: &str) -> Result<Option<(OwnedFd, Asked)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match inroot::open(root, DIR, flags, Links::No) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
        directory => directory.with_context(|| format!("opening {DIR}"))?,
    };
    let text = match files::open_at(&directory, REQUEST).and_then(|file| files::bytes(file, MOST)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {DIR}/{REQUEST}"))?,
    };
    let asked = serde_json::from_slice(&text).ok().and_then(Asked::valid);
    Ok(Some((directory, asked.with_context(|| format!("{DIR}/{REQUEST} is not valid"))?)))
}
