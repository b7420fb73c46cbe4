// SPDX-License-Identifier: GPL-2.0-or-later
//! Cases on a network of their own: one machine serves NFS, DHCP, TFTP, HTTP and NBD, others boot from it.
//! They are in a network namespace of the case's own: nothing leaves it.

mod console;
mod files;
mod guide;
mod run;
mod server;
mod wire;

use anyhow::{Result, ensure};
use serde::Deserialize;

pub(crate) use run::{Lan, Stage, run};
pub use wire::Cable;
pub(crate) use wire::inside;

use crate::root_kind::RootKind;

/// Where a node's kernel comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The engine loads kernel and initramfs.
    #[default]
    Direct,
    /// BIOS, the card's own iPXE, everything over HTTP.
    Ipxe,
    /// BIOS, pxelinux over TFTP.
    Pxelinux,
    /// UEFI: shim and grub over TFTP.
    Uefi,
}

/// The exported root as an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Image {
    /// squashfs.
    Squashfs,
    /// erofs.
    Erofs,
}

impl Image {
    /// The root disk that it is.
    #[must_use]
    pub fn kind(self) -> RootKind {
        match self {
            Self::Squashfs => RootKind::Squashfs,
            Self::Erofs => RootKind::Erofs,
        }
    }
}

/// Something that happens to the server while a node runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Text on the first node's console.
    pub at: String,
    /// Seconds after it.
    #[serde(default)]
    pub after: u64,
    /// A line of shell for the server.
    pub run: String,
}

/// The network of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Lines of shell for the server before the first boot; see server/server.sh.
    #[serde(default)]
    pub server: String,
    /// The server is set up by docs/guide/diskless.md: its blocks for this way, run before the lines of `server`. The kernel
    /// arguments are those of the guide; `root_arg` and `cmdline` do not count.
    pub guide: Option<String>,
    /// Where the kernel comes from.
    #[serde(default)]
    pub way: Way,
    /// Machines at once; `@NODE@` in lines and arguments is the number of each, from 1, and `@SHA256:NAME@` the sum
    /// of that file of the server's.
    #[serde(default = "one")]
    pub nodes: usize,
    /// What else the server gives out, as `root.squashfs`, `root.erofs`.
    #[serde(default)]
    pub images: Vec<Image>,
    /// Lines of shell run on the host over the directory `$FILES` which the server gives out.
    pub prepare: Option<String>,
    /// What happens meanwhile.
    #[serde(default)]
    pub event: Vec<Event>,
    /// Seconds from the verdict to the power-off, at most.
    #[serde(default = "shutdown")]
    pub shutdown: u64,
    /// Lines of shell for the server after the last boot, each of which must succeed.
    #[serde(default)]
    pub after: String,
}

impl Net {
    pub(crate) fn validate(&self) -> Result<()> {
        let boots = self.guide.is_none() || self.way != Way::Direct;
        ensure!(boots, "the guide configures how a node boots: it needs a `way`");
        ensure!(self.guide.is_some() || !self.server.trim().is_empty(), "a server that serves nothing");
        Ok(())
    }
}

fn one() -> usize {
    1
}

/// What hangs does so for systemd's 90 s or for ever; on a busy machine 30 were seen where it is 7 else.
fn shutdown() -> u64 {
    40
}
