// SPDX-License-Identifier: GPL-2.0-or-later
//! An upper that stays, whatever it is on: used for changes, or as a read-only layer.

use crate::facts::wanted::Wanted;
use crate::facts::{Facts, Kernel, Root};
use crate::layout::{self, Names, Places, paths};
use crate::step::Step;
use crate::step::effective::{Effective, UpperKind};
use crate::upper::request::{Access, Kept, Request, UpperPlan};
use crate::upper::tmpfs::{self, Tmpfs};

/// What the plan of each depends on.
pub(super) const WANTED: Wanted = Wanted { fingerprint: true, ..Wanted::NONE };

/// An upper that stays, in the directories of `places` once `open` is done; a layer where it is to be read-only.
pub fn plan(
    request: Request<'_>,
    facts: &Facts,
    root: &Root,
    places: Places,
    open: Vec<Step>,
    effective: Effective,
) -> UpperPlan {
    if request.readonly {
        return layer(request, &facts.kernel, places, open, effective);
    }
    let (store, reset) = (places.store.clone(), request.reset);
    UpperPlan {
        lowers: vec![places.lower.clone()],
        // It must survive changes of the lower: no feature that ties it to one.
        options: facts.kernel.on_by_default.iter().map(|feature| format!("{feature}=off")).collect(),
        open,
        make: vec![
            Step::MakeUpper { store: store.clone(), like: paths::SYSROOT.to_owned() },
            Step::Remember { path: store.fingerprint.clone(), fingerprint: root.fingerprint.clone() },
        ],
        hidden: None,
        effective: Effective { store: Some(store.clone()), reset, ..effective },
        kept: Some(Kept { store, access: Access::Upper { reset } }),
        notes: Vec::new(),
        places,
    }
}

/// The upper that stays as a read-only layer between the lower and a RAM upper.
fn layer(request: Request<'_>, kernel: &Kernel, device: Places, open: Vec<Step>, effective: Effective) -> UpperPlan {
    let (places, tmpfs) = (layout::tmpfs(&Names::Dracut), Tmpfs::default());
    let lowers = vec![paths::READONLY_LINK.to_owned(), places.lower.clone()];
    let mut make = vec![Step::Link { at: paths::READONLY_LINK.to_owned(), to: device.shown().upper }];
    make.extend(tmpfs::steps(&places, &tmpfs, &device.store.upper));
    let mut notes = vec![
        "rd.overlay.readonly: the device's upper is a read-only layer, changes go to RAM and will be lost at reboot"
            .to_owned(),
    ];
    notes.extend(request.reset.then(|| "not reset: the upper is read-only".to_owned()));
    UpperPlan {
        options: tmpfs::features(kernel),
        open,
        kept: Some(Kept { store: device.store, access: Access::Layer }),
        make,
        hidden: None,
        effective: Effective {
            upper: UpperKind::Tmpfs,
            options: tmpfs.options(),
            upper_fs: Some(places.public.clone()),
            lowers: lowers.clone(),
            ..effective
        },
        lowers,
        notes,
        places,
    }
}
