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
    cells.sort_by_key(|(case, cell)| (!case.only_qemu, case.boots().len(), &case.name, *cell));
    let mut met = BTreeSet::new();
    let mut taken = Vec::new();
    for (case, cell) in cells {
        let all = shown(case, cell);
        if case.only_qemu || !all.is_subset(&met) {
            met.extend(all.iter().copied());
            taken.push((case, cell, all));
        }
    }
    without_needless(taken).into_iter().map(|(case, cell, _)| (case.name.clone(), cell)).collect()
}

/// Leaves out what the others show as well: one with more boots may show what two were taken for before it.
fn without_needless(mut taken: Vec<(&Case, Cell, BTreeSet<Shown>)>) -> Vec<(&Case, Cell, BTreeSet<Shown>)> {
    // from the one with the most boots down
    for index in (0..taken.len()).rev() {
        let others = taken.iter().enumerate().filter(|(other, _)| *other != index);
        let shown: BTreeSet<Shown> = others.flat_map(|(_, (.., shown))| shown.iter().copied()).collect();
        if taken.get(index).is_some_and(|(case, _, all)| !case.only_qemu && all.is_subset(&shown)) {
            taken.remove(index);
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::case::load_all;

    #[test]
    fn every_kind_is_shown_and_no_cell_is_there_for_nothing() {
        let cases = load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap();
        let chosen = choose(&cases);
        let cells = cases.iter().flat_map(|case| case.cells().into_iter().map(move |cell| (case, cell)));
        let all: Vec<_> = cells.map(|(case, cell)| (case, cell, shown(case, cell))).collect();
        let is_chosen = |case: &Case, cell| chosen.contains(&(case.name.clone(), cell));
        let shown_by = |left_out: Option<(&Case, Cell)>| {
            let taken = all.iter().filter(|(case, cell, _)| {
                is_chosen(case, *cell) && left_out.is_none_or(|(other, its)| (&other.name, its) != (&case.name, *cell))
            });
            taken.flat_map(|(.., shown)| shown.iter().copied()).collect::<BTreeSet<_>>()
        };
        let every: BTreeSet<_> = all.iter().flat_map(|(.., shown)| shown.iter().copied()).collect();
        assert_eq!(shown_by(None), every);
        for (case, cell, _) in all.iter().filter(|(case, cell, _)| !case.only_qemu && is_chosen(case, *cell)) {
            assert!(shown_by(Some((case, *cell))) != every, "{} in {cell:?}", case.name);
            // ten times what it takes in user-mode Linux: where this fails, add a case with one boot
            assert!(case.boots().len() <= 2, "{} in {cell:?}", case.name);
        }
    }

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
