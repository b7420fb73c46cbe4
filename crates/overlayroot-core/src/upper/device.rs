// SPDX-License-Identifier: GPL-2.0-or-later
//! An upper on a block device that is there.

use crate::facts::device::Device;
use crate::facts::{Facts, Root};
use crate::layout::{self, Places, paths};
use crate::step::effective::{Effective, UpperKind};
use crate::step::refusal::{self, Refusal};
use crate::step::{Need, Step};
use crate::upper::kept;
use crate::upper::request::{Request, UpperPlan};
use crate::value::device;

/// An upper on the device that is asked for.
///
/// # Errors
/// Where that is missing, or can't hold an upper.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &device::Device) -> Result<UpperPlan, Refusal> {
    let device = refusal::layer(asked, facts, request.readonly)?;
    let places = layout::device(request.names);
    let open = open(device, &places, request);
    let effective = effective(device, &places);
    Ok(kept::plan(request, facts, root, places, open, effective))
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
