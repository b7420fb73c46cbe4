// SPDX-License-Identifier: GPL-2.0-or-later
//! extlinux.conf, as U-Boot's distro boot and syslinux read it: the `append` lines.

use super::ask::Given;
use super::boot_loader::{BootLoader, Copier, Menu, first_of};
use super::change::{Plan, named};
use super::entry::{Entry, args};
use super::line::{lines, split_end, with, without};
use super::{EXTLINUX, Kind, Tree};
use overlayroot_core::parse::cmdline::{is_space, spans};

/// extlinux.conf (U-Boot's distro boot).
pub(super) struct Extlinux;

impl BootLoader for Extlinux {
    fn word(&self) -> &'static str {
        "extlinux"
    }

    fn says(&self) -> &'static str {
        "extlinux.conf"
    }

    fn detect(&self, tree: &Tree) -> Option<String> {
        tree.files.contains_key(EXTLINUX).then(|| format!("/{EXTLINUX} is there"))
    }

    fn menu(&self, tree: &Tree) -> Menu {
        menu(tree.files.get(EXTLINUX).map(Vec::as_slice).unwrap_or_default())
    }

    /// U-Boot puts its variables in place of `${…}`.
    fn refuses(&self, _grub: bool, plain: &str) -> Option<char> {
        first_of(plain, "$")
    }

    fn plan(&self, tree: &Tree, args: &[String], _want: &[Given], plan: &mut Plan) -> Result<(), String> {
        let text = tree.files.get(EXTLINUX).ok_or_else(|| format!("/{EXTLINUX} not found"))?;
        plan.change(tree, EXTLINUX, edit(text, args).map_err(named(EXTLINUX))?);
        if tree.files.contains_key("etc/default/u-boot") {
            let todo =
                "put the same into U_BOOT_PARAMETERS in /etc/default/u-boot: u-boot-update rewrites extlinux.conf";
            plan.todo.push(todo.to_owned());
        }
        Ok(())
    }

    fn place(&self, _tree: &Tree, _entry: &Entry) -> String {
        format!("/{EXTLINUX}")
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

/// What is behind a line's `append`, with the blank before it.
fn appended(line: &[u8]) -> Option<&[u8]> {
    let body = line.trim_ascii_start();
    let (word, rest) = body.split_at_checked(6)?;
    let blank = rest.first().is_none_or(|&byte| is_space(byte));
    (word.eq_ignore_ascii_case(b"append") && blank).then_some(rest)
}

/// The labels with an `append` line, and which of them boots if nobody chooses: `default`, or else the one with
/// `menu default`, or else the first (U-Boot, boot/pxe_utils.c).
pub(super) fn menu(text: &[u8]) -> Menu {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut label, mut first, mut default) = (Entry::default(), None, None);
    let (mut marked, mut included) = (None, None);
    let mut has_append = false;
    let mut end = |label: &mut Entry, has_append: &mut bool| {
        if std::mem::take(has_append) {
            entries.push(std::mem::take(label));
        }
    };
    for line in lines(text) {
        let body = split_end(line).0;
        let word = String::from_utf8_lossy(body.trim_ascii()).into_owned();
        let (word, value) = word.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((&word, ""));
        let value = value.trim().to_owned();
        match word.to_ascii_lowercase().as_str() {
            "label" => {
                end(&mut label, &mut has_append);
                first = first.or_else(|| Some(value.clone()));
                label = Entry { name: format!("label {value}"), title: value, ..Entry::default() };
            }
            "default" => default = Some(value),
            "menu" if value.eq_ignore_ascii_case("default") => marked = marked.or_else(|| Some(label.title.clone())),
            "include" => included = Some(value),
            "menu" if value.to_ascii_lowercase().starts_with("include ") => included = Some(value),
            "linux" | "kernel" => label.kernel = value,
            "initrd" => label.initrd.push(value),
            "append" => {
                // The last one of a label counts; one before all labels is nobody's.
                let rest = appended(body).unwrap_or_default().trim_ascii();
                let given =
                    spans(rest).into_iter().filter(|(_, arg)| arg.key == b"initrd").filter_map(|(_, arg)| arg.value);
                label.initrd.extend(given.map(|value| String::from_utf8_lossy(&value).into_owned()));
                (label.args, label.line, has_append) = (args(rest), rest.to_vec(), true);
            }
            _ => {}
        }
    }
    end(&mut label, &mut has_append);
    let chosen = match default.or(marked).or(first) {
        _ if included.is_some() => {
            Err(format!("it includes another file ({}), which is not read", included.unwrap_or_default()))
        }
        Some(name) => entries
            .iter()
            .position(|entry| entry.title == name)
            .ok_or_else(|| format!("the default, label {name}, has no append line")),
        None => Err("it has no label".to_owned()),
    };
    (entries, chosen)
}

/// The file with exactly these arguments of ours in each `append`.
///
/// # Errors
/// A quote that is not closed, a file without `append`.
pub fn edit(text: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() + 256);
    let mut none = true;
    for line in lines(text) {
        let (body, end) = split_end(line);
        match appended(body) {
            Some(rest) => {
                none = false;
                out.extend_from_slice(body.get(..body.len() - rest.len()).unwrap_or_default());
                // a blank keeps the word and the first argument apart
                let rest = without(rest);
                match rest.is_empty() && !args.is_empty() {
                    true => out.extend_from_slice(format!(" {}", args.join(" ")).as_bytes()),
                    false => out.extend_from_slice(&with(&rest, args)?),
                }
            }
            None => out.extend_from_slice(body),
        }
        out.extend_from_slice(end);
    }
    match none {
        true => Err("it has no append line".to_owned()),
        false => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_append_and_back() {
        let text = "label a\n\tlinux /a\n\tAPPEND root=x\nlabel b\n  append\nappendix y\n";
        let there = edit(text.as_bytes(), &["rd.overlay=tmpfs".to_owned()]).unwrap();
        let want =
            "label a\n\tlinux /a\n\tAPPEND root=x rd.overlay=tmpfs\nlabel b\n  append rd.overlay=tmpfs\nappendix y\n";
        assert_eq!(String::from_utf8(there.clone()).unwrap(), want);
        assert_eq!(edit(&there, &[]).unwrap(), text.as_bytes());
        let (entries, default) = menu(&there);
        assert_eq!((entries.len(), default), (2, Ok(0)));
        assert_eq!((entries[0].line.as_slice(), entries[0].kernel.as_str()), (&b"root=x rd.overlay=tmpfs"[..], "/a"));
        assert!(edit(b"label a\n", &[]).is_err());
    }

    #[test]
    fn the_label_that_boots() {
        let text =
            "DEFAULT b\nlabel a\n kernel /a\n initrd /i\n append x\nlabel b\n linux /b\n append y initrd=/j\nlabel c\n";
        let chosen = |text: &str| {
            let (entries, default) = menu(text.as_bytes());
            default.map(|at| (entries[at].title.clone(), entries[at].initrd.clone()))
        };
        let ok = |label: &str, image: &str| Ok((label.to_owned(), vec![image.to_owned()]));
        assert_eq!(chosen(text), ok("b", "/j"));
        assert_eq!(chosen(&text.replace("DEFAULT b\n", "")), ok("a", "/i"));
        assert!(chosen(&text.replace("DEFAULT b", "default c")).unwrap_err().contains("has no append line"));
        assert!(chosen("").is_err());
        let marked = text.replace("DEFAULT b\n", "").replace("label b\n", "label b\n MENU DEFAULT\n");
        assert_eq!(chosen(&marked), ok("b", "/j"));
        assert!(
            chosen(&format!("{text}include other.conf\n")).unwrap_err().contains("(other.conf), which is not read")
        );
    }
}
