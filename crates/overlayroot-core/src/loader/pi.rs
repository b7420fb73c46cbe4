// SPDX-License-Identifier: GPL-2.0-or-later
//! What a Raspberry Pi's firmware reads: cmdline.txt, and config.txt for the initramfs.

use super::line::lines;
use super::state::{Entry, args};
use super::{Tree, line};

/// Stands for the initramfs whose name goes with the kernel's, of which the firmware takes the model's.
pub const AUTO: &str = "initramfs*";

/// The one entry. Not known where config.txt has the firmware read another file.
pub fn entries(tree: &Tree) -> (Vec<Entry>, Result<usize, String>) {
    let Some((path, text)) = tree.cmdline_txt() else {
        return (Vec::new(), Err("no cmdline.txt with a config.txt beside it".to_owned()));
    };
    let directory = path.trim_end_matches("cmdline.txt");
    let config = tree.files.get(&format!("{directory}config.txt")).map(Vec::as_slice).unwrap_or_default();
    let config = String::from_utf8_lossy(config).into_owned();
    let first = lines(text).first().map(|first| line::split_end(first).0.to_vec()).unwrap_or_default();
    let entry = Entry {
        name: format!("/{path}"),
        args: args(&first),
        initrd: images(&config).iter().map(|name| format!("/{directory}{name}")).collect(),
        line: first,
        ..Entry::default()
    };
    let elsewhere = said(&config).find(|line| line.starts_with("cmdline=") || line.starts_with("os_prefix="));
    let default = match elsewhere {
        Some(line) => Err(format!("config.txt has {line}, with which the firmware reads another file than /{path}")),
        None => Ok(0),
    };
    (vec![entry], default)
}

fn said(config: &str) -> impl Iterator<Item = &str> {
    config.lines().map(str::trim).filter(|line| !line.starts_with('#'))
}

/// The files that may be loaded, one of them in a boot; none for a boot without an initramfs.
fn images(config: &str) -> Vec<String> {
    let named = said(config).filter_map(|line| line.strip_prefix("initramfs")?.split_ascii_whitespace().next());
    let mut named: Vec<String> = named.filter(|name| !name.starts_with('=')).map(str::to_owned).collect();
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
    }
}
