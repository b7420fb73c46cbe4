// SPDX-License-Identifier: GPL-2.0-or-later
//! What is done to a disk to get a partition. The table names one only when its file system is
//! finished, so none is ever half made.

use crate::facts::disk::Disk;
use crate::value::file_system::MadeFs;
use crate::value::size::human;
use std::fmt;

/// A piece of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Node of the disk.
    pub disk: String,
    /// Kind of its table, `gpt` or `dos`.
    pub table: String,
    /// Bytes of a logical sector.
    pub sector: u64,
    /// Number of the partition.
    pub number: u32,
    /// Node of the partition.
    pub node: String,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Piece {
    /// The piece of `disk` that partition `number` has, or will have.
    pub(crate) fn of(disk: &Disk, table: &str, number: u32, start: u64, bytes: u64) -> Self {
        Self {
            disk: disk.path.clone(),
            table: table.to_owned(),
            sector: disk.sector.max(512),
            number,
            node: disk.node(number),
            start,
            bytes,
        }
    }
}

/// One thing to do, see [`crate::step::Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartStep {
    /// Let the kernel have a partition that the table does not have yet.
    Reserve(Piece),
    /// Make a file system on it.
    MakeFs {
        /// Where.
        piece: Piece,
        /// Which.
        fs: MadeFs,
        /// Its label.
        label: String,
    },
    /// See that what lies there is an upper's file system of ours, and keep it; make it anew where nothing was
    /// put into it yet.
    TakeBack {
        /// Where.
        piece: Piece,
        /// Which it is.
        fs: MadeFs,
        /// Its label.
        label: String,
        /// Name of the upper's directory in it.
        upper: String,
        /// Its superblock says that it was never used: then it may be half made, and need not be mountable.
        unused: bool,
    },
    /// Write it into the table.
    Write {
        /// Where.
        piece: Piece,
        /// Its name, and the label of its file system.
        label: String,
        /// The file system on it.
        fs: MadeFs,
    },
    /// Enlarge it, in the table and in the kernel.
    Grow(Piece),
}

impl PartStep {
    /// Short name, as in the record and the golden plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reserve(_) => "reserve-partition",
            Self::MakeFs { .. } => "make-fs",
            Self::TakeBack { .. } => "take-back",
            Self::Write { .. } => "write-partition",
            Self::Grow(_) => "grow-partition",
        }
    }

    /// Whether the overlay stands without it.
    pub fn optional(&self) -> bool {
        match self {
            Self::Grow(_) => true,
            Self::Reserve(_) | Self::MakeFs { .. } | Self::TakeBack { .. } | Self::Write { .. } => false,
        }
    }
}

impl fmt::Display for PartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserve(piece) => {
                let (bytes, start) = (human(piece.bytes), human(piece.start));
                write!(f, "{} for the kernel only: {bytes} of {} from {start} on", piece.node, piece.disk)
            }
            Self::MakeFs { piece, fs, label } => write!(f, "{} '{label}' on {}", fs.word(), piece.node),
            Self::TakeBack { piece, fs, label, .. } => {
                write!(
                    f,
                    "the {} '{label}' that lies on {}, kept where an upper is in it, formatted again where it is empty",
                    fs.word(),
                    piece.node
                )
            }
            Self::Write { piece, label, .. } => {
                write!(f, "{} '{label}' into the {} table of {}, no other touched", piece.node, piece.table, piece.disk)
            }
            Self::Grow(piece) => write!(f, "{} to {}", piece.node, human(piece.bytes)),
        }
    }
}
