// SPDX-License-Identifier: GPL-2.0-or-later
//! GRUB as Debian and Ubuntu have it: /etc/default/grub.d and update-grub.

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, Menu, first_of};
use super::change::{Plan, not_understood};
use super::entry::Entry;
use super::grub_files::{DROP_IN, bare_boot, configured, drop_in, files, without_ours};
use super::{DEFAULT_GRUB, GRUB_CFG, GRUBENV, Kind, Tree, grubmenu};

pub(super) struct GrubD;

impl BootLoader for GrubD {
    fn word(&self) -> &'static str {
        "grub.d"
    }

    fn says(&self) -> &'static str {
        "update-grub"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        let here = tree.files.contains_key(DEFAULT_GRUB) && (tree.has("update-grub") || tree.has_grub_d);
        here.then(|| format!("/{DEFAULT_GRUB} is there, and no boot loader entries"))
    }

    fn menu(&self, tree: &Tree) -> Menu {
        let block = tree.first(&GRUBENV).map(|(_, block)| block);
        match tree.first(&GRUB_CFG) {
            Some((_, text)) => {
                let menu = grubmenu::menu(text, block);
                (menu.entries, menu.default)
            }
            None => (Vec::new(), Err("grub.cfg not found".to_owned())),
        }
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        let texts: Vec<&[u8]> = files(tree).map(|(_, text)| text).collect();
        Some((format!("/{DEFAULT_GRUB} and grub.d"), configured(&texts)))
    }

    fn refuses(&self, _grub: bool, plain: &str) -> Option<char> {
        first_of(plain, "'")
    }

    /// A word of GRUB's shell: what is not plain goes into single quotes, in which nothing is special.
    fn spell(&self, arg: &Given) -> String {
        let plain = arg.plain();
        let bare = |c: char| c.is_ascii_alphanumeric() || "_./:=,@+-%".contains(c);
        if plain.chars().all(bare) { plain } else { format!("'{plain}'") }
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        for (path, text) in files(tree).filter(|(path, _)| *path != DROP_IN) {
            let (after, left) = without_ours(text);
            plan.change(tree, path, after);
            not_understood(path, &left, plan);
        }
        plan.put(tree, DROP_IN, (!args.is_empty()).then(|| drop_in(args).into_bytes()));
        if let (false, Some((path, number))) = (args.is_empty(), bare_boot(tree)) {
            plan.todo.push(format!(
                "/{path}:{number} sets GRUB_FORCE_PARTUUID: GRUB boots without an initramfs, and so without the overlay. \
                 Make that line a comment, then run update-grub"
            ));
        }
        let menu = tree.first(&GRUB_CFG);
        let fits = || self.menu(tree).0.iter().all(|entry| entry.ours() == plan.want);
        if plan.edits.is_empty() && (menu.is_none() || fits()) {
            return Ok(());
        }
        match tree.live && tree.has("update-grub") {
            true => {
                plan.commands.push(vec!["update-grub".to_owned()]);
                plan.touched.extend(menu.map(|(path, _)| path.to_owned()));
            }
            false if tree.live => {
                plan.todo.push("grub-mkconfig -o /boot/grub/grub.cfg: update-grub is not here".to_owned())
            }
            false => plan.todo.push("update-grub, in that tree".to_owned()),
        }
        Ok(())
    }

    fn place(&self, tree: &Tree, _entry: &Entry) -> String {
        tree.first(&GRUB_CFG).map(|(path, _)| format!("/{path}")).unwrap_or_default()
    }

    fn differs(&self, file: &str, configured: &str, now: &str) -> String {
        format!("{file} have {configured}, grub.cfg has {now}")
    }

    fn remakes(&self) -> Option<&'static str> {
        Some("update-grub")
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
