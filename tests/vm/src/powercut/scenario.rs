// SPDX-License-Identifier: GPL-2.0-or-later
//! What is cut: chains of boots over one disk, each but the last ended by a cut.

use std::fmt;

use crate::case::FsKind;

/// Where the uppers lie in the root, but for partitions; a loop file has `.img` behind it.
pub(crate) const PLACE: &str = "/var/lib/upper";
const MEBI: u64 = 64;
const MORE_MEBI: u64 = 16;

/// What goes on when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Situation {
    /// The first boot, which makes the upper.
    Create,
    /// Boots in the initramfs, with an upper that has content.
    Ordinary,
    /// Records are written.
    Load,
    /// `rd.overlay.reset`, and the emptying of what it moved aside.
    Reset,
    /// A loop file whose `size=` rose.
    Grow,
    /// What was written is moved into the lower.
    Commit,
    /// A boot is asked for without the overlay, and counted.
    Thaw,
    /// Boots with one of several uppers are counted.
    Tries,
}

/// What the cut leaves of the writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Model {
    /// Every write up to the instant.
    Prefix,
    /// Every write up to the last flush, and any of those after it.
    Reorder,
}

/// Where an upper lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Dir,
    Loop,
    /// On the root's disk, which has a GPT for it.
    Part,
    Subvol,
}

/// When a boot is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// From the hook before ours to a bit after the switch-root.
    Assembling,
    /// From the kernel's start to a bit after the switch-root.
    Initramfs,
    /// While records are written.
    Load,
    /// Not: the chain ends when this boot is judged.
    Never,
}

/// One boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) when: When,
    pub(crate) reset: bool,
    /// How often `size=` rose until now.
    pub(crate) grown: u64,
}

/// A chain of boots over one disk.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) number: usize,
    pub(crate) situation: Situation,
    pub(crate) place: Place,
    pub(crate) root: FsKind,
    pub(crate) model: Model,
    pub(crate) steps: Vec<Step>,
}

/// One round: every situation on every kind of upper and root that it is for. The first 13 chains are the 60
/// cuts of `make check`, with each situation and each kind of upper.
const ROUND: [(Situation, Place, FsKind); 27] = [
    (Situation::Create, Place::Loop, FsKind::Ext4),
    (Situation::Load, Place::Dir, FsKind::Ext4),
    (Situation::Reset, Place::Subvol, FsKind::Btrfs),
    (Situation::Commit, Place::Dir, FsKind::Ext4),
    (Situation::Grow, Place::Loop, FsKind::Xfs),
    (Situation::Ordinary, Place::Dir, FsKind::Xfs),
    (Situation::Create, Place::Part, FsKind::Ext4),
    (Situation::Thaw, Place::Dir, FsKind::Ext4),
    (Situation::Tries, Place::Dir, FsKind::Ext4),
    (Situation::Reset, Place::Dir, FsKind::Ext4),
    (Situation::Commit, Place::Subvol, FsKind::Btrfs),
    (Situation::Create, Place::Subvol, FsKind::Btrfs),
    (Situation::Ordinary, Place::Loop, FsKind::Ext4),
    (Situation::Load, Place::Loop, FsKind::Xfs),
    (Situation::Create, Place::Dir, FsKind::Ext4),
    (Situation::Load, Place::Part, FsKind::Ext4),
    (Situation::Thaw, Place::Loop, FsKind::Xfs),
    (Situation::Tries, Place::Part, FsKind::Ext4),
    (Situation::Create, Place::Loop, FsKind::Xfs),
    (Situation::Load, Place::Subvol, FsKind::Btrfs),
    (Situation::Reset, Place::Loop, FsKind::Ext4),
    (Situation::Grow, Place::Loop, FsKind::Ext4),
    (Situation::Create, Place::Dir, FsKind::Xfs),
    (Situation::Create, Place::Loop, FsKind::Xfs),
    (Situation::Create, Place::Loop, FsKind::Ext4),
    (Situation::Commit, Place::Loop, FsKind::Ext4),
    (Situation::Commit, Place::Dir, FsKind::Xfs),
];

/// Chains with so many cuts in all.
pub(crate) fn chains(cuts: usize, only: Option<Model>) -> Vec<Chain> {
    let mut chains = Vec::new();
    let mut left = cuts;
    while left > 0 {
        let number = chains.len();
        let Some(&(situation, place, root)) = ROUND.get(number % ROUND.len()) else { break };
        // an odd number of chains: in the next round each has the other model
        let alternating = if number % 2 == 0 { Model::Reorder } else { Model::Prefix };
        let mut steps = steps(situation, number);
        steps.truncate(left);
        left -= steps.len();
        let last = steps.last().map_or(0, |step| step.grown);
        steps.push(Step { when: When::Never, reset: false, grown: last });
        chains.push(Chain { number, situation, place, root, model: only.unwrap_or(alternating), steps });
    }
    chains
}

/// The boots that are cut. After one in the initramfs comes one that gets as far as being judged.
fn steps(situation: Situation, number: usize) -> Vec<Step> {
    let step = |when, reset, grown| Step { when, reset, grown };
    let load = step(When::Load, false, 0);
    match situation {
        Situation::Create => vec![step(When::Assembling, false, 0), load],
        Situation::Ordinary => [load, step(When::Initramfs, false, 0)].repeat(3),
        Situation::Load => vec![load; 5],
        Situation::Commit | Situation::Thaw | Situation::Tries => [load, step(When::Assembling, false, 0)].repeat(3),
        Situation::Reset => {
            // the boot after a cut during a reset resets again, or does not
            let again = |index: usize| step(When::Load, (number + index) % 2 == 0, 0);
            let reset = step(When::Assembling, true, 0);
            vec![load, reset, again(0), reset, again(1), reset]
        }
        Situation::Grow => {
            let pair = |grown| [step(When::Load, false, grown), step(When::Assembling, false, grown + 1)];
            (0..3).flat_map(pair).collect()
        }
    }
}

impl Chain {
    /// The arguments of a boot that make the overlay.
    pub(crate) fn arguments(&self, step: Step) -> String {
        let reset = if step.reset { " rd.overlay.reset" } else { "" };
        match self.place {
            Place::Dir => format!("rd.overlay=dir:{PLACE}{reset}"),
            Place::Subvol => format!("rd.overlay=subvol:{}{reset}", PLACE.trim_start_matches('/')),
            Place::Part => format!("rd.overlay=part:upper,size={}M{reset}", size_mebi(step)),
            Place::Loop => {
                let grow = if self.situation == Situation::Grow { ",grow" } else { "" };
                format!("rd.overlay=loop:{PLACE}.img,size={}M{grow}{reset}", size_mebi(step))
            }
        }
    }

    /// Least KiB of the upper's file system.
    pub(crate) fn least_kibi(&self, step: Step) -> u64 {
        match self.place {
            Place::Dir | Place::Subvol => 0,
            // less what the file system takes for itself
            Place::Loop | Place::Part => size_mebi(step) * 1024 * 80 / 100,
        }
    }
}

fn size_mebi(step: Step) -> u64 {
    MEBI + step.grown * MORE_MEBI
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Dir => "dir",
            Place::Loop => "loop",
            Place::Part => "part",
            Place::Subvol => "subvol",
        };
        let root = super::root::fs_name(self.root);
        write!(f, "chain {}: {} of {place} on {root}, {}", self.number, self.situation, self.model)
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "first boot",
            Self::Ordinary => "ordinary boots",
            Self::Load => "write load",
            Self::Reset => "reset",
            Self::Grow => "grow",
            Self::Commit => "commit",
            Self::Thaw => "thaw",
            Self::Tries => "tries",
        })
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "prefix",
            Self::Reorder => "reorder",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_126_cuts_and_any_number_can_be_had() {
        for cuts in [1, 7, 126, 127, 250] {
            let chains = chains(cuts, None);
            let all: usize = chains.iter().map(|chain| chain.steps.len() - 1).sum();
            assert_eq!(all, cuts);
        }
        assert_eq!(chains(126, None).len(), ROUND.len());
    }

    #[test]
    fn every_cut_is_followed_by_a_boot_that_is_judged() {
        for chain in chains(252, None) {
            let early = |step: &Step| matches!(step.when, When::Assembling | When::Initramfs);
            assert!(chain.steps.windows(2).all(|pair| !(early(&pair[0]) && early(&pair[1]))), "{chain}");
            assert_eq!(chain.steps.iter().filter(|step| step.when == When::Never).count(), 1);
            let grown: Vec<_> = chain.steps.iter().map(|step| step.grown).collect();
            assert!(grown.is_sorted(), "{chain}: {grown:?}");
        }
    }
}
