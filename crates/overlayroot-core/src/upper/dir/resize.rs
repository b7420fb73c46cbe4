// SPDX-License-Identifier: GPL-2.0-or-later
//! How large a directory with a quota may get while it is in use.

use crate::upper::resize::Usage;
use crate::value::amount::{Amount, told};

/// Bytes that a directory is to be held to. `all`: of the root's file system.
///
/// # Errors
/// Where it holds as much already, or there is no limit to change.
pub fn held_to(size: Amount, now: &Usage, all: u64) -> Result<u64, String> {
    if now.bytes >= all {
        return Err("the directory is not held to a size: it has the room of the root's whole file system. Boot with \
                    rd.overlay=dir:PATH,size=SIZE to limit it, or make room in the root"
            .to_owned());
    }
    let bytes = size.of(now.bytes, all) >> 20 << 20;
    if bytes <= now.used {
        return Err(format!("{} is not more than the {} in use", told(bytes), told(now.used)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn a_directory_without_a_limit_is_refused() {
        let limited = Usage { bytes: 64 * MIB, used: 60 * MIB, ..Usage::default() };
        assert_eq!(held_to(amount("+64M"), &limited, 1000 * MIB), Ok(128 * MIB));
        assert!(held_to(amount("60M"), &limited, 1000 * MIB).unwrap_err().contains("60M in use"));
        assert!(held_to(amount("+1M"), &limited, 64 * MIB).unwrap_err().contains("not held to a size"));
    }
}
