// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.image.sha256`: nothing of an image runs that is not the one which was meant.

use crate::value::diagnostics::Problem;

/// A refusal with this code ends in the emergency shell, whatever the fallback.
pub const CODE: &str = "image";

/// The value of `rd.overlay.image.sha256`, in lower case.
///
/// # Errors
/// What is no SHA-256.
pub fn parse_sha256(value: &str) -> Result<Option<String>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && value.len() == 64 {
        return Ok(Some(value.to_ascii_lowercase()));
    }
    Err(Problem::new("not the 64 hexadecimal digits of a SHA-256; no image is accepted", None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::plan::image::asked;

    #[test]
    fn sums() {
        let sum = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        assert_eq!(parse_sha256(sum).unwrap(), Some(sum.to_ascii_lowercase()));
        assert_eq!(parse_sha256("").unwrap(), None);
        for bad in ["e3b0", &sum[1..], &format!("{sum}0"), &sum.replace('E', "g")] {
            assert!(parse_sha256(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_was_meant_to_be_this_one_asks_for_a_certain_image() {
        let asks = |line: &str| {
            let cmdline = vec![crate::parse::cmdline::Source::new("/proc/cmdline", line)];
            asked(&Config::read(&crate::config::Inputs { cmdline, ..Default::default() }))
        };
        for bad in ["sha256=x", "sha265=x", "sha=x", "checksum=x", "sha512=x"] {
            assert!(asks(&format!("rd.overlay rd.overlay.image.{bad}")), "{bad}");
        }
        for other in ["rd.overlay", "rd.overlay rd.overlay.image.cahce=x", "rd.overlay rd.overlay.rest"] {
            assert!(!asks(other), "{other}");
        }
    }
}
