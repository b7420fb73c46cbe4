// SPDX-License-Identifier: GPL-2.0-or-later
//! `subvol:NAME`: an upper in a subvolume of the root's own btrfs. The top level of the file system is
//! mounted at a private place; the lower is a read-only view of the root's own subvolume.

use crate::value::diagnostics::{Problem, shown};
use crate::value::path::plain_path;
use std::fmt;

/// `subvol:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subvol {
    /// Path from the top level of the file system on, without a slash in front.
    pub name: String,
}

impl fmt::Display for Subvol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What stands behind `subvol:`. A slash in front is taken, as btrfs's own `subvol=` takes it.
///
/// # Errors
/// No name, parameters, and what is no plain path.
pub fn parse_subvol(text: &str) -> Result<Subvol, Problem> {
    let (name, params) = text.split_once(',').map_or((text, None), |(name, params)| (name, Some(params)));
    if let Some(params) = params {
        let text = format!("'{}': a subvolume takes no parameters; loop:FILE has a size", shown(params));
        return Err(Problem::new(text, None));
    }
    let name = name.trim_matches('/');
    if name.is_empty() {
        return Err(Problem::new("subvol: without a name", None));
    }
    let path = plain_path(&format!("/{name}"))?;
    Ok(Subvol { name: path.trim_start_matches('/').to_owned() })
}

/// Where a root that is the subvolume `root` sees the subvolume `name`: `Some(None)` where it does not.
/// `None` where one of the two would lie in the way of the other.
pub fn seen(root: &str, name: &str) -> Option<Option<String>> {
    let own = root.trim_matches('/');
    let below = |path: &str, top: &str| path.strip_prefix(top).filter(|rest| rest.starts_with('/')).map(str::to_owned);
    if own.is_empty() {
        return Some(Some(format!("/{name}")));
    }
    // A reset would take the root away with the upper.
    (own != name && below(own, name).is_none()).then(|| below(name, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, name) in [("overlay", "overlay"), ("/vm//upper/", "vm/upper"), ("@over lay", "@over lay")] {
            assert_eq!(parse_subvol(text).map(|subvol| subvol.name), Ok(name.to_owned()));
        }
        for bad in ["", "/", "..", "a/../b", "./a", "a:b", "a\\b", "a\nb", "a'b", "overlay,size=8G", "a,"] {
            assert!(parse_subvol(bad).is_err(), "{bad}");
        }
        let problem = parse_subvol("overlay,size=8G").unwrap_err();
        assert!(problem.text.contains("size=8G"), "{problem}");
    }

    #[test]
    fn where_the_root_sees_it() {
        assert_eq!(seen("/", "overlay"), Some(Some("/overlay".into())));
        assert_eq!(seen("/root", "overlay"), Some(None));
        assert_eq!(seen("/root", "rootlet"), Some(None));
        assert_eq!(seen("/root", "root/var/upper"), Some(Some("/var/upper".into())));
        assert_eq!(seen("/root", "root"), None);
        assert_eq!(seen("/@/.snapshots/1/snapshot", "@"), None);
        assert_eq!(seen("/@/.snapshots/1/snapshot", "@/upper"), Some(None));
    }
}
