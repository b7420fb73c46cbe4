// SPDX-License-Identifier: GPL-2.0-or-later
//! How large an upper in RAM may get while it is in use.

use crate::upper::resize::Usage;
use crate::value::amount::{Amount, told};

/// New limits of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, whole pages.
    pub bytes: Option<u64>,
    /// Inodes.
    pub inodes: Option<u64>,
    /// What is worth saying before it is done.
    pub warnings: Vec<String>,
}

impl Limits {
    /// Options of the remount.
    pub fn options(&self) -> String {
        let size = self.bytes.map(|bytes| format!("size={bytes}"));
        let inodes = self.inodes.map(|inodes| format!("nr_inodes={inodes}"));
        size.into_iter().chain(inodes).collect::<Vec<_>>().join(",")
    }
}

const PAGE: u64 = 4096;

/// New limits of the tmpfs that is the upper. `force`: also beyond what RAM and swap hold.
///
/// # Errors
/// Why it can't be: less than is in it, larger than memory, or the kernel does not do it while it is mounted.
pub fn limits(size: Option<Amount>, inodes: Option<Amount>, now: &Usage, force: bool) -> Result<Limits, String> {
    let mut limits = Limits::default();
    if let Some(size) = size {
        if now.bytes == 0 {
            return Err("the upper has no limit of bytes, and a tmpfs can't be given one while it is mounted: \
                        rd.overlay=tmpfs:size=SIZE does at the next boot"
                .to_owned());
        }
        let bytes = size.of(now.bytes, now.ram) / PAGE * PAGE;
        if bytes < now.used || bytes == 0 {
            return Err(format!("{} is less than the {} in use", told(bytes), told(now.used)));
        }
        let most = now.ram.saturating_add(now.swap);
        if most > 0 && bytes > most {
            let (bytes, most) = (told(bytes), told(most));
            let text = format!("{bytes} is larger than RAM and swap ({most}): the system would run out of memory");
            if !force {
                return Err(format!("{text}; --force resizes it anyway"));
            }
            limits.warnings.push(text);
        }
        limits.bytes = Some(bytes);
    }
    if let Some(inodes) = inodes {
        if now.inodes == 0 {
            return Err("the upper has no limit of inodes, and a tmpfs can't be given one while it is mounted: \
                        rd.overlay=tmpfs:nr_inodes=N does at the next boot"
                .to_owned());
        }
        let number = inodes.of(now.inodes, 0);
        if number < now.inodes_used {
            return Err(format!("{number} inodes are less than the {} in use", now.inodes_used));
        }
        limits.inodes = Some(number);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn upper() -> Usage {
        let (bytes, used, inodes, inodes_used) = (512 * MIB, 300 * MIB, 1000, 400);
        Usage { bytes, used, inodes, inodes_used, ram: 1000 * MIB, swap: 200 * MIB }
    }

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn a_tmpfs_grows_and_shrinks_down_to_what_is_in_it() {
        let bytes =
            |text: &str| limits(Some(amount(text)), None, &upper(), false).map(|found| found.bytes.unwrap() / MIB);
        assert_eq!((bytes("800M"), bytes("+100M"), bytes("40%"), bytes("300M")), (Ok(800), Ok(612), Ok(400), Ok(300)));
        assert_eq!(bytes("299M").unwrap_err(), "299M is less than the 300M in use");
        assert!(bytes("1").is_err());
        let whole = limits(Some(amount("400M")), None, &upper(), false).unwrap();
        assert_eq!((whole.options(), whole.warnings.len()), ("size=419430400".to_owned(), 0));
    }

    #[test]
    fn more_than_ram_and_swap_takes_force() {
        let set = |text: &str, force| limits(Some(amount(text)), None, &upper(), force);
        let text = "1201M is larger than RAM and swap (1200M): the system would run out of memory";
        assert_eq!(set("1201M", false).unwrap_err(), format!("{text}; --force resizes it anyway"));
        assert!(set("200%", false).is_err() && set("+700M", false).is_err());
        let found = set("1201M", true).unwrap();
        assert_eq!((found.warnings, found.bytes), (vec![text.to_owned()], Some(1201 * MIB)));
        assert!(set("299M", true).is_err(), "nothing is thrown away by force");
        assert!(limits(Some(amount("1200M")), None, &upper(), false).unwrap().warnings.is_empty());
    }

    #[test]
    fn inodes_of_a_tmpfs() {
        let set = |text: &str| limits(None, Some(Amount::parse_count(text).unwrap()), &upper(), false);
        assert_eq!(set("+1000").unwrap().options(), "nr_inodes=2000");
        assert_eq!(set("399").unwrap_err(), "399 inodes are less than the 400 in use");
        let both = limits(Some(amount("1000M")), Some(Amount::Exactly(5000)), &upper(), false).unwrap();
        assert_eq!(both.options(), "size=1048576000,nr_inodes=5000");
    }

    #[test]
    fn what_has_no_limit_gets_none() {
        let free = Usage { bytes: 0, inodes: 0, ..upper() };
        assert!(limits(Some(amount("1G")), None, &free, false).unwrap_err().contains("no limit of bytes"));
        assert!(limits(None, Some(Amount::More(5)), &free, false).unwrap_err().contains("no limit of inodes"));
    }
}
