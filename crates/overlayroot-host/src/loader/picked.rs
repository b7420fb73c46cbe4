// SPDX-License-Identifier: GPL-2.0-or-later
//! Which of the entries of the Boot Loader Specification boots if nobody chooses.

use super::entry::Entry;
use super::grubmenu::default_word;
use super::{EFI_DEFAULTS, LOADER_CONF, Tree, bls_text};
use overlayroot_core::value::glob::fits;
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

/// systemd-boot's: what the firmware's variables ask for once, what is preferred (a variable, else loader.conf), and the
/// default. What it takes where none of them names one hangs on counters and keys, so that is not known.
pub fn by_systemd_boot(entries: &[Entry], tree: &Tree) -> Result<usize, String> {
    if let ([_], true) = (entries, tree.unified.is_empty()) {
        return Ok(0);
    }
    let [once, preferred, default] = EFI_DEFAULTS;
    let variable = |path: &str| tree.files.get(path).map(|bytes| wide(bytes)).filter(|word| !word.is_empty());
    let conf = |key: &str| tree.first(&LOADER_CONF).and_then(|(_, text)| bls_text::value(text, key));
    let asked = [
        (variable(once), false),
        (variable(preferred).or_else(|| conf("preferred")), true),
        (variable(default).or_else(|| conf("default")), false),
    ];
    let unsure = |why: &str| Err(format!("which entry boots is not known: {why}"));
    let mut last = String::new();
    for (word, only_good) in asked {
        let Some(word) = word else { continue };
        if word.starts_with('@') {
            continue;
        }
        if word.starts_with("auto-") {
            return unsure(&format!("{word} is no kernel's"));
        }
        let image = tree.unified.iter().find(|name| fits(&word.to_lowercase(), &counted(name).0));
        let entry = fitting(entries, &word, only_good);
        match (entry, image) {
            (Some(at), None) => return Ok(at),
            (None, Some(name)) => {
                return Err(format!(
                    "{name} boots, a unified image: it holds its command line inside, which is not read"
                ));
            }
            (Some(_), Some(name)) => return unsure(&format!("{word} is an entry and the unified image {name}")),
            (None, None) => last = word,
        }
    }
    match last.is_empty() {
        true => unsure("loader.conf names none"),
        false => unsure(&format!("none is called {last}")),
    }
}

/// The newest entry whose name a pattern fits; on request without those that have failed too often.
fn fitting(entries: &[Entry], word: &str, only_good: bool) -> Option<usize> {
    let pattern = word.to_lowercase();
    let pattern = pattern.strip_suffix(".conf").unwrap_or(&pattern);
    newest_first(entries).into_iter().find(|at| {
        let (name, failed) = entries.get(*at).map(|of| counted(id(of))).unwrap_or_default();
        fits(pattern, &name) && !(only_good && failed)
    })
}

/// A name without the counter of boots that systemd-boot keeps in it (`name+LEFT-DONE`), and whether none is left.
fn counted(name: &str) -> (String, bool) {
    let name = name.to_lowercase();
    let (stem, end) = name.strip_suffix(".efi").map_or((name.as_str(), ""), |stem| (stem, ".efi"));
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let split = stem.rsplit_once('+').filter(|(_, counter)| counter.split('-').all(number));
    match split {
        Some((stem, counter)) => {
            let left = counter.split('-').next().unwrap_or_default();
            (format!("{stem}{end}"), left.bytes().all(|byte| byte == b'0'))
        }
        None => (name, false),
    }
}

/// The text of an EFI variable: UTF-16 behind four bytes of attributes.
pub(super) fn wide(bytes: &[u8]) -> String {
    let pairs = bytes.get(4..).unwrap_or_default().chunks_exact(2);
    let units = pairs.filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
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
        assert_eq!(by_systemd_boot(&all, &tree(EFI_DEFAULTS[0], &variable("arch-6.9.conf"))), Ok(0));
        assert_eq!(by_systemd_boot(&all[..1], &Tree::default()), Ok(0));
    }

    fn variable(text: &str) -> Vec<u8> {
        let units = format!("{text}\0").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        [vec![7, 0, 0, 0], units].concat()
    }

    #[test]
    fn what_systemd_boot_prefers() {
        let all = entries(&["one", "two+0-3", "three+2"]);
        let with = |files: &[(&str, &[u8])]| {
            let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.to_vec()));
            by_systemd_boot(&all, &Tree { files: files.collect(), ..Tree::default() })
        };
        let conf = |text: &'static str| (LOADER_CONF[1], text.as_bytes());
        assert_eq!(with(&[conf("preferred Three.conf\ndefault one\n")]), Ok(2));
        // one that failed too often is passed over, and one that is not there
        assert_eq!(with(&[conf("preferred two\ndefault one\n")]), Ok(0));
        assert_eq!(with(&[conf("preferred gone\ndefault two\n")]), Ok(1));
        let preferred = variable("three.conf");
        assert_eq!(with(&[(EFI_DEFAULTS[1], preferred.as_slice()), conf("preferred one\ndefault one\n")]), Ok(2));
        assert_eq!(with(&[(EFI_DEFAULTS[0], variable("gone.conf").as_slice()), conf("default one\n")]), Ok(0));
        let windows = with(&[(EFI_DEFAULTS[0], variable("auto-windows").as_slice()), conf("default one\n")]);
        assert!(windows.unwrap_err().contains("auto-windows is no kernel's"));
    }

    #[test]
    fn unified_images_beside_entries() {
        let all = entries(&["arch"]);
        let told = |conf: &str| {
            let files = [(LOADER_CONF[1].to_owned(), conf.as_bytes().to_vec())].into();
            let unified = ["arch-linux+3.efi".to_owned()].into();
            by_systemd_boot(&all, &Tree { files, unified, ..Tree::default() })
        };
        assert_eq!(told("default arch.conf\n"), Ok(0));
        assert!(told("default arch-linux.efi\n").unwrap_err().contains("arch-linux+3.efi boots, a unified image"));
        assert!(told("default arch*\n").unwrap_err().contains("is not known: arch* is an entry and the unified image"));
        assert!(told("timeout 3\n").unwrap_err().contains("loader.conf names none"));
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
