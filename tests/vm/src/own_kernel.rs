// SPDX-License-Identifier: GPL-2.0-or-later
//! Which cells run in QEMU with their suite's own kernel, though user-mode Linux could boot them: in each suite, one
//! of each kind of root and one of each kind of upper, those that cost the fewest boots.

use std::collections::BTreeSet;

use crate::case::{Case, RootKind};
use crate::cell::{Cell, Suite};

/// A case's name and a cell of it.
pub type Chosen = BTreeSet<(String, Cell)>;

/// What a boot asks for as the overlay's upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpperKind {
    /// RAM.
    Ram,
    /// A block device, by label or another name.
    Device,
    /// `dir:`
    Dir,
    /// `loop:`
    Loop,
    /// `part:`
    Part,
    /// `subvol:`
    Subvol,
}

/// What one cell shows of a suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shown {
    /// This kind of root.
    Root(Suite, RootKind),
    /// This kind of upper.
    Upper(Suite, UpperKind),
}

/// What a case shows in a cell.
#[must_use]
pub fn shown(case: &Case, cell: Cell) -> BTreeSet<Shown> {
    let uppers = case.boots().into_iter().flat_map(|boot| uppers(&boot.cmdline)).collect::<Vec<_>>();
    let uppers = uppers.into_iter().map(|kind| Shown::Upper(cell.suite, kind));
    uppers.chain([Shown::Root(cell.suite, case.root)]).collect()
}

fn uppers(cmdline: &str) -> Vec<UpperKind> {
    cmdline.split_ascii_whitespace().filter_map(upper).collect()
}

fn upper(word: &str) -> Option<UpperKind> {
    if word == "rd.overlay" {
        return Some(UpperKind::Ram);
    }
    let value = word.strip_prefix("rd.overlay=")?;
    let kind = value.split_once([':', '=']).map_or(value, |(kind, _)| kind);
    match kind {
        "1" | "tmpfs" => Some(UpperKind::Ram),
        "LABEL" | "UUID" | "PARTLABEL" | "PARTUUID" => Some(UpperKind::Device),
        "dir" => Some(UpperKind::Dir),
        "loop" => Some(UpperKind::Loop),
        "part" => Some(UpperKind::Part),
        "subvol" => Some(UpperKind::Subvol),
        path => path.starts_with("/dev/").then_some(UpperKind::Device),
    }
}

/// The cells.
#[must_use]
pub fn choose(cases: &[Case]) -> Chosen {
    let cells = cases.iter().flat_map(|case| case.cells().into_iter().map(move |cell| (case, cell)));
    let mut cells: Vec<_> = cells.collect();
    // those that are QEMU's anyway show it, too
    cells.sort_by_key(|(case, cell)| (!case.only_qemu, case.boots().len(), case.number(), *cell));
    let mut met = BTreeSet::new();
    let mut chosen = Chosen::new();
    for (case, cell) in cells {
        let new: Vec<_> = shown(case, cell).into_iter().filter(|one| !met.contains(one)).collect();
        if case.only_qemu || !new.is_empty() {
            met.extend(new);
            chosen.insert((case.name.clone(), cell));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_upper_is_read_from_the_kernel_arguments() {
        for (text, kind) in [
            ("rd.overlay quiet", Some(UpperKind::Ram)),
            ("rd.overlay=1", Some(UpperKind::Ram)),
            ("x rd.overlay=tmpfs:size=20M", Some(UpperKind::Ram)),
            ("rd.overlay=LABEL=upper", Some(UpperKind::Device)),
            ("rd.overlay=/dev/vdb", Some(UpperKind::Device)),
            ("rd.overlay=dir:/upper,size=1G", Some(UpperKind::Dir)),
            ("rd.overlay=part:persist,grow", Some(UpperKind::Part)),
            ("rd.overlay=0", None),
            ("rd.overlay.reset=1", None),
        ] {
            assert_eq!(uppers(text).first().copied(), kind, "{text}");
        }
    }
}
