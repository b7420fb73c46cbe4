// SPDX-License-Identifier: GPL-2.0-or-later
//! The file system that a loop file lies on: the root's own, or that of another device.

use crate::facts::device::{Device, Lookup};
use crate::facts::place::Place;
use crate::facts::{Facts, Root};
use crate::layout::{self, Places, paths};
use crate::step::Step;
use crate::step::refusal::{self, Refusal, refuse};
use crate::upper::loop_file::LoopFile;
use crate::upper::request::Request;
use crate::upper::root_fs::{open_root, place};

/// Where a loop file lies, and what there is room for.
pub(crate) struct Ground<'a> {
    /// What lies at its path.
    pub place: &'a Place,
    /// Bytes of the file system.
    pub bytes: u64,
    /// Bytes of it that are free to everybody.
    pub free: u64,
    /// Its device, where it is not the root's.
    pub device: Option<&'a Device>,
}

/// The ground of the file that is asked for, if it can hold one.
pub(crate) fn of<'a>(
    request: Request<'_>,
    facts: &'a Facts,
    root: &Root,
    asked: &LoopFile,
) -> Result<Ground<'a>, Refusal> {
    let Some(dev) = &asked.dev else {
        let place = place(facts, root, &asked.path)?;
        return Ok(Ground { place, bytes: root.bytes, free: root.free, device: None });
    };
    let device = refusal::device(dev, facts, request.readonly).map_err(|refusal| roots_own(refusal, facts, root))?;
    let unseen = |why: &str| refuse("look", format!("{dev} ({}) could not be read: {why}", device.path));
    let Some(place) = &facts.place else {
        return unseen("it was not inspected");
    };
    if let Some(why) = &place.unseen {
        return unseen(why);
    }
    if let Some(part) = &place.blocked_by {
        let text = format!("{part} on the way to {} on {dev} is not a plain directory", asked.path);
        return refuse("place-taken", text);
    }
    Ok(Ground { place, bytes: place.fs_bytes, free: place.fs_free, device: Some(device) })
}

/// Says what to do where `dev=` names the root's own device.
fn roots_own(mut refusal: Refusal, facts: &Facts, root: &Root) -> Refusal {
    let own = root.file_system();
    let is_root = matches!(&facts.device, Some(Lookup::Found(device)) if own.is(&device.file_system()));
    if is_root && refusal.code == "device-in-use" {
        refusal.text.push_str(", where the file lies without dev=");
    }
    refusal
}

impl Ground<'_> {
    /// Where the file is once the file system is open.
    pub fn file(&self, path: &str) -> String {
        let at = if self.device.is_some() { paths::HOLDER_KEPT } else { paths::ROOT_KEPT };
        format!("{at}{path}")
    }

    /// Opens the file system at its private place, writable unless nothing will be written.
    pub fn open(&self, readonly: bool) -> Vec<Step> {
        let Some(device) = self.device else {
            return open_root(readonly);
        };
        let (path, fstype) = (device.path.clone(), device.fstype.clone());
        let mut steps = Vec::new();
        if !readonly && fstype.starts_with("ext") {
            steps.push(Step::Check { device: path.clone(), fstype: fstype.clone() });
        }
        let at = paths::HOLDER_KEPT.to_owned();
        steps.push(Step::MountDevice { device: path, fstype, at, read_only: readonly });
        steps
    }

    /// The upper's places. Beside the root's own file system that one can be read-only as a whole.
    pub fn places(&self, name: &str) -> Places {
        Places { on_root: self.device.is_none(), ..layout::loop_file(name) }
    }
}
