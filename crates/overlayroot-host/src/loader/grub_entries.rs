// SPDX-License-Identifier: GPL-2.0-or-later
//! Boot loader entries that GRUB reads, or that nobody else is known to make.

use super::ask::Given;
use super::boot_loader::{BootLoader, GRUB_SPECIAL, Menu, first_of};
use super::change::Plan;
use super::{KERNEL_CMDLINE, Tree, specified};

pub(super) struct GrubEntries;

impl BootLoader for GrubEntries {
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
        specified::menu(tree, tree.grub_reads_entries())
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        specified::source(tree)
    }

    fn refuses(&self, grub: bool, plain: &str) -> Option<char> {
        first_of(plain, GRUB_SPECIAL).filter(|_| grub)
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        specified::plan(tree, args, plan).map(drop)
    }

    fn nothing(&self, _unsure: &str) -> String {
        format!("{}: no kernel entry found", self.says())
    }

    fn boots_entries_only(&self, tree: &Tree) -> bool {
        specified::only_entries(tree)
    }
}
