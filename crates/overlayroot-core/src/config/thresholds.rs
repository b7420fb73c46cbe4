// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.watch.*`: at which fill of the upper the booted system is to say something, and where it writes that.

use crate::keys::{WATCH_CRITICAL, WATCH_WARN};
use crate::value::diagnostics::{Problem, escape};

/// `rd.overlay.watch.warn` where nothing is said.
pub const WARN: u8 = 70;
/// `rd.overlay.watch.critical` where nothing is said.
pub const CRITICAL: u8 = 90;
/// The percentages at which the levels begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Of the warning.
    pub warn: u8,
    /// Of the critical level; more than `warn`.
    pub critical: u8,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { warn: WARN, critical: CRITICAL }
    }
}

/// The value of `rd.overlay.watch.warn` and `.critical`.
pub fn parse_percent(value: &str) -> Result<u8, Problem> {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|percent| plain && (1..=99).contains(percent)).ok_or_else(|| {
        let text = format!(
            "not a percentage from 1 to 99; using the defaults, {} for the warning and {} for the critical level",
            WATCH_WARN.default, WATCH_CRITICAL.default
        );
        Problem::new(text, None)
    })
}

/// The value of `rd.overlay.watch.textfile`.
pub fn parse_textfile(value: &str) -> Result<Option<String>, Problem> {
    let climbs = value.split('/').any(|part| part == "..");
    match value {
        "" => Ok(None),
        _ if value.starts_with('/') && !value.ends_with('/') && !climbs && !value.contains(char::is_control) => {
            Ok(Some(value.to_owned()))
        }
        _ => Err(Problem::new(format!("'{}' is not an absolute path of a file; none is written", escape(value)), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_paths() {
        assert_eq!(
            (WATCH_WARN.default, WATCH_CRITICAL.default),
            (WARN.to_string().as_str(), CRITICAL.to_string().as_str())
        );
        assert_eq!((parse_percent("1"), parse_percent("99"), parse_percent("070")), (Ok(1), Ok(99), Ok(70)));
        for bad in ["", "0", "100", "-1", "+5", "70%", "7.5", "999", "x"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_textfile(""), Ok(None));
        assert_eq!(parse_textfile("/run/x.prom").unwrap().as_deref(), Some("/run/x.prom"));
        for bad in ["run/x", "/run/", "/run/../etc/x", "/run/a\nb"] {
            assert!(parse_textfile(bad).is_err(), "{bad}");
        }
    }
}
