// SPDX-License-Identifier: GPL-2.0-or-later
//! The devices of a btrfs that is not mounted: each has a superblock that names the file system and says how many
//! devices that has. The kernel mounts it once it knows all of them; udev's rule or `btrfs device scan` may have told
//! it, but need not be in the initramfs, so the mount names them.

use crate::sys::block;
use overlayroot_core::value::order::sorted_by_key;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Where the superblock is, and its fields (kernel: include/uapi/linux/btrfs_tree.h, `struct btrfs_super_block`).
const SUPERBLOCK: u64 = 64 << 10;
const FSID: usize = 0x20;
const FLAGS: usize = 0x38;
const MAGIC: (usize, u64) = (0x40, u64::from_le_bytes(*b"_BHRfS_M"));
const GENERATION: usize = 0x48;
const DEVICES: usize = 0x88;
const DEVID: usize = 0xc9;
/// BTRFS_SUPER_FLAG_SEEDING.
const SEEDING: u64 = 1 << 32;

/// What a device says of the file system that it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Super {
    pub(crate) fsid: [u8; 16],
    generation: u64,
    /// How many devices the file system has.
    pub(crate) devices: u64,
    /// Which of them this is; 0 for one that a replacement under way is copied to.
    devid: u64,
    /// Others may be built on it: it counts for them, and has another UUID.
    seed: bool,
}

impl Super {
    /// That of a device; `None` where it has none.
    pub(crate) fn read(name: &str) -> Option<Self> {
        let mut block = [0; 256];
        File::open(block::node(name)).ok()?.read_exact_at(&mut block, SUPERBLOCK).ok()?;
        Self::parse(&block)
    }

    fn parse(block: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(block.get(at..at + 8)?.try_into().ok()?));
        (number(MAGIC.0)? == MAGIC.1).then_some(())?;
        Some(Self {
            fsid: block.get(FSID..FSID + 16)?.try_into().ok()?,
            generation: number(GENERATION)?,
            devices: number(DEVICES)?,
            devid: number(DEVID)?,
            seed: number(FLAGS)? & SEEDING != 0,
        })
    }
}

/// The devices of one btrfs that are here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// Kernel names.
    pub(crate) names: Vec<String>,
    /// Those that may be seeds of it.
    seeds: Vec<String>,
    /// How many it has.
    pub(crate) of: u64,
    /// Several say that they are the same one of them: copies.
    pub(crate) twins: bool,
    different: u64,
}

impl Members {
    /// Those of the file system `fsid` among all that were seen.
    pub(crate) fn among(all: &[(String, Super)], fsid: [u8; 16]) -> Self {
        let members: Vec<&(String, Super)> = all.iter().filter(|(_, found)| found.fsid == fsid).collect();
        let members = sorted_by_key(members, |(_, found)| found.devid);
        let mut devids: Vec<u64> = members.iter().map(|(_, found)| found.devid).filter(|devid| *devid != 0).collect();
        let counted = devids.len();
        devids.dedup();
        let newest = members.iter().max_by_key(|(_, found)| found.generation);
        let seeds = all.iter().filter(|(_, found)| found.seed && found.fsid != fsid);
        Self {
            of: newest.map_or(0, |(_, found)| found.devices),
            twins: devids.len() != counted,
            different: u64::try_from(devids.len()).unwrap_or(u64::MAX),
            names: members.iter().map(|(name, _)| name.clone()).collect(),
            seeds: seeds.map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether the kernel could mount it.
    pub(crate) fn whole(&self) -> bool {
        let seeds = u64::try_from(self.seeds.len()).unwrap_or(u64::MAX);
        self.different.saturating_add(seeds) >= self.of
    }
}

/// Whether a device can be one of a btrfs that is mounted by its name: a leg of RAID or multipath shows the superblock
/// of the whole.
pub(crate) fn counts(name: &str) -> bool {
    block::holders(name).is_empty()
}

/// The options that name the other devices to mount(2); empty where there are none, or the kernel has them.
pub(crate) fn options(source: &str) -> String {
    let Some(name) = block::by_path(source) else {
        return String::new();
    };
    let Some(first) = Super::read(&name).filter(|found| found.devices > 1) else {
        return String::new();
    };
    if crate::sys::filesystem::mounted_btrfs(&name).is_some() {
        return String::new();
    }
    let others = block::candidates().into_iter().filter(|other| *other != name && counts(other));
    let all: Vec<(String, Super)> = others.filter_map(|other| Some((other.clone(), Super::read(&other)?))).collect();
    let members = Members::among(&all, first.fsid);
    let needed = members.names.iter().chain(&members.seeds);
    needed.map(|name| format!("device={}", block::node(name))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, fsid: u8, devid: u64, devices: u64, generation: u64) -> (String, Super) {
        (name.to_owned(), Super { fsid: [fsid; 16], generation, devices, devid, seed: false })
    }

    #[test]
    fn members_are_counted_by_their_number() {
        let all = [member("b", 1, 2, 2, 9), member("a", 1, 1, 2, 9), member("c", 2, 1, 1, 5)];
        let two = Members::among(&all, [1; 16]);
        assert_eq!((two.names.as_slice(), two.of), (["a".to_owned(), "b".to_owned()].as_slice(), 2));
        assert!(two.whole() && !two.twins);
        let half = Members::among(&all[1..], [1; 16]);
        assert!(!half.whole() && !half.twins && half.names == ["a"]);
        assert!(Members::among(&all, [2; 16]).whole());
    }

    #[test]
    fn copies_are_told_and_the_newest_says_how_many_there_are() {
        let twins = Members::among(&[member("a", 1, 1, 1, 9), member("b", 1, 1, 1, 9)], [1; 16]);
        assert!(twins.twins && twins.whole());
        // One was removed while another was not there.
        let stale = Members::among(&[member("a", 1, 1, 1, 12), member("b", 1, 2, 2, 9)], [1; 16]);
        assert!(stale.of == 1 && stale.whole() && !stale.twins);
        // A replacement under way has no number yet.
        let target = [member("a", 1, 1, 2, 9), member("n", 1, 0, 2, 9), member("m", 1, 0, 2, 9)];
        let replaced = Members::among(&target, [1; 16]);
        assert!(!replaced.whole() && !replaced.twins && replaced.names.len() == 3);
    }

    #[test]
    fn a_seed_counts_for_what_is_built_on_it() {
        let (name, seed) = member("s", 1, 1, 1, 5);
        let all = [(name, Super { seed: true, ..seed }), member("b", 2, 2, 2, 9)];
        let sprout = Members::among(&all, [2; 16]);
        assert!(sprout.whole() && sprout.names == ["b"] && sprout.seeds == ["s"]);
        assert!(Members::among(&all, [1; 16]).seeds.is_empty());
    }

    #[test]
    fn a_superblock() {
        let mut block = vec![0; 256];
        assert_eq!((Super::parse(&block), Super::parse(&[])), (None, None));
        block[0x40..0x48].copy_from_slice(b"_BHRfS_M");
        block[0x20..0x30].copy_from_slice(&[7; 16]);
        block[0x48] = 9;
        block[0x88] = 2;
        block[0xc9] = 1;
        assert_eq!(Super::parse(&block), Some(member("", 7, 1, 2, 9).1));
        assert_eq!(Super::parse(&block[..0xd0]), None);
        block[0x3c] = 1;
        assert!(Super::parse(&block).unwrap().seed);
    }
}
