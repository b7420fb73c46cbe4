// SPDX-License-Identifier: GPL-2.0-or-later
//! Labels of SELinux for what a plan has made, as far as they can be had before a policy is loaded, and the list of
//! what is left to the host. A label is an attribute like any other then. No link is followed: an upper may hold any.

use crate::sys::attributes::by_descriptor;
use crate::sys::inroot::{self, Links};
use overlayroot_core::layout::paths;
use overlayroot_core::step::Step;
use overlayroot_core::step::made::{self, Made};
use overlayroot_core::value::order::sorted_by_key;
use overlayroot_core::value::path::is_in;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, XattrFlags, getxattr, setxattr};
use rustix::io::{Errno, Result};

const LABEL: &str = "security.selinux";
/// Most bytes of a label: a page, as the kernel takes it for a process (security/selinux/hooks.c).
const MOST: usize = 4096;

/// Gives what lies beside the root the upper's label, and lists what in the root needs the policy's. Where a path failed,
/// what is there is not ours to label.
pub(crate) fn settle(steps: &[Step], failed: &[(String, String)]) -> Vec<Made> {
    let overlay = steps.iter().find_map(|step| {
        let Step::MountOverlay(overlay) = step else { return None };
        Some(overlay)
    });
    let Some(overlay) = overlay else { return Vec::new() };
    let mut list = made::sure(steps);
    list.retain(|made| !failed.iter().any(|(path, _)| *path == made.path));
    // The top of the upper has what the lower's has. Without a label there is none to give.
    if let Some(own) = hold(&overlay.upper, "/").and_then(|top| label(&top)).ok().flatten() {
        made::beside(steps).iter().for_each(|path| give(path, &own));
        let kept = made::kept(steps);
        let ours = |path: &str| kept.iter().any(|at| is_in(path, at)) || hold(&overlay.upper, path).is_ok();
        let bare = |path: &str| hold(paths::SYSROOT, path).and_then(|found| label(&found)) == Ok(None);
        let ways = made::ways(steps).into_iter().filter(|path| bare(path) && ours(path));
        list.extend(ways.map(|path| Made { path, whole: false }));
    }
    // Of two for a path the one with all that is below it is kept.
    let mut list = sorted_by_key(list, |made| (made.path.clone(), !made.whole));
    list.dedup_by(|next, before| next.path == before.path);
    list
}

/// What has a name, and may be anything.
fn hold(base: &str, path: &str) -> Result<OwnedFd> {
    inroot::open(base, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Links::No)
}

/// Its label, if it has one; an error where it can have none.
fn label(file: &OwnedFd) -> Result<Option<Vec<u8>>> {
    let mut value = vec![0; MOST];
    match getxattr(by_descriptor(file), LABEL, &mut value) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value).filter(|value| !value.is_empty()))
        }
        Err(Errno::NODATA) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Labels what is there and has no label.
fn give(path: &str, value: &[u8]) {
    let Ok(file) = hold("/", path) else { return };
    if label(&file) == Ok(None) {
        if let Err(error) = setxattr(by_descriptor(&file), LABEL, value, XattrFlags::CREATE) {
            crate::log::debug!("{path} stays without a label: {error}");
        }
    }
}
