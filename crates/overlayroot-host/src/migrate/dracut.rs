// SPDX-License-Identifier: GPL-2.0-or-later
//! dracut's arguments: the overlayfs module's older names, and those of dmsquash-live.

use super::{From, Migrated, Sources};
use overlayroot_core::facts::live_image;
use overlayroot_core::keys::{self, Key, parse_bool};
use overlayroot_core::parse::cmdline::Arg;
use overlayroot_core::upper::parse_upper;

/// Whether an argument is dracut's older spelling; kiwi-live has names of its own there.
fn is_old(arg: &Arg) -> bool {
    const KIWI: [&[u8]; 2] = [b"rd.live.overlay.persistent", b"rd.live.overlay.temporary"];
    let key = arg.key.as_slice();
    let overlay =
        key == b"rd.live.overlay" || key.starts_with(b"rd.live.overlay.") || key.starts_with(b"rd.live.overlayfs");
    (overlay && !KIWI.contains(&key)) || key == b"rd.writable.fsimg"
}

fn value(arg: &Arg) -> Option<String> {
    arg.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned())
}

pub(super) fn read(sources: &Sources, out: &mut Migrated) {
    let args = sources.args();
    let old: Vec<&Arg> = args.iter().filter(|arg| is_old(arg)).collect();
    let new: Vec<&Arg> = args.iter().filter(|arg| arg.key.starts_with(b"rd.overlay")).collect();
    if old.is_empty() && new.is_empty() {
        return;
    }
    out.begin(From::Dracut);
    for arg in &new {
        carried(arg, out);
    }
    let last = |name: &[u8]| old.iter().rfind(|arg| arg.key == name).copied();
    let is_live = live_image::asked(&args);
    if new.iter().all(|arg| arg.key != b"rd.overlay") {
        upper(last(b"rd.live.overlay.overlayfs"), last(b"rd.live.overlay"), is_live, out);
    }
    for arg in &old {
        other(arg, is_live, out);
        out.remove.push(arg.text());
    }
    if is_live {
        out.add.push(
            "rd.overlay=VALUE, on the command line of the image: its configuration files are in its own initramfs"
                .to_owned(),
        );
    }
}

/// The new names are the same here; what the file says need not be on the command line.
fn carried(arg: &Arg, out: &mut Migrated) {
    let key = String::from_utf8_lossy(&arg.key).into_owned();
    let value = value(arg).unwrap_or_else(|| "1".to_owned());
    match keys::KEYS.iter().any(|row| row.name == key) {
        _ if key == keys::CRYPT.name => out.lost(&arg.text(), "an encrypted upper is not supported"),
        true if key == keys::RESET.name => yes_or_no(&keys::RESET, arg, out),
        true if key == keys::READONLY.name => yes_or_no(&keys::READONLY, arg, out),
        true => out.set(&key, &value),
        false => out.lost(&arg.text(), "unknown argument"),
    }
}

fn upper(enable: Option<&Arg>, place: Option<&Arg>, is_live: bool, out: &mut Migrated) {
    let on = enable.map(|arg| parse_bool(value(arg).as_deref()));
    let text = place.and_then(value).unwrap_or_default();
    let key = keys::OVERLAY.name;
    match (on, place) {
        (Some(false), _) => out.set(key, "0"),
        (Some(true), None) => out.set(key, "tmpfs"),
        (None, None) => {}
        (_, Some(arg)) => {
            let (upper, problems) = parse_upper(text.split(':').next().unwrap_or_default());
            match upper.device().filter(|_| problems.is_empty()) {
                Some(device) => {
                    out.set(key, &device.to_string());
                    let kept = "a new upper is created in the directory overlay of that device";
                    match text.split_once(':') {
                        Some((_, path)) => out.lost(&format!("the place {path} on it"), kept),
                        None if is_live => out.lost("what the file LiveOS/overlay-LABEL-UUID on it holds", kept),
                        None => {}
                    }
                }
                None => {
                    out.set(key, "tmpfs");
                    out.lost(&arg.text(), "no device: dracut's overlayfs module puts changes into RAM then");
                }
            }
        }
    }
}

/// What dracut takes for true against what is meant is no line that loses changes here.
fn yes_or_no(key: &Key, arg: &Arg, out: &mut Migrated) {
    match keys::meant(&value(arg).unwrap_or_default()) {
        Some(yes) => out.set(key.name, if yes { "1" } else { "0" }),
        None => out.lost(&arg.text(), "neither yes nor no; dracut took it for yes"),
    }
}

fn other(arg: &Arg, is_live: bool, out: &mut Migrated) {
    match arg.key.as_slice() {
        b"rd.live.overlay" | b"rd.live.overlay.overlayfs" => {}
        b"rd.live.overlay.reset" => yes_or_no(&keys::RESET, arg, out),
        b"rd.live.overlay.readonly" | b"rd.live.overlayfs.readonly" => yes_or_no(&keys::READONLY, arg, out),
        b"rd.live.overlay.size" => {
            let mib = value(arg).unwrap_or_default();
            let why = format!(
                "dracut heard it for device-mapper snapshots only; here it would be rd.overlay = tmpfs:size={mib}M"
            );
            out.lost(&arg.text(), &why);
        }
        b"rd.live.overlay.nouserconfirmprompt" => out.lost(&arg.text(), "no equivalent; see rd.overlay.fallback"),
        b"rd.live.overlay.cowfs" => out.lost(&arg.text(), "rd.overlay = part:LABEL,fs=TYPE makes a partition"),
        b"rd.writable.fsimg" if is_live => out.lost(&arg.text(), "the image is the lower, and is not written"),
        _ => out.lost(&arg.text(), "no equivalent"),
    }
}

#[cfg(test)]
mod tests {
    use crate::migrate::{Sources, migrate};
    use overlayroot_core::parse::cmdline::Source;

    #[test]
    fn a_boolean_is_what_was_meant() {
        for (line, want) in [
            ("rd.live.overlay.overlayfs rd.live.overlay.reset=false", "\nrd.overlay.reset = 0\n"),
            ("rd.overlay rd.overlay.readonly=No", "\nrd.overlay.readonly = 0\n"),
            ("rd.live.overlay.overlayfs rd.live.overlay.readonly", "\nrd.overlay.readonly = 1\n"),
            ("rd.overlay rd.overlay.reset=flase", "rd.overlay.reset=flase: neither yes nor no"),
        ] {
            let cmdline = Some(Source::new("/proc/cmdline", line));
            let out = migrate(&Sources { cmdline, ..Sources::default() }, None);
            assert!(out.text().contains(want), "{line}: {}", out.text());
            assert_eq!(out.issues(), Vec::<String>::new(), "{line}");
        }
    }
}
