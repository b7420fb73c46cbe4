// SPDX-License-Identifier: GPL-2.0-or-later
//! Boot loader entries that kernel-install makes from /etc/kernel/cmdline (systemd-boot, unified images).

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, Menu};
use super::change::Plan;
use super::{DEFAULT_GRUB, KERNEL_CMDLINE, Kind, Tree, bls_entries};

pub(super) struct KernelInstall;

impl BootLoader for KernelInstall {
    fn word(&self) -> &'static str {
        "kernel-install"
    }

    fn says(&self) -> &'static str {
        "boot loader entries"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        let cmdline = tree.files.contains_key(KERNEL_CMDLINE);
        match tree.entries_that_count() {
            0 => (cmdline && !tree.files.contains_key(DEFAULT_GRUB)).then(|| format!("/{KERNEL_CMDLINE} is there")),
            entries => {
                (cmdline || tree.has("kernel-install")).then(|| format!("{entries} boot loader entries, and no GRUB"))
            }
        }
    }

    fn menu(&self, tree: &Tree) -> Menu {
        bls_entries::menu(tree, false)
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        bls_entries::source(tree)
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        let none = bls_entries::plan(tree, args, plan)?;
        if (none || !tree.unified.is_empty()) && !plan.edits.is_empty() {
            plan.todo.push("kernel-install add-all: unified images hold their arguments inside".to_owned());
        }
        Ok(())
    }

    fn nothing(&self, _unsure: &str) -> String {
        "unified images hold their command line inside, which is not read".to_owned()
    }

    fn boots_entries_only(&self, tree: &Tree) -> bool {
        tree.unified.is_empty()
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
        None
    }
}
