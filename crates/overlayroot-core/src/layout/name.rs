// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.name`: which of several uppers on one file system.

use crate::value::diagnostics::Problem;

/// Most bytes of a name.
const LONGEST: usize = 32;

/// The name of an upper. Without a dot, for `NAME.1` is a kept one, and files of ours beside it are `NAME.commit.json` and
/// the like; not the name of a work directory, nor of the files that name what the next boots do.
///
/// # Errors
/// What such a name looks like.
pub fn parse_name(text: &str) -> Result<Option<String>, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let whole =
        text.len() <= LONGEST && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain);
    if whole && !text.ends_with("-work") && !matches!(text, "ovlwork" | "reset" | "boot") {
        return Ok(Some(text.to_owned()));
    }
    Err(Problem::new(
        "not the name of an upper: at most 32 letters, digits, '-' and '_', not boot, ovlwork, reset or NAME-work",
        None,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_another_uppers_file() {
        for good in ["overlay", "work", "test-2", "A_b", "0"] {
            assert_eq!(parse_name(good), Ok(Some(good.to_owned())));
        }
        let long = "x".repeat(33);
        for bad in [
            "",
            "overlay.1",
            "a.commit",
            "../x",
            "a/b",
            "-x",
            "_x",
            "a b",
            "ovlwork",
            "x-work",
            "reset",
            "boot",
            "\u{e4}",
            &long,
        ] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }
}
