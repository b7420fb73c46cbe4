// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayroot=` of Ubuntu's and Debian's package overlayroot 0.18, as an alias.
//!
//! Its lexer splits at white space, knows no quotes and eats backslashes; its parameters are
//! `key=value` behind `tmpfs:`, `device:` or `crypt:`. Where we differ on purpose stands in
//! docs/reference/compatibility.md.

use crate::parse::cmdline::Source;
use crate::upper::Upper;
use crate::upper::tmpfs::{Tmpfs, parse_tmpfs};
use crate::value::device::{Device, parse_device};
use crate::value::diagnostics::{Problem, escape, suggest};

/// What one `overlayroot=` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ubuntu {
    /// The upper, in the project's own terms.
    pub upper: Upper,
    /// Upper directory within the upper's file system, without the leading slash.
    pub dir: String,
    /// Seconds to wait for the device, where said.
    pub timeout: Option<u32>,
    /// `swap=1`: fstab's swap partitions stay in use.
    pub swap: bool,
    /// `recurse=1` (its default): the other file systems of fstab should be overlaid too.
    pub recurse: bool,
    /// A device is asked for.
    pub device: bool,
    /// What was wrong with the parameters.
    pub problems: Vec<Problem>,
}

impl Ubuntu {
    fn new(upper: Upper) -> Self {
        let dir = "overlay".to_owned();
        Self { upper, dir, timeout: None, swap: false, recurse: true, device: false, problems: Vec::new() }
    }
}

/// The last `overlayroot=` value of a command line, lexed as the original lexes it.
pub fn last_value(cmdline: &Source) -> Option<String> {
    let text = String::from_utf8_lossy(&cmdline.text);
    // `read` without -r: a backslash goes and takes the special meaning of nothing but itself.
    let eaten: String = text.chars().filter(|&c| c != '\\').collect();
    let mut tokens = eaten.split([' ', '\t', '\n']);
    tokens.rfind(|token| token.starts_with("overlayroot=")).map(|token| {
        let value = token.strip_prefix("overlayroot=");
        value.unwrap_or_default().to_owned()
    })
}

/// Parses the value; an `Err` is a value the original calls invalid and does not act on.
pub fn parse(value: &str) -> Result<Ubuntu, Problem> {
    let (mode, params) = match value.split_once(':') {
        _ if value.starts_with("/dev/") => ("device", format!("dev={value}")),
        Some((mode, params)) => (mode, params.to_owned()),
        None => (value, String::new()),
    };
    match (mode, value.contains(':') || value.starts_with("/dev/")) {
        ("" | "disabled", false) => Ok(Ubuntu::new(Upper::Off)),
        // "1" is TylerHelt0's dracut module's way to say tmpfs, and invalid in Ubuntu's grammar
        ("1", false) => Ok(Ubuntu::new(Upper::Tmpfs(Tmpfs::default()))),
        ("tmpfs", _) => Ok(tmpfs(&params)),
        ("device", true) => Ok(device(&params)),
        ("crypt", true) => Ok(Ubuntu::new(Upper::Crypt(crypt_device(&params)))),
        _ => {
            let words = ["tmpfs", "device:dev=", "crypt:dev=", "disabled"];
            Err(Problem::new("not one of tmpfs, device:, crypt:, /dev/PATH, disabled", suggest(value, words)))
        }
    }
}

/// Only the device is kept: a passphrase has no place in a record.
fn crypt_device(params: &str) -> String {
    let mut params = params.split(',').filter_map(|param| param.strip_prefix("dev="));
    params.next_back().unwrap_or_default().to_owned()
}

fn tmpfs(params: &str) -> Ubuntu {
    let mut out = Ubuntu::new(Upper::Off);
    let rest = common(&mut out, params);
    // What is no parameter of either grammar becomes a problem there.
    let sizes: Vec<String> = rest.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (tmpfs, mut problems) = parse_tmpfs(&sizes.join(","));
    out.problems.append(&mut problems);
    out.upper = Upper::Tmpfs(tmpfs);
    out
}

fn device(params: &str) -> Ubuntu {
    let mut out = Ubuntu::new(Upper::Tmpfs(Tmpfs::default()));
    out.device = true;
    let rest = common(&mut out, params);
    let (mut devs, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(key, _)| key == "dev");
    out.problems
        .extend(others.iter().map(|(key, _)| Problem::new(format!("unknown parameter '{}'", escape(key)), None)));
    let dev = devs.pop();
    match dev.map(|(_, value)| parse_dev(&value)) {
        Some(Ok(device)) => out.upper = Upper::Device(device),
        Some(Err(problem)) => out.problems.push(problem),
        None => out.problems.push(Problem::new("dev= is missing", None)),
    }
    out
}

/// `dev=`: LABEL, UUID, a path, or a bare name below /dev.
fn parse_dev(value: &str) -> Result<Device, Problem> {
    match parse_device(value) {
        Some(device) => device,
        None => parse_device(&format!("/dev/{value}")).unwrap_or_else(|| Err(Problem::new("no device", None))),
    }
}

/// Takes the keys every mode has; gives back the others, in order.
fn common(out: &mut Ubuntu, params: &str) -> Vec<(String, String)> {
    let mut rest = Vec::new();
    if params.is_empty() {
        return rest;
    }
    for param in params.split(',') {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(named) {
            // The original stops here too: what came before holds, the rest is lost.
            let text = format!("parameter '{}' ends the list, the rest is ignored", escape(param));
            out.problems.push(Problem::new(text, None));
            break;
        }
        match (key, value) {
            // Understood, and without meaning for any kernel that dracut still serves.
            (_, "") | ("driver" | "debug", _) => {}
            ("swap" | "recurse", "0" | "1") => match key {
                "swap" => out.swap = value == "1",
                _ => out.recurse = value == "1",
            },
            ("swap" | "recurse", _) => out.problems.push(Problem::new(format!("{key} takes 0 or 1"), None)),
            ("timeout", _) => match crate::keys::parse_timeout(value) {
                Ok(seconds) => out.timeout = Some(seconds),
                Err(problem) => out.problems.push(problem),
            },
            ("dir", _) => match parse_dir(value) {
                Ok(dir) => out.dir = dir,
                Err(problem) => out.problems.push(problem),
            },
            _ => rest.push((key.to_owned(), value.to_owned())),
        }
    }
    rest
}

/// A directory name that stays below the upper's file system and needs no escaping in mount options.
fn parse_dir(value: &str) -> Result<String, Problem> {
    let parts: Vec<&str> = value.split('/').filter(|part| !part.is_empty()).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let good = !parts.is_empty() && !parts.contains(&"..") && !parts.contains(&".");
    match good && value.chars().all(plain) && value.len() <= 255 {
        true => Ok(parts.join("/")),
        false => Err(Problem::new("dir= must be a plain path without '..'; using /overlay", None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lexing_knows_no_quotes_and_takes_the_last() {
        let last = |text: &str| last_value(&Source::new("/proc/cmdline", text));
        assert_eq!(last("overlayroot=tmpfs quiet overlayroot=disabled\n").as_deref(), Some("disabled"));
        assert_eq!(last(r#"overlayroot="tmpfs""#).as_deref(), Some(r#""tmpfs""#));
        assert_eq!(last(r"overlayroot=\tmpfs").as_deref(), Some("tmpfs"));
        assert_eq!(last("overlayroot"), None);
    }

    #[test]
    fn modes() {
        let upper = |text: &str| parse(text).map(|u| u.upper);
        assert_eq!(upper(""), Ok(Upper::Off));
        assert_eq!(upper("disabled"), Ok(Upper::Off));
        assert_eq!(upper("tmpfs:"), Ok(Upper::Tmpfs(Tmpfs::default())));
        let label = Upper::Device(Device::Label("x=y:z".into()));
        assert_eq!(upper("device:dev=LABEL=x=y:z,timeout=3"), Ok(label));
        assert_eq!(upper("/dev/vdb,swap=1"), Ok(Upper::Device(Device::Path("/dev/vdb".into()))));
        assert_eq!(upper("device:dev=vdb"), Ok(Upper::Device(Device::Path("/dev/vdb".into()))));
        assert_eq!(upper("crypt:dev=vdb"), Ok(Upper::Crypt("vdb".into())));
        for bad in ["device", "crypt", "LABEL=x", "vdb", "\"tmpfs\"", "0"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters() {
        let got = parse("tmpfs:swap=1,recurse=0,size=20%,dir=/a//b,driver=aufs").unwrap();
        assert_eq!((got.swap, got.recurse, got.dir.as_str()), (true, false, "a/b"));
        let Upper::Tmpfs(tmpfs) = got.upper else { panic!() };
        assert_eq!(tmpfs.size.as_deref(), Some("20%"));
    }

    #[test]
    fn an_empty_token_ends_the_list_and_is_said() {
        let got = parse("tmpfs:swap=1,,recurse=0").unwrap();
        assert_eq!((got.swap, got.recurse, got.problems.len()), (true, true, 1));
    }

    #[test]
    fn a_directory_never_climbs_out() {
        for bad in ["../x", "/", "a/../b", "a:b", "a\\b", "é"] {
            assert!(parse_dir(bad).is_err(), "{bad}");
        }
    }
}
