// SPDX-License-Identifier: GPL-2.0-or-later
//! An upper on a block device that is there.

use crate::facts::device::{Device, Lookup};
use crate::facts::wanted::Wanted;
use crate::facts::{Facts, Root};
use crate::layout::{self, Places, paths};
use crate::step::effective::{Effective, UpperKind};
use crate::step::refusal::{self, Refusal};
use crate::step::{Need, Step};
use crate::upper::kept;
use crate::upper::needs::Needs;
use crate::upper::request::{Request, UpperPlan};
use crate::upper::resize::Resize;
use crate::value::device;

/// What its plan depends on.
pub(super) const WANTED: Wanted = kept::WANTED;

/// An upper on the device that is asked for.
///
/// # Errors
/// Where that is missing, or can't hold an upper.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &device::Device) -> Result<UpperPlan, Refusal> {
    let device = refusal::layer(asked, facts, request.readonly)?;
    let places = layout::device(request.names, request.name);
    let open = open(device, &places, request);
    let effective = effective(device, &places);
    Ok(kept::plan(request, facts, root, places, open, effective))
}

/// Of an initramfs: the file system that the device holds.
pub(super) fn needs(facts: Option<&Facts>) -> Needs {
    let found = facts.and_then(|facts| facts.device.as_ref()).and_then(Lookup::found);
    Needs { file_system: found.map(|device| device.fstype.clone()), ..Needs::default() }
}

/// How one in use gets another size. A partition of ours is a device in the record.
pub(super) fn resize(fstype: &str, device: &str) -> Resize {
    Resize::Refused(format!(
        "the upper is the {fstype} on {device}, as large as that: enlarge partition or volume first (growpart, \
         lvextend), then the file system (resize2fs {device}, xfs_growfs or btrfs filesystem resize max on its \
         mount point); a partition of rd.overlay=part:LABEL follows at the next boot with grow"
    ))
}

/// What runs with an upper on the device.
pub fn effective(device: &Device, places: &Places) -> Effective {
    Effective {
        upper: UpperKind::Device,
        device: Some(device.path.clone()),
        options: device.fstype.clone(),
        ..Effective::overlay(places)
    }
}

/// Inspects, checks and mounts the device.
pub fn open(device: &Device, places: &Places, request: Request<'_>) -> Vec<Step> {
    let (path, fstype) = (device.path.clone(), device.fstype.clone());
    let mut steps = vec![Step::Look {
        device: path.clone(),
        fstype: fstype.clone(),
        store: places.store.seen_at(&places.upper_fs, paths::LOOK),
        base: paths::LOOK.to_owned(),
        need: Need::of(request.readonly, request.resets()),
    }];
    if !request.readonly && fstype.starts_with("ext") {
        steps.push(Step::Check { device: path.clone(), fstype: fstype.clone() });
    }
    steps.push(Step::MountDevice { device: path, fstype, at: places.upper_fs.clone(), read_only: request.readonly });
    steps.push(Step::Bind { from: places.upper_fs.clone(), to: places.public.clone() });
    steps
}
