// SPDX-License-Identifier: GPL-2.0-or-later
//! The edits and commands that give a host exactly the arguments asked for.

use super::ask::Given;
use super::boot_loader::{BootLoader, spelled};
use super::change::{Edit, Plan};
use super::{Kind, MODULE, MODULE_TEXT, Tree};

/// Plans for a kind of boot loader; without arguments, all of ours go.
///
/// # Errors
/// An argument that the boot loader can't be given, or a file that is not understood, with its name.
pub fn plan(tree: &Tree, kind: Kind, want: &[Given]) -> Result<Plan, String> {
    let (loader, grub) = (kind.loader(), tree.has_grub());
    let args: Vec<String> = want.iter().map(|arg| spelled(loader, grub, arg)).collect::<Result<_, _>>()?;
    let mut plan = Plan { want: want.iter().map(Given::plain).collect(), ..Plan::default() };
    loader.plan(tree, &args, want, &mut plan)?;
    if !want.is_empty() {
        beside(loader, tree, &mut plan);
    }
    Ok(plan)
}

/// Words of others that make an overlay, too.
fn beside(loader: &dyn BootLoader, tree: &Tree, plan: &mut Plan) {
    const OTHERS: [&str; 6] =
        ["overlayroot=", "rd.live.overlay", "boot=overlay", "systemd.volatile=", "rootovl", "rd.root.overlay"];
    let entries = loader.menu(tree).0;
    let args = entries.iter().flat_map(|entry| &entry.args);
    let mut found: Vec<&String> = args.filter(|arg| OTHERS.iter().any(|other| arg.starts_with(other))).collect();
    found.sort_unstable();
    found.dedup();
    for arg in found {
        plan.notes.push(format!("{arg} is on the command line, too, and stays: see overlayctl migrate"));
    }
}

/// The drop-in of dracut that puts the module into every initramfs, or takes it away; and what to say of it. One that
/// somebody has changed stays.
pub fn module(tree: &Tree, enable: bool) -> (Option<Edit>, Option<String>) {
    let here = tree.files.get(MODULE);
    let ours = here.is_some_and(|text| text == MODULE_TEXT.as_bytes());
    let edit = |after: Option<&str>| Edit {
        path: MODULE.to_owned(),
        before: here.cloned(),
        after: after.map(|text| text.as_bytes().to_vec()),
    };
    let says_it = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        // not the condition of ours, which names the module's directory
        let adds = |line: &str| line.contains("dracutmodules") && line.contains("overlayroot-rs");
        text.lines().any(|line| !line.trim_start().starts_with('#') && adds(line))
    };
    match (enable, here) {
        (true, None) => (Some(edit(Some(MODULE_TEXT))), None),
        (true, Some(text)) if !ours && !says_it(text) => {
            (None, Some(format!("/{MODULE} has been changed and does not add the module: check it by hand")))
        }
        (false, Some(_)) if ours => (Some(edit(None)), None),
        (false, Some(_)) => {
            (None, Some(format!("/{MODULE} has been changed and stays: it has no effect without arguments")))
        }
        _ => (None, None),
    }
}
