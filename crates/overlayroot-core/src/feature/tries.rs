// SPDX-License-Identifier: GPL-2.0-or-later
//! Which upper the next boots use, and how often they try it before they return: `.overlayroot/boot.json` on the upper's
//! file system. Without tries nothing is counted.

use crate::layout::{DEFAULT_UPPER, parse_name};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The program that reads and counts, before the overlay is planned.
pub const PROGRAM: &str = "overlay-tries";
/// Code of the reason in the record of the boot that returned.
pub const RETURNED: &str = "returned";
/// How the file begins that wants the default upper: the one use of it where nothing reads JSON.
pub const WANTS_DEFAULT: &[u8] = b"{\"want\":{\"upper\":\"overlay\"}";
/// Most tries that may be asked for.
pub const MOST: u32 = 100;

/// Seconds that a boot may be given.
pub const TIMEOUT: RangeInclusive<u32> = 30..=86_400;

/// What a boot uses; a later version may name more than an upper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Name of the upper.
    pub upper: String,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boots {
    /// What the next boot uses.
    pub want: Set,
    /// How many more boots may try it; none where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// What is used when there are none left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Set>,
    /// Seconds after which a boot that is tried, and not good by then, is ended by a reboot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// What the last return came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Set>,
}

/// What one boot does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Uses this upper, and counts nothing.
    Use(String),
    /// Uses it for one of its tries; the file is to be this one before.
    Try(String, Boots),
    /// Uses the last good one; the file is to be this one before.
    Return {
        /// The upper.
        to: String,
        /// The file.
        then: Boots,
        /// One sentence for the record.
        why: String,
    },
    /// Makes the upper that is wanted, for it is gone.
    New {
        /// The upper.
        upper: String,
        /// One sentence for the record.
        why: String,
    },
}

impl Turn {
    /// The upper of this boot.
    pub fn upper(&self) -> &str {
        match self {
            Self::Use(upper) | Self::Try(upper, _) | Self::Return { to: upper, .. } | Self::New { upper, .. } => upper,
        }
    }

    /// Why it is not what was wanted, if it is not.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Use(_) | Self::Try(..) => None,
            Self::Return { why, .. } | Self::New { why, .. } => Some(why),
        }
    }
}

impl Boots {
    /// The same as it was read, unless it says what is never written: a name that is none, tries without a way back, or
    /// more of them, or less time, than can be asked for.
    pub fn valid(self) -> Option<Self> {
        let mut names = std::iter::once(&self.want).chain(&self.good);
        let names = names.all(|set| parse_name(&set.upper).is_ok());
        let back = self.good.as_ref().is_some_and(|good| *good != self.want);
        let tries = self.tries.is_none_or(|tries| tries <= MOST && back);
        let timeout = self.timeout.is_none_or(|seconds| TIMEOUT.contains(&seconds));
        (names && tries && timeout).then_some(self)
    }

    /// What the next boot does, where `exists` tells which uppers there are: one that is gone is not made anew in silence.
    pub fn turn(&self, exists: impl Fn(&str) -> bool) -> Turn {
        let want = &self.want.upper;
        let is_there = |name: &str| name == DEFAULT_UPPER || exists(name);
        let good = self.good.as_ref().filter(|good| good.upper != *want && is_there(&good.upper));
        match (self.tries, good) {
            (Some(0), Some(good)) => self.back(good, format!("the upper {want} failed at each of its tries")),
            (_, Some(good)) if !is_there(want) => self.back(good, format!("the upper {want} does not exist")),
            _ if !is_there(want) => {
                let why = format!("the upper {want} does not exist: this boot makes a new one, with no changes in it");
                Turn::New { upper: want.clone(), why }
            }
            (Some(tries @ 1..), _) => Turn::Try(want.clone(), Self { tries: Some(tries - 1), ..self.clone() }),
            (None | Some(0), _) => Turn::Use(want.clone()),
        }
    }

    fn back(&self, good: &Set, why: String) -> Turn {
        let then = Self { want: good.clone(), returned: Some(self.want.clone()), ..Self::default() };
        let why = format!("{why}; this boot uses the last good one, {}, and the next ones, too", good.upper);
        Turn::Return { to: good.upper.clone(), then, why }
    }

    /// The file once a boot is good.
    pub fn good(&self) -> Self {
        Self { want: self.want.clone(), ..Self::default() }
    }

    /// One line for a person.
    pub fn words(&self) -> String {
        let want = &self.want.upper;
        let returned = self.returned.as_ref().map(|set| format!("; returned from {}", set.upper)).unwrap_or_default();
        match (self.tries, &self.good) {
            (Some(0), Some(good)) => format!("returns to the upper {}: {want} has no tries left", good.upper),
            (Some(tries), Some(good)) => {
                let tries = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
                format!("uses the upper {want}, {tries} left, then {} again", good.upper)
            }
            (_, _) => format!("uses the upper {want}{returned}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(upper: &str) -> Set {
        Set { upper: upper.to_owned() }
    }

    #[test]
    fn three_tries_and_then_the_good_one() {
        let mut boots = Boots { want: set("new"), tries: Some(3), good: Some(set("overlay")), ..Boots::default() };
        for left in [2, 1, 0] {
            assert!(
                boots.words().contains(&format!(
                    "{} left",
                    if left == 0 { "1 try".into() } else { format!("{} tries", left + 1) }
                ))
            );
            let Turn::Try(upper, then) = boots.turn(|_| true) else { panic!("{boots:?}") };
            assert_eq!((upper.as_str(), then.tries), ("new", Some(left)));
            boots = then;
        }
        let Turn::Return { to, then, why } = boots.turn(|_| true) else { panic!("{boots:?}") };
        assert!(to == "overlay" && why.contains("new failed at each of its tries"), "{why}");
        // It does not come back to what failed.
        assert_eq!(then.turn(|_| true), Turn::Use("overlay".to_owned()));
        assert!(then.words().ends_with("uses the upper overlay; returned from new"), "{}", then.words());
    }

    #[test]
    fn the_default_one_is_told_by_the_beginning() {
        let boots = |upper| Boots { want: set(upper), tries: Some(1), ..Boots::default() };
        let begins = |upper| serde_json::to_string(&boots(upper)).unwrap().as_bytes().starts_with(WANTS_DEFAULT);
        assert!(begins("overlay") && !begins("overlay2") && !begins("work"));
    }

    #[test]
    fn a_good_boot_ends_it_and_one_that_is_gone_is_not_made() {
        let boots =
            Boots { want: set("new"), tries: Some(2), good: Some(set("old")), timeout: Some(60), ..Boots::default() };
        assert_eq!(boots.good(), Boots { want: set("new"), ..Boots::default() });
        assert_eq!(boots.good().turn(|_| true), Turn::Use("new".to_owned()));
        let Turn::Return { to, why, .. } = boots.turn(|name| name == "old") else { panic!() };
        assert!(to == "old" && why.contains("does not exist"), "{why}");
        let gone = boots.good().turn(|_| false);
        assert!(gone.upper() == "new" && gone.why().unwrap().contains("makes a new one"), "{gone:?}");
        let both = boots.turn(|_| false);
        assert!(both.upper() == "new" && both.why().unwrap().contains("makes a new one"), "{both:?}");
        // The default one is made where there is none, as ever.
        let default = Boots { want: set("overlay"), ..Boots::default() };
        assert_eq!(default.turn(|_| false), Turn::Use("overlay".to_owned()));
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        let text = r#"{"want":{"upper":"work"},"tries":3,"good":{"upper":"overlay","stack":"later"},"new":1}"#;
        let read = |text: &str| serde_json::from_str::<Boots>(text).ok().and_then(Boots::valid);
        assert_eq!(read(text).unwrap().tries, Some(3));
        for bad in [
            "",
            "{}",
            "{\"want\":{\"upper\":\"../x\"}}",
            "{\"want\":{\"upper\":\"a.1\"}}",
            "{\"want\":{\"upper\":\"a\"},\"tries\":-1}",
            "{\"want\":{\"upper\":\"a\"},\"tries\":3}",
            "{\"want\":{\"upper\":\"a\"},\"tries\":3,\"good\":{\"upper\":\"a\"}}",
            "{\"want\":{\"upper\":\"a\"},\"tries\":4294967295,\"good\":{\"upper\":\"b\"}}",
            "{\"want\":{\"upper\":\"a\"},\"tries\":3,\"good\":{\"upper\":\"b\"},\"timeout\":1}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
