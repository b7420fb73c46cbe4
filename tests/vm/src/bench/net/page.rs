// SPDX-License-Identifier: GPL-2.0-or-later
//! The chapter of docs/internals/benchmarks.md on roots from the network.

use super::{RUNS, Side, WAYS};
use crate::machine::MEMORY;

/// Figures of one node.
#[derive(Clone, Debug)]
pub(super) struct Alone {
    /// From QEMU's start, by the host's clock.
    pub(super) ms: u64,
    /// The guest's own uptime then.
    pub(super) uptime_ms: u64,
    /// What the server sent.
    pub(super) bytes: u64,
    /// RAM in use at most, in bytes.
    pub(super) ram: u64,
    /// From QEMU's start to the first look at the RAM.
    pub(super) since_ms: u64,
    /// What systemd says.
    pub(super) state: String,
}

/// Figures of nodes at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Together {
    pub(super) nodes: usize,
    /// To the last one's readiness.
    pub(super) ms: u64,
    /// To all of them.
    pub(super) bytes: u64,
}

/// Bytes of what is loaded whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) kernel: u64,
    pub(super) initrd: u64,
    pub(super) squashfs: u64,
}

/// As in the table.
pub(super) fn name(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Stock => "stock",
        Side::Without => "no overlay",
    }
}

pub(super) fn chapter(alone: &[(&str, Side, Alone)], together: &[(&str, Vec<Together>)], sizes: Sizes) -> String {
    let one: String = alone.iter().map(|(way, side, figures)| row(way, *side, figures)).collect();
    let many: String =
        together.iter().flat_map(|(way, all)| all.iter().map(|figures| many_row(way, figures))).collect();
    let roots = WAYS.iter().map(|way| format!("    {}\n", way.root)).collect::<Vec<_>>().concat();
    let without = match alone.iter().any(|(_, side, _)| *side == Side::Without) {
        true => {
            " Where\nthat did not come up (twice), the table has the same image without an overlay: the root read-only, and what \
             fails\nfor that makes systemd `degraded`."
        }
        false => "",
    };
    let (kernel, initrd, squashfs) = (mb(sizes.kernel), mb(sizes.initrd), mb(sizes.squashfs));
    format!(
        "\n## From the network\n\n\
         The nodes are guests of QEMU. From power-on to multi-user, with the root from another guest (Debian 12 with the\n\
         kernel's own NFS server, nginx, nbd-server, and dnsmasq for DHCP) over a bridge of the host:\n\n{roots}\n\
         Ours is `rd.overlay`. Stock is dracut 106's `overlayfs` module (with `dmsquash-live` for the image) and\n\
         `rd.live.overlay.overlayfs=1`, on a root and in an initramfs without this project.{without} Both have\n\
         systemd-networkd in a systemd initrd, {MEMORY} MiB of RAM and their upper in it, on a host with two cores.\n\n\
         Seconds: the host's clock from QEMU's start until the guest says that multi-user is reached and nothing\n\
         starts any more (`systemctl is-system-running --wait`, answered as in the last column; seen within 0.2 s),\n\
         and the guest's own uptime then. From the server: what went out of it until then, DHCP included, headers of\n\
         segments that its network card cuts up left out; not counted are kernel ({kernel} MB) and initramfs\n\
         ({initrd} MB), which QEMU loads. Peak RAM: MemTotal less MemAvailable of the guest's kernel, asked once a\n\
         second by virtio-balloon from when its driver was loaded in the initramfs (the time in brackets): that the\n\
         kernel unpacked the initramfs is before, and not in it. The squashfs has {squashfs} MB. One node at a time,\n\
         {RUNS} boot of each: bytes and RAM differ little between boots, the seconds are the emulation's.\n\n\
         | root | overlay | seconds | uptime | from the server | peak RAM (seen from) | system |\n\
         |---|---|---|---|---|---|---|\n{one}\n\
         ### Nodes at once\n\n\
         The same boot with `rd.overlay` on so many nodes at once: until the last is ready, and what went out of the\n\
         server until then. The nodes and the server share two cores of the host, so the seconds are the emulation's;\n\
         the bytes are what counts. One boot of each number.\n\n\
         | root | nodes | seconds to the last | from the server | for each node |\n|---|---|---|---|---|\n{many}"
    )
}

fn row(way: &str, side: Side, figures: &Alone) -> String {
    let Alone { ms, uptime_ms, bytes, ram, since_ms, state } = figures;
    let (ms, uptime, since) = (seconds(*ms), seconds(*uptime_ms), seconds(*since_ms));
    let (bytes, ram, side) = (mb(*bytes), ram >> 20, name(side));
    format!("| {way} | {side} | {ms} s | {uptime} s | {bytes} MB | {ram} MiB ({since} s) | {state} |\n")
}

fn many_row(way: &str, figures: &Together) -> String {
    let Together { nodes, ms, bytes } = *figures;
    let (ms, all, each) = (seconds(ms), mb(bytes), mb(bytes / nodes.max(1) as u64));
    format!("| {way} | {nodes} | {ms} s | {all} MB | {each} MB |\n")
}

fn seconds(ms: u64) -> String {
    let tenths = (ms + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn mb(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Alone {
        let state = "running".to_owned();
        Alone { ms: 45_678, uptime_ms: 44_000, bytes: 61_250_000, ram: 310 << 20, since_ms: 9_949, state }
    }

    #[test]
    fn figures_are_rounded_and_named() {
        let line = row("NBD", Side::Without, &figures());
        assert_eq!(line, "| NBD | no overlay | 45.7 s | 44.0 s | 61.3 MB | 310 MiB (9.9 s) | running |\n");
        let line = many_row("NBD", &Together { nodes: 4, ms: 120_000, bytes: 200_000_000 });
        assert_eq!(line, "| NBD | 4 | 120.0 s | 200.0 MB | 50.0 MB |\n");
    }

    #[test]
    fn the_chapter_says_where_stock_had_no_overlay() {
        let sizes = Sizes { kernel: 11_700_000, initrd: 32_300_000, squashfs: 99_000_000 };
        let together = [("NBD", vec![Together { nodes: 2, ms: 1, bytes: 2 }])];
        let text = |side| chapter(&[("NBD", side, figures()), ("NBD", Side::Ours, figures())], &together, sizes);
        let stock = text(Side::Stock);
        assert!(stock.starts_with("\n## From the network\n\n") && stock.ends_with(" MB |\n"));
        assert!(stock.contains("| NBD | stock | ") && stock.contains("| NBD | ours | ") && !stock.contains("twice"));
        assert!(text(Side::Without).contains("(twice)") && text(Side::Without).contains("| NBD | no overlay | "));
        assert!(stock.lines().filter(|line| !line.starts_with('|')).all(|line| line.chars().count() <= 125));
    }
}
