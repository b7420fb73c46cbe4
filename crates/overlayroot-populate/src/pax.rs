// SPDX-License-Identifier: GPL-2.0-or-later
//! Extended headers (POSIX.1, pax, "pax Extended Header"): records `LENGTH KEY=VALUE\n`. The length counts, not the
//! line end: an attribute's value may have any byte in it, and the crate `tar` splits it there.

use crate::fault::{Result, archive, shown};

/// What the records of one entry say, in place of its header.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Extended {
    /// Its name.
    pub path: Option<Vec<u8>>,
    /// What it points at.
    pub link: Option<Vec<u8>>,
    /// Bytes of it.
    pub size: Option<i64>,
    /// Number of the user.
    pub uid: Option<i64>,
    /// Number of the group.
    pub gid: Option<i64>,
    /// When it was changed: seconds since 1970, nanoseconds.
    pub mtime: Option<(i64, u32)>,
    /// Its extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Most attributes of one entry, and most bytes of them: what a file system has room for, some times over.
const MOST_ATTRIBUTES: usize = 256;
const MOST_BYTES: usize = 1 << 20;

/// Reads the records into `into`. What stands there and is not said again holds.
///
/// # Errors
/// Where they can't be read, and for what would be lost in silence: access lists, holes.
pub fn read(data: &[u8], into: &mut Extended) -> Result<()> {
    let mut rest = data;
    while !rest.is_empty() {
        let Some((key, value, after)) = record(rest) else {
            return archive("an extended header can't be read");
        };
        take(key, value, into)?;
        rest = after;
    }
    Ok(())
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = data.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(data.get(..blank)?).ok()?.parse().ok()?;
    let (whole, after) = data.split_at_checked(length)?;
    let body = whole.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((body.get(..equals)?, body.get(equals + 1..)?, after))
}

fn take(key: &[u8], value: &[u8], into: &mut Extended) -> Result<()> {
    match key {
        b"path" => into.path = Some(value.to_vec()),
        b"linkpath" => into.link = Some(value.to_vec()),
        b"size" => into.size = Some(number(key, value)?),
        b"uid" => into.uid = Some(number(key, value)?),
        b"gid" => into.gid = Some(number(key, value)?),
        b"mtime" => into.mtime = Some(time(value)?),
        // GNU tar --selinux; the kernel's value ends with a NUL.
        b"RHT.security.selinux" => attribute(b"security.selinux", [value, b"\0"].concat(), into)?,
        _ if key.starts_with(b"SCHILY.acl.") => {
            return archive("it has access lists as text, which are not supported: create it without --acls");
        }
        _ if key.starts_with(b"GNU.sparse.") => return sparse(),
        _ => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                attribute(name, value.to_vec(), into)?;
            }
        }
    }
    Ok(())
}

fn attribute(name: &[u8], value: Vec<u8>, into: &mut Extended) -> Result<()> {
    into.xattrs.retain(|(other, _)| other != name);
    into.xattrs.push((name.to_vec(), value));
    let bytes: usize = into.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if into.xattrs.len() > MOST_ATTRIBUTES || bytes > MOST_BYTES {
        return archive(format!("an entry has {} attributes of {bytes} bytes", into.xattrs.len()));
    }
    Ok(())
}

/// Files with holes in a form of GNU tar's own.
pub fn sparse<T>() -> Result<T> {
    archive("it has sparse files, which are not supported: create it without --sparse")
}

fn number(key: &[u8], value: &[u8]) -> Result<i64> {
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok());
    parsed.filter(|value| *value >= 0).map_or_else(|| archive(format!("{} is not a number", shown(key))), Ok)
}

fn time(value: &[u8]) -> Result<(i64, u32)> {
    let text = String::from_utf8_lossy(value);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String = part.chars().chain("000000000".chars()).take(9).collect();
    match (whole.parse::<i64>(), digits.parse::<u32>()) {
        // Before 1970 the part behind the dot counts backwards.
        (Ok(seconds), Ok(nanoseconds)) if whole.starts_with('-') && nanoseconds > 0 => {
            Ok((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds))
        }
        (Ok(seconds), Ok(nanoseconds)) => Ok((seconds, nanoseconds)),
        _ => archive("mtime is not a time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let length =
            (1..6).map(|digits| body.len() + digits).find(|length| length.to_string().len() + body.len() == *length);
        [length.unwrap().to_string().as_bytes(), &body].concat()
    }

    #[test]
    fn values_of_any_bytes() {
        let value = b"\x01\0\0\x02\n7 a=b\n\0";
        let data =
            [line("SCHILY.xattr.security.capability", value), line("path", b"\xff\n"), line("comment", b"")].concat();
        let mut got = Extended::default();
        read(&data, &mut got).unwrap();
        assert_eq!(got.xattrs, [(b"security.capability".to_vec(), value.to_vec())]);
        assert_eq!(got.path.as_deref(), Some(&b"\xff\n"[..]));
    }

    #[test]
    fn times_and_numbers() {
        for (text, want) in
            [("1.5", (1, 500_000_000)), ("-1.25", (-2, 750_000_000)), ("0", (0, 0)), ("7.1234567899", (7, 123_456_789))]
        {
            assert_eq!(time(text.as_bytes()).unwrap(), want, "{text}");
        }
        for bad in ["", "x", "1.x"] {
            assert!(time(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(number(b"uid", b"-1").is_err() && number(b"uid", b"99999999999999999999").is_err());
    }

    #[test]
    fn what_can_not_be_read_or_would_be_lost() {
        for bad in [&b"x"[..], b"0 a=b\n", b"99 a=b\n", b"6 a=b", b"5 ab\n\n", b"6 a=bX", b"-6 a=b\n", b" 6 a=b\n"] {
            assert!(read(bad, &mut Extended::default()).is_err(), "{}", shown(bad));
        }
        for key in ["SCHILY.acl.access", "GNU.sparse.major"] {
            assert!(read(&line(key, b"1"), &mut Extended::default()).is_err(), "{key}");
        }
    }
}
