// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl migrate`: a configuration file from what others were told.

use crate::output::exit::{Exit, refuse};
use crate::state::loader_files;
use anyhow::{Context, Result};
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_host::loader::state;
use overlayroot_host::migrate::{From, Migrated, Sources, migrate};
use overlayroot_linux::probe::place;
use overlayroot_linux::source;
use overlayroot_linux::sys::files;
use overlayroot_linux::tool::bootfile;
use serde_json::json;
use std::path::Path;

/// What the verb takes.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// Read only this one: ubuntu, raspi-config, dracut, kiwi, readonly-root, live-boot
    #[arg(long, value_name = "KIND", value_parser = from)]
    from: Option<From>,
    /// Write the file [default: /etc/overlayroot-rs.conf] instead of printing it
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "/etc/overlayroot-rs.conf")]
    write: Option<String>,
    /// Replace an existing file
    #[arg(long, requires = "write")]
    force: bool,
    /// Read the system in this directory; FILE is below it, too
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: String,
    /// A persistence.conf of live-boot's, on a volume that is mounted somewhere
    #[arg(long, value_name = "FILE")]
    persistence: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn from(word: &str) -> Result<From, String> {
    let found = From::ALL.iter().find(|(name, _)| *name == word).map(|(_, from)| *from);
    let names: Vec<&str> = From::ALL.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| format!("one of {}", names.join(", ")))
}

/// Where live-boot mounts the volumes, and where one lies that is the root itself.
const VOLUMES: [&str; 3] = ["run/live/persistence", "lib/live/mount/persistence", "usr/lib/live/mount/persistence"];
const RASPI_SCRIPT: &str = "etc/initramfs-tools/scripts/overlay";
const OVERLAYROOT_SCRIPT: &str = "usr/share/initramfs-tools/scripts/init-bottom/overlayroot";

/// Prints or writes; refuses where nobody's words were found, or the file exists.
pub fn run(asked: &Migrate) -> Result<Exit> {
    let found = migrate(&collect(asked)?, asked.from);
    if found.found.is_empty() {
        let names: Vec<&str> = From::ALL.iter().map(|(name, _)| *name).collect();
        let of = asked.from.map_or_else(|| names.join(", "), |from| from.word().to_owned());
        return refuse(&format!("no settings found of {of}"));
    }
    // The initramfs will read it with the same parser.
    for issue in found.issues() {
        eprintln!("overlayctl: please correct: {issue}");
    }
    if let Some(path) = &asked.write {
        let place = bootfile::real(&asked.root, path.trim_start_matches('/'))?;
        if place.exists() && !asked.force {
            return refuse(&format!("{} exists; --force replaces it", place.display()));
        }
        bootfile::replace(&place, found.text().as_bytes())?;
        eprintln!("overlayctl: written: {}", place.display());
    }
    match asked.json {
        true => crate::output::out::json(&value(&found))?,
        false => {
            if asked.write.is_none() {
                print!("{}", found.text());
            }
            eprint!("{}", advice(&found, asked.write.is_some()));
        }
    }
    Ok(Exit::Good)
}

fn value(found: &Migrated) -> serde_json::Value {
    json!({
        "found": found.found,
        "file": found.text(),
        "remove_arguments": found.remove,
        "add_arguments": found.add,
        "todo": found.todo,
        "issues": found.issues(),
    })
}

/// What is to be done besides the file; not part of it, so that it can be redirected.
fn advice(found: &Migrated, written: bool) -> String {
    let mut out = String::new();
    let mut say = |what: &str, all: &[String]| all.iter().for_each(|one| out.push_str(&format!("{what}{one}\n")));
    say("kernel argument to remove: ", &found.remove);
    say("kernel argument to add: ", &found.add);
    say("to do: ", &found.todo);
    if !written {
        out.push_str("to do: overlayctl migrate --write\n");
    }
    out.push_str("to do: dracut --force, to add the file to the initramfs; then overlayctl doctor\n");
    out
}

fn collect(asked: &Migrate) -> Result<Sources> {
    let root = asked.root.as_str();
    let here = |path: &str| bootfile::read(root, path).map(|text| text.is_some());
    let one = |path: &str| -> Result<Option<Source>> {
        Ok(bootfile::read(root, path)?.map(|text| Source::new(format!("/{path}"), text)))
    };
    let table = |file: &str, directory: &str| -> Result<Vec<Source>> {
        let mut found: Vec<Source> = one(file)?.into_iter().collect();
        for name in bootfile::list(root, directory, "")? {
            found.extend(one(&format!("{directory}/{name}"))?);
        }
        Ok(found)
    };
    let ubuntu = ["etc/overlayroot.conf", "etc/overlayroot.local.conf"];
    let ubuntu: Result<Vec<Option<Source>>> = ubuntu.into_iter().map(one).collect();
    let mut found = Sources {
        cmdline: cmdline(root)?,
        ubuntu: ubuntu?.into_iter().flatten().collect(),
        raspi_script: here(RASPI_SCRIPT)?,
        overlayroot: here(OVERLAYROOT_SCRIPT)?,
        readonly_root: one("etc/sysconfig/readonly-root")?,
        rwtab: table("etc/rwtab", "etc/rwtab.d")?,
        statetab: table("etc/statetab", "etc/statetab.d")?,
        persistence: persistence(asked)?,
        fstab: one("etc/fstab")?.map(|table| String::from_utf8_lossy(&table.text).into_owned()).unwrap_or_default(),
        ..Sources::default()
    };
    look(root, &mut found);
    Ok(found)
}

/// This boot's command line; of another tree, that of the entry which its boot loader takes.
fn cmdline(root: &str) -> Result<Option<Source>> {
    let tree = loader_files::tree(root)?;
    if tree.live {
        return Ok(source::cmdline().into_iter().find(|source| source.name == "/proc/cmdline"));
    }
    let Ok((kind, _)) = tree.detect() else {
        return Ok(None);
    };
    let state = state::state(&tree, kind);
    let entry = state.entries.get(state.default.unwrap_or(0));
    let quoted = |arg: &String| match arg.split_once('=') {
        Some((key, value)) if value.contains(' ') => format!("{key}=\"{value}\""),
        _ => arg.clone(),
    };
    Ok(entry.map(|entry| Source::new(entry.name.clone(), entry.args.iter().map(quoted).collect::<Vec<_>>().join(" "))))
}

fn persistence(asked: &Migrate) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    if let Some(path) = &asked.persistence {
        let text = files::read_linked(path, files::SMALL).with_context(|| format!("reading {path}"))?;
        found.push(Source::new(path.clone(), text));
    }
    let mut places = vec!["persistence.conf".to_owned()];
    for base in VOLUMES {
        let names = bootfile::list(&asked.root, base, "")?;
        places.extend(names.iter().map(|name| format!("{base}/{name}/persistence.conf")));
    }
    for place in places {
        let text = bootfile::read(&asked.root, &place)?;
        found.extend(text.map(|text| Source::new(format!("/{place}"), text)));
    }
    Ok(found)
}

/// Looks for each path of the tables in that system: where it leads, and what is there.
fn look(root: &str, sources: &mut Sources) {
    let tables = sources.rwtab.iter().chain(&sources.statetab).chain(&sources.persistence);
    let text: Vec<String> = tables.map(|table| String::from_utf8_lossy(&table.text).into_owned()).collect();
    for word in text.iter().flat_map(|text| text.split_whitespace()).filter(|word| word.starts_with('/')) {
        let parts: Vec<&str> = word.split('/').filter(|part| !part.is_empty()).collect();
        let plain = format!("/{}", parts.join("/"));
        let Some(real) = leads(root, &plain) else { continue };
        let place = place::look(root.trim_end_matches('/'), &real);
        if place.kind == PlaceKind::Directory {
            sources.directories.extend([plain.clone(), word.trim_end_matches('/').to_owned()]);
        }
        sources.places.insert(real.clone(), place);
        sources.links.insert(plain, real);
    }
}

/// A link is followed on the way, and at the end to a directory; one to a file is kept as the link that it is.
fn leads(root: &str, path: &str) -> Option<String> {
    let inside = |path: &str| {
        let real = bootfile::real(root, path.trim_start_matches('/')).ok()?;
        let top = Path::new(root).canonicalize().ok()?;
        Some((real.is_dir(), format!("/{}", real.strip_prefix(top).ok()?.to_str()?)))
    };
    if let Some((true, real)) = inside(path) {
        return Some(real);
    }
    let (parent, name) = path.rsplit_once('/')?;
    match parent {
        "" => Some(path.to_owned()),
        parent => inside(parent).map(|(_, real)| format!("{}/{name}", real.trim_end_matches('/'))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn asked(root: &Path, write: bool) -> Migrate {
        Migrate {
            from: None,
            write: write.then(|| "/etc/overlayroot-rs.conf".to_owned()),
            force: false,
            root: root.to_str().unwrap().to_owned(),
            persistence: None,
            json: false,
        }
    }

    #[test]
    fn a_card_of_raspi_config_s() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("boot/firmware")).unwrap();
        fs::write(dir.path().join("boot/firmware/config.txt"), "").unwrap();
        fs::write(dir.path().join("boot/firmware/cmdline.txt"), "overlayroot=tmpfs console=tty1 root=x\n").unwrap();
        let sources = collect(&asked(dir.path(), false)).unwrap();
        assert_eq!(migrate(&sources, None).remove, ["overlayroot=tmpfs"]);
        assert_eq!(run(&asked(dir.path(), true)).unwrap(), Exit::Good);
        let file = dir.path().join("etc/overlayroot-rs.conf");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\nrd.overlay = tmpfs\n"), "{text}");
        fs::write(&file, "mine").unwrap();
        assert_eq!(run(&asked(dir.path(), true)).unwrap(), Exit::No);
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        assert_eq!(run(&Migrate { force: true, ..asked(dir.path(), true) }).unwrap(), Exit::Good);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn tables_and_drop_ins() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["etc/rwtab.d", "etc/statetab.d", "etc/sysconfig", "var/lib/x", "run/live/persistence/sda1"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("etc/sysconfig/readonly-root"), "READONLY=yes\n").unwrap();
        fs::write(dir.path().join("etc/rwtab"), "files /var/lib/x\n").unwrap();
        fs::write(dir.path().join("etc/rwtab.d/y"), "empty /var/y\n").unwrap();
        fs::write(dir.path().join("etc/statetab.d/z"), "/var/lib/x\n").unwrap();
        fs::write(dir.path().join("run/live/persistence/sda1/persistence.conf"), "/home\n").unwrap();
        let found = migrate(&collect(&asked(dir.path(), false)).unwrap(), None);
        assert_eq!(found.found, ["readonly-root", "live-boot"]);
        let text = found.text();
        for line in ["volatile:/var/lib/x/,copy", "volatile:/var/y/", "persist:/var/lib/x/", "persist:/home/"] {
            assert!(text.contains(&format!("\nrd.overlay.path = {line}\n")), "{line}: {text}");
        }
        assert!(advice(&found, true).contains("set READONLY=no"));
    }

    #[test]
    fn paths_are_where_the_links_of_that_system_lead() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["etc", "run", "var/home/me", "var/lib/x", "usr/zone"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        for (target, link) in
            [("../run", "var/run"), ("/var/home", "home"), ("/var/lib/x", "srv"), ("../usr/zone/a", "etc/zone")]
        {
            symlink(target, dir.path().join(link)).unwrap();
        }
        fs::write(dir.path().join("usr/zone/a"), "").unwrap();
        fs::write(dir.path().join("var/odd"), "").unwrap();
        fs::write(dir.path().join("etc/fstab"), "tmpfs /var/tmp tmpfs\n").unwrap();
        let table = "empty /var/run/\nempty /var/tmp\ndirs /home/me\nempty /var/odd\nempty /srv/\n";
        fs::write(dir.path().join("etc/rwtab"), table).unwrap();
        fs::write(dir.path().join("etc/statetab"), "/etc/zone\n/home/me/*\n").unwrap();
        fs::create_dir(dir.path().join("etc/sysconfig")).unwrap();
        fs::write(dir.path().join("etc/sysconfig/readonly-root"), "READONLY=yes\nSTATE_LABEL=s\n").unwrap();
        let text = migrate(&collect(&asked(dir.path(), false)).unwrap(), None).text();
        let paths: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("rd.overlay.path = ")).collect();
        // Files are kept below /var/home/me, which has a file system of its own by the other line.
        assert_eq!(paths, ["volatile:/var/home/me/,copy", "volatile:/var/lib/x/", "persist:/etc/zone"], "{text}");
        assert_eq!(text.matches("# not imported: rd.overlay.path = ").count(), 3, "{text}");
    }

    #[test]
    fn nothing_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(run(&asked(dir.path(), true)).unwrap(), Exit::No);
        assert!(!dir.path().join("etc").exists());
        assert!(from("grub").is_err() && from("kiwi") == Ok(From::Kiwi));
    }
}
