// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `overlayctl image`.

use super::{menu, tool};
use clap::Subcommand;

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
    #[arg(value_parser = tool::out)]
    pub out: tool::Out,
    /// How to compress [default: zstd in squashfs, lz4 in erofs]
    #[arg(long, value_enum, value_name = "HOW", hide_default_value = true)]
    pub compression: Option<tool::Compression>,
    /// Leave this file or directory of ROOT out; can be repeated
    #[arg(long, value_name = "PATH", value_parser = tool::inside)]
    pub exclude: Vec<String>,
    /// Where nodes will find the image: http://SERVER/PATH/
    #[arg(long, value_parser = menu::base)]
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
