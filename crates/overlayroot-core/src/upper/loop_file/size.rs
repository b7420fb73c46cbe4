// SPDX-License-Identifier: GPL-2.0-or-later
//! How large a loop file is made, and how far `grow` enlarges it at a boot; in use it is `resize.rs`.

use crate::upper::loop_file::LoopFile;
use crate::value::size::mebi;

/// Bytes of a file to be made on a file system of `all` bytes, `free` of them free.
///
/// # Errors
/// Where there is no room for it: the sentence that says so.
pub fn fresh(asked: &LoopFile, all: u64, free: u64) -> Result<u64, String> {
    let reserve = asked.reserved(all);
    let room = free.saturating_sub(reserve);
    let bytes = asked.size.map_or((room / 2) >> 20 << 20, |size| size.of(all));
    let least = asked.fs.least();
    if bytes <= room && bytes >= least {
        return Ok(bytes);
    }
    if bytes < least && least <= room {
        let (bytes, word, least) = (mebi(bytes), asked.fs.word(), mebi(least));
        return Err(format!("{} would get {bytes}, {word} needs at least {least}", asked.path));
    }
    let (need, room, reserve) = (mebi(bytes.max(least)), mebi(room), mebi(reserve));
    Err(format!("{} needs {need}, its file system has {room} to give and keeps {reserve} in reserve", asked.path))
}

/// Bytes to grow a file of `now` bytes to; `None` where no size is asked for or it is as large.
pub fn at_boot(asked: &LoopFile, all: u64, now: u64) -> Option<u64> {
    asked.size.map(|size| size.of(all)).filter(|bytes| *bytes > now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upper::loop_file::parse_loop;

    #[test]
    fn what_fits() {
        let size = |text: &str, free: u64| fresh(&parse_loop(text).unwrap(), 10 << 30, free << 20).map(|b| b >> 20);
        assert_eq!(size("/f,size=1G", 4096), Ok(1024));
        // 10 GiB keep 512 MiB; half of the rest.
        assert_eq!(size("/f", 4096), Ok(1792));
        assert_eq!(size("/f,size=10%,reserve=0", 1024), Ok(1024));
        let no_room = size("/f,size=1G", 1024).unwrap_err();
        assert_eq!(no_room, "/f needs 1024M, its file system has 512M to give and keeps 512M in reserve");
        assert_eq!(size("/f,size=1%,fs=xfs", 4096).unwrap_err(), "/f would get 102M, xfs needs at least 300M");
        assert!(size("/f,fs=xfs", 600).unwrap_err().contains("needs 300M"));
    }

    #[test]
    fn only_more_is_larger() {
        let asked = parse_loop("/f,size=50%").unwrap();
        assert_eq!(at_boot(&asked, 8 << 30, 1 << 30), Some(4 << 30));
        assert_eq!(at_boot(&asked, 8 << 30, 4 << 30), None);
        assert_eq!(at_boot(&parse_loop("/f").unwrap(), 8 << 30, 0), None);
    }
}
