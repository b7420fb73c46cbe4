// SPDX-License-Identifier: GPL-2.0-or-later
//! The verbs below a verb.

use crate::{imagemenu, imagetool};
use clap::Subcommand;

/// The verbs of `overlayctl loop`. A file is what follows `rd.overlay=loop:`.
#[derive(Debug, Subcommand)]
pub enum Loop {
    /// Create the file, its space reserved, with a file system in it
    ///
    /// It goes onto the root's own file system, also where an overlay hides that.
    /// Prints the argument for the kernel command line. An existing file is refused.
    Create {
        /// Path in the root, with the parameters of rd.overlay=loop:
        #[arg(value_name = "PATH[,size=SIZE][,fs=TYPE][,reserve=SIZE]")]
        file: String,
        /// Print what would be done and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Check the file; an ext file system is read through by e2fsck
    ///
    /// Exits with 1 where the next boot could not use it.
    Check {
        /// Path in the root
        #[arg(value_name = "PATH")]
        file: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Grow the file and the file system in it, mounted or not
    Grow {
        /// Path in the root, and the size wanted
        #[arg(value_name = "PATH,size=SIZE")]
        file: String,
        /// Print what would be done and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// The verbs of `overlayctl image`.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Pack a root into a squashfs or erofs, with checksum and boot menu entries
    ///
    /// What is mounted below ROOT is not in it. With SOURCE_DATE_EPOCH set, the
    /// same tree gives the same bytes.
    Build(Build),
}

/// What `overlayctl image build` is asked for.
#[derive(Debug, clap::Args)]
pub struct Build {
    /// A directory; lower (of the overlay that runs); merged (the running root)
    pub root: String,
    /// The image; its name ends in .squashfs, .sqfs or .erofs
    #[arg(value_parser = imagetool::out)]
    pub out: imagetool::Out,
    /// How to compress [default: zstd in squashfs, lz4 in erofs]
    #[arg(long, value_enum, value_name = "HOW", hide_default_value = true)]
    pub compression: Option<imagetool::Compression>,
    /// Leave this file or directory of ROOT out; can be repeated
    #[arg(long, value_name = "PATH", value_parser = imagetool::inside)]
    pub exclude: Vec<String>,
    /// Where nodes will find the image: http://SERVER/PATH/
    #[arg(long, value_parser = imagemenu::base)]
    pub url: Option<String>,
    /// Replace an existing image
    #[arg(long)]
    pub force: bool,
    /// Print what would be run and build nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The verbs of `overlayctl uppers`.
#[derive(Debug, Subcommand)]
pub enum OfUppers {
    /// Use a kept upper from the next boot on, and keep the one in use now
    Restore {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Discard a kept upper, at once
    Remove {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Set or clear the description of an upper
    Describe {
        /// Its name, such as overlay.1, or that of the one in use
        // The completions exchange it, and what is exchanged comes last.
        #[arg(index = 1)]
        name: String,
        /// At most 200 characters; without it the description is cleared
        #[arg(index = 2, default_value = "", hide_default_value = true)]
        text: String,
    },
}

/// The verbs of `overlayctl stale`.
#[derive(Debug, Subcommand)]
pub enum OfStale {
    /// Accept the current lower: no more warning
    Accept,
}

/// The verbs of `overlayctl trash`.
#[derive(Debug, Subcommand)]
pub enum OfTrash {
    /// Delete discarded uppers for good
    ///
    /// Run after each boot by overlayroot-rs-trash.service.
    Empty,
}
