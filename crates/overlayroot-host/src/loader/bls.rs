// SPDX-License-Identifier: GPL-2.0-or-later
//! Boot loader entries that GRUB reads, or that nobody else is known to make: what `bls` names.

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, GRUB_SPECIAL, Menu, first_of};
use super::change::Plan;
use super::{KERNEL_CMDLINE, Kind, Tree, bls_entries};

pub(super) struct Bls;

impl BootLoader for Bls {
    fn word(&self) -> &'static str {
        "bls"
    }

    fn says(&self) -> &'static str {
        "GRUB's boot loader entries"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        let entries = tree.entries_that_count();
        let installs = tree.has("kernel-install") || tree.files.contains_key(KERNEL_CMDLINE);
        match (entries, tree.grub_reads_entries()) {
            (0, _) => None,
            (entries, true) => Some(format!("{entries} boot loader entries, and GRUB")),
            (entries, false) => (!installs).then(|| format!("{entries} boot loader entries")),
        }
    }

    fn menu(&self, tree: &Tree) -> Menu {
        bls_entries::menu(tree, tree.grub_reads_entries())
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        bls_entries::source(tree)
    }

    fn refuses(&self, grub: bool, plain: &str) -> Option<char> {
        first_of(plain, GRUB_SPECIAL).filter(|_| grub)
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        bls_entries::plan(tree, args, plan).map(drop)
    }

    fn nothing(&self, _unsure: &str) -> String {
        format!("{}: no kernel entry found", self.says())
    }

    fn boots_entries_only(&self, tree: &Tree) -> bool {
        bls_entries::only_entries(tree)
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
