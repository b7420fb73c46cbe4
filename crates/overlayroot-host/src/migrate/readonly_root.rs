// SPDX-License-Identifier: GPL-2.0-or-later
//! RHEL's readonly-root: /etc/sysconfig/readonly-root and the two tables.

use super::{From, Migrated, PATH_DEV, Sources, assigned, said};
use overlayroot_core::keys;

/// The tables come with the distribution: where readonly-root is switched off they count only if `asked` for.
pub(super) fn read(sources: &Sources, asked: bool, out: &mut Migrated) {
    let settings: Vec<(String, String)> = said(sources.readonly_root.as_slice());
    let get = |name: &str| {
        let mut values = settings.iter().filter_map(|(_, line)| assigned(line).filter(|(key, _)| *key == name));
        values.next_back().map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let args = sources.args();
    let on_line = args.iter().any(|arg| arg.key == b"readonlyroot");
    let off_line = args.iter().any(|arg| arg.key == b"noreadonlyroot");
    let on = !off_line && (on_line || get("READONLY") == "yes" || get("TEMPORARY_STATE") == "yes");
    if settings.is_empty() && !on_line && sources.rwtab.is_empty() && sources.statetab.is_empty() {
        return;
    }
    out.begin(From::ReadonlyRoot);
    match on {
        true => out.set(keys::OVERLAY.name, "tmpfs"),
        false => {
            out.comment("READONLY and TEMPORARY_STATE are not yes: it is switched off, and so rd.overlay is not set")
        }
    }
    for (at, line) in &settings {
        setting(at, line, out);
    }
    if !sources.rwtab.is_empty() && (on || asked) {
        out.comment("with the upper in RAM the volatile lines say nothing new; with one that stays they do");
    }
    let off = "readonly-root is switched off; --from readonly-root takes the tables nevertheless";
    for (at, line) in said(&sources.rwtab) {
        if on || asked { rwtab(&at, &line, sources, out) } else { out.lost(&format!("{at}: {line}"), off) }
    }
    for (at, line) in said(&sources.statetab) {
        if on || asked { statetab(&at, &line, sources, out) } else { out.lost(&format!("{at}: {line}"), off) }
    }
    for arg in args.iter().filter(|arg| matches!(arg.key.as_slice(), b"readonlyroot" | b"noreadonlyroot")) {
        out.remove.push(arg.text());
    }
    if on {
        out.todo.push("set READONLY=no and TEMPORARY_STATE=no in /etc/sysconfig/readonly-root".to_owned());
    }
}

fn setting(at: &str, line: &str, out: &mut Migrated) {
    let told = format!("{at}: {line}");
    let Some((key, value)) = assigned(line) else {
        return out.lost(&told, "shell is not supported");
    };
    match (key, value) {
        ("READONLY" | "TEMPORARY_STATE", _) | (_, "") => {}
        ("STATE_LABEL", label) => out.set(PATH_DEV, &format!("LABEL={label}")),
        // Where the state lies is where it says by default, and is nowhere here.
        ("STATE_MOUNT" | "RW_MOUNT", _) => out.lost(&told, "a mount point of its own is not needed"),
        ("RW_LABEL", label) => {
            out.lost(
                &told,
                &format!("for an upper there instead of in RAM: rd.overlay = LABEL={label} and rd.overlay.reset = 1"),
            );
        }
        ("CLIENTSTATE", _) => out.lost(&told, "state on NFS can't be an upper or a store"),
        _ => out.lost(&told, "no equivalent"),
    }
}

fn rwtab(at: &str, line: &str, sources: &Sources, out: &mut Migrated) {
    let told = format!("{at}: {line}");
    let Some((kind, path)) = line.split_once([' ', '\t']).map(|(kind, path)| (kind, path.trim())) else {
        return out.lost(&told, "no path");
    };
    let directory = sources.directories.iter().any(|known| known == path.trim_end_matches('/'));
    match kind {
        "empty" => out.path("volatile", path, "/", &told),
        // Both begin with what is there; `dirs` without the files, which nothing here leaves out.
        "dirs" | "files" if directory => {
            if kind == "dirs" {
                out.comment(format!("{told}: its files are there, too, at the beginning"));
            }
            out.path("volatile", path, "/,copy", &told);
        }
        "dirs" | "files" => out.lost(&told, "no directory: a single file is volatile with the upper in RAM"),
        _ => out.lost(&told, "not empty, dirs or files"),
    }
}

fn statetab(at: &str, line: &str, sources: &Sources, out: &mut Migrated) {
    let directory = sources.directories.iter().any(|known| known == line.trim_end_matches('/'));
    let end = if directory && !line.contains(['*', '?']) { "/" } else { "" };
    out.path("persist", line.trim_end_matches('/'), end, &format!("{at}: {line}"));
}

#[cfg(test)]
mod tests;
