// SPDX-License-Identifier: GPL-2.0-or-later
//! What a case is run on: a suite, a kind of initrd, and the variant of the image.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

/// A Debian release whose dracut, systemd and kernel the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Debian 11: dracut 051, systemd 247, kernel 5.10.
    Bullseye,
    /// Debian 12: dracut 059, systemd 252, kernel 6.1.
    Bookworm,
    /// Debian 13: dracut 106, systemd 257, kernel 6.12.
    Trixie,
    /// Debian unstable, the newest that there is: dracut 112, systemd 262, kernel 7.2 in November 2026.
    Sid,
}

/// What is PID 1 in the initramfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Initrd {
    /// systemd, as distributions build it.
    Systemd,
    /// dracut's own init script.
    Shell,
}

/// Which dracut modules the initramfs holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// overlayroot-rs.
    #[default]
    Plain,
    /// overlayroot-rs with the programs that make a loop file.
    Mkfs,
    /// overlayroot-rs beside dracut's own overlayfs module.
    Stock,
    /// overlayroot-rs with the network: NFS, NBD and images over HTTP; systemd-networkd, or dracut's legacy scripts.
    Net,
    /// The same with NetworkManager.
    Netnm,
    /// overlayroot-rs beside dmsquash-live (and so overlayfs).
    Live,
    /// dracut's overlayfs module alone, on a root without this project.
    Stockonly,
    /// The same with the network: NFS, NBD and images over HTTP; systemd-networkd, as in [`Self::Net`].
    Stocknet,
    /// No overlay module at all, on a root with this project: its module is opt-in.
    Bare,
    /// As [`Self::Mkfs`], on a root with podman, docker and containerd.
    Containers,
    /// overlayroot-rs, on a root with Debian's SELinux policy and its labels.
    Selinux,
    /// overlayroot-rs with what opens encrypted volumes.
    Crypt,
    /// What dracut makes unasked, on a root that has this project's package as a file in /root.
    Package,
}

/// What a root is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    /// Debian alone.
    Bare,
    /// With this project.
    Project,
    /// With what runs containers, too.
    Containers,
    /// With an SELinux policy, too.
    Selinux,
    /// Debian alone, with the project's package in /root, not installed.
    Package,
}

impl Suite {
    /// All suites, oldest first.
    pub const ALL: [Self; 4] = [Self::Bullseye, Self::Bookworm, Self::Trixie, Self::Sid];
    /// Those in which a case is run unless it says otherwise.
    pub const MAIN: [Self; 2] = [Self::Bookworm, Self::Trixie];
}

impl Initrd {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Systemd, Self::Shell];
}

impl Variant {
    /// The root it is made in.
    #[must_use]
    pub fn flavour(self) -> Flavour {
        match self {
            Self::Stockonly | Self::Stocknet => Flavour::Bare,
            Self::Containers => Flavour::Containers,
            Self::Selinux => Flavour::Selinux,
            Self::Package => Flavour::Package,
            Self::Plain
            | Self::Mkfs
            | Self::Stock
            | Self::Net
            | Self::Netnm
            | Self::Live
            | Self::Bare
            | Self::Crypt => Flavour::Project,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        })
    }
}

impl fmt::Display for Initrd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd",
            Self::Shell => "shell",
        })
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare => "bare",
            Self::Project => "project",
            Self::Containers => "containers",
            Self::Selinux => "selinux",
            Self::Package => "package",
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Mkfs => "mkfs",
            Self::Stock => "stock",
            Self::Net => "net",
            Self::Netnm => "netnm",
            Self::Live => "live",
            Self::Stockonly => "stockonly",
            Self::Stocknet => "stocknet",
            Self::Bare => "bare",
            Self::Containers => "containers",
            Self::Selinux => "selinux",
            Self::Crypt => "crypt",
            Self::Package => "package",
        })
    }
}

/// A place a case can run: `bookworm/systemd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The release.
    pub suite: Suite,
    /// The kind of initrd.
    pub initrd: Initrd,
}

impl Cell {
    /// Those in which a case is run unless it says otherwise, in the order in which the cut hands them out:
    /// neighbours differ in both coordinates, so that any few cases in a row meet all of them.
    pub const MAIN: [Self; 4] = [
        Self { suite: Suite::Bookworm, initrd: Initrd::Systemd },
        Self { suite: Suite::Trixie, initrd: Initrd::Shell },
        Self { suite: Suite::Trixie, initrd: Initrd::Systemd },
        Self { suite: Suite::Bookworm, initrd: Initrd::Shell },
    ];
    /// All cells.
    pub const ALL: [Self; 8] = {
        let [a, b, c, d] = Self::MAIN;
        let old = Suite::Bullseye;
        let new = Suite::Sid;
        let (systemd, shell) = (Initrd::Systemd, Initrd::Shell);
        [
            a,
            b,
            c,
            d,
            Self { suite: old, initrd: systemd },
            Self { suite: old, initrd: shell },
            Self { suite: new, initrd: systemd },
            Self { suite: new, initrd: shell },
        ]
    };
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.suite, self.initrd)
    }
}

impl FromStr for Cell {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|cell| cell.to_string() == text);
        if found.is_none() {
            bail!("`{text}` is no cell: they are {}", Self::ALL.map(|c| c.to_string()).join(", "));
        }
        found.context("unreachable")
    }
}
