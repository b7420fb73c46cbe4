// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers on the machine's own disk: `dir:PATH`, and what its parameters share with `loop:PATH`'s
//! (`loopspec.rs`).

use crate::value::diagnostics::Problem;
use crate::value::params::{size, split, unknown};
use crate::value::path::on_root;
use crate::value::size::Size;
use std::fmt;

/// `dir:PATH[,size=SIZE]`: a directory on the root's own file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Absolute path in the root.
    pub path: String,
    /// Project quota.
    pub size: Option<Size>,
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        self.size.map_or(Ok(()), |size| write!(f, ",size={size}"))
    }
}

/// What stands behind `dir:`.
pub fn parse_dir(text: &str) -> Result<Dir, Problem> {
    let (path, params) = split(text)?;
    on_root(&path)?;
    let mut dir = Dir { path, size: None };
    for (key, value) in params {
        match key {
            "size" => dir.size = Some(size(key, value)?),
            _ => return Err(unknown(key, &["size"])),
        }
    }
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::size::human;

    #[test]
    fn percentages_and_units() {
        assert_eq!(Size::Percent(25).of(10 << 30), 2560 << 20);
        assert_eq!((human(8 << 30), human(1536 << 20), human(5)), ("8G".into(), "1536M".into(), "5".into()));
        assert!(parse_dir("/d,fs=ext4").is_err());
    }
}
