// SPDX-License-Identifier: GPL-2.0-or-later
//! /proc/meminfo (proc_meminfo(5)).

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// RAM.
    pub ram: u64,
    /// RAM that can be had without swapping.
    pub available: u64,
    /// Swap.
    pub swap: u64,
    /// Swap that is free.
    pub swap_free: u64,
    /// In all tmpfs together.
    pub shared: u64,
}

impl Memory {
    /// From the text of `/proc/meminfo`; what it lacks is 0.
    pub fn parse(text: &str) -> Self {
        let bytes = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
        };
        Self {
            ram: bytes("MemTotal"),
            available: bytes("MemAvailable"),
            swap: bytes("SwapTotal"),
            swap_free: bytes("SwapFree"),
            shared: bytes("Shmem"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says() {
        let text =
            "MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\nSwapTotal: 512 kB\nSwapFree: x kB\n";
        let memory = Memory::parse(text);
        assert_eq!((memory.ram, memory.available, memory.swap), (2 << 20, 1 << 20, 512 << 10));
        assert_eq!((memory.swap_free, memory.shared, Memory::parse("")), (0, 0, Memory::default()));
    }
}
