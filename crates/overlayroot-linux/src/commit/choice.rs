// SPDX-License-Identifier: GPL-2.0-or-later
//! Which paths are moved: those that were asked for, less those that were excluded, and never what must stay.

use overlayroot_core::feature::commit::Asked;
use overlayroot_core::value::glob;
use std::path::{Path, PathBuf};

/// All paths are from the root, without a `/` in front.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// These and what is below them; everything where there is none.
    pub paths: Vec<PathBuf>,
    /// Patterns (`*`, `?`) of paths that stay in the upper, with all that is below.
    pub exclude: Vec<String>,
    /// What stays as it is in both layers, with all that is below.
    pub keep: Vec<PathBuf>,
    /// The same, and nothing may be removed that it is below: the upper lies there.
    pub own: Vec<PathBuf>,
}

/// What becomes of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// It stays.
    No,
    /// Something below it may be asked for.
    Through,
    /// It goes.
    Yes,
}

impl Choice {
    /// Of a request; `keep` is what each boot puts into the upper, `own` where the upper lies. As in `rd.overlay.path`,
    /// what is kept may be a pattern.
    pub fn asked(asked: &Asked, keep: &[String], own: Option<&str>) -> Self {
        let in_root = |path: &str| path.trim_matches('/').to_owned();
        let (patterns, kept): (Vec<&String>, Vec<&String>) = keep.iter().partition(|path| path.contains(['*', '?']));
        Self {
            paths: asked.paths.iter().map(|path| in_root(path).into()).collect(),
            exclude: asked.exclude.iter().chain(patterns).map(|pattern| in_root(pattern)).collect(),
            keep: kept.into_iter().map(|path| in_root(path).into()).collect(),
            own: own.iter().map(|path| in_root(path).into()).collect(),
        }
    }

    /// Whether this path is moved.
    pub fn takes(&self, path: &Path) -> bool {
        self.of(path) == Take::Yes
    }

    pub(super) fn of(&self, path: &Path) -> Take {
        let stays = self.keep.iter().chain(&self.own).any(|kept| path.starts_with(kept));
        if stays || self.is_excluded(path) {
            return Take::No;
        }
        if self.paths.is_empty() || self.paths.iter().any(|asked| path.starts_with(asked)) {
            return Take::Yes;
        }
        if self.paths.iter().any(|asked| asked.starts_with(path)) { Take::Through } else { Take::No }
    }

    /// Of the root itself.
    pub(super) fn of_top(&self) -> Take {
        if self.paths.is_empty() { Take::Yes } else { Take::Through }
    }

    /// One that is below it and stays as it is in the lower.
    pub(super) fn kept_below(&self, path: &Path) -> Option<&Path> {
        let below = |kept: &&PathBuf| kept.starts_with(path) && kept.as_path() != path;
        self.keep.iter().chain(&self.own).find(below).map(PathBuf::as_path)
    }

    /// The upper's own place, where that is below.
    pub(super) fn own_below(&self, path: &Path) -> Option<&Path> {
        self.own.iter().find(|own| own.starts_with(path)).map(PathBuf::as_path)
    }

    /// Whether all that is below goes if it does.
    pub(super) fn is_whole(&self, path: &Path) -> bool {
        self.exclude.is_empty() && self.kept_below(path).is_none()
    }

    fn is_excluded(&self, path: &Path) -> bool {
        let fits = |text: &str| self.exclude.iter().any(|pattern| glob::fits(pattern.trim_start_matches('/'), text));
        !self.exclude.is_empty() && path.ancestors().any(|above| fits(&above.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_is_asked_for_less_what_stays() {
        let choice = Choice {
            paths: paths(&["etc", "var/lib/app"]),
            exclude: vec!["/etc/*.bak".to_owned()],
            keep: paths(&["etc/machine-id"]),
            own: paths(&["var/lib/upper"]),
        };
        let of = |path: &str| choice.of(Path::new(path));
        assert_eq!((of("etc"), of("etc/ssh/sshd_config"), of("var"), of("var/lib")), {
            (Take::Yes, Take::Yes, Take::Through, Take::Through)
        });
        assert_eq!(of("etc/d.bak/below"), Take::No);
        assert_eq!((of("etc/x.bak"), of("etc/machine-id"), of("usr"), of("var/lib/apple")), {
            (Take::No, Take::No, Take::No, Take::No)
        });
        assert!(!choice.is_whole(Path::new("etc")) && choice.of_top() == Take::Through);
        assert_eq!(choice.kept_below(Path::new("etc")), Some(Path::new("etc/machine-id")));
        assert_eq!(choice.own_below(Path::new("var")), Some(Path::new("var/lib/upper")));
        let all = Choice { keep: paths(&["etc/machine-id"]), ..Choice::default() };
        assert!(all.is_whole(Path::new("usr")) && !all.is_whole(Path::new("etc")) && all.of_top() == Take::Yes);
        assert_eq!(all.of(Path::new("usr/bin")), Take::Yes);
    }
}
