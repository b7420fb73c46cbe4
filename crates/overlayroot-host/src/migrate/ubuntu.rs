// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayroot=` of the command line and the two files of Ubuntu's package.

use super::{From, Migrated, Sources, assigned, said, spec};
use overlayroot_core::config::conf_file::{redacted, ubuntu_file};
use overlayroot_core::config::ubuntu::{Ubuntu, last_value, parse};
use overlayroot_core::keys;
use overlayroot_core::upper::Upper;

pub(super) fn read(sources: &Sources, out: &mut Migrated) {
    let on_line = sources.cmdline.as_ref().and_then(last_value);
    let in_files = sources.ubuntu.iter().filter_map(|file| Some((ubuntu_file(file)?, file.name.clone())));
    let on_line = on_line.map(|value| (value, "the command line".to_owned()));
    let all: Vec<(String, String)> = in_files.chain(on_line).collect();
    let others: Vec<(String, String)> = said(&sources.ubuntu)
        .into_iter()
        .filter(|(_, line)| assigned(line).is_none_or(|(key, value)| key != "overlayroot" && !value.is_empty()))
        .collect();
    if all.iter().all(|(value, _)| value.is_empty()) && others.is_empty() && !sources.overlayroot {
        return;
    }
    out.begin(From::Ubuntu);
    if let Some(((value, source), overruled)) = all.split_last().filter(|((value, _), _)| !value.is_empty()) {
        for (value, by) in overruled.iter().filter(|(value, _)| !value.is_empty()) {
            out.lost(&format!("overlayroot={} in {by}", redacted(value)), &format!("overruled by {source}"));
        }
        setting(value, source, out);
    }
    for (at, line) in others {
        out.lost(&format!("{at}: {}", redacted(&line)), "no setting of the overlay");
    }
    if let Some(cmdline) = &sources.cmdline {
        let text = String::from_utf8_lossy(&cmdline.text).into_owned();
        let words = text.split_whitespace().filter(|word| word.starts_with("overlayroot="));
        out.remove.extend(words.map(redacted));
    }
    if sources.overlayroot {
        out.todo.push("apt-get purge overlayroot".to_owned());
    }
    if !sources.ubuntu.is_empty() {
        out.todo.push(
            "rm /etc/overlayroot.conf /etc/overlayroot.local.conf, which are read as long as nothing else asks"
                .to_owned(),
        );
    }
}

fn setting(value: &str, source: &str, out: &mut Migrated) {
    let told = format!("overlayroot={}", redacted(value));
    out.comment(format!("{told} ({source})"));
    match parse(value) {
        Err(problem) => out.lost(&told, &problem.text),
        Ok(parsed) => parameters(&parsed, &told, out),
    }
}

fn parameters(parsed: &Ubuntu, told: &str, out: &mut Migrated) {
    match spec(&parsed.upper) {
        Some(spec) => out.set(keys::OVERLAY.name, &spec),
        None => out.lost(told, "an encrypted upper is not supported"),
    }
    for problem in &parsed.problems {
        out.lost(told, &problem.text);
    }
    if parsed.upper == Upper::Off {
        return;
    }
    if let Some(seconds) = parsed.timeout {
        out.set(keys::TIMEOUT.name, &seconds.to_string());
    }
    if parsed.dir != "overlay" {
        let why = format!(
            "the upper's directory is called overlay here: rename {} on the device to keep its content",
            parsed.dir
        );
        out.lost(&format!("dir={}", parsed.dir), &why);
    }
    if !parsed.swap {
        out.lost(
            "swap=0 (the default)",
            "fstab's swap stays in use: take the lines out of fstab where that is not wanted",
        );
    }
    if parsed.recurse {
        out.lost("recurse=1 (the default)", "the other file systems of fstab are mounted as fstab says");
    }
    out.comment("a failure gave the plain root in silence: rd.overlay.fallback = none is the same, but recorded");
}
