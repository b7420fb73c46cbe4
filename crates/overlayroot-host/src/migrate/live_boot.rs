// SPDX-License-Identifier: GPL-2.0-or-later
//! live-boot's persistence: `persistence.conf` at the top of the volume with the label `persistence`.

use super::{From, Migrated, PATH_DEV, Sources, said};
use overlayroot_core::keys;

/// The label that live-boot looks for.
const LABEL: &str = "LABEL=persistence";

pub(super) fn read(sources: &Sources, out: &mut Migrated) {
    let args = sources.args();
    let words: Vec<String> =
        args.iter().filter(|arg| arg.key.starts_with(b"persistence")).map(|arg| arg.text()).collect();
    if sources.persistence.is_empty() && words.is_empty() {
        return;
    }
    out.begin(From::LiveBoot);
    let lines = said(&sources.persistence);
    let whole = lines.iter().any(|(_, line)| line.split_whitespace().next() == Some("/"));
    match whole {
        true => out.set(keys::OVERLAY.name, LABEL),
        false => {
            out.set(keys::OVERLAY.name, "tmpfs");
            if !lines.is_empty() {
                out.set(PATH_DEV, LABEL);
            }
        }
    }
    for (at, line) in &lines {
        entry(at, line, out);
    }
    for word in &words {
        let why = if word == "persistence" { continue } else { "live-boot's own way to find or open the volume" };
        out.lost(word, why);
    }
    out.remove.extend(words);
    out.todo.push("the live image itself needs dracut in place of live-boot: see docs/guide/diskless.md".to_owned());
}

fn entry(at: &str, line: &str, out: &mut Migrated) {
    let told = format!("{at}: {line}");
    let mut words = line.split_whitespace();
    let path = words.next().unwrap_or_default();
    let options: Vec<&str> = words.flat_map(|word| word.split(',')).collect();
    if path == "/" {
        for option in options.iter().filter(|option| **option != "union") {
            out.lost(&told, &format!("'{option}' for the whole root"));
        }
        return out.lost(
            "what the volume holds",
            "live-boot's upper is the directory rw; rename it to overlay to keep its content",
        );
    }
    if options.contains(&"link") {
        return out.lost(&told, "links to single files: name each by rd.overlay.path = persist:FILE");
    }
    out.path("persist", path.trim_end_matches('/'), "/", &told);
    for option in options {
        match option {
            "bind" => {}
            "union" => out.comment(format!("{told}: kept as a whole, later changes of the image in it are not seen")),
            _ if option.starts_with("source=") => {
                out.lost(
                    &format!("{told}, {option}"),
                    "the directory has a place of its own on the volume: copy the content there",
                );
            }
            _ => out.lost(&told, &format!("the option '{option}'")),
        }
    }
}
