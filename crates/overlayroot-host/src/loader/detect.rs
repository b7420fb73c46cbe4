// SPDX-License-Identifier: GPL-2.0-or-later
//! GRUB, systemd-boot or both: who reads the boot loader entries.

use super::{EFI_LOADER, EXTLINUX, GRUB_CFG, GRUBENV, Tree};
use super::{cmdline_txt, grubmenu, picked};

impl Tree {
    /// Whether GRUB shows a menu of its own, and no boot loader entries: those beside it are for another boot loader.
    pub fn grub_has_own_menu(&self) -> bool {
        let blscfg = |text: &[u8]| text.windows(6).any(|part| part == b"blscfg");
        let menu = self.first(&GRUB_CFG).map(|(_, text)| text).filter(|text| !blscfg(text));
        menu.is_some_and(|text| !grubmenu::menu(text, None).entries.is_empty())
    }

    /// Whether this boot was started by a boot loader whose name begins so; `None` where none left its name.
    fn started_by(&self, name: &str) -> Option<bool> {
        let word = self.files.get(EFI_LOADER).map(|bytes| picked::wide(bytes)).filter(|word| !word.is_empty());
        word.map(|word| word.starts_with(name))
    }

    /// Whether GRUB is what reads the entries.
    pub fn grub_reads_entries(&self) -> bool {
        let set_up = self.first(&GRUBENV).is_some() || self.first(&GRUB_CFG).is_some();
        set_up && self.started_by("systemd-boot") != Some(true)
    }

    /// Why it is not known which of two boot loaders boots: Debian's GRUB with entries beside it.
    pub fn two_loaders(&self) -> Option<String> {
        let two = self.grub_has_own_menu() && !self.entries().is_empty();
        let known = self.no_efi || self.started_by("systemd-boot").is_some();
        (two && !known).then(|| {
            "GRUB has a menu of its own, and beside it are boot loader entries, which it does not read: which of the two \
             boots is not known"
                .to_owned()
        })
    }

    /// How many entries there are of this system that its boot loader reads. With a menu of its own, and where it is
    /// what started this boot, GRUB reads none.
    pub(super) fn entries_that_count(&self) -> usize {
        if self.grub_reads_entries() && self.grub_has_own_menu() { 0 } else { self.entries().len() }
    }

    /// Whether a Pi's firmware starts U-Boot, whose menu is here.
    pub(super) fn starts_u_boot(&self) -> bool {
        self.files.contains_key(EXTLINUX) && cmdline_txt::starts_loader(self)
    }
}

#[cfg(test)]
mod tests;
