// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot left for the next one, and whether that did it: thawed once, or counted.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::scenario::Situation;

/// What a guest says that has no overlay.
pub(crate) const THAWED: &str = "THAWED\n";
/// Tries that `guest/powercut.sh` writes.
const TRIES: u64 = 50;

/// Requests of one chain.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// A thawed boot came up, and none with the overlay since.
    thawed: bool,
    /// The tries were on the disk.
    counted: bool,
}

impl Request {
    /// Whether this boot, which came up, has no overlay because one before it asked for that.
    ///
    /// # Errors
    /// Where it has none for the second time, or the count is not what was written less the boots since.
    pub(crate) fn check(&mut self, situation: Situation, said: &str) -> Result<bool> {
        match situation {
            Situation::Thaw => {
                let failed = said.lines().find(|line| line.starts_with("THAW failed"));
                ensure!(failed.is_none(), "{failed:?}");
                let thawed = said.contains(THAWED);
                ensure!(!(thawed && self.thawed), "thawed again, for one request");
                self.thawed = thawed;
                Ok(thawed)
            }
            Situation::Tries => {
                let boots = said.lines().find_map(|line| line.strip_prefix("BOOTS ")).context("no BOOTS")?;
                if self.counted {
                    let boots: Value = serde_json::from_str(boots).with_context(|| format!("the count: {boots}"))?;
                    let left = boots.get("tries").and_then(Value::as_u64).unwrap_or_default();
                    // This boot, and at most two that were cut before they came to write it anew.
                    ensure!((TRIES - 3..TRIES).contains(&left), "not counted: {boots}");
                }
                self.counted |= said.contains("ASKED\n");
                Ok(false)
            }
            Situation::Create
            | Situation::Ordinary
            | Situation::Load
            | Situation::Reset
            | Situation::Grow
            | Situation::Commit => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_is_one_boot() {
        let mut request = Request::default();
        let mut check = |said: &str| request.check(Situation::Thaw, said);
        assert!(!check("UP\nREADY\n").unwrap() && check("UP\nTHAWED\nREADY\n").unwrap());
        assert!(check("UP\nTHAWED\nREADY\n").is_err() && !check("UP\nREADY\n").unwrap());
        assert!(check("UP\nTHAWED\nREADY\n").unwrap() && check("THAW failed: x\n").is_err());
    }

    #[test]
    fn each_boot_is_counted() {
        let mut request = Request::default();
        let mut check = |said: &str| request.check(Situation::Tries, said);
        check("BOOTS \nREADY\nASKED\n").unwrap();
        check("BOOTS {\"tries\":49}\nREADY\n").unwrap();
        for bad in ["BOOTS {\"tries\":50}\n", "BOOTS \n", "BOOTS {\"tri\n", "BOOTS {\"tries\":46}\n", "READY\n"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
