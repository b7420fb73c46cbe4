// SPDX-License-Identifier: GPL-2.0-or-later
//! All entries of the Boot Loader Specification on a host, whoever reads them: what they say, and the edits.
//! grubby, bls and kernel-install have it in common.

use super::boot_loader::Menu;
use super::change::{Plan, named, not_understood};
use super::entry::{Entry, args};
use super::grubmenu::{expanded, joined};
use super::line::{Where, edit_file, lines, ours};
use super::{DEFAULT_GRUB, GRUB_CFG, GRUBENV, KERNEL_CMDLINE, Tree};
use super::{bls_text, grub_files, picked};

/// Entries that boot a kernel of this system, and the default; `grub`: it reads them, else systemd-boot does.
pub(super) fn menu(tree: &Tree, grub: bool) -> Menu {
    let block = tree.first(&GRUBENV).map(|(_, block)| block);
    let kernelopts = block.and_then(|block| bls_text::variable(block, "kernelopts")).unwrap_or_default();
    let mut found = Vec::new();
    for (path, text) in tree.entries() {
        let options = bls_text::options(text);
        let mut all = args(&options);
        if bls_text::uses_kernelopts(text) {
            all.extend(args(&kernelopts));
        }
        let words = |text: &[u8]| expanded(&grub_files::words(&String::from_utf8_lossy(text)), block);
        let line = if grub { joined(&words(&options)) } else { options.trim_ascii().to_vec() };
        found.push(Entry {
            name: format!("/{path}"),
            title: bls_text::value(text, "title").unwrap_or_default(),
            args: all,
            line,
            initrd: bls_text::values(text, "initrd").iter().flat_map(|value| words(value.as_bytes())).collect(),
            kernel: bls_text::value(text, "linux").unwrap_or_default(),
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

/// What kernel-install gives to entries that it makes.
pub(super) fn source(tree: &Tree) -> Option<(String, Vec<String>)> {
    let text = tree.files.get(KERNEL_CMDLINE)?;
    Some((format!("/{KERNEL_CMDLINE}"), lines(text).iter().flat_map(|line| ours(line)).collect()))
}

/// Whether GRUB, or systemd-boot in its place, boots nothing else.
pub(super) fn only_entries(tree: &Tree) -> bool {
    if tree.grub_reads_entries() { !tree.grub_has_own_menu() } else { tree.unified.is_empty() }
}

/// Entries that kernel-install makes later take their arguments from here.
pub(super) fn kernel_cmdline(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<(), String> {
    if let Some(text) = tree.files.get(KERNEL_CMDLINE) {
        let after = edit_file(text, Where::Last, args).map_err(named(KERNEL_CMDLINE))?;
        plan.change(tree, KERNEL_CMDLINE, after);
    } else if tree.files.contains_key("usr/lib/kernel/cmdline") && !args.is_empty() {
        let todo = "copy /usr/lib/kernel/cmdline to /etc/kernel/cmdline and repeat: kernels installed later take their \
                    arguments from there";
        plan.todo.push(todo.to_owned());
    }
    Ok(())
}

/// Gives every entry of this system these arguments; and whether there was none to give them to.
pub(super) fn plan(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<bool, String> {
    let own = tree.entries();
    if own.is_empty() && !tree.files.contains_key(KERNEL_CMDLINE) {
        return Err("no boot loader entry of this system, and no /etc/kernel/cmdline".to_owned());
    }
    let block = tree.first(&GRUBENV).filter(|(_, block)| bls_text::variable(block, "kernelopts").is_some());
    let mut shared = false;
    for (path, text) in &own {
        let in_block = block.is_some() && bls_text::uses_kernelopts(text);
        shared |= in_block;
        let after = bls_text::edit(text, if in_block { &[] } else { args }).map_err(named(path))?;
        plan.change(tree, path, after);
    }
    if let Some((path, block)) = block {
        let args = if shared { args } else { &[] };
        plan.change(tree, path, bls_text::edit_block(block, args).map_err(named(path))?);
    }
    kernel_cmdline(tree, args, plan)?;
    if let (true, Some(text)) = (args.is_empty(), tree.files.get(DEFAULT_GRUB)) {
        let (after, left) = grub_files::without_ours(text);
        plan.change(tree, DEFAULT_GRUB, after);
        not_understood(DEFAULT_GRUB, &left, plan);
    }
    let others = tree.all_entries().len() - own.len();
    if others > 0 {
        plan.notes.push(format!("{others} entries of other systems, or without a kernel, are left as they are"));
    }
    Ok(own.is_empty())
}
