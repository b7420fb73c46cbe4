// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot loader answers for itself. Each has a module; `Kind::loader` is the one list of them.

use super::ask::Given;
use super::change::Plan;
use super::entry::Entry;
use super::{Kind, Tree};
use overlayroot_core::value::diagnostics::escape;

/// The entries of a menu, and the place of the one that boots if nobody chooses, or why that is not known.
pub type Menu = (Vec<Entry>, Result<usize, String>);

/// A program that copies images to where a boot loader reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copier {
    /// Its path, without the leading slash.
    pub program: &'static str,
    /// The variable of the environment that it wants, and its value.
    pub variable: (&'static str, &'static str),
    /// The two as a command, for a person.
    pub command: &'static str,
    /// Where the boot loader reads.
    pub to: &'static str,
}

/// A kind of boot loader.
pub trait BootLoader: Sync {
    /// Its word, as `--boot-loader` takes it.
    fn word(&self) -> &'static str;

    /// What it is, for a sentence.
    fn says(&self) -> &'static str;

    /// By what it is seen that a host has it; asked in the order of `Kind::ALL`.
    fn detect(&self, tree: &Tree) -> Option<String>;

    /// What its files say now.
    fn menu(&self, tree: &Tree) -> Menu;

    /// File and arguments of ours from which entries to come are made, where they are.
    fn source(&self, _tree: &Tree) -> Option<(String, Vec<String>)> {
        None
    }

    /// A character of an argument that it would change; `grub`: whether GRUB is on the host.
    fn refuses(&self, _grub: bool, _plain: &str) -> Option<char> {
        None
    }

    /// An argument that it would not change, as it wants it written.
    fn spell(&self, arg: &Given) -> String {
        arg.kernel()
    }

    /// Adds to the plan what gives every entry exactly these arguments of ours, spelled in `args`.
    ///
    /// # Errors
    /// A file that is not understood, with its name.
    fn plan(&self, tree: &Tree, args: &[String], want: &[Given], plan: &mut Plan) -> Result<(), String>;

    /// The file that an entry stands in, or its name.
    fn place(&self, _tree: &Tree, entry: &Entry) -> String {
        entry.name.clone()
    }

    /// The images of an entry: of each set one boot loads all.
    fn images(&self, entry: &Entry) -> Vec<Vec<String>> {
        vec![entry.initrd.clone()]
    }

    /// Why nothing is known of the next boot where it has no entry; `unsure`: why its default is not known.
    fn nothing(&self, unsure: &str) -> String {
        match unsure {
            "" => format!("{}: no kernel entry found", self.says()),
            unsure => unsure.to_owned(),
        }
    }

    /// Whether entries are all that it can boot.
    fn boots_entries_only(&self, _tree: &Tree) -> bool {
        false
    }

    /// Said where entries to come get other arguments (`configured`, from `file`) than the next boot has.
    fn differs(&self, file: &str, configured: &str, now: &str) -> String {
        format!("kernels installed from now on get {configured} ({file}), the entry that boots next has {now}")
    }

    /// Which kind edits a system that does not run in its place, where it can't.
    fn for_other_trees(&self) -> Option<Kind>;

    /// What puts an image of `/boot`, where dracut writes it, to where it reads, where that is another place.
    fn copier(&self) -> Option<Copier>;

    /// Whether a hook of its writes `root=` as the running system has it: in the overlay one that no boot finds.
    fn writes_running_root(&self) -> bool;

    /// The file whose former text stays beside it, where a card is read elsewhere: there it can be put back.
    fn keeps_former(&self) -> Option<&'static str>;

    /// The command that makes the entries anew from [`BootLoader::source`].
    fn remakes(&self) -> Option<&'static str> {
        None
    }
}

/// What GRUB's shell takes for itself in the `options` of a boot loader entry.
pub(super) const GRUB_SPECIAL: &str = "${}|&;<>'\\()";

/// The first character of a text that is in a set.
pub(super) fn first_of(plain: &str, set: &str) -> Option<char> {
    plain.chars().find(|&c| set.contains(c))
}

/// An argument as a boot loader wants it written.
///
/// # Errors
/// A character that it would change, and the way round it.
pub fn spelled(loader: &dyn BootLoader, grub: bool, arg: &Given) -> Result<String, String> {
    let plain = arg.plain();
    match loader.refuses(grub, &plain) {
        Some(c) => Err(format!(
            "{}: {} can't be given '{c}'; add the line to /etc/overlayroot-rs.conf instead",
            escape(&plain),
            loader.says()
        )),
        None => Ok(loader.spell(arg)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn spelling() {
        let given = |key: &str, value: &str| Given { key: key.to_owned(), value: Some(value.to_owned()) };
        let (label, name) = (&given("rd.overlay", "LABEL=my disk"), &given("rd.overlay.hostname", "node-${serial}"));
        assert_eq!(spelled(Kind::CmdlineTxt.loader(), false, name).unwrap(), "rd.overlay.hostname=node-${serial}");
        assert_eq!(spelled(Kind::GrubD.loader(), true, name).unwrap(), "'rd.overlay.hostname=node-${serial}'");
        assert_eq!(spelled(Kind::GrubD.loader(), true, label).unwrap(), "'rd.overlay=LABEL=my disk'");
        assert_eq!(spelled(Kind::Bls.loader(), true, label).unwrap(), "rd.overlay=\"LABEL=my disk\"");
        assert_eq!(spelled(Kind::KernelInstall.loader(), false, name).unwrap(), "rd.overlay.hostname=node-${serial}");
        for (kind, arg) in [(Kind::Bls, name), (Kind::Grubby, name), (Kind::Grubby, label), (Kind::Extlinux, name)] {
            assert!(spelled(kind.loader(), true, arg).unwrap_err().contains("/etc/overlayroot-rs.conf"), "{kind:?}");
        }
    }
}
