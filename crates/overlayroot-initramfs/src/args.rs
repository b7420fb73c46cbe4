// SPDX-License-Identifier: GPL-2.0-or-later
//! The tools' command lines. lexopt, not clap: 70 KB less in every initramfs (docs/internals/dependencies.md).

use crate::verb::{self, Verb};
use anyhow::{Context, Result, bail};
use lexopt::prelude::{Long, Short, Value, ValueExt};
use overlayroot_core::upper::loop_file::LoopFile;
use std::path::Path;

/// Which tool was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The whole boot.
    Assemble,
    /// Only the upper's device.
    Upper,
    /// Only the upper's loop file.
    Loop,
    /// The last moment before power-off, started by systemd-shutdown.
    Shutdown,
}

/// What was asked of it.
#[derive(Debug)]
pub struct Args {
    /// The tool.
    pub tool: Tool,
    /// Print the plan, change nothing.
    pub dry_run: bool,
    /// Say every step.
    pub verbose: bool,
    /// Only take dracut's stock overlayfs hooks out of the way and have overlayfs loaded, early in the boot.
    pub stand_down: bool,
    /// Only make the directories of dmsquash-live's overlay, in a systemd initramfs.
    pub prepare_live: bool,
    /// Only make a mounted image of `root=live:` the root, in a shell initramfs.
    pub mount_live: bool,
    /// Only unmount what is left of the overlay, in dracut's shutdown ramdisk.
    pub take_apart: bool,
    /// Only list the file systems of this machine that may hold an upper, for module-setup.sh.
    pub file_systems: bool,
    /// Only say whether the root is an overlay, for module-setup.sh.
    pub running: bool,
    /// Only list the programs that make the configured upper, for module-setup.sh.
    pub programs: bool,
    /// Who started it: `unit`, `hook` or `hand`.
    pub by: String,
    /// A device in place of the configured one (overlay-upper).
    pub device: Option<String>,
    /// What to do with which file (overlay-loop).
    pub file: Option<(Verb, LoopFile)>,
    help: bool,
    version: bool,
}

impl Args {
    /// Reads this process's arguments.
    pub fn parse() -> Result<Self> {
        let mut parser = lexopt::Parser::from_env();
        let name = parser.bin_name().unwrap_or_default().to_owned();
        let base = Path::new(&name).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let tool = match base {
            "overlay-upper" => Tool::Upper,
            "overlay-loop" => Tool::Loop,
            "overlay-shutdown" => Tool::Shutdown,
            _ => Tool::Assemble,
        };
        let mut args = Self {
            tool,
            dry_run: false,
            verbose: false,
            stand_down: false,
            prepare_live: false,
            mount_live: false,
            take_apart: false,
            file_systems: false,
            running: false,
            programs: false,
            by: "hand".to_owned(),
            device: None,
            file: None,
            help: false,
            version: false,
        };
        let mut words = Vec::new();
        while let Some(arg) = parser.next().context("reading the arguments")? {
            match arg {
                Long("dry-run") | Short('n') => args.dry_run = true,
                Long("verbose") | Short('v') => args.verbose = true,
                Long("help") | Short('h') => args.help = true,
                Long("version") | Short('V') => args.version = true,
                Long("stand-down") if tool == Tool::Assemble => args.stand_down = true,
                Long("prepare-live") if tool == Tool::Assemble => args.prepare_live = true,
                Long("mount-live") if tool == Tool::Assemble => args.mount_live = true,
                Long("take-apart") if tool == Tool::Assemble => args.take_apart = true,
                Long("file-systems") if tool == Tool::Assemble => args.file_systems = true,
                Long("running") if tool == Tool::Assemble => args.running = true,
                Long("programs") if tool == Tool::Assemble => args.programs = true,
                Long("by") if tool == Tool::Assemble => args.by = by(parser.value()?.string()?)?,
                Value(value) if tool == Tool::Upper && args.device.is_none() => args.device = Some(value.string()?),
                Value(value) if tool == Tool::Loop => words.push(value.string()?),
                // systemd-shutdown(8) says what it is about to do.
                Value(_) if tool == Tool::Shutdown => {}
                other @ (Short(_) | Long(_) | Value(_)) => bail!("{base}: {} (see {base} --help)", other.unexpected()),
            }
        }
        if tool == Tool::Loop && args.answer().is_none() {
            args.file = Some(verb::understand(&words)?);
        }
        Ok(args)
    }

    /// The text to print instead of doing anything.
    pub fn answer(&self) -> Option<String> {
        match (self.help, self.version) {
            (true, _) => Some(help(self.tool)),
            (_, true) => Some(format!("overlayroot-rs {}\n", env!("CARGO_PKG_VERSION"))),
            _ => None,
        }
    }
}

fn by(value: String) -> Result<String> {
    match value.as_str() {
        "unit" | "hook" | "hand" => Ok(value),
        other => bail!("--by takes unit, hook or hand, not '{other}'"),
    }
}

fn help(tool: Tool) -> String {
    let (usage, does) = match tool {
        Tool::Assemble => (
            "overlay-assemble [--dry-run] [--verbose] [--by unit|hook|hand]\n\
             \x20      overlay-assemble --stand-down | --prepare-live | --mount-live | --take-apart |\n\
             \x20                       --file-systems | --programs | --running",
            "Make the root at /sysroot an overlay, by the kernel command line and\n\
             /etc/overlayroot-rs.conf, and write /run/overlayroot/state.json.\n\
             Does nothing where that record exists. --stand-down only removes the hooks of\n\
             dracut's own overlayfs module, and starts to load the kernel's, where an overlay is\n\
             requested; --prepare-live creates directories that dracut's dmsquash-live lacks,\n\
             --mount-live makes its image the root;\n\
             --take-apart unmounts the rest of the overlay, in dracut's shutdown ramdisk;\n\
             --file-systems lists the kernel modules of file systems on this machine that can hold\n\
             an upper, and of those below a running overlay; --programs lists the programs that the\n\
             initramfs needs to create and populate the configured upper; --running exits\n\
             with 0 where the root is an overlay now, else with 1.",
        ),
        Tool::Upper => (
            "overlay-upper [--dry-run] [--verbose] [DEVICE]",
            "Find, wait for, inspect, check and mount the upper's device on\n\
             /run/initramfs/overlayroot/upper, and read-only on /run/overlayfs-backing.\n\
             DEVICE (LABEL=, UUID=, PARTLABEL=, PARTUUID= or a /dev/ path) replaces the\n\
             configured one.",
        ),
        Tool::Loop => (
            "overlay-loop [--dry-run] [--verbose] create FILE[,size=SIZE][,fs=TYPE][,reserve=SIZE]\n\
             \x20      overlay-loop check FILE | grow FILE,size=SIZE | attach FILE | detach FILE|NODE",
            "Create, check or grow a loop file; attach a loop device to it and print its node,\n\
             or detach it. FILE and its parameters are those of rd.overlay=loop:, but the file\n\
             can be anywhere: /sysroot/upper.img, once /sysroot is writable.\n\
             check writes nothing, and exits with 1 where the file is not usable.",
        ),
        Tool::Shutdown => (
            "overlay-shutdown [poweroff|reboot|halt|kexec]",
            "Make the overlay's file systems read-only where systemd-shutdown(8), which\n\
             starts it, could not. Do not run it by hand.",
        ),
    };
    format!(
        "Usage: {usage}\n\n{does}\n\n\
         \x20 -n, --dry-run   print the steps, do nothing\n\
         \x20 -v, --verbose   print each step\n\
         \x20 -h, --help      print this help\n\
         \x20 -V, --version   print the version\n\n\
         Exit: 0 the boot continues, 1 failed, or fallback=halt, 64 wrong arguments.\n\
         Keys: overlayroot-rs(7).\n"
    )
}
