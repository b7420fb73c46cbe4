// SPDX-License-Identifier: GPL-2.0-or-later
//! Boots without the overlay, as `overlayctl thaw` asked for: a file in the lower, which each kind of upper has. The
//! initramfs counts it down before the system starts, so that a machine which dies in its update comes back frozen.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// The program that reads and counts, before the overlay is planned.
pub const PROGRAM: &str = "overlay-thaw";
/// Code of the reason in the record of a boot that was to be thawed and is not.
pub const CODE: &str = "thaw";
/// Directory of the request and the result, from the root of the lower.
pub const DIR: &str = "/var/lib/overlayroot-rs";
/// Name of the request in [`DIR`].
pub const REQUEST: &str = "thaw.json";
/// Name of what became of it.
pub const RESULT: &str = "thawed.json";
/// Most bytes of a command line.
const LONGEST: usize = 4096;
/// Most boots that may be asked for.
pub const MOST: u32 = 100;
/// Seconds that such a boot may be given.
pub const SECONDS: RangeInclusive<u64> = 60..=7 * 86_400;
/// Seconds where nothing is said.
pub const USUAL: u64 = 3600;
/// Version of [`Thawed`]; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What is done in a thawed boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// The system's own updater.
    #[default]
    Update,
    /// Nothing: somebody works by hand.
    Nothing,
    /// A command line for `/bin/sh`.
    Run(String),
}

/// The request. A field of a later version is refused: it could be the one that limits it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// How many boots are still to be thawed.
    pub boots: u32,
    /// Seconds after which such a boot ends.
    #[serde(rename = "for")]
    pub seconds: u64,
    /// What is done in it.
    #[serde(default)]
    pub work: Work,
}

impl Asked {
    /// The same as it was read, unless it says what is never written.
    pub fn valid(self) -> Option<Self> {
        let command = !matches!(&self.work, Work::Run(line) if line.is_empty() || line.len() > LONGEST);
        ((1..=MOST).contains(&self.boots) && SECONDS.contains(&self.seconds) && command).then_some(self)
    }

    /// What is left of it once a boot is counted.
    pub fn after(&self) -> Option<Self> {
        let boots = self.boots.checked_sub(1).filter(|boots| *boots > 0)?;
        Some(Self { boots, ..self.clone() })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.boots {
            1 => write!(f, "thawed: no overlay, and changes are permanent; ")?,
            boots => write!(f, "thawed, {boots} times: no overlay, and changes are permanent; ")?,
        }
        match &self.work {
            Work::Update => write!(f, "updates the system")?,
            Work::Nothing => write!(f, "is for work by hand")?,
            Work::Run(command) => write!(f, "runs {}", crate::value::diagnostics::escape(command))?,
        }
        write!(f, ", and reboots after {} at the latest", time(self.seconds))
    }
}

/// `90m`, `2h`, `3600`.
///
/// # Errors
/// Anything else, and what is not within [`SECONDS`].
pub fn parse_time(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, text.get(digits.len()..).unwrap_or_default()),
        None => (text, "s"),
    };
    let each = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 1,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.parse::<u64>().ok().filter(|_| plain).and_then(|number| number.checked_mul(each));
    seconds
        .filter(|seconds| SECONDS.contains(seconds))
        .ok_or_else(|| "not a time such as 45m, 2h or 3600, from 1m to 7d".to_owned())
}

/// A time for a person: the largest unit that leaves nothing.
fn time(seconds: u64) -> String {
    let whole = [(86_400, "d"), (3600, "h"), (60, "min")].into_iter().find(|(each, _)| seconds % each == 0);
    whole.map_or_else(|| format!("{seconds} s"), |(each, unit)| format!("{} {unit}", seconds / each))
}

/// What became of the work of a thawed boot (`/var/lib/overlayroot-rs/thawed.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thawed {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it ended, in seconds since 1970.
    pub at: u64,
    /// The command, in words.
    pub ran: String,
    /// Its exit status; null where it could not be started, or was ended.
    pub status: Option<i32>,
    /// Why it did not end well; null where it did.
    pub why: Option<String>,
    /// What `overlayctl doctor` says of the next boot: `ok`, `warnings`, `problems`, or null where it could not be asked.
    pub doctor: Option<String>,
    /// Whether the initramfs had to be built, for the update had not done so.
    pub built: bool,
    /// Seconds that all of it took.
    pub took_s: u64,
}

impl Thawed {
    /// Whether all went well.
    pub fn is_good(&self) -> bool {
        self.why.is_none() && self.doctor.as_deref() != Some("problems")
    }
}

impl fmt::Display for Thawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", crate::value::diagnostics::escape(&self.ran))?;
        match &self.why {
            None => write!(f, "done in {} s", self.took_s)?,
            Some(why) => write!(f, "{}, after {} s", crate::value::diagnostics::escape(why), self.took_s)?,
        }
        if self.built {
            write!(f, "; the initramfs was rebuilt")?;
        }
        match self.doctor.as_deref() {
            Some("ok") | None => Ok(()),
            Some(word) => write!(f, "; overlayctl doctor found {}", crate::value::diagnostics::escape(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Asked> {
        serde_json::from_str::<Asked>(text).ok().and_then(Asked::valid)
    }

    #[test]
    fn requests() {
        let once = asked(r#"{"boots":1,"for":3600}"#).unwrap();
        assert_eq!((once.after(), &once.work), (None, &Work::Update));
        let twice = asked(r#"{"boots":2,"for":60,"work":{"run":"apt-get update"}}"#).unwrap();
        assert_eq!(twice.after().unwrap().boots, 1);
        assert_eq!(
            twice.to_string(),
            "thawed, 2 times: no overlay, and changes are permanent; runs apt-get update, and reboots after 1 min at \
             the latest"
        );
        assert!(once.to_string().ends_with("; updates the system, and reboots after 1 h at the latest"));
        let again: Asked = serde_json::from_str(&serde_json::to_string(&twice).unwrap()).unwrap();
        assert_eq!(again, twice);
        for bad in [
            r#"{"boots":0,"for":3600}"#,
            r#"{"boots":101,"for":3600}"#,
            r#"{"boots":1,"for":59}"#,
            r#"{"boots":1,"for":3600,"until":"noon"}"#,
            r#"{"boots":1,"for":3600,"work":{"run":""}}"#,
            r#"{"boots":-1,"for":3600}"#,
            r#"{"for":3600}"#,
            "",
        ] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }

    #[test]
    fn times() {
        for (text, seconds) in [("3600", 3600), ("60s", 60), ("90m", 5400), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(parse_time(text), Ok(seconds), "{text}");
        }
        for bad in ["", "h", "59", "1", "0m", "8d", "-1h", "1.5h", "1h30m", " 1h", "+1h", "18446744073709551615d"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        assert_eq!((time(5400), time(7200), time(61)), ("90 min".to_owned(), "2 h".to_owned(), "61 s".to_owned()));
    }

    #[test]
    fn results_in_words() {
        let good = Thawed {
            schema: SCHEMA,
            at: 0,
            ran: "dnf -y upgrade".into(),
            status: Some(0),
            why: None,
            doctor: Some("ok".into()),
            built: false,
            took_s: 61,
        };
        assert_eq!(good.to_string(), "dnf -y upgrade: done in 61 s");
        let bad =
            Thawed { why: Some("exited with 1".into()), doctor: Some("problems".into()), built: true, ..good.clone() };
        assert_eq!(
            bad.to_string(),
            "dnf -y upgrade: exited with 1, after 61 s; the initramfs was rebuilt; overlayctl doctor found problems"
        );
        assert!(good.is_good() && !bad.is_good());
    }
}
