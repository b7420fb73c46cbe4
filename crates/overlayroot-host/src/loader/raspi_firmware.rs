// SPDX-License-Identifier: GPL-2.0-or-later
//! Debian's raspi-firmware, whose hook writes cmdline.txt anew.

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, Menu};
use super::change::{Plan, named};
use super::entry::Entry;
use super::line::{lines, ours};
use super::{Kind, Tree, cmdline_txt, raspi_hook};

pub(super) struct RaspiFirmware;

impl BootLoader for RaspiFirmware {
    fn word(&self) -> &'static str {
        "raspi-firmware"
    }

    fn says(&self) -> &'static str {
        "raspi-firmware"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        let path = cmdline_txt::read_by_firmware(tree).filter(|_| raspi_hook::writes_cmdline(tree))?;
        Some(format!("/{path} is there, and /{} writes it", raspi_hook::HOOK))
    }

    fn menu(&self, tree: &Tree) -> Menu {
        cmdline_txt::entries(tree)
    }

    fn source(&self, tree: &Tree) -> Option<(String, Vec<String>)> {
        let text = tree.files.get(raspi_hook::EXTRA).map(Vec::as_slice).unwrap_or_default();
        let heard = lines(text).first().map(|first| ours(first)).unwrap_or_default();
        Some((format!("/{}", raspi_hook::EXTRA), heard))
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        cmdline_txt::plan(tree, args, plan)?;
        // What the hook makes the next cmdline.txt of.
        let text = |path: &str| tree.files.get(path).map(Vec::as_slice);
        plan.put(
            tree,
            raspi_hook::EXTRA,
            raspi_hook::extra(text(raspi_hook::EXTRA), args).map_err(named(raspi_hook::EXTRA))?,
        );
        let later = text(raspi_hook::EXTRA)
            .is_some_and(|text| lines(text).iter().skip(1).any(|line| !line.trim_ascii().is_empty()));
        if later {
            let note =
                format!("/{} has more than one line: the firmware reads the first of cmdline.txt", raspi_hook::EXTRA);
            plan.notes.push(note);
        }
        Ok(())
    }

    fn images(&self, entry: &Entry) -> Vec<Vec<String>> {
        cmdline_txt::sets(entry)
    }

    fn differs(&self, file: &str, configured: &str, now: &str) -> String {
        format!("raspi-firmware's hook will write cmdline.txt with {configured} ({file}), now it has {now}")
    }

    fn for_other_trees(&self) -> Option<Kind> {
        None
    }

    fn copier(&self) -> Option<Copier> {
        Some(raspi_hook::COPIER)
    }

    fn writes_running_root(&self) -> bool {
        true
    }

    fn keeps_former(&self) -> Option<&'static str> {
        Some("cmdline.txt")
    }
}
