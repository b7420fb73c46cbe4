// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line of `overlayctl`.

use clap::{Parser, Subcommand};

/// Show what this machine's root is, and what the next boot would make of it.
#[derive(Debug, Parser)]
#[command(name = "overlayctl", version, max_term_width = 80)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what was asked for, what runs, and how full the upper is
    ///
    /// Exits as monitoring plug-ins do: 0 what was asked for runs, 1 degraded or
    /// the upper is 80 % full, 2 the overlay asked for is not there or the upper
    /// is 95 % full, 3 nothing is known.
    Status {
        /// Print JSON: the record, and what the kernel says now
        #[arg(long)]
        json: bool,
    },
    /// Exit with 1 and the reasons if what runs is not what was asked for
    ///
    /// Run at each boot by overlayroot-rs-check.service.
    Check,
    /// Show what the next boot would do, step by step
    ///
    /// The same code decides as in the initramfs. Exits with 1 where the boot
    /// would not do what is asked for.
    Plan {
        /// Kernel command line to plan for, in place of this boot's
        #[arg(long, value_name = "TEXT")]
        cmdline: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List every key of the kernel command line and the configuration files
    Keys,
}
