// SPDX-License-Identifier: GPL-2.0-or-later
//! What a Raspberry Pi's firmware reads: cmdline.txt, and config.txt for the initramfs.

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, Menu};
use super::change::{Plan, named};
use super::entry::{Entry, args};
use super::line::{Where, edit_file, lines, ours, split_end};
use super::{Kind, Tree, raspi_hook};

/// Stands for the initramfs whose name goes with the kernel's, of which the firmware takes the model's.
pub const AUTO: &str = "initramfs*";
/// Between the names of files of which one boot loads all.
const ALSO: char = ',';

/// cmdline.txt of a Raspberry Pi.
pub(super) struct CmdlineTxt;

impl BootLoader for CmdlineTxt {
    fn word(&self) -> &'static str {
        "cmdline.txt"
    }

    fn says(&self) -> &'static str {
        "cmdline.txt"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        read_by_firmware(tree).map(|path| format!("/{path} is there"))
    }

    fn menu(&self, tree: &Tree) -> Menu {
        entries(tree)
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], into: &mut Plan) -> Result<(), String> {
        plan(tree, args, into)
    }

    fn images(&self, entry: &Entry) -> Vec<Vec<String>> {
        sets(entry)
    }

    fn for_other_trees(&self) -> Option<Kind> {
        None
    }

    fn copier(&self) -> Option<Copier> {
        None
    }

    fn writes_running_root(&self) -> bool {
        false
    }

    fn keeps_former(&self) -> Option<&'static str> {
        Some("cmdline.txt")
    }
}

/// The Pi's file, where the firmware boots by it and starts no U-Boot, whose menu is here.
pub(super) fn read_by_firmware(tree: &Tree) -> Option<&str> {
    tree.cmdline_txt().map(|(path, _)| path).filter(|_| !tree.starts_u_boot())
}

/// Each file of config.txt is for another model: one of them is loaded, with those that go with it.
pub(super) fn sets(entry: &Entry) -> Vec<Vec<String>> {
    match entry.initrd.as_slice() {
        [] => vec![Vec::new()],
        names => names.iter().map(|set| set.split(ALSO).map(str::to_owned).collect()).collect(),
    }
}

/// Gives the first line of the Pi's file these arguments.
pub(super) fn plan(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<(), String> {
    let (path, text) = tree.cmdline_txt().ok_or("no cmdline.txt with a config.txt beside it")?;
    let after = edit_file(text, Where::First, args).map_err(named(path))?;
    plan.change(tree, path, raspi_hook::repaired(tree, after).map_err(named(path))?);
    if raspi_hook::reads_settings(tree) {
        let settings = tree.files.get(raspi_hook::DEFAULT).map(Vec::as_slice);
        plan.put(tree, raspi_hook::DEFAULT, raspi_hook::settings(settings, !args.is_empty()));
    }
    let later: Vec<String> = lines(text).iter().skip(1).flat_map(|line| ours(line)).collect();
    if !later.is_empty() {
        plan.notes
            .push(format!("/{path}: {} behind the first line, which the firmware does not read", later.join(" ")));
    }
    let elsewhere = why_elsewhere(tree).into_iter();
    plan.notes.extend(elsewhere.map(|why| format!("config.txt has {why}: is /{path} the file that counts?")));
    Ok(())
}

/// The one entry. Not known where config.txt has the firmware read another file.
pub(super) fn entries(tree: &Tree) -> Menu {
    let Some((path, text)) = tree.cmdline_txt() else {
        return (Vec::new(), Err("no cmdline.txt with a config.txt beside it".to_owned()));
    };
    let directory = path.trim_end_matches("cmdline.txt");
    let config = config(tree).unwrap_or_default();
    let first = lines(text).first().map(|first| split_end(first).0.to_vec()).unwrap_or_default();
    let entry = Entry {
        name: format!("/{path}"),
        args: args(&first),
        initrd: images(&config).iter().map(|name| placed(directory, name)).collect(),
        line: first,
        ..Entry::default()
    };
    let default = match elsewhere(&config).first() {
        Some(why) => Err(format!("config.txt has {why}")),
        None => Ok(0),
    };
    (vec![entry], default)
}

/// Each file of a set with its directory.
fn placed(directory: &str, set: &str) -> String {
    set.split(ALSO).map(|name| format!("/{directory}{name}")).collect::<Vec<_>>().join(&ALSO.to_string())
}

/// The config.txt beside cmdline.txt.
fn config(tree: &Tree) -> Option<String> {
    let (path, _) = tree.cmdline_txt()?;
    let text = tree.files.get(&path.replace("cmdline.txt", "config.txt"))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Lines that have the firmware read another file than cmdline.txt, or that may, each with that.
fn why_elsewhere(tree: &Tree) -> Vec<String> {
    config(tree).map(|config| elsewhere(&config)).unwrap_or_default()
}

fn elsewhere(config: &str) -> Vec<String> {
    let judged = said(config).filter_map(|line| {
        let (key, value) = line.split_once('=').map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
        let why = match key {
            // Ubuntu's files name the one that is read anyway.
            "cmdline" if value != "cmdline.txt" => "with which the firmware reads another file than cmdline.txt",
            "os_prefix" if !value.is_empty() => "with which the firmware reads another file than cmdline.txt",
            "kernel" if is_loader(value) => "which reads its own files, not cmdline.txt",
            _ if line.starts_with("include ") => "a file that is not read here",
            _ => return None,
        };
        Some(format!("{line}, {why}"))
    });
    judged.collect()
}

/// Whether a boot loader is started in a kernel's place.
pub(super) fn starts_loader(tree: &Tree) -> bool {
    let config = config(tree).unwrap_or_default();
    let kernels = said(&config).filter_map(|line| line.split_once('=').filter(|(key, _)| key.trim() == "kernel"));
    kernels.last().is_some_and(|(_, name)| is_loader(name.trim()))
}

fn is_loader(kernel: &str) -> bool {
    let name = kernel.to_ascii_lowercase();
    ["u-boot", "uboot", "u_boot", "grub"].iter().any(|loader| name.contains(loader))
}

/// The lines that count in a boot that nobody has asked to be another: not those for no Pi at all, or for a boot to
/// try something. Those for one model count, of which there is one here.
fn said(config: &str) -> impl Iterator<Item = &str> {
    let mut trying = false;
    let mut none = false;
    config.lines().map(str::trim).filter(move |line| {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let section = section.trim().to_ascii_lowercase();
            // Filters of different kinds add up until [all].
            trying = section == "tryboot" || (trying && section != "all");
            none = section == "none";
            return false;
        }
        !line.starts_with('#') && !trying && !none
    })
}

/// The sets of files that may be loaded, one of them in a boot; none for a boot without an initramfs.
fn images(config: &str) -> Vec<String> {
    let named = said(config).filter_map(|line| {
        let by_line = line.strip_prefix("initramfs").filter(|rest| rest.starts_with([' ', '\t']));
        let by_key = || line.split_once('=').filter(|(key, _)| key.trim() == "ramfsfile").map(|(_, value)| value);
        by_line.or_else(by_key)?.split_ascii_whitespace().next()
    });
    let mut named: Vec<String> = named.map(str::to_owned).collect();
    named.dedup();
    let auto = said(config).any(|line| line.replace(' ', "") == "auto_initramfs=1");
    if named.is_empty() && auto { vec![AUTO.to_owned()] } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded() {
        assert_eq!(images("[all]\ninitramfs initramfs-overlay followkernel\n"), ["initramfs-overlay"]);
        assert_eq!(images("auto_initramfs=1\n"), ["initramfs*"]);
        assert_eq!(images("#auto_initramfs=1\narm_64bit=1\n"), Vec::<String>::new());
        assert_eq!(images("auto_initramfs=1\ninitramfs a 0x1\n[pi5]\ninitramfs b\n"), ["a", "b"]);
        // the older way to name one, and several of which all are loaded
        assert_eq!(images("ramfsfile=initrd.img\nramfsaddr=-1\n"), ["initrd.img"]);
        assert_eq!(images("initramfs initrd.img,more.img followkernel\n"), ["initrd.img,more.img"]);
        assert_eq!(images("initramfs_x a\n"), Vec::<String>::new());
        assert_eq!(placed("boot/", "a,b"), "/boot/a,/boot/b");
    }

    #[test]
    fn sections_that_do_not_count() {
        let config = "initramfs a followkernel\n[none]\ninitramfs b\ncmdline=x.txt\n[tryboot]\nos_prefix=new/\n[pi4]\n\
                      kernel=u-boot.bin\n[all]\n#cmdline=y.txt\ncmdline=cmdline.txt\nos_prefix=\n";
        assert_eq!((images(config), elsewhere(config)), (vec!["a".to_owned()], Vec::new()));
        for (line, why) in [
            ("cmdline=other.txt", "another file"),
            ("[pi4]\nos_prefix=current/", "another file"),
            ("kernel=uboot_rpi_arm64.bin", "its own files"),
            ("include usercfg.txt", "not read here"),
        ] {
            let found = elsewhere(&format!("arm_64bit=1\n[tryboot]\nx=1\n[all]\n{line}\n"));
            assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
        }
    }
}
