// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot loader's files say now: the arguments of each entry, and those that entries to come will get.

use super::entry::{Entry, args};
use super::grubmenu::{self, expanded, joined};
use super::{DEFAULT_GRUB, EXTLINUX, GRUB_CFG, GRUB_D, GRUBENV, KERNEL_CMDLINE, Kind, Tree};
use super::{bls, cmdline_txt, extlinux, grub_d, line, picked, raspi};

/// What is known of a boot loader.
#[derive(Debug, Clone)]
pub struct State {
    /// Its kind.
    pub kind: Kind,
    /// The entries, in the order of the menu where that is known.
    pub entries: Vec<Entry>,
    /// The one that boots if nobody chooses, by its place; where it is known.
    pub default: Option<usize>,
    /// Why the default is not known.
    pub unsure: String,
    /// File and arguments of ours from which entries are made, where they are.
    pub source: Option<(String, Vec<String>)>,
}

/// Reads it.
pub fn state(tree: &Tree, kind: Kind) -> State {
    let (entries, default) = match kind {
        Kind::Grubby | Kind::Bls | Kind::KernelInstall => specified(tree, kind),
        Kind::GrubD => {
            let block = tree.first(&GRUBENV).map(|(_, block)| block);
            match tree.first(&GRUB_CFG) {
                Some((_, text)) => {
                    let menu = grubmenu::menu(text, block);
                    (menu.entries, menu.default)
                }
                None => (Vec::new(), Err("grub.cfg not found".to_owned())),
            }
        }
        Kind::RaspiFirmware | Kind::CmdlineTxt => cmdline_txt::entries(tree),
        Kind::Extlinux => {
            let text = tree.files.get(EXTLINUX).map(Vec::as_slice).unwrap_or_default();
            extlinux::menu(text)
        }
    };
    let unsure = default.as_ref().err().cloned().unwrap_or_default();
    let default = default.ok().filter(|at| *at < entries.len());
    State { kind, entries, default, unsure, source: source(tree, kind) }
}

/// Entries of the Boot Loader Specification that boot a kernel of this system, and the default.
fn specified(tree: &Tree, kind: Kind) -> (Vec<Entry>, Result<usize, String>) {
    let block = tree.first(&GRUBENV).map(|(_, block)| block);
    let grub = kind != Kind::KernelInstall && tree.grub_reads_entries();
    let kernelopts = block.and_then(|block| bls::variable(block, "kernelopts")).unwrap_or_default();
    let mut found = Vec::new();
    for (path, text) in tree.entries() {
        let options = bls::options(text);
        let mut all = args(&options);
        if bls::uses_kernelopts(text) {
            all.extend(args(&kernelopts));
        }
        let words = |text: &[u8]| expanded(&grub_d::words(&String::from_utf8_lossy(text)), block);
        let line = if grub { joined(&words(&options)) } else { options.trim_ascii().to_vec() };
        found.push(Entry {
            name: format!("/{path}"),
            title: bls::value(text, "title").unwrap_or_default(),
            args: all,
            line,
            initrd: bls::values(text, "initrd").iter().flat_map(|value| words(value.as_bytes())).collect(),
            kernel: bls::value(text, "linux").unwrap_or_default(),
        });
    }
    let default = match grub {
        true if tree.grub_has_own_menu() => {
            Err("GRUB has a menu of its own, and reads no boot loader entries".to_owned())
        }
        true => picked::by_grub(&found, tree.first(&GRUB_CFG).map(|(_, text)| text), block),
        false => picked::by_systemd_boot(&found, tree),
    };
    (found, default)
}

fn source(tree: &Tree, kind: Kind) -> Option<(String, Vec<String>)> {
    match kind {
        Kind::Grubby | Kind::Bls | Kind::KernelInstall => {
            let text = tree.files.get(KERNEL_CMDLINE)?;
            Some((format!("/{KERNEL_CMDLINE}"), line::lines(text).iter().flat_map(|line| line::ours(line)).collect()))
        }
        Kind::GrubD => {
            let drop_ins = tree.files.range(GRUB_D.to_owned()..).take_while(|(path, _)| path.starts_with(GRUB_D));
            let files = tree.files.get_key_value(DEFAULT_GRUB).into_iter().chain(drop_ins);
            let texts: Vec<&[u8]> = files.map(|(_, text)| text.as_slice()).collect();
            Some((format!("/{DEFAULT_GRUB} and {}", "grub.d"), grub_d::configured(&texts)))
        }
        Kind::RaspiFirmware => {
            let text = tree.files.get(raspi::EXTRA).map(Vec::as_slice).unwrap_or_default();
            let heard = line::lines(text).first().map(|first| line::ours(first)).unwrap_or_default();
            Some((format!("/{}", raspi::EXTRA), heard))
        }
        Kind::CmdlineTxt | Kind::Extlinux => None,
    }
}

/// Whether every entry has exactly these arguments of ours.
///
/// # Errors
/// The first that has not.
pub fn check(state: &State, want: &[String]) -> Result<(), String> {
    match state.entries.iter().find(|entry| entry.ours() != want) {
        None => Ok(()),
        Some(entry) => {
            let has = entry.ours();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(" ") };
            Err(format!("{} has of our arguments: {has}", entry.name))
        }
    }
}
