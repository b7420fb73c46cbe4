// SPDX-License-Identifier: GPL-2.0-or-later
//! kiwi's overlay and live images (dracut modules kiwi-overlay, kiwi-live).

use super::{From, Migrated, Sources};
use overlayroot_core::keys;
use overlayroot_core::parse::cmdline::Arg;
use overlayroot_core::upper::{Upper, parse_upper};

fn is_kiwi(arg: &Arg) -> bool {
    let value = arg.value.as_deref().unwrap_or_default();
    let root = arg.key == b"root" && value.starts_with(b"overlay:");
    let live = [&b"rd.live.overlay.persistent"[..], b"rd.live.overlay.temporary", b"rd.live.encrypt"];
    root || arg.key.starts_with(b"rd.root.overlay")
        || arg.key.starts_with(b"rd.live.cowfile")
        || live.contains(&arg.key.as_slice())
}

pub(super) fn read(sources: &Sources, out: &mut Migrated) {
    let args: Vec<Arg> = sources.args().into_iter().filter(is_kiwi).collect();
    if args.is_empty() {
        return;
    }
    out.begin(From::Kiwi);
    let has = |name: &[u8]| args.iter().any(|arg| arg.key == name);
    let write = args.iter().rfind(|arg| arg.key == b"rd.root.overlay.write");
    if has(b"rd.root.overlay.readonly") {
        out.comment("kiwi's readonly means no overlay at all");
        out.set(keys::OVERLAY.name, "0");
    } else if let Some(arg) = write {
        device(arg, out);
    } else if has(b"root") || has(b"rd.root.overlay.temporary") {
        out.set(keys::OVERLAY.name, "tmpfs");
    }
    for arg in &args {
        other(arg, out);
        out.remove.push(arg.text());
    }
    out.todo.push(
        "take kiwi-overlay out of the initramfs: omit_dracutmodules+=\" kiwi-overlay \" in /etc/dracut.conf.d"
            .to_owned(),
    );
}

fn device(arg: &Arg, out: &mut Migrated) {
    let text = String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
    match parse_upper(&text) {
        (Upper::Device(device), problems) if problems.is_empty() => {
            out.set(keys::OVERLAY.name, &device.to_string());
            out.lost(
                "what kiwi wrote there",
                "its upper is the directory rw; rename it to overlay to keep its content",
            );
        }
        _ => out.lost(&arg.text(), "no device that rd.overlay= can name"),
    }
}

fn other(arg: &Arg, out: &mut Migrated) {
    let value = String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
    match arg.key.as_slice() {
        b"rd.root.overlay.write" | b"rd.root.overlay.readonly" | b"rd.root.overlay.temporary" => {}
        b"root" => root(arg, value.trim_start_matches("overlay:"), out),
        b"rd.root.overlay.size" => {
            out.lost(&arg.text(), &format!("kiwi never applied it; here it would be rd.overlay = tmpfs:size={value}"));
        }
        b"rd.live.overlay.persistent" => {
            out.lost(
                &arg.text(),
                "kiwi-live's own partition or file; here rd.overlay = part:LABEL makes one, or LABEL=cow takes it",
            );
        }
        _ => out.lost(&arg.text(), "no equivalent"),
    }
}

/// The image's device becomes the plain root; what comes over the network does not.
fn root(arg: &Arg, place: &str, out: &mut Migrated) {
    let (kind, name) = place.split_once('=').unwrap_or(("", place));
    match kind {
        "UUID" | "PARTUUID" | "PARTLABEL" | "LABEL" => out.add.push(format!("root={kind}={name} ro")),
        "UNIXNODE" | "MAPPER" => {
            let node = name.trim_start_matches("/dev/").trim_start_matches("mapper/");
            let at = if kind == "MAPPER" { "/dev/mapper/" } else { "/dev/" };
            out.add.push(format!("root={at}{node} ro"));
        }
        _ => out.lost(&arg.text(), "a root over the network: see docs/guide/diskless.md"),
    }
}
