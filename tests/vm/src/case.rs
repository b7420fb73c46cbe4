// SPDX-License-Identifier: GPL-2.0-or-later
//! A test case: what is booted, on what, and what must hold afterwards.

mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use sha2::{Digest, Sha256};

use crate::cell::{Cell, Initrd, Suite, Variant};
pub use crate::disk_spec::{Disk, FsKind};
use crate::net::{Net, Way};
pub use crate::root_kind::RootKind;
use crate::roots;

/// Where the lines of `holds` are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In the booted system.
    #[default]
    Host,
    /// Before the initramfs's emergency shell, which the boot must reach.
    Emergency,
}

/// What the root is mounted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootOpts {
    /// `ro` on the command line.
    #[default]
    Ro,
    /// `rw` on the command line.
    Rw,
}

/// One of several boots over the same disks; what is left out comes from the case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSpec {
    /// Kernel arguments.
    pub cmdline: Option<String>,
    /// What must hold.
    pub holds: Option<String>,
    /// Where it must hold.
    pub stage: Option<Stage>,
    /// Shell lines run on the host over `$IMG`, the root's disk, before this boot.
    pub before: Option<String>,
    /// The image it needs; the root stays the case's.
    pub variant: Option<Variant>,
    /// Text that the whole console must have, up to the power-off; after `!` what it must not.
    pub console: Option<Vec<String>>,
    /// Boot so that many times.
    pub repeat: Option<u32>,
    /// Boot with the initramfs that an earlier boot has put into the root's /boot.
    #[serde(default)]
    pub own_initrd: bool,
}

/// A case file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `group/slug`: the directory that the file is in, and its name without `.toml`.
    #[serde(skip)]
    pub name: String,
    /// Hash of the file's text.
    #[serde(skip)]
    pub digest: String,
    /// Whether btrfs has a part in it.
    #[serde(skip)]
    pub btrfs: bool,
    /// What is shown, in one sentence.
    pub summary: String,
    /// Kernel arguments beside the harness's own.
    #[serde(default)]
    pub cmdline: String,
    /// Shell lines for the guest, see guest/lib.sh; each must succeed.
    #[serde(default)]
    pub holds: String,
    /// Lines before those of each boot.
    #[serde(default)]
    pub each: String,
    /// Where `holds` is run.
    #[serde(default)]
    pub stage: Stage,
    /// Suites it applies to; all by default.
    pub suites: Option<Vec<Suite>>,
    /// Initrd kinds it applies to; both by default.
    pub initrds: Option<Vec<Initrd>>,
    /// The cells it applies to, in place of `suites` and `initrds`: for what does not depend on them.
    pub cells: Option<Vec<String>>,
    /// Further cells, of the oldest and the newest suite.
    #[serde(default)]
    pub also: Vec<String>,
    /// `root=` on the kernel command line; an empty one leaves it to `files`.
    #[serde(default = "default_root")]
    pub root_arg: String,
    /// The image it needs.
    #[serde(default)]
    pub variant: Variant,
    /// The lower root.
    #[serde(default)]
    pub root: RootKind,
    /// `ro` or `rw`.
    #[serde(default)]
    pub rootopts: RootOpts,
    /// Most of it is waiting, for a server or for a time to pass: it runs beside as many others as there are at once.
    #[serde(default)]
    pub waits: bool,
    /// Replaces the root's /etc/fstab.
    pub fstab: Option<String>,
    /// /etc/overlayroot-rs.conf, in the initramfs and in the root.
    pub conf: Option<String>,
    /// The same, each character one byte: for text which is not UTF-8.
    pub conf_latin1: Option<String>,
    /// More files in the initramfs: path to text.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Puts the initramfs into the root's /boot, where dracut's shutdown looks for it.
    #[serde(default)]
    pub boot_initrd: bool,
    /// No boot may change a byte of the root's disk, which is attached writable.
    #[serde(default)]
    pub lower_unchanged: bool,
    /// The root's disk keeps what the boots write, and must be cleanly unmounted after each.
    #[serde(default)]
    pub root_kept: bool,
    /// QEMU's devices, its firmware or the suite's own kernel are needed: no cell runs by user-mode Linux.
    #[serde(default)]
    pub only_qemu: bool,
    /// Cells of the short run, instead of the one chosen by rule; empty for the long run only.
    pub cut: Option<Vec<String>>,
    /// Seconds for one boot.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// MiB of RAM.
    #[serde(default = "default_memory")]
    pub memory: u32,
    /// Disks.
    #[serde(default)]
    pub disk: Vec<Disk>,
    /// A network of its own, from which the root comes.
    pub net: Option<Net>,
    /// Boots in a row; one by default.
    #[serde(default)]
    pub boot: Vec<BootSpec>,
}

/// A boot with everything filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedBoot {
    /// Kernel arguments.
    pub cmdline: String,
    /// What must hold.
    pub holds: String,
    /// Where.
    pub stage: Stage,
    /// Shell lines for the root's disk before it.
    pub before: Option<String>,
    /// The image.
    pub variant: Variant,
    /// What the console must have, or not.
    pub console: Vec<String>,
    /// With the root's own initramfs.
    pub own_initrd: bool,
}

fn default_root() -> String {
    "root=LABEL=root".to_owned()
}

fn default_timeout() -> u64 {
    300
}

fn default_memory() -> u32 {
    crate::machine::MEMORY
}

impl Case {
    /// Reads a case from its text.
    ///
    /// # Errors
    /// Unknown keys, wrong types, and keys which contradict each other.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut case: Self = toml::from_str(text).with_context(|| format!("case {name}"))?;
        name.clone_into(&mut case.name);
        case.btrfs = text.contains("btrfs");
        case.digest = roots::short(Sha256::new_with_prefix(text));
        case.validate().with_context(|| format!("case {name}"))?;
        Ok(case)
    }

    fn validate(&self) -> Result<()> {
        let word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b"-.".contains(&b) || b.is_ascii_alphanumeric());
        let named = self.name.split_once('/').is_some_and(|(group, slug)| word(group) && word(slug));
        ensure!(named, "a case is a file in the directory of its group");
        ensure!(!self.cells().is_empty(), "no cell is left");
        ensure!(self.conf.is_none() || self.conf_latin1.is_none(), "both conf and conf_latin1");
        for name in self.cells.iter().flatten().chain(&self.also) {
            name.parse::<Cell>()?;
        }
        self.cut_cells()?;
        let edits = self.edits_root();
        if edits
            && (matches!(self.root, RootKind::Xfs | RootKind::Btrfs | RootKind::BtrfsSubvol)
                || self.root.table().is_some())
        {
            bail!("fstab, conf and boot_initrd need an ext4 root: the image is edited by debugfs");
        }
        for boot in self.boots() {
            ensure!(!boot.holds.trim().is_empty(), "a boot without `holds` shows nothing");
            ensure!(boot.before.is_none() || self.root_kept, "`before` works on a root that is kept only");
            let own = !boot.own_initrd || (self.root_kept && self.root == RootKind::Ext4);
            ensure!(own, "`own_initrd` is read from an ext4 root that is kept");
        }
        self.net.iter().try_for_each(Net::validate)?;
        let firmware = self.net.as_ref().is_some_and(|net| net.way != Way::Direct);
        ensure!(!firmware || self.only_qemu, "a node that boots by itself needs firmware: `only_qemu`");
        self.disk.iter().try_for_each(Disk::validate)
    }

    /// Whether the root's image must be edited for this case.
    #[must_use]
    pub fn edits_root(&self) -> bool {
        self.fstab.is_some() || self.conf_bytes().is_some() || self.boot_initrd
    }

    /// The configuration file's bytes.
    #[must_use]
    pub fn conf_bytes(&self) -> Option<Vec<u8>> {
        let latin1 = |text: &String| text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
        self.conf.as_ref().map(|t| t.clone().into_bytes()).or(self.conf_latin1.as_ref().map(latin1))
    }

    /// The boots, repeats written out.
    #[must_use]
    pub fn boots(&self) -> Vec<PlannedBoot> {
        let one = [BootSpec::default()];
        let specs = if self.boot.is_empty() { &one[..] } else { &self.boot };
        let mut boots = Vec::new();
        for spec in specs {
            let boot = PlannedBoot {
                cmdline: spec.cmdline.clone().unwrap_or_else(|| self.cmdline.clone()),
                holds: format!("{}{}", self.each, spec.holds.as_ref().unwrap_or(&self.holds)),
                stage: spec.stage.unwrap_or(self.stage),
                before: spec.before.clone(),
                variant: spec.variant.unwrap_or(self.variant),
                console: spec.console.clone().unwrap_or_default(),
                own_initrd: spec.own_initrd,
            };
            boots.extend(std::iter::repeat_n(boot, spec.repeat.unwrap_or(1) as usize));
        }
        boots
    }
}

/// Reads all cases of the groups in a directory, in the order of their names.
///
/// # Errors
/// An unreadable directory, a case which does not parse or lies in no group, two of one slug: it is what they are cited by.
pub fn load_all(dir: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for group in entries(dir)? {
        ensure!(group.is_dir(), "{} is no group of cases", group.display());
        for path in entries(&group)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
            let part = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(Case::parse(&format!("{}/{}", part(&group), part(&path)), &fs::read_to_string(&path)?)?);
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let mut slugs = BTreeSet::new();
    for case in &cases {
        ensure!(slugs.insert(case.slug()), "two cases are called {}", case.slug());
    }
    Ok(cases)
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
