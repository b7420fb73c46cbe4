// SPDX-License-Identifier: GPL-2.0-or-later
//! How full the upper is, in words.

use crate::status::human;
use overlayroot_core::config::Config;
use overlayroot_core::levels::{Reading, Resource, Thresholds};
use overlayroot_linux::sources;

/// The levels' thresholds, from this boot's command line and the host's configuration files.
pub fn thresholds() -> Thresholds {
    Config::read(&sources::read(Some("/"))).thresholds()
}

/// What is scarcest, and how scarce.
pub fn sentence(reading: &Reading) -> String {
    let (resource, share) = reading.worst();
    let percent = share / 100;
    match resource {
        Resource::Bytes => {
            let all = reading.used.saturating_add(reading.available);
            format!("the upper is {percent} % full: {} of {}", human(reading.used), human(all))
        }
        Resource::Inodes => {
            let (used, all) = (reading.inodes_used, reading.inodes);
            format!("{percent} % of the upper's inodes are in use: {used} of {all}")
        }
        Resource::Memory => {
            let memory = reading.memory.unwrap_or_default();
            let left = human(memory.available.saturating_add(memory.swap_free));
            let used = if reading.bytes > 0 { reading.used } else { memory.shared };
            format!("memory for the upper is {percent} % in use: {} in it, {left} of RAM and swap left", human(used))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::levels::Memory;

    #[test]
    fn the_scarcest_is_told() {
        let mut reading = Reading { bytes: 512 << 20, used: 384 << 20, available: 128 << 20, ..Reading::default() };
        assert_eq!(sentence(&reading), "the upper is 75 % full: 384.0 MiB of 512.0 MiB");
        (reading.inodes, reading.inodes_used) = (1000, 912);
        assert_eq!(sentence(&reading), "91 % of the upper's inodes are in use: 912 of 1000");
        reading.memory = Some(Memory { available: 8 << 20, swap_free: 8 << 20, ..Memory::default() });
        let want = "memory for the upper is 96 % in use: 384.0 MiB in it, 16.0 MiB of RAM and swap left";
        assert_eq!(sentence(&reading), want);
    }
}
