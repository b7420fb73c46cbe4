// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use FillLevel::{Critical, Fine, Warning};

fn reading(used: u64, available: u64) -> Reading {
    Reading { bytes: used + available, used, available, ..Reading::default() }
}

#[test]
fn a_level_rises_at_its_threshold_and_falls_five_points_below() {
    let marks = Thresholds::default();
    let walk = |from: FillLevel, percents: &[u64]| {
        percents.iter().fold((from, Vec::new()), |(level, mut seen), percent| {
            let next = level.next(marks, *percent);
            seen.push(next);
            (next, seen)
        })
    };
    let (_, seen) = walk(Fine, &[0, 69, 70, 69, 66, 65, 64, 66, 90, 89, 85, 84, 70, 65, 64, 100, 0]);
    let want = [
        Fine, Fine, Warning, Warning, Warning, Warning, Fine, Fine, Critical, Critical, Critical, Warning, Warning,
        Warning, Fine, Critical, Fine,
    ];
    assert_eq!(seen, want);
    // Jitter around a threshold is one change.
    let (_, seen) = walk(Fine, &[69, 70, 69, 70, 69, 71, 68]);
    assert_eq!(seen.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1);
}

#[test]
fn thresholds_that_lie_close_together_or_low() {
    let marks = Thresholds { warn: 88, critical: 90 };
    assert_eq!(Critical.next(marks, 84), Warning);
    assert_eq!(Critical.next(marks, 82), Fine);
    let low = Thresholds { warn: 1, critical: 2 };
    assert_eq!((Fine.next(low, 1), Warning.next(low, 1), Warning.next(low, 0)), (Warning, Warning, Fine));
    assert_eq!((Fine.next(low, 2), Critical.next(low, 1), Critical.next(low, 0)), (Critical, Critical, Fine));
}

#[test]
fn the_scarcest_resource_counts() {
    let mut upper = reading(60, 40);
    assert_eq!(upper.worst(), (Resource::Bytes, 6000));
    (upper.inodes, upper.inodes_used) = (1000, 705);
    assert_eq!((upper.worst(), upper.percent()), ((Resource::Inodes, 7050), 70));
    // 60 in it, 10 left of RAM and 5 of swap.
    upper.memory = Some(Memory { ram: 100, available: 10, swap: 20, swap_free: 5, shared: 70 });
    assert_eq!(upper.worst(), (Resource::Memory, 8000));
    assert_eq!(Reading::default().worst(), (Resource::Bytes, 0));
}

#[test]
fn a_directory_with_room_on_a_file_system_that_is_full() {
    let mut upper = reading(10, 90);
    upper.outer = Some(Space { used: 950, available: 50 });
    assert_eq!(upper.worst(), (Resource::Filesystem, 9500));
    (upper.used, upper.available) = (97, 3);
    assert_eq!(upper.worst(), (Resource::Bytes, 9700));
}

#[test]
fn a_tmpfs_without_limit_is_held_against_memory() {
    let memory = Memory { ram: 100, available: 30, swap: 0, swap_free: 0, shared: 70 };
    let upper = Reading { memory: Some(memory), ..Reading::default() };
    assert_eq!(upper.shares(), [(Resource::Memory, 7000)]);
}

#[test]
fn bytes_kept_back_for_root_are_not_there() {
    // ext4 with 5 % for root: df says full, and so it is for an overlay.
    let upper = Reading { bytes: 100, used: 95, available: 0, ..Reading::default() };
    assert_eq!(upper.percent(), 100);
}

#[test]
fn meminfo() {
    let text = "MemTotal:        1000 kB\nMemFree: 1 kB\nMemAvailable:     400 kB\nSwapTotal: 8 kB\nSwapFree: 4 kB\nShmem: 2 kB\nShmemHugePages: 9 kB\n";
    let want = Memory { ram: 1_024_000, available: 409_600, swap: 8192, swap_free: 4096, shared: 2048 };
    assert_eq!(Memory::parse(text), want);
    assert_eq!(Memory::parse("junk"), Memory::default());
}

#[test]
fn the_pause_follows_the_rate() {
    let marks = Thresholds::default();
    let second = Duration::from_secs(1);
    assert_eq!(pause(marks, 1000, None), SHORTEST);
    assert_eq!(pause(marks, 1000, Some((1000, second))), FAR);
    assert_eq!(pause(marks, 4000, Some((4000, second))), NEAR);
    // 10 points a second, 10 below the warning: half a second.
    assert_eq!(pause(marks, 6000, Some((5000, second))), Duration::from_millis(500));
    assert_eq!(pause(marks, 6990, Some((100, second))), SHORTEST);
    assert_eq!(pause(marks, 8999, Some((8999, second))), NEAR);
    // Beyond the last threshold it still counts how long it takes to the end.
    assert_eq!(pause(marks, 9900, Some((9800, second))), Duration::from_millis(500));
    assert_eq!(pause(marks, 10_000, Some((9000, second))), NEAR);
    assert_eq!(pause(marks, 2000, Some((9000, second))), FAR);
}

#[test]
fn terminals_are_told_of_what_is_worse_or_long_ago() {
    assert!(is_loud(Warning, None) && !is_loud(Fine, None));
    assert!(is_loud(Critical, Some((Warning, Duration::ZERO))));
    assert!(!is_loud(Warning, Some((Critical, Duration::from_secs(10)))));
    assert!(!is_loud(Warning, Some((Warning, Duration::from_secs(299)))));
    assert!(is_loud(Warning, Some((Warning, SILENCE))));
}
