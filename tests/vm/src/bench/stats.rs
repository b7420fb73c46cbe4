// SPDX-License-Identifier: GPL-2.0-or-later
//! Medians, ranges, and figures as text.

use anyhow::{Result, ensure};

/// The median of repeated measurements, and their range, in the unit that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) median: i64,
    pub(crate) least: i64,
    pub(crate) most: i64,
}

impl Spread {
    /// Of an even number of figures the upper of the two in the middle.
    ///
    /// # Errors
    /// Where there is no figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = i64>) -> Result<Self> {
        let mut all: Vec<i64> = figures.into_iter().collect();
        all.sort_unstable();
        let found = (all.get(all.len() / 2), all.first(), all.last());
        let (Some(&median), Some(&least), Some(&most)) = found else {
            anyhow::bail!("nothing was measured");
        };
        Ok(Self { median, least, most })
    }

    /// `median (least to most)`, divided and with so many digits behind the point.
    pub(crate) fn text(self, divisor: u32, digits: usize) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(|figure| scaled(figure, divisor, digits));
        format!("{median} ({least} to {most})")
    }

    /// The ratio of two medians.
    pub(crate) fn ratio(self, other: Self) -> f64 {
        self.median as f64 / other.median as f64
    }
}

/// The differences of what was measured in the same rounds.
///
/// # Errors
/// Where one side has more rounds than the other.
pub(crate) fn differences(left: &[i64], right: &[i64]) -> Result<Spread> {
    ensure!(left.len() == right.len(), "{} rounds beside {}", left.len(), right.len());
    Spread::of(left.iter().zip(right).map(|(left, right)| left - right))
}

/// A figure divided, with so many digits behind the point.
pub(crate) fn scaled(figure: i64, divisor: u32, digits: usize) -> String {
    format!("{:.digits$}", figure as f64 / f64::from(divisor))
}

/// Microseconds in a unit that a person reads: `870 us`, `4.2 ms`, `430 ms`, `1.24 s`.
pub(crate) fn span(us: i64) -> String {
    match us {
        ..1000 => format!("{us} us"),
        1000..10_000 => format!("{} ms", scaled(us, 1000, 1)),
        10_000..1_000_000 => format!("{} ms", scaled(us, 1000, 0)),
        1_000_000.. => format!("{} s", scaled(us, 1_000_000, 2)),
    }
}

/// Bytes in a unit that a person reads: `0`, `12 KiB`, `400 MiB`.
pub(crate) fn size(bytes: i64) -> String {
    match bytes {
        ..1024 => bytes.to_string(),
        1024..1_048_576 => format!("{} KiB", scaled(bytes, 1024, 0)),
        1_048_576.. => format!("{} MiB", scaled(bytes, 1_048_576, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let spread = Spread::of([30, 10, 20]).unwrap();
        assert_eq!(spread, Spread { median: 20, least: 10, most: 30 });
        assert_eq!(Spread::of([4, 1, 2, 3]).unwrap().median, 3);
        assert_eq!(Spread::of([7]).unwrap(), Spread { median: 7, least: 7, most: 7 });
        assert!(Spread::of([]).is_err());
        assert_eq!(spread.text(10, 1), "2.0 (1.0 to 3.0)");
        assert!((spread.ratio(Spread::of([8]).unwrap()) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn differences_are_of_the_same_rounds() {
        // the medians alone differ by 10
        assert_eq!(differences(&[110, 130, 120], &[100, 110, 125]).unwrap().text(1, 0), "10 (-5 to 20)");
        assert!(differences(&[1, 2], &[1]).is_err());
        assert!(differences(&[], &[]).is_err());
    }

    #[test]
    fn figures_have_units_that_are_read() {
        let spans = [870, 4200, 430_000, 1_240_000].map(span);
        assert_eq!(spans, ["870 us", "4.2 ms", "430 ms", "1.24 s"]);
        assert_eq!([0, 12_288, 400 << 20].map(size), ["0", "12 KiB", "400 MiB"]);
        assert_eq!(size(-4096), "-4096");
    }
}
