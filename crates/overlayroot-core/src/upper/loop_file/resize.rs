// SPDX-License-Identifier: GPL-2.0-or-later
//! How large a loop file may get while it is in use.

use crate::upper::loop_file::LoopFile;
use crate::value::amount::{Amount, told};

/// Bytes to grow the upper's loop file to, in whole MiB. `now`: of the file, `all`: of the file system that holds it.
///
/// # Errors
/// Where that is not more.
pub fn larger(size: Amount, now: u64, all: u64) -> Result<u64, String> {
    let bytes = size.of(now, all) >> 20 << 20;
    match bytes > now {
        true => Ok(bytes),
        false => Err(format!(
            "{} is not more than the {} of the file, and a mounted file system is not made smaller; for \
             a smaller file, boot with rd.overlay=0 and create it again",
            told(bytes),
            told(now)
        )),
    }
}

impl LoopFile {
    /// Whether the file system that holds it has room for `more` bytes. `all`, `available`: of that file system.
    ///
    /// # Errors
    /// Where it has not: what is in reserve stays.
    pub fn has_room(&self, more: u64, all: u64, available: u64) -> Result<(), String> {
        let keep = self.reserved(all);
        let free = available.saturating_sub(keep);
        match more <= free {
            true => Ok(()),
            false => {
                let (more, free, keep) = (told(more), told(free), told(keep));
                Err(format!("{more} more are needed, and {free} are available: {keep} stay in reserve"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upper::loop_file::parse_loop;

    const MIB: u64 = 1 << 20;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn a_file_only_grows() {
        assert_eq!(larger(amount("+100M"), 128 * MIB, 1000 * MIB), Ok(228 * MIB));
        assert_eq!(larger(amount("50%"), 128 * MIB, 1001 * MIB), Ok(500 * MIB));
        for less in ["128M", "10%", "1k"] {
            assert!(larger(amount(less), 128 * MIB, 1000 * MIB).unwrap_err().contains("not made smaller"), "{less}");
        }
    }

    #[test]
    fn the_reserve_stays() {
        let file = parse_loop("/f,reserve=100M").unwrap();
        assert_eq!(file.has_room(400 * MIB, 1000 * MIB, 500 * MIB), Ok(()));
        let why = file.has_room(401 * MIB, 1000 * MIB, 500 * MIB).unwrap_err();
        assert_eq!(why, "401M more are needed, and 400M are available: 100M stay in reserve");
        assert!(file.has_room(1, 1000 * MIB, 50 * MIB).is_err());
    }
}
