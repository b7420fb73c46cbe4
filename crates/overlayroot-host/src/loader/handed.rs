// SPDX-License-Identifier: GPL-2.0-or-later
//! What the boot loader hands to the next boot: its command line, and the initramfs that it loads.

use super::Tree;
use super::entry::Entry;
use super::state::State;
use overlayroot_core::parse::cmdline::spans;

/// What the next boot gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The command line.
    pub line: Vec<u8>,
    /// The file it stands in.
    pub of: String,
    /// Images of which one boot loads all, as the boot loader names them; several where it is not known which entry
    /// boots, and each of them gets the same.
    pub images: Vec<Vec<String>>,
}

/// The command line of the entry that boots if nobody chooses.
///
/// # Errors
/// Why it is not known.
pub fn handed(tree: &Tree, state: &State) -> Result<Handed, String> {
    let loader = state.kind.loader();
    let of = |entry: &Entry| loader.place(tree, entry);
    if let Some(entry) = state.default.and_then(|at| state.entries.get(at)) {
        return Ok(Handed { line: entry.line.clone(), of: of(entry), images: loader.images(entry) });
    }
    let Some(last) = state.entries.last() else {
        return Err(loader.nothing(&state.unsure));
    };
    let which = loader.boots_entries_only(tree);
    let same = state.entries.iter().all(|entry| bearing(&entry.line) == bearing(&last.line));
    match which && same {
        true => Ok(Handed {
            line: last.line.clone(),
            of: of(last),
            images: state.entries.iter().flat_map(|entry| loader.images(entry)).collect(),
        }),
        false => Err(state.unsure.clone()),
    }
}

/// The arguments on which it hangs whether the root becomes an overlay.
fn bearing(line: &[u8]) -> Vec<String> {
    const KEYS: [&str; 8] =
        ["rd.overlay", "rd.live.", "overlayroot", "root", "systemd.volatile", "rootovl", "ostree", "boot"];
    let args = spans(line).into_iter().map(|(_, arg)| arg.text());
    args.filter(|arg| KEYS.iter().any(|key| arg.starts_with(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::state::state;
    use super::*;
    use crate::loader::Kind;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Tree { files, ..Tree::default() }
    }

    fn of(files: &[(&str, &str)], kind: Kind) -> Result<(String, String, Vec<Vec<String>>), String> {
        let tree = tree(files);
        let handed = handed(&tree, &state(&tree, kind))?;
        Ok((String::from_utf8(handed.line).unwrap(), handed.of, handed.images))
    }

    #[test]
    fn entries_that_say_the_same_need_no_default() {
        let entry = |line: &str| format!("title x\nlinux /vmlinuz\ninitrd /{line}\noptions {line}\n");
        let both = |a: &str, b: &str| {
            let files = [("efi/loader/entries/a.conf", entry(a)), ("efi/loader/entries/b.conf", entry(b))];
            of(&files.each_ref().map(|(path, text)| (*path, text.as_str())), Kind::KernelInstall)
        };
        let (line, file, images) = both("quiet rd.overlay", "rd.overlay splash").unwrap();
        assert_eq!((line.as_str(), file.as_str()), ("rd.overlay splash", "/efi/loader/entries/b.conf"));
        assert_eq!(images.len(), 2);
        assert!(both("quiet", "rd.overlay").unwrap_err().contains("which entry boots is not known"));
    }

    #[test]
    fn a_pi_has_one_line_and_the_initramfs_of_its_model() {
        let file = ("boot/firmware/cmdline.txt", "root=x rd.overlay\nrd.overlay=0\n");
        let config = |text: &'static str| of(&[file, ("boot/firmware/config.txt", text)], Kind::CmdlineTxt);
        let (line, _, images) = config("initramfs a followkernel\n[pi5]\ninitramfs b followkernel\n").unwrap();
        assert_eq!(line, "root=x rd.overlay");
        assert_eq!(images, [["/boot/firmware/a"], ["/boot/firmware/b"]]);
        assert_eq!(config("").unwrap().2, [Vec::<String>::new()]);
        assert!(config("os_prefix=new/\n").unwrap_err().contains("reads another file"));
    }

    #[test]
    fn what_is_not_known_says_why() {
        assert!(of(&[], Kind::GrubD).unwrap_err().contains("grub.cfg not found"));
        assert!(of(&[("etc/kernel/cmdline", "rd.overlay")], Kind::KernelInstall).unwrap_err().contains("inside"));
        assert!(of(&[], Kind::Bls).unwrap_err().contains("no kernel entry"));
    }
}
