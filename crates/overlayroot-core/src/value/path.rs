// SPDX-License-Identifier: GPL-2.0-or-later
//! Paths as every key takes them.

use crate::value::diagnostics::{Problem, escape, steers};

/// An absolute path below `/` without `.`, `..` and doubled slashes, and nothing that mount(2) or
/// overlayfs would read as a separator.
pub fn plain_path(text: &str) -> Result<String, Problem> {
    let problem = |what: &str| Err(Problem::new(format!("'{}' {what}", escape(text)), None));
    let Some(below) = text.strip_prefix('/') else {
        return problem("is not an absolute path");
    };
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return problem("is the root itself");
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return problem("must not contain '..'");
    }
    let forbidden = |c: char| steers(c) || matches!(c, ':' | '\\' | '"' | '\'');
    if text.contains(forbidden) {
        return problem("has a character that is not allowed in a path");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The boot looks on the root's own file system only.
pub(crate) fn on_root(path: &str) -> Result<(), Problem> {
    let first = path.split('/').nth(1).unwrap_or_default();
    if matches!(first, "dev" | "proc" | "sys" | "run" | "tmp") {
        return Err(Problem::new(format!("'{}' lies where other file systems are mounted", escape(path)), None));
    }
    Ok(())
}

/// Whether a path is `at` or lies in it; all lies in `/`. Neither is looked up: both are plain.
pub fn is_in(path: &str, at: &str) -> bool {
    path.strip_prefix(at.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_directory() {
        for (path, at) in [("/a/b", "/a"), ("/a", "/a"), ("/a/b", "/a/"), ("/x", "/"), ("/", "/")] {
            assert!(is_in(path, at), "{path} {at}");
        }
        for (path, at) in [("/ab", "/a"), ("/", "/a"), ("/a", "/a/b")] {
            assert!(!is_in(path, at), "{path} {at}");
        }
    }
}
