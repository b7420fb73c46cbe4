// SPDX-License-Identifier: GPL-2.0-or-later
//! A size, or a number, that depends on what is there: `2G`, `50%`, `+512M`.

use crate::value::diagnostics::escape;
use crate::value::size::{bytes_of, count_of, human};

/// A size, or a number of inodes, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Exactly(u64),
    /// Percent, from 1 on: of RAM, or of the file system that holds the upper.
    Percent(u64),
    /// So many more.
    More(u64),
}

impl Amount {
    /// `2G`, `2GiB`, `50%`, `+512M`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let found = match (text.strip_prefix('+'), text.strip_suffix('%')) {
            (Some(more), None) => bytes_of(more).filter(|_| digit(more)).map(Self::More),
            (None, Some(percent)) => {
                percent.parse().ok().filter(|n| digit(percent) && (1..=1000).contains(n)).map(Self::Percent)
            }
            (None, None) => bytes_of(text).filter(|_| digit(text)).map(Self::Exactly),
            (Some(_), Some(_)) => None,
        };
        found
            .filter(|amount| !matches!(amount, Self::Exactly(0) | Self::More(0)))
            .ok_or_else(|| format!("'{}' is not a size such as 2G, 2GiB, +512M or 50%, and more than 0", escape(text)))
    }

    /// A number of inodes: `200k`, `+50000`.
    ///
    /// # Errors
    /// Anything else, percentages among it.
    pub fn parse_count(text: &str) -> Result<Self, String> {
        let plain = text.strip_prefix('+').unwrap_or(text);
        let amount = Self::parse(text).ok().filter(|_| count_of(plain).is_some());
        amount.ok_or_else(|| format!("'{}' is not a number such as 200k or +50k", escape(text)))
    }

    /// The number it comes to, where `now` are there, and percent are of `all`.
    pub fn of(self, now: u64, all: u64) -> u64 {
        match self {
            Self::Exactly(number) => number,
            Self::More(number) => now.saturating_add(number),
            Self::Percent(percent) => {
                let part = u128::from(all) * u128::from(percent) / 100;
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Bytes for a person.
pub fn told(bytes: u64) -> String {
    let whole = bytes >> 20 << 20;
    if bytes >> 20 == 0 { human(bytes >> 10 << 10) } else { human(whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn sizes() {
        assert_eq!(amount("2G"), Amount::Exactly(2 << 30));
        assert_eq!(amount("50%"), Amount::Percent(50));
        assert_eq!(amount("+512M"), Amount::More(512 * MIB));
        assert_eq!(amount("1024"), Amount::Exactly(1024));
        for bad in ["", "0", "+0", "0%", "+50%", "-1G", "++1", "+", "%", "1.5G", "2GX", "+-1", "1001%", "G", " 1G"] {
            assert!(Amount::parse(bad).unwrap_err().contains("50%"), "{bad}");
        }
        assert_eq!(Amount::parse_count("200k"), Ok(Amount::Exactly(204_800)));
        assert_eq!((amount("2GiB"), amount("+1gb")), (Amount::Exactly(2 << 30), Amount::More(1 << 30)));
        for bad in ["50%", "x", "200kB", "+1MiB", "0", "++1"] {
            assert!(Amount::parse_count(bad).is_err(), "{bad}");
        }
    }

    /// As the core's test of the same name: one size everywhere that takes one.
    #[test]
    fn every_spelling_of_a_size_is_taken() {
        for size in
            ["2G", "2g", "2GB", "2gb", "2GiB", "2048M", "2048MB", "2048MiB", "2097152KiB", "2097152k", "2147483648"]
        {
            assert_eq!(Amount::parse(&format!("+{size}")).unwrap(), Amount::More(2 << 30), "{size}");
        }
    }
}
