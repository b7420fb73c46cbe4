// SPDX-License-Identifier: GPL-2.0-or-later
//! Which of the entries of the Boot Loader Specification boots if nobody chooses.

use super::grubmenu::default_word;
use super::state::Entry;
use super::{EFI_DEFAULTS, LOADER_CONF, Tree, entry};
use std::cmp::Ordering;

/// The entry's identity: the name of its file.
fn id(entry: &Entry) -> &str {
    let name = entry.name.rsplit('/').next().unwrap_or(&entry.name);
    name.strip_suffix(".conf").unwrap_or(name)
}

/// Places of the entries as a menu shows them: the newest first.
fn newest_first(entries: &[Entry]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..entries.len()).collect();
    let of = |at: &usize| entries.get(*at).map(id).unwrap_or_default();
    places.sort_by(|a, b| version(of(b), of(a)));
    places
}

/// GRUB's: by file name, title or number, in its configuration or its environment block; else the newest.
pub fn by_grub(entries: &[Entry], cfg: Option<&[u8]>, block: Option<&[u8]>) -> Result<usize, String> {
    let asked = default_word(cfg, block);
    let named = entries.iter().position(|entry| id(entry) == asked || entry.title == asked);
    let places = newest_first(entries);
    let numbered = asked.parse::<usize>().ok().and_then(|number| places.get(number).copied());
    let found = named.or(numbered).or_else(|| places.first().copied());
    found.ok_or_else(|| "no kernel entry found".to_owned())
}

/// systemd-boot's: the variables of the firmware before loader.conf. What it takes where neither names one hangs on
/// counters and keys, so that is not known.
pub fn by_systemd_boot(entries: &[Entry], tree: &Tree) -> Result<usize, String> {
    if let [_] = entries {
        return Ok(0);
    }
    let variable = EFI_DEFAULTS.iter().find_map(|path| tree.files.get(*path)).map(|bytes| wide(bytes));
    let conf = || tree.first(&LOADER_CONF).and_then(|(_, text)| entry::value(text, "default"));
    let asked = variable.filter(|word| !word.is_empty()).or_else(conf);
    let Some(asked) = asked.filter(|word| !word.starts_with('@')) else {
        return Err("which entry boots is not known: loader.conf names none".to_owned());
    };
    let pattern = asked.strip_suffix(".conf").unwrap_or(&asked);
    let fitting = newest_first(entries).into_iter().find(|at| entries.get(*at).is_some_and(|of| fits(pattern, id(of))));
    fitting.ok_or_else(|| format!("which entry boots is not known: none is called {asked}"))
}

/// The text of an EFI variable: UTF-16 behind four bytes of attributes.
fn wide(bytes: &[u8]) -> String {
    let pairs = bytes.get(4..).unwrap_or_default().chunks_exact(2);
    let units = pairs.filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// A pattern with `*` and `?`.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // `reach` has the lengths of the name that the pattern so far can be.
    let mut reach = vec![false; name.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for c in pattern {
        let mut next = vec![false; name.len() + 1];
        let mut any = false;
        for at in 0..=name.len() {
            let here = reach.get(at).copied().unwrap_or(false);
            any |= here;
            let before = at.checked_sub(1).and_then(|at| reach.get(at).copied()).unwrap_or(false);
            let same = c == '?' || at.checked_sub(1).and_then(|at| name.get(at)) == Some(&c);
            if let Some(slot) = next.get_mut(at) {
                *slot = if c == '*' { any } else { before && same };
            }
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// As rpm compares versions: numbers by their value, and before words.
fn version(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let order = match (number(a), number(b)) {
            (true, true) => {
                let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
                a.len().cmp(&b.len()).then_with(|| a.cmp(b))
            }
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn parts(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut last = None;
    for c in text.chars() {
        let class = if c.is_ascii_digit() { Some(true) } else { c.is_alphanumeric().then_some(false) };
        match (class, found.last_mut()) {
            (None, _) => {}
            (class, Some(part)) if class == last => part.push(c),
            _ => found.push(c.to_string()),
        }
        last = class;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        let one = |name: &&str| Entry { name: format!("/boot/loader/entries/{name}.conf"), ..Entry::default() };
        names.iter().map(one).collect()
    }

    #[test]
    fn the_newest_and_the_named() {
        let all = entries(&["id-0-rescue", "id-6.10.1-1.fc41", "id-6.9.9-200.fc40"]);
        assert_eq!(newest_first(&all), [1, 2, 0]);
        let block = |text: &str| format!("# GRUB Environment Block\n{text}####").into_bytes();
        assert_eq!(by_grub(&all, None, None), Ok(1));
        assert_eq!(by_grub(&all, None, Some(&block("saved_entry=id-6.9.9-200.fc40\n"))), Ok(2));
        assert_eq!(by_grub(&all, None, Some(&block("saved_entry=1\n"))), Ok(2));
        assert_eq!(by_grub(&all, None, Some(&block("saved_entry=gone\n"))), Ok(1));
        // a menu that asks for the first does not look at what was saved
        let cfg = b"set default=\"0\"\n";
        assert_eq!(by_grub(&all, Some(cfg), Some(&block("saved_entry=id-6.9.9-200.fc40\n"))), Ok(1));
        assert!(by_grub(&[], None, None).is_err());
    }

    #[test]
    fn systemd_boot() {
        let all = entries(&["arch-6.9", "arch-6.10", "other"]);
        let tree =
            |path: &str, bytes: &[u8]| Tree { files: [(path.to_owned(), bytes.to_vec())].into(), ..Tree::default() };
        let conf = |text: &str| by_systemd_boot(&all, &tree(LOADER_CONF[1], text.as_bytes()));
        assert_eq!(conf("timeout 3\ndefault other.conf\n"), Ok(2));
        assert_eq!(conf("default arch-*\n"), Ok(1));
        for unsure in ["timeout 3\n", "default @saved\n", "default gone\n"] {
            assert!(conf(unsure).unwrap_err().contains("which entry boots is not known"), "{unsure}");
        }
        let mut bytes = vec![7, 0, 0, 0];
        bytes.extend("arch-6.9.conf\0".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(by_systemd_boot(&all, &tree(EFI_DEFAULTS[0], &bytes)), Ok(0));
        assert_eq!(by_systemd_boot(&all[..1], &Tree::default()), Ok(0));
    }

    #[test]
    fn patterns() {
        for (pattern, name, want) in
            [("a*", "abc", true), ("*", "", true), ("a?c", "abc", true), ("a?", "abc", false), ("*b*c", "abxc", true)]
        {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
    }
}
