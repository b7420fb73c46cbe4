// SPDX-License-Identifier: GPL-2.0-or-later
//! A grub.cfg as GRUB's menu reads it: the kernels with their command lines, and the entry that boots if nobody
//! chooses. Not a shell: what a condition or a function decides is not seen.

use super::bls_text::variable;
use super::entry::Entry;
use super::grub_files::words;

/// The kernels of a menu.
#[derive(Debug, Clone)]
pub struct Menu {
    /// This system's own, in their order.
    pub entries: Vec<Entry>,
    /// Which of them boots if nobody chooses, or why that is not known.
    pub default: Result<usize, String>,
}

/// A menuentry or submenu.
struct Node {
    parent: Option<usize>,
    place: usize,
    title: String,
    id: String,
    submenu: bool,
    /// Its kernels among the entries; of several a condition takes one.
    boots: Vec<usize>,
}

#[derive(Default)]
struct Reader {
    marked: bool,
    inside: bool,
    /// Open blocks; those that are no part of the menu are `None`.
    open: Vec<Option<usize>>,
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// Every value that `default` is set to.
    defaults: Vec<String>,
}

const BEGIN: &str = "### BEGIN /etc/grub.d/";

/// Reads it; `block` is GRUB's environment block. Where the marks of grub-mkconfig are there, only what it made of
/// this system's own kernels counts: os-prober's entries are other systems'.
pub fn menu(text: &[u8], block: Option<&[u8]>) -> Menu {
    let text = String::from_utf8_lossy(text);
    let marked = text.contains(&format!("{BEGIN}10_"));
    let mut reader = Reader { marked, inside: !marked, ..Reader::default() };
    text.lines().for_each(|line| reader.line(line, block));
    let default = reader.default_entry(block);
    Menu { entries: reader.entries, default }
}

impl Reader {
    fn line(&mut self, line: &str, block: Option<&[u8]>) {
        match line.strip_prefix(BEGIN) {
            Some(script) if self.marked => self.inside = script.starts_with("10_"),
            _ => {}
        }
        let words = words(line);
        match words.first().map(String::as_str) {
            Some("menuentry") => self.node(&words, false),
            Some("submenu") => self.node(&words, true),
            Some("}") => drop(self.open.pop()),
            Some("set") => {
                self.defaults.extend(words.get(1).and_then(|word| word.strip_prefix("default=")).map(str::to_owned));
            }
            Some("linux" | "linux16" | "linuxefi") => self.kernel(&words, block),
            Some("initrd" | "initrd16" | "initrdefi") => self.initrd(&words),
            _ if words.last().is_some_and(|word| word == "{") => self.open.push(None),
            _ => {}
        }
    }

    fn here(&self) -> Option<usize> {
        self.open.iter().rev().find_map(|open| *open)
    }

    fn node(&mut self, words: &[String], submenu: bool) {
        let parent = self.here();
        let place = self.nodes.iter().filter(|node| node.parent == parent).count();
        let id = words.iter().position(|word| matches!(word.as_str(), "--id" | "$menuentry_id_option"));
        let id = id.and_then(|at| words.get(at + 1)).cloned().unwrap_or_default();
        let title = words.get(1).cloned().unwrap_or_default();
        self.nodes.push(Node { parent, place, title, id, submenu, boots: Vec::new() });
        self.open.push(Some(self.nodes.len() - 1));
    }

    fn kernel(&mut self, words: &[String], block: Option<&[u8]>) {
        let Some((name, rest)) = words.get(1..).and_then(<[String]>::split_first) else { return };
        if !self.inside || name.contains("memtest") {
            return;
        }
        let at = self.entries.len();
        let here = self.here();
        let node = here.and_then(|node| self.nodes.get_mut(node));
        let title = node.as_ref().map(|node| node.title.clone()).unwrap_or_default();
        if let Some(node) = node {
            node.boots.push(at);
        }
        let (args, line) = (rest.to_vec(), joined(&expanded(rest, block)));
        self.entries.push(Entry { name: name.clone(), title, args, line, initrd: Vec::new(), kernel: name.clone() });
    }

    fn initrd(&mut self, words: &[String]) {
        let here = self.here().and_then(|node| self.nodes.get(node));
        let at = match here {
            Some(node) => node.boots.last().copied(),
            None => self.entries.len().checked_sub(1),
        };
        if let Some(entry) = at.filter(|_| self.inside).and_then(|at| self.entries.get_mut(at)) {
            entry.initrd.extend(words.iter().skip(1).cloned());
        }
    }

    fn default_entry(&self, block: Option<&[u8]>) -> Result<usize, String> {
        if self.nodes.is_empty() {
            let all: Vec<usize> = (0..self.entries.len()).collect();
            return self.one_of("the menu", &all).ok_or_else(|| "no kernel entry found".to_owned())?;
        }
        let asked = chosen(&self.defaults, block);
        let mut parent = None;
        let mut found = None;
        for part in asked.split('>') {
            let number = part.parse::<usize>().ok();
            let fits = |node: &Node| node.title == part || node.id == part || number == Some(node.place);
            let above = parent;
            let level = || self.nodes.iter().enumerate().filter(move |(_, node)| node.parent == above);
            let named = level().find(|(_, node)| fits(node));
            // GRUB takes the first of a menu where there is none of that name.
            let Some((at, node)) = named.or_else(|| level().next()) else { break };
            (parent, found) = (Some(at), Some(node));
            if named.is_none() {
                break;
            }
        }
        let Some(node) = found else { return Err("no kernel entry found".to_owned()) };
        match self.one_of(&format!("the default, {},", node.title), &node.boots) {
            Some(found) => found,
            // Its entries may come from another file, as those of grub-btrfs.
            None if node.submenu => Err(format!("the default, {}, is a menu of its own", node.title)),
            None => Err(format!("the default, {}, boots no kernel of this system", node.title)),
        }
    }

    /// The kernel that boots. Which of several that differ a condition takes is not seen: Ubuntu's images for clouds
    /// boot without an initramfs first (GRUB_FORCE_PARTUUID).
    fn one_of(&self, who: &str, all: &[usize]) -> Option<Result<usize, String>> {
        let kernels: Vec<&Entry> = all.iter().filter_map(|at| self.entries.get(*at)).collect();
        let (at, first) = (all.first()?, kernels.first()?);
        if kernels.iter().all(|kernel| (&kernel.line, &kernel.initrd) == (&first.line, &first.initrd)) {
            return Some(Ok(*at));
        }
        let bare =
            if kernels.iter().any(|kernel| kernel.initrd.is_empty()) { ", one without an initramfs" } else { "" };
        Some(Err(format!("{who} has {} kernels{bare}; which of them boots is decided by GRUB", kernels.len())))
    }
}

/// The words that `default` holds when the menu is shown, by a configuration, or by what was saved where there is
/// none that says so.
pub fn default_word(cfg: Option<&[u8]>, block: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(cfg.unwrap_or_default()).into_owned();
    let said = |line: &str| {
        let words = words(line);
        let is_set = words.first().is_some_and(|word| word == "set");
        words.get(1).filter(|_| is_set).and_then(|word| word.strip_prefix("default=")).map(str::to_owned)
    };
    let said: Vec<String> = text.lines().filter_map(said).collect();
    let saved = ["${next_entry}".to_owned(), "${saved_entry}".to_owned()];
    chosen(if said.is_empty() { &saved } else { &said }, block)
}

/// The words that `default` holds when the menu is shown.
fn chosen(defaults: &[String], block: Option<&[u8]>) -> String {
    let variable = |name: &str| block.and_then(|block| variable(block, name)).filter(|value| !value.is_empty());
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let is = |word: &String, name: &str| *word == format!("${{{name}}}") || *word == format!("${name}");
    let once = defaults.iter().any(|word| is(word, "next_entry")).then(|| variable("next_entry")).flatten();
    if let Some(once) = once {
        return text(once);
    }
    let said = defaults.iter().rfind(|word| !is(word, "next_entry"));
    let said = match said {
        Some(word) if is(word, "saved_entry") => variable("saved_entry").map(text),
        other => other.cloned(),
    };
    said.filter(|word| !word.is_empty()).unwrap_or_else(|| "0".to_owned())
}

/// Words that are a variable of the block as a whole, with its value in their place; one that is not set is nothing.
pub fn expanded(all: &[String], block: Option<&[u8]>) -> Vec<String> {
    let mut out = Vec::new();
    for word in all {
        let name = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or_else(|| word.strip_prefix('$'));
        let named = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match name.filter(named) {
            None => out.push(word.clone()),
            Some(name) => {
                let value = block.and_then(|block| variable(block, name)).unwrap_or_default();
                out.extend(words(&String::from_utf8_lossy(&value)));
            }
        }
    }
    out
}

/// What GRUB makes of the words for the kernel (grub-core/lib/cmdline.c): quotes around what has a blank, and a
/// backslash before each quote and backslash.
pub fn joined(words: &[String]) -> Vec<u8> {
    let one = |word: &String| {
        let escaped: String =
            word.chars().flat_map(|c| if "\\'\"".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        if word.contains(' ') { format!("\"{escaped}\"") } else { escaped }
    };
    words.iter().map(one).collect::<Vec<_>>().join(" ").into_bytes()
}

#[cfg(test)]
mod tests;
