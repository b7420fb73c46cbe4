// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl pull` decides on its way: when to try again, what to run in which order, who signed.

use overlayroot_core::feature::pulled::{Ran, Script};
use std::time::Duration;

/// How long to wait after so many tries that failed: 5 s, doubled up to 5 min, and so that the last try is at the
/// end of `total`; `None` where that is over.
pub fn wait(tries: u32, elapsed: Duration, total: Duration) -> Option<Duration> {
    const FIRST: Duration = Duration::from_secs(5);
    const MOST: Duration = Duration::from_secs(300);
    let left = total.checked_sub(elapsed).filter(|left| !left.is_zero())?;
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    Some(doubled.min(MOST).min(left))
}

/// An entry of [`SCRIPTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; what can be shown of it where that is not UTF-8.
    pub name: Result<String, String>,
    /// A regular file, not a link to one.
    pub is_file: bool,
    /// Its owner may execute it.
    pub executable: bool,
}

/// What is run, in the order of the bytes of the names, and what is left out and why. Hidden files are for others.
pub fn to_run(entries: Vec<Entry>) -> Vec<Script> {
    let mut scripts: Vec<Script> = entries.into_iter().map(script).collect();
    scripts.retain(|script| !script.name.starts_with('.'));
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    scripts
}

fn script(entry: Entry) -> Script {
    let (name, utf8) = match entry.name {
        Ok(name) => (name, true),
        Err(lossy) => (lossy, false),
    };
    let why = match (utf8, entry.is_file, entry.executable) {
        (true, true, true) => None,
        (false, ..) => Some("its name is not UTF-8"),
        (_, false, _) => Some("no regular file"),
        (_, _, false) => Some("not executable"),
    };
    let result = if why.is_some() { Ran::LeftOut } else { Ran::NotRun };
    Script { name, result, status: None, ms: 0, text: why.map(str::to_owned) }
}

/// Who signed, from what `git verify-commit` or `verify-tag` says: ssh-keygen's line (ssh-keygen(1), -Y). A
/// signature of a key that is not allowed has no `for`.
pub fn signer(said: &str) -> Option<String> {
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("Good \"git\" signature for "));
    let (principal, key) = lines.next()?.rsplit_once(" with ")?;
    Some(format!("{principal} ({})", key.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let seconds = |tries, elapsed, total| {
            wait(tries, Duration::from_secs(elapsed), Duration::from_secs(total)).map(|wait| wait.as_secs())
        };
        let mut elapsed = 0;
        let mut waits = Vec::new();
        while let Some(next) = seconds(u32::try_from(waits.len()).unwrap() + 1, elapsed, 900) {
            elapsed += next;
            waits.push(next);
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 285]);
        assert_eq!(seconds(1, 0, 0), None);
        assert_eq!(seconds(u32::MAX, 0, 3600), Some(300));
    }

    #[test]
    fn what_runs_in_which_order() {
        let entry = |name: &str, is_file, executable| Entry { name: Ok(name.to_owned()), is_file, executable };
        let found = to_run(vec![
            entry("b", true, true),
            entry("9", true, true),
            entry("a", false, true),
            entry("10", true, true),
            entry("B", true, false),
            entry(".keep", true, true),
            Entry { name: Err("\u{fffd}".into()), is_file: true, executable: true },
        ]);
        let words: Vec<String> = found
            .iter()
            .map(|script| format!("{} {}", script.name, script.text.as_deref().unwrap_or("runs")))
            .collect();
        assert_eq!(
            words,
            ["10 runs", "9 runs", "B not executable", "a no regular file", "b runs", "\u{fffd} its name is not UTF-8"]
        );
    }

    #[test]
    fn only_an_allowed_signer_is_one() {
        assert_eq!(
            signer("Good \"git\" signature for ops@x with ED25519 key SHA256:abc\n").as_deref(),
            Some("ops@x (ED25519 key SHA256:abc)")
        );
        for said in [
            "",
            "Good \"git\" signature with ED25519 key SHA256:abc\nNo principal matched.\n",
            "[GNUPG:] GOODSIG 12 Good \"git\" signature for ops@x with x",
            "Good \"file\" signature for ops@x with ED25519 key SHA256:abc",
        ] {
            assert_eq!(signer(said), None, "{said}");
        }
    }
}
