// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line of `overlayctl`.

use crate::commands::image::args::Image;
use crate::commands::loopfile::Loop;
use crate::commands::stale::OfStale;
use crate::commands::trash::OfTrash;
use crate::commands::uppers::OfUppers;
use crate::commands::{commit, completions, config, diff, du, explain, keep, resize, revert, shell, thaw, top, watch};
use clap::{Parser, Subcommand};

mod groups;
mod output;

pub use groups::command;
pub use output::Output;

/// Overlay root: what runs, what the next boot does, what changed and what fills it
#[derive(Debug, Parser)]
#[command(name = "overlayctl", version, max_term_width = 80)]
pub struct Args {
    /// Do not start a pager for long output
    #[arg(long, global = true)]
    pub no_pager: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the request, what runs, and how full the upper is
    ///
    /// Exits as monitoring plug-ins do: 0 the request runs, 1 degraded or the upper
    /// is 70 % full, 2 the overlay is missing or the upper is 90 % full, 3 unknown.
    /// See rd.overlay.watch.warn and .critical.
    Status {
        /// Print JSON: the record, and what the kernel says now
        #[arg(long)]
        json: bool,
    },
    /// Verify that the running root matches the request
    ///
    /// Run at each boot by overlayroot-rs-check.service.
    Check {
        /// Also warn at login (/run/motd.d) until the root matches the request
        #[arg(long)]
        motd: bool,
    },
    /// Show what the next boot would do, step by step
    ///
    /// The same code decides as in the initramfs, for the command line that the
    /// boot loader hands over. Exits with 1 where the boot would not do what is
    /// asked for, or that is not known.
    Plan {
        /// Kernel command line to plan for, instead of the next boot's
        #[arg(long, value_name = "TEXT")]
        cmdline: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List every key of command line and configuration files
    Keys,
    /// Create, check or grow a loop file before the boot that uses it
    Loop {
        /// What to do with it.
        #[command(subcommand)]
        verb: Loop,
    },
    /// Discard all changes at the next boot
    ///
    /// The upper is moved to the trash, once; other files on its file system stay.
    /// An upper in RAM is discarded at every boot, so it is refused.
    Reset {
        /// Keep the old upper, see overlayctl uppers
        #[arg(long)]
        keep: bool,
        /// Reboot at once
        #[arg(long)]
        now_and_reboot: bool,
        /// Cancel what the next boot was asked for, also a restore
        #[arg(long, conflicts_with_all = ["keep", "now_and_reboot"])]
        cancel: bool,
    },
    /// Move changes into the lower at the next boot
    ///
    /// The initramfs does it before the overlay is mounted: by renaming where both are
    /// on one file system, else by copying. It can be cut at any time. Needs an
    /// initramfs with overlay-commit (overlayroot_commit="yes" in dracut.conf). What is
    /// moved can't be reset any more.
    Commit(commit::Args),
    /// Discard changes of single paths at the next boot
    ///
    /// The lower's files show again. What the upper has there goes to the trash.
    Revert(revert::Args),
    /// List the upper in use (*) and those that are kept
    #[command(args_conflicts_with_subcommands = true)]
    Uppers {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print only the names of those that are kept
        #[arg(long, conflicts_with = "json")]
        names: bool,
        /// What to do with a kept one.
        #[command(subcommand)]
        what: Option<OfUppers>,
    },
    /// Check whether the upper matches the current lower
    ///
    /// Lists the changed files of the lower that the upper hides. Exits with 1 where
    /// the upper is stale.
    #[command(args_conflicts_with_subcommands = true)]
    Stale {
        /// A kept upper, such as overlay.1, instead of the one in use
        #[arg(long, value_name = "NAME")]
        upper: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// What to do about it.
        #[command(subcommand)]
        what: Option<OfStale>,
    },
    /// Show what the upper changes of the lower
    ///
    /// A added, M content changed, m only mode, owner or attributes, D removed,
    /// T of another type, R a renamed directory. For root.
    Diff(diff::Args),
    /// Show what fills the upper, in bytes and inodes
    Du(du::Args),
    /// Show which directories and files of the upper grow, live
    Top(top::Args),
    /// Fetch the repository of rd.overlay.git and run its scripts
    ///
    /// Runs its overlayroot.d as root; at each boot by overlayroot-rs-pull.service. Exits with 1
    /// where it can't be fetched in time, is not signed as asked for, or a script
    /// fails.
    Pull {
        /// How long to retry; 0 tries once
        #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(0..=86_400))]
        timeout: u64,
        /// How long each call of git may take after that
        #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        grace: u64,
        /// Also on a root without an overlay, where changes of scripts are permanent
        #[arg(long)]
        plain_root: bool,
    },
    /// Relabel initramfs files (SELinux)
    ///
    /// Run early at each boot by overlayroot-rs-label.service, for what the initramfs made (`made` in the record)
    /// and all that is in an upper in RAM. Does nothing without SELinux.
    #[command(hide = true)]
    Label,
    /// Check the configuration before booting
    ///
    /// Exits with 0 where all is well, 1 with warnings, 2 with problems.
    Doctor {
        /// Kernel command line to check, instead of the next boot's
        #[arg(long, value_name = "TEXT")]
        cmdline: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Mark the running upper as good: no more tries
    ///
    /// Run after each boot that is counted by overlayroot-rs-good.service, see
    /// overlayctl uppers use.
    #[command(hide = true)]
    Good,
    /// Save changed files that rd.overlay.path keeps
    ///
    /// Run after each boot by overlayroot-rs-keep.service, and at the shutdown.
    /// Exits with 1 where one can't be saved.
    #[command(hide = true)]
    Keep(keep::Args),
    /// Add kernel arguments to the boot loader, and the module to dracut
    ///
    /// By grubby, boot loader entries, /etc/kernel/cmdline, /etc/default/grub.d,
    /// raspi-firmware, cmdline.txt or extlinux.conf, whichever this system has. Earlier
    /// rd.overlay* arguments are replaced. Refused where overlayctl doctor finds a
    /// problem. Says where another program than dracut makes the next initramfs.
    /// Exits with 1 where the next boot does not make the overlay asked for, or that
    /// is not known.
    Enable(crate::commands::enable::Enable),
    /// Remove every rd.overlay* from the boot loader
    ///
    /// The next boot is the plain root then. In an overlay this edits the lower. Says
    /// what else asks for an overlay.
    /// Exits with 1 where the next boot is not the plain root, or that is not known.
    Disable(crate::commands::enable::Disable),
    /// Check whether the overlay is enabled at the next boot
    ///
    /// Prints enabled, degraded (something other than the request), disabled
    /// or unknown. Exits with 0 where it is enabled, with 1 where not.
    IsEnabled(crate::commands::is_enabled::Args),
    /// Import settings from other overlay tools
    ///
    /// Reads Ubuntu's overlayroot, raspi-config, dracut's rd.live.overlay*, kiwi,
    /// RHEL's readonly-root with its tables, and live-boot's persistence.conf.
    /// Settings without an equivalent become comments. Exits with 1 where nothing
    /// was found.
    Migrate(crate::commands::migrate::Migrate),
    /// Build an image of a root for nodes that boot over the network
    Image {
        /// What to do.
        #[command(subcommand)]
        verb: Image,
    },
    /// Resize the active upper
    ///
    /// An upper in RAM until the next boot, a loop file for good, a directory
    /// with size= until the next boot. Exits with 1 where that is refused.
    Resize(resize::Asked),
    /// Monitor usage and alert at thresholds
    ///
    /// Run by overlayroot-rs-watch.service. Ends at once where the root is no
    /// overlay.
    #[command(hide = true)]
    Watch(watch::Asked),
    /// Run a shell or a command in the lower, to update or read it
    ///
    /// For updates of the root itself. It has mounts and processes of its own; with
    /// its end everything is undone, and the lower is read-only again. Reboot after
    /// it, except with --read-only. Exits as the command does; 125 where the lower
    /// can't be opened.
    Shell(shell::Args),
    /// Run the next boot without the overlay, to update the root itself
    ///
    /// The next boot runs the system's own updater, or COMMAND, in the plain root, where
    /// changes are permanent, and reboots. The request is gone before that boot starts:
    /// a machine that dies in its update comes back frozen. Needs an initramfs with
    /// overlay-thaw (overlayroot_thaw="yes" in dracut.conf), and a lower that can be
    /// written.
    Thaw(thaw::Args),
    /// Run the update of a thawed boot, then reboot
    ///
    /// Run in such a boot by overlayroot-rs-thawed.service, see overlayctl thaw.
    #[command(hide = true)]
    Thawed,
    /// Check whether a kernel that is installed here would last
    ///
    /// Run by the hooks of kernel-install and of Debian's kernel packages. Exits with 1
    /// where a kernel would be lost at the next boot, or lose its modules; warns where
    /// the boot loader would not find it.
    #[command(hide = true)]
    Kernel,
    /// Explain a key or a value, and where the value came from
    Explain(explain::Args),
    /// Show the effective configuration and where each value came from
    ///
    /// Exits with 1 where it has mistakes.
    Config(config::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Manage discarded uppers
    Trash {
        /// What to do with it.
        #[command(subcommand)]
        what: OfTrash,
    },
    /// Discard unused blocks of what a kept upper lies on (fstrim)
    ///
    /// Run by overlayroot-rs-trim.service, with fstrim.service.
    #[command(hide = true)]
    Trim,
}

#[cfg(test)]
mod manual_tests;
#[cfg(test)]
mod tests;
