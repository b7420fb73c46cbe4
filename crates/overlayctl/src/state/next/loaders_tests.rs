// SPDX-License-Identifier: GPL-2.0-or-later
//! Trees of every boot loader, with any line, and images that are texts, for tests of the next boot.
use super::initrd::Lister;
use super::listing::Listed;
use super::*;
use std::path::Path;

pub const WAYS: [&str; 18] = [
    "",
    "rd.overlay",
    "rd.overlay=LABEL=up",
    "rd.overlay=\"LABEL=my disk\"",
    "rd.overlay=0",
    "rd.overlay=dir:/upper",
    "rd.overlay.timeout=5",
    "rd.overlay.crypt=/dev/vdb",
    "rd.overlay.rest",
    "rd.overlay=label=persist",
    "rd.overlay.reset=false",
    "rd.overlay.readonly",
    "rd.overlay.fallback=halt",
    "overlayroot=tmpfs",
    "overlayroot=disabled",
    "rd.live.overlay.overlayfs",
    "rd.live.overlay=LABEL=up",
    "splash",
];
pub const COPIES: [&str; 3] = ["", "rd.overlay=tmpfs\n", "rd.overlay=0\n"];
pub const UBUNTUS: [&str; 3] = ["", "overlayroot=\"tmpfs\"\n", "overlayroot=disabled\n"];

/// Images that are texts: `module`, and copies of files behind `=== PATH`.
pub struct Texts;

impl Texts {
    fn parts(image: &str) -> Result<Vec<(String, String)>, String> {
        let text = fs::read_to_string(image).map_err(|error| error.to_string())?;
        let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let mut parts: Vec<(String, String)> = Vec::new();
        match head {
            "module" => parts.push(("usr/bin/overlay-assemble".into(), String::new())),
            "none" => parts.push(("usr/bin/sh".into(), String::new())),
            other => return Err(format!("{other}: not to be read")),
        }
        for part in rest.split("=== ").filter(|part| !part.is_empty()) {
            let (path, text) = part.split_once('\n').unwrap();
            parts.push((path.to_owned(), text.to_owned()));
        }
        Ok(parts)
    }
}

impl Lister for Texts {
    fn list(&self, image: &str) -> Result<Vec<Listed>, String> {
        Ok(Self::parts(image)?.into_iter().filter_map(|(path, _)| Listed::named(&path)).collect())
    }

    fn read(&self, image: &str, path: &str) -> Result<Vec<u8>, String> {
        let found = Self::parts(image)?.into_iter().find(|(name, _)| name == path);
        found.map(|(_, text)| text.into_bytes()).ok_or_else(|| "no such file".to_owned())
    }
}

/// A boot loader: its kind, the file of the line, and the whole tree for a line.
pub struct Loader {
    pub name: &'static str,
    pub kind: Kind,
    pub files: fn(&[&str]) -> Vec<(&'static str, String)>,
}

/// What every line has besides.
pub const BASE: &str = "root=UUID=1 ro quiet";
pub const IMAGE: &str = "boot/initrd.img-6.1";

pub fn kernel(words: &[&str]) -> String {
    [&[BASE][..], words].concat().join(" ")
}

fn block(text: &str) -> String {
    let mut text = format!("# GRUB Environment Block\n{text}");
    text.push_str(&"#".repeat(1024 - text.len()));
    text
}

/// As GRUB's shell wants it: a word with a blank in single quotes.
fn grub_cfg(words: &[&str]) -> String {
    let word =
        |word: &&str| if word.contains(' ') { format!("'{}'", word.replace('"', "")) } else { (*word).to_owned() };
    let words: Vec<String> = words.iter().map(word).collect();
    format!(
        "set default=\"${{saved_entry}}\"\nmenuentry 'Other' {{\n\tlinux /boot/vmlinuz-5.10 {BASE} rd.overlay=dir:/wrong\n}}\n\
         menuentry 'Debian' --id debian {{\n\tlinux /boot/vmlinuz-6.1 {BASE} {}\n\tinitrd /boot/initrd.img-6.1\n}}\n",
        words.join(" ")
    )
}

fn entry(options: &str) -> String {
    format!("title x\nversion 6.1\nlinux /vmlinuz-6.1\ninitrd /initrd.img-6.1\noptions {options}\n")
}

pub const LOADERS: [Loader; 9] = [
    Loader {
        name: "grubby",
        kind: Kind::Grubby,
        files: |words| {
            let old = entry(&format!("{BASE} rd.overlay=dir:/wrong")).replace("6.1", "5.10");
            vec![
                ("boot/loader/entries/id-6.1.conf", entry(&kernel(words))),
                ("boot/loader/entries/id-5.10.conf", old),
                ("boot/grub2/grubenv", block("")),
            ]
        },
    },
    Loader {
        name: "entries and GRUB",
        kind: Kind::Bls,
        files: |words| {
            vec![
                ("boot/loader/entries/a.conf", entry(&kernel(words))),
                ("boot/loader/entries/z.conf", entry(&format!("{BASE} rd.overlay=dir:/wrong"))),
                ("boot/grub2/grubenv", block("saved_entry=a\n")),
            ]
        },
    },
    Loader {
        name: "entries, arguments in GRUB's environment block",
        kind: Kind::Bls,
        files: |words| {
            vec![
                ("boot/loader/entries/a.conf", entry("$kernelopts $tuned_params")),
                ("boot/grub2/grubenv", block(&format!("saved_entry=a\nkernelopts={}\n", kernel(words)))),
            ]
        },
    },
    Loader {
        name: "systemd-boot",
        kind: Kind::KernelInstall,
        files: |words| {
            vec![
                ("efi/loader/entries/own-6.1.conf", entry(&kernel(words))),
                ("efi/loader/entries/own-5.conf", entry(&format!("{BASE} rd.overlay=dir:/wrong"))),
                ("efi/loader/loader.conf", "default own-6*\n".to_owned()),
                ("etc/kernel/cmdline", kernel(words)),
            ]
        },
    },
    Loader {
        name: "GRUB as Debian has it",
        kind: Kind::GrubD,
        files: |words| {
            vec![
                ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n".to_owned()),
                ("etc/default/grub.d/x.cfg", String::new()),
                ("boot/grub/grubenv", block("saved_entry=debian\n")),
                ("boot/grub/grub.cfg", grub_cfg(words)),
            ]
        },
    },
    Loader {
        name: "Raspberry Pi",
        kind: Kind::CmdlineTxt,
        files: |words| {
            vec![
                ("boot/firmware/cmdline.txt", format!("{}\nrd.overlay=dir:/wrong\n", kernel(words))),
                ("boot/firmware/config.txt", "initramfs initrd.img-6.1 followkernel\n".to_owned()),
                ("boot/firmware/initrd.img-6.1", String::new()),
            ]
        },
    },
    Loader {
        name: "Raspberry Pi with Debian's raspi-firmware",
        kind: Kind::RaspiFirmware,
        files: |words| {
            vec![
                ("boot/firmware/cmdline.txt", format!("{}\n", kernel(words))),
                ("boot/firmware/config.txt", "kernel=vmlinuz-6.1\ninitramfs initrd.img-6.1\n".to_owned()),
                ("boot/firmware/initrd.img-6.1", String::new()),
                (
                    "etc/kernel/postinst.d/z50-raspi-firmware",
                    ". /etc/default/raspi-firmware\ncat >/boot/firmware/cmdline.txt <<EOF\n".to_owned(),
                ),
                ("etc/default/raspi-firmware", "#CMA=64M\n".to_owned()),
                ("etc/default/raspi-extra-cmdline", format!("{}\n", words.join(" "))),
            ]
        },
    },
    Loader {
        name: "U-Boot",
        kind: Kind::Extlinux,
        files: |words| {
            let text = format!(
                "default l1\nlabel l0\n\tlinux /boot/vmlinuz\n\tappend {BASE} rd.overlay=dir:/wrong\nlabel l1\n\tlinux /boot/vmlinuz\n\
                 \tinitrd /boot/initrd.img-6.1\n\tappend {}\n",
                kernel(words)
            );
            vec![("boot/extlinux/extlinux.conf", text)]
        },
    },
    Loader {
        name: "unified images",
        kind: Kind::KernelInstall,
        files: |words| vec![("etc/kernel/cmdline", kernel(words))],
    },
];

/// What is said in files: the configuration of the host, its copy in the image, and Ubuntu's.
#[derive(Clone, Copy)]
pub struct Files {
    pub conf: &'static str,
    pub copy: &'static str,
    pub ubuntu: &'static str,
}

pub fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn image(copy: &str) -> String {
    if copy.is_empty() { "module\n".to_owned() } else { format!("module\n=== etc/overlayroot-rs.conf\n{copy}") }
}

/// The tree in a directory.
pub fn made(loader: &Loader, words: &[&str], said: Files) -> tempfile::TempDir {
    // Files are synced when they are exchanged, which costs nothing there.
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    write(dir.path(), IMAGE, &image(said.copy));
    for (path, text) in (loader.files)(words) {
        let text = if path.ends_with(".img-6.1") { image(said.copy) } else { text };
        write(dir.path(), path, &text);
    }
    for (path, text) in [("etc/overlayroot-rs.conf", said.conf), ("etc/overlayroot.conf", said.ubuntu)] {
        if !text.is_empty() {
            write(dir.path(), path, text);
        }
    }
    dir
}

pub fn look(dir: &Path, loader: &Loader) -> NextBoot {
    let root = dir.to_str().unwrap();
    find(&Query { root, kind: Some(loader.kind), lister: &Texts, ..Query::HERE }).boot
}
