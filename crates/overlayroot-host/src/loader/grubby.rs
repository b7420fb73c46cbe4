// SPDX-License-Identifier: GPL-2.0-or-later
//! grubby (Fedora, RHEL), which edits the entries and what they are made from.

use super::ask::Given;
use super::bls_entries;
use super::boot_loader::{BootLoader, Copier, GRUB_SPECIAL, Menu};
use super::change::Plan;
use super::entry::Entry;
use super::{DEFAULT_GRUB, GRUBENV, KERNEL_CMDLINE, Kind, Tree};
use overlayroot_core::keys::KEYS;

/// Is run by us, and so on the running system only.
pub(super) struct Grubby;

impl BootLoader for Grubby {
    fn word(&self) -> &'static str {
        "grubby"
    }

    fn says(&self) -> &'static str {
        "grubby"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        (tree.live && tree.has("grubby")).then(|| "grubby is installed".to_owned())
    }

    fn menu(&self, tree: &Tree) -> Menu {
        bls_entries::menu(tree, tree.grub_reads_entries())
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        bls_entries::source(tree)
    }

    /// It is a shell script that splits at blanks, and its argument ends up in an entry.
    fn refuses(&self, _grub: bool, plain: &str) -> Option<char> {
        plain.chars().find(|&c| GRUB_SPECIAL.contains(c) || c.is_whitespace() || "\"*?[".contains(c))
    }

    fn plan(&self, tree: &Tree, _args: &[String], want: &[Given], plan: &mut Plan) -> Result<(), String> {
        let entries = self.menu(tree).0;
        let fitting = !entries.is_empty() && entries.iter().all(|entry| entry.ours() == plan.want);
        bls_entries::kernel_cmdline(tree, &plan.want.clone(), plan)?;
        if fitting {
            return Ok(());
        }
        let mut command = vec!["grubby".to_owned(), "--update-kernel=ALL".to_owned()];
        let keys = taken_away(&entries, want);
        if !keys.is_empty() {
            command.push(format!("--remove-args={}", keys.join(" ")));
        }
        if !want.is_empty() {
            command.push(format!("--args={}", plan.want.join(" ")));
        }
        plan.commands.push(command);
        let touched = tree.entries().into_iter().map(|(path, _)| path.to_owned());
        plan.touched.extend(touched);
        plan.touched.extend(tree.first(&GRUBENV).map(|(path, _)| path.to_owned()));
        plan.touched.extend([DEFAULT_GRUB, KERNEL_CMDLINE].map(str::to_owned));
        plan.touched.retain(|path| tree.files.contains_key(path));
        Ok(())
    }

    fn nothing(&self, _unsure: &str) -> String {
        format!("{}: no kernel entry found", self.says())
    }

    fn boots_entries_only(&self, tree: &Tree) -> bool {
        bls_entries::only_entries(tree)
    }

    fn for_other_trees(&self) -> Option<Kind> {
        Some(Kind::Bls)
    }

    fn copier(&self) -> Option<Copier> {
        None
    }

    fn writes_running_root(&self) -> bool {
        false
    }

    fn keeps_former(&self) -> Option<&'static str> {
        None
    }
}

/// The keys of ours that go.
fn taken_away(entries: &[Entry], want: &[Given]) -> Vec<String> {
    let mut keys: Vec<String> = entries.iter().flat_map(Entry::ours).collect();
    keys.iter_mut().for_each(|arg| arg.truncate(arg.find('=').unwrap_or(arg.len())));
    if entries.is_empty() {
        // Where there are no entries to look at, grubby passes over what is not there.
        keys = KEYS.iter().map(|row| row.name.to_owned()).collect();
    }
    keys.retain(|key| want.iter().all(|arg| arg.key != *key));
    keys.sort_unstable();
    keys.dedup();
    keys
}
