// SPDX-License-Identifier: GPL-2.0-or-later
//! Sizes as people write them: the one parser of all keys, parameters and commands.
//!
//! One rule, as systemd, the kernel's tmpfs and dracut have it: every unit is a power of 1024. `GB` is `GiB`: who
//! meant powers of ten gets some percent more than was asked for, never less.

use crate::value::diagnostics::{Problem, escape};
use std::fmt;

/// Bytes as whole mebibytes.
pub fn mebi(bytes: u64) -> String {
    format!("{}M", bytes >> 20)
}

/// A size as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Bytes.
    Bytes(u64),
    /// Percent of the file system that holds it, 1 to 100.
    Percent(u8),
}

impl Size {
    /// `8G`, `512MiB`, `25%`; at least [`LEAST`].
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = || bytes_of(text).filter(|bytes| *bytes >= LEAST).map(Self::Bytes);
        percent_of(text).map(Self::Percent).or_else(bytes)
    }

    /// Bytes, rounded down to whole mebibytes, of a file system of `all` bytes.
    pub fn of(self, all: u64) -> u64 {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let bytes = u128::from(all) * u128::from(percent) / 100;
                u64::try_from(bytes).unwrap_or(all)
            }
        };
        bytes >> 20 << 20
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{}", human(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Bytes in the largest unit that leaves no rest.
pub fn human(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "k")];
    let fits = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    fits.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// Bytes with one decimal and a binary unit: what is counted, where [`human`] is for what was asked for.
pub fn rounded(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// The smallest upper that is made: an ext4 with its journal, and room to work in.
pub const LEAST: u64 = 16 << 20;

/// What sizes look like, for messages.
pub(crate) const SIZES: &str = "such as 512M, 2G or 2GiB, or percent";

/// A limit of a tmpfs, as the kernel takes it: `size` in bytes or percent of RAM, the others in pieces.
pub(crate) fn limit(key: &str, value: &str) -> Result<String, Problem> {
    let (found, form) = match key {
        "size" if percent_of(value).is_some() => return Ok(value.to_owned()),
        "size" => (for_kernel(value), SIZES),
        _ => (count_of(value).map(|_| value.to_owned()), "such as 200k"),
    };
    found.ok_or_else(|| Problem::new(format!("{key}={} is not a number {form}", escape(value)), None))
}

/// Bytes of a size: a number with a unit (`2G`, `2g`, `2GB`, `2GiB`; K, M, G, T, P, E, and B for bytes) or without.
pub fn bytes_of(text: &str) -> Option<u64> {
    let (number, shift, _) = parts(text)?;
    number.checked_mul(1 << shift)
}

/// A number of something else than bytes, with the same units but no B behind them (`200k` inodes).
pub fn count_of(text: &str) -> Option<u64> {
    bytes_of(text).filter(|_| !text.ends_with(['b', 'B']))
}

/// A size as the kernel's memparse takes it, which knows no B: `2GiB` is `2G`.
pub fn for_kernel(text: &str) -> Option<String> {
    bytes_of(text)?;
    let (_, _, kept) = parts(text)?;
    text.get(..kept).map(str::to_owned)
}

/// Percent: `1%` to `100%`.
pub fn percent_of(text: &str) -> Option<u8> {
    let number = text.strip_suffix('%')?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|percent| digits && (1..=100).contains(percent))
}

/// The number, the power of two of its unit, and how many bytes of the text both take without `B` and `iB`.
fn parts(text: &str) -> Option<(u64, u32, usize)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let number = number.parse().ok()?;
    let mut letters = unit.chars();
    let shift = match letters.next().map(|letter| letter.to_ascii_lowercase()) {
        None => return Some((number, 0, digits)),
        Some('b') if letters.as_str().is_empty() => return Some((number, 0, digits)),
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some('e') => 60,
        Some(_) => return None,
    };
    let rest = letters.as_str();
    let plain = rest.is_empty() || rest.eq_ignore_ascii_case("b") || rest.eq_ignore_ascii_case("ib");
    plain.then_some((number, shift, digits + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rounded() {
        assert_eq!((rounded(0), rounded(1536), rounded(3 << 30)), ("0.0 B".into(), "1.5 KiB".into(), "3.0 GiB".into()));
    }

    #[test]
    fn every_spelling_that_people_use() {
        let table: [(u32, &[&str]); 6] = [
            (0, &["3", "3B", "3b"]),
            (10, &["3k", "3K", "3KB", "3kB", "3KiB", "3kib", "3KIB"]),
            (20, &["3m", "3M", "3MB", "3MiB", "3mb"]),
            (30, &["3g", "3G", "3GB", "3GiB", "3Gb"]),
            (40, &["3t", "3T", "3TB", "3TiB"]),
            (50, &["3P", "3PB", "3PiB"]),
        ];
        for (shift, texts) in table {
            for text in texts {
                assert_eq!(bytes_of(text), Some(3 << shift), "{text}");
            }
        }
        for bad in ["", "G", "GB", "1.5G", "0x10", "-1", "+1", "1 G", "1GG", "1Gi", "1iB", "1BB", "1Bk", "1é", "50%"] {
            assert_eq!((bytes_of(bad), for_kernel(bad)), (None, None), "{bad}");
        }
        assert_eq!((bytes_of("15E"), bytes_of("16E"), bytes_of("99999999999T")), (Some(15 << 60), None, None));
    }

    #[test]
    fn the_kernel_gets_its_own_spelling() {
        for (text, kernel) in
            [("2GiB", "2G"), ("2gb", "2g"), ("2G", "2G"), ("512B", "512"), ("512", "512"), ("1KB", "1K")]
        {
            assert_eq!(for_kernel(text).as_deref(), Some(kernel), "{text}");
        }
        assert_eq!(for_kernel("99999999999TB"), None);
    }

    #[test]
    fn percentages() {
        assert_eq!((percent_of("1%"), percent_of("100%"), percent_of("050%")), (Some(1), Some(100), Some(50)));
        for bad in ["", "%", "0%", "101%", "+5%", "-5%", "1.5%", "5", "5 %", "5%%"] {
            assert_eq!(percent_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn inodes_are_no_bytes() {
        assert_eq!((count_of("200k"), count_of("7")), (Some(204_800), Some(7)));
        for bad in ["200kB", "200KiB", "7B", "1.5k", ""] {
            assert_eq!(count_of(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_the_kernel_gets_is_the_same_size(text in "[0-9]{0,21}[kmgtpebiKMGTPEBI]{0,4}") {
            let kernel = for_kernel(&text);
            proptest::prop_assert_eq!(kernel.as_deref().and_then(bytes_of), bytes_of(&text));
            proptest::prop_assert!(kernel.is_none_or(|kernel| !kernel.ends_with(['b', 'B', 'i', 'I'])));
        }
    }
}
