// SPDX-License-Identifier: GPL-2.0-or-later
//! Plans for an upper in a loop file, on the root's own file system or on that of another device.

use crate::facts::device::Device;
use crate::facts::place::{Place, PlaceKind};
use crate::facts::{Facts, Root};
use crate::layout::paths;
use crate::step::Step;
use crate::step::effective::{Effective, UpperKind};
use crate::step::refusal::{self, Refusal, UPPER_FILE_SYSTEMS, refuse};
use crate::upper::device;
use crate::upper::kept;
use crate::upper::loop_file::backing::{self, Ground};
use crate::upper::loop_file::{LoopFile, size};
use crate::upper::request::{Request, UpperPlan};

/// An upper in a loop file.
///
/// # Errors
/// Where no file can be at its path, or what is there can't hold an upper.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &LoopFile) -> Result<UpperPlan, Refusal> {
    let ground = backing::of(request, facts, root, asked)?;
    let (place, places, file) = (ground.place, ground.places(request.name), ground.file(&asked.path));
    let readonly = request.readonly;
    let mut steps = ground.open(readonly);
    let mut growth = Vec::new();
    let fstype = match place.kind {
        PlaceKind::Missing => {
            let bytes = fresh(request, facts, asked, &ground)?;
            steps.push(Step::MakeLoopFile { file: file.clone(), bytes, fs: asked.fs });
            asked.fs.word().to_owned()
        }
        PlaceKind::File => {
            let fstype = finished(asked, place)?;
            refusal::folds(place.casefold, facts, &format!("the file system in {}", asked.path))?;
            if asked.grow && !readonly {
                growth.extend(larger(asked, &ground));
                // Also in a file that is large enough: the power may have gone before its file system grew.
                growth.push(Step::GrowFs { at: places.upper_fs.clone(), fstype: fstype.clone() });
            }
            fstype
        }
        other @ (PlaceKind::Directory | PlaceKind::Subvolume | PlaceKind::Link | PlaceKind::Other) => {
            return refuse("place-taken", format!("{} is {}, not a file", asked.path, other.word()));
        }
    };
    let link = paths::LOOP_LINK.to_owned();
    let device = Device { path: link.clone(), fstype: fstype.clone(), ..Device::default() };
    steps.push(Step::Attach { file, link, read_only: readonly, discard: asked.discard });
    steps.extend(device::open(&device, &places, request));
    // After the mount, for the kernel refuses what was cut short, and a longer file would not show that any more.
    steps.extend(growth);
    let effective = Effective {
        upper: UpperKind::Loop,
        device: ground.device.map(|device| device.path.clone()),
        path: Some(asked.path.clone()),
        options: fstype,
        ..Effective::overlay(&places)
    };
    let hidden = (places.on_root && !readonly).then(|| asked.path.clone());
    Ok(UpperPlan { hidden, ..kept::plan(request, facts, root, places, steps, effective) })
}

/// The size of a file to be made.
fn fresh(request: Request<'_>, facts: &Facts, asked: &LoopFile, ground: &Ground<'_>) -> Result<u64, Refusal> {
    if request.readonly {
        return refuse("place-missing", format!("{} does not exist, and nothing may be written", asked.path));
    }
    let program = format!("mkfs.{}", asked.fs.word());
    if !facts.mkfs.contains(&program) {
        let text = format!("{} must be made, and {program} is not in the initramfs", asked.path);
        return refuse("no-mkfs", text);
    }
    size::fresh(asked, ground.bytes, ground.free + ground.place.half_made).or_else(|text| refuse("no-room", text))
}

/// The type of the file system in a finished file: it is never remade, whatever it holds.
fn finished(asked: &LoopFile, place: &Place) -> Result<String, Refusal> {
    match place.fstype.as_str() {
        "" => refuse("no-file-system", format!("{} has no known file system", asked.path)),
        fstype if UPPER_FILE_SYSTEMS.contains(&fstype) => Ok(fstype.to_owned()),
        fstype => refuse("foreign-file-system", format!("{} holds {fstype}, which can't hold an upper", asked.path)),
    }
}

/// The size to grow to, where that is asked for. Whether there is room is seen when it is done: an
/// upper that stays as large as it was is better than none.
fn larger(asked: &LoopFile, ground: &Ground<'_>) -> Option<Step> {
    let bytes = size::at_boot(asked, ground.bytes, ground.place.bytes)?;
    let (file, device) = (ground.file(&asked.path), paths::LOOP_LINK.to_owned());
    Some(Step::GrowLoopFile { file, device, bytes, keep: asked.reserved(ground.bytes) })
}
