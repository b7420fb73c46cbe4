// SPDX-License-Identifier: GPL-2.0-or-later
//! The edits and commands that give a host exactly the arguments asked for.

use super::ask::{Given, spelled};
use super::line::{Where, edit_file, lines, ours};
use super::state::{check, state};
use super::{DEFAULT_GRUB, EXTLINUX, GRUB_CFG, GRUB_D, GRUBENV, KERNEL_CMDLINE, Kind, Tree};
use super::{MODULE, MODULE_TEXT};
use super::{bls, cmdline_txt, extlinux, grub_d, raspi};

/// A file as it is and as it is to be; `None` where it is not, or is not to be, there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Path, without the leading slash.
    pub path: String,
    /// Its bytes now.
    pub before: Option<Vec<u8>>,
    /// Its bytes then.
    pub after: Option<Vec<u8>>,
}

/// Everything to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files to be written.
    pub edits: Vec<Edit>,
    /// Program and arguments, to be run in this order after the edits.
    pub commands: Vec<Vec<String>>,
    /// Files that the commands change.
    pub touched: Vec<String>,
    /// What a person must still do.
    pub todo: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What every entry must have of ours when it is done, as plain words.
    pub want: Vec<String>,
}

impl Plan {
    fn change(&mut self, tree: &Tree, path: &str, after: Vec<u8>) {
        self.put(tree, path, Some(after));
    }

    /// `None` has the file go.
    fn put(&mut self, tree: &Tree, path: &str, after: Option<Vec<u8>>) {
        let before = tree.files.get(path).cloned();
        if before != after {
            self.edits.push(Edit { path: path.to_owned(), before, after });
        }
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.edits.is_empty() && self.commands.is_empty()
    }
}

/// Plans for a kind of boot loader; without arguments, all of ours go.
///
/// # Errors
/// An argument that the boot loader can't be given, or a file that is not understood, with its name.
pub fn plan(tree: &Tree, kind: Kind, want: &[Given]) -> Result<Plan, String> {
    let grub = tree.has_grub();
    let args: Vec<String> = want.iter().map(|arg| spelled(kind, grub, arg)).collect::<Result<_, _>>()?;
    let mut plan = Plan { want: want.iter().map(Given::plain).collect(), ..Plan::default() };
    match kind {
        Kind::Grubby => grubby(tree, want, &mut plan)?,
        Kind::Bls | Kind::KernelInstall => entries(tree, kind, &args, &mut plan)?,
        Kind::GrubD => grub_d(tree, &args, &mut plan),
        Kind::RaspiFirmware => {
            cmdline_txt(tree, &args, &mut plan)?;
            raspi_firmware(tree, &args, &mut plan)?;
        }
        Kind::CmdlineTxt => cmdline_txt(tree, &args, &mut plan)?,
        Kind::Extlinux => {
            let text = tree.files.get(EXTLINUX).ok_or_else(|| format!("/{EXTLINUX} not found"))?;
            plan.change(tree, EXTLINUX, extlinux::edit(text, &args).map_err(named(EXTLINUX))?);
            if tree.files.contains_key("etc/default/u-boot") {
                let todo =
                    "put the same into U_BOOT_PARAMETERS in /etc/default/u-boot: u-boot-update rewrites extlinux.conf";
                plan.todo.push(todo.to_owned());
            }
        }
    }
    if !want.is_empty() {
        beside(tree, kind, &mut plan);
    }
    Ok(plan)
}

fn named(path: &str) -> impl Fn(String) -> String + '_ {
    move |why| format!("/{path}: {why}")
}

/// Words of others that make an overlay, too.
fn beside(tree: &Tree, kind: Kind, plan: &mut Plan) {
    const OTHERS: [&str; 6] =
        ["overlayroot=", "rd.live.overlay", "boot=overlay", "systemd.volatile=", "rootovl", "rd.root.overlay"];
    let entries = state(tree, kind).entries;
    let args = entries.iter().flat_map(|entry| &entry.args);
    let mut found: Vec<&String> = args.filter(|arg| OTHERS.iter().any(|other| arg.starts_with(other))).collect();
    found.sort_unstable();
    found.dedup();
    for arg in found {
        plan.notes.push(format!("{arg} is on the command line, too, and stays: see overlayctl migrate"));
    }
}

fn grubby(tree: &Tree, want: &[Given], plan: &mut Plan) -> Result<(), String> {
    let now = state(tree, Kind::Grubby);
    let fitting = !now.entries.is_empty() && check(&now, &plan.want).is_ok();
    kernel_cmdline(tree, &plan.want.clone(), plan)?;
    if fitting {
        return Ok(());
    }
    let mut keys: Vec<String> = now.entries.iter().flat_map(super::entry::Entry::ours).collect();
    keys.iter_mut().for_each(|arg| arg.truncate(arg.find('=').unwrap_or(arg.len())));
    if now.entries.is_empty() {
        // Where there are no entries to look at, grubby passes over what is not there.
        keys = overlayroot_core::keys::KEYS.iter().map(|row| row.name.to_owned()).collect();
    }
    keys.retain(|key| want.iter().all(|arg| arg.key != *key));
    keys.sort_unstable();
    keys.dedup();
    let mut command = vec!["grubby".to_owned(), "--update-kernel=ALL".to_owned()];
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

/// Entries that kernel-install makes later take their arguments from here.
fn kernel_cmdline(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<(), String> {
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

fn entries(tree: &Tree, kind: Kind, args: &[String], plan: &mut Plan) -> Result<(), String> {
    let own = tree.entries();
    if own.is_empty() && !tree.files.contains_key(KERNEL_CMDLINE) {
        return Err("no boot loader entry of this system, and no /etc/kernel/cmdline".to_owned());
    }
    let block = tree.first(&GRUBENV).filter(|(_, block)| bls::variable(block, "kernelopts").is_some());
    let mut shared = false;
    for (path, text) in &own {
        let in_block = block.is_some() && bls::uses_kernelopts(text);
        shared |= in_block;
        let after = bls::edit(text, if in_block { &[] } else { args }).map_err(named(path))?;
        plan.change(tree, path, after);
    }
    if let Some((path, block)) = block {
        let args = if shared { args } else { &[] };
        plan.change(tree, path, bls::edit_block(block, args).map_err(named(path))?);
    }
    kernel_cmdline(tree, args, plan)?;
    if let (true, Some(text)) = (args.is_empty(), tree.files.get(DEFAULT_GRUB)) {
        let (after, left) = grub_d::without_ours(text);
        plan.change(tree, DEFAULT_GRUB, after);
        not_understood(DEFAULT_GRUB, &left, plan);
    }
    let others = tree.all_entries().len() - own.len();
    if others > 0 {
        plan.notes.push(format!("{others} entries of other systems, or without a kernel, are left as they are"));
    }
    let inside = own.is_empty() || !tree.unified.is_empty();
    if kind == Kind::KernelInstall && inside && !plan.edits.is_empty() {
        plan.todo.push("kernel-install add-all: unified images hold their arguments inside".to_owned());
    }
    Ok(())
}

fn not_understood(path: &str, lines: &[usize], plan: &mut Plan) {
    for line in lines {
        plan.todo.push(format!("/{path}:{line} has rd.overlay in an unknown form: check it by hand"));
    }
}

fn grub_d(tree: &Tree, args: &[String], plan: &mut Plan) {
    let files = tree.files.iter().filter(|(path, _)| *path == DEFAULT_GRUB || path.starts_with(GRUB_D));
    for (path, text) in files.filter(|(path, _)| *path != grub_d::DROP_IN) {
        let (after, left) = grub_d::without_ours(text);
        plan.change(tree, path, after);
        not_understood(path, &left, plan);
    }
    match (args.is_empty(), tree.files.get(grub_d::DROP_IN)) {
        (false, _) => plan.change(tree, grub_d::DROP_IN, grub_d::drop_in(args).into_bytes()),
        (true, Some(before)) => {
            let (path, before) = (grub_d::DROP_IN.to_owned(), Some(before.clone()));
            plan.edits.push(Edit { path, before, after: None });
        }
        (true, None) => {}
    }
    if let (false, Some((path, number))) = (args.is_empty(), grub_d::bare_boot(tree)) {
        plan.todo.push(format!(
            "/{path}:{number} sets GRUB_FORCE_PARTUUID: GRUB boots without an initramfs, and so without the overlay. Make \
             that line a comment, then run update-grub"
        ));
    }
    let menu = tree.first(&GRUB_CFG);
    let fitting = menu.is_some() && check(&state(tree, Kind::GrubD), &plan.want).is_ok();
    if plan.edits.is_empty() && (fitting || menu.is_none()) {
        return;
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
}

fn cmdline_txt(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<(), String> {
    let (path, text) = tree.cmdline_txt().ok_or("no cmdline.txt with a config.txt beside it")?;
    let after = edit_file(text, Where::First, args).map_err(named(path))?;
    plan.change(tree, path, raspi::repaired(tree, after).map_err(named(path))?);
    if raspi::reads_settings(tree) {
        let settings = tree.files.get(raspi::DEFAULT).map(Vec::as_slice);
        plan.put(tree, raspi::DEFAULT, raspi::settings(settings, !args.is_empty()));
    }
    let later: Vec<String> = lines(text).iter().skip(1).flat_map(|line| ours(line)).collect();
    if !later.is_empty() {
        plan.notes
            .push(format!("/{path}: {} behind the first line, which the firmware does not read", later.join(" ")));
    }
    let elsewhere = cmdline_txt::why_elsewhere(tree).into_iter();
    plan.notes.extend(elsewhere.map(|why| format!("config.txt has {why}: is /{path} the file that counts?")));
    Ok(())
}

/// What the hook of raspi-firmware makes the next cmdline.txt of.
fn raspi_firmware(tree: &Tree, args: &[String], plan: &mut Plan) -> Result<(), String> {
    let text = |path: &str| tree.files.get(path).map(Vec::as_slice);
    plan.put(tree, raspi::EXTRA, raspi::extra(text(raspi::EXTRA), args).map_err(named(raspi::EXTRA))?);
    let later =
        text(raspi::EXTRA).is_some_and(|text| lines(text).iter().skip(1).any(|line| !line.trim_ascii().is_empty()));
    if later {
        let note = format!("/{} has more than one line: the firmware reads the first of cmdline.txt", raspi::EXTRA);
        plan.notes.push(note);
    }
    Ok(())
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
