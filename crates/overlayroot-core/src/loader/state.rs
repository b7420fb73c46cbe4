// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot loader's files say now: the arguments of each entry, and those that entries to come will get.

use super::{DEFAULT_GRUB, EXTLINUX, GRUB_CFG, GRUB_D, GRUBENV, KERNEL_CMDLINE, Kind, Tree};
use super::{entry, extlinux, grub, line};
use crate::cmdline::spans;

/// One entry of a boot menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its file, or its kernel.
    pub name: String,
    /// All arguments, quotes taken off.
    pub args: Vec<String>,
}

impl Entry {
    /// Those that are ours.
    pub fn ours(&self) -> Vec<String> {
        self.args.iter().filter(|arg| arg.starts_with("rd.overlay")).cloned().collect()
    }
}

/// What is known of a boot loader.
#[derive(Debug, Clone)]
pub struct State {
    /// Its kind.
    pub kind: Kind,
    /// The entries, in the order of the menu where that is known.
    pub entries: Vec<Entry>,
    /// The one that boots if nobody chooses, by its place; where it is known.
    pub default: Option<usize>,
    /// File and arguments of ours from which entries are made, where they are.
    pub source: Option<(String, Vec<String>)>,
}

/// Reads it.
pub fn state(tree: &Tree, kind: Kind) -> State {
    let (entries, default) = match kind {
        Kind::Grubby | Kind::Bls | Kind::KernelInstall => specified(tree),
        Kind::GrubD => {
            let menu = tree.first(&GRUB_CFG).map(|(_, text)| grub::menu(text)).unwrap_or_default();
            (menu, Some(0))
        }
        Kind::CmdlineTxt => {
            let file = tree.cmdline_txt();
            let first = |text: &[u8]| line::lines(text).first().map(|line| line.to_vec()).unwrap_or_default();
            let entry = file.map(|(path, text)| Entry { name: format!("/{path}"), args: args(&first(text)) });
            (entry.into_iter().collect(), Some(0))
        }
        Kind::Extlinux => {
            let text = tree.files.get(EXTLINUX).map(Vec::as_slice).unwrap_or_default();
            let lines = extlinux::all(text).into_iter().enumerate();
            let entries = lines.map(|(i, text)| Entry { name: format!("append line {}", i + 1), args: args(text) });
            (entries.collect(), None)
        }
    };
    let default = default.filter(|at| *at < entries.len());
    State { kind, entries, default, source: source(tree, kind) }
}

fn args(text: &[u8]) -> Vec<String> {
    spans(text).iter().map(|(_, arg)| arg.text()).collect()
}

/// Entries of the Boot Loader Specification that boot a kernel of this system, and the default.
fn specified(tree: &Tree) -> (Vec<Entry>, Option<usize>) {
    let block = tree.first(&GRUBENV).map(|(_, block)| block);
    let variable = |name: &str| block.and_then(|block| entry::variable(block, name));
    let kernelopts = variable("kernelopts").unwrap_or_default();
    let mut found = Vec::new();
    for (path, text) in tree.entries() {
        let mut all = args(&entry::options(text));
        if entry::uses_kernelopts(text) {
            all.extend(args(&kernelopts));
        }
        found.push(Entry { name: format!("/{path}"), args: all });
    }
    let saved = variable("saved_entry").and_then(|saved| String::from_utf8(saved).ok());
    let stem = |name: &str| name.rsplit('/').next().unwrap_or(name).trim_end_matches(".conf").to_owned();
    let default = saved.and_then(|saved| found.iter().position(|entry| stem(&entry.name) == saved));
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
            Some((format!("/{DEFAULT_GRUB} and {}", "grub.d"), grub::configured(&texts)))
        }
        _ => None,
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
