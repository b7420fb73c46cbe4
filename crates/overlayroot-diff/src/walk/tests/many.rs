// SPDX-License-Identifier: GPL-2.0-or-later
//! Directories of so many files that both threads ask, and several beside each other, of which one is looked at early.
use super::*;

/// Two whole pieces of work and a part.
const FILES: usize = 600;

/// Letter, path, and what differs.
#[derive(Default)]
struct Told(Vec<String>);

impl Visitor for Told {
    fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
        let what = change.what.words().flat_map(|word| [" ", word]).collect::<String>();
        self.0.push(format!("{} {}{what}", change.kind.letter(), shown(change.path)));
        ControlFlow::Continue(())
    }
    fn problem(&mut self, path: &[u8], error: io::Error) {
        self.0.push(format!("! {} {error}", shown(path)));
    }
}

/// Upper and lower, with the text (`>` for a link, `-` for none) and the label of each; the upper's mark; the letter; what
/// differs, in short and in detail.
type Sort = (&'static str, &'static str, [&'static str; 2], &'static str, &'static str, [&'static str; 2]);

const SORTS: [Sort; 11] = [
    ("1", "1", ["", ""], "", "=", ["", ""]),
    ("1", "2", ["", ""], "", "M", [" content", " content"]),
    ("22", "1", ["", ""], "", "M", [" content", " content"]),
    ("1x", "1x", ["", ""], "", "m", [" mode", " mode"]),
    ("1", "1", ["a", ""], "", "m", [" xattrs", " xattrs"]),
    ("22", "1", ["a", "b"], "", "M", [" content", " content xattrs"]),
    ("", "", ["a", "a"], "origin", "=", ["", ""]),
    ("1", "-", ["", ""], "", "A", ["", ""]),
    ("", "1", ["", ""], "whiteout", "D", ["", ""]),
    // the data is below, and what looks like it is none
    ("9", "1", ["", "a"], "metacopy", "m", [" xattrs", " xattrs"]),
    (">a", ">b", ["", ""], "", "M", [" content", " content"]),
];

fn make(trees: &Trees, path: &str, (now, was, labels, mark, letter, told): Sort) -> [String; 2] {
    for (layer, text, label) in [("upper", now, labels[0]), ("lower", was, labels[1])] {
        let at = trees.at(&format!("{layer}/{path}"));
        match text.strip_prefix('>') {
            Some(to) => std::os::unix::fs::symlink(to, &at).unwrap(),
            None if text == "-" => continue,
            None => fs::write(&at, text).unwrap(),
        }
        if text.ends_with('x') && layer == "upper" {
            fs::set_permissions(&at, fs::Permissions::from_mode(0o600)).unwrap();
        }
        if !label.is_empty() {
            rustix::fs::lsetxattr(&at, "user.label", label.as_bytes(), XattrFlags::empty()).unwrap();
        }
    }
    if !mark.is_empty() {
        trees.mark(&format!("upper/{path}"), mark, "y");
    }
    told.map(|what| format!("{letter} /{path}{what}"))
}

#[test]
fn it_does_not_matter_who_asks_and_how() {
    let trees = Trees::new();
    let (mut short, mut detailed) = (Vec::new(), Vec::new());
    for (dir, files) in [("a", 40), ("b", FILES), ("c", 1), ("d", 33), ("e", 0), ("f", 100)] {
        for layer in ["upper", "lower"] {
            fs::create_dir_all(trees.at(&format!("{layer}/top/{dir}"))).unwrap();
        }
        trees.mark(&format!("upper/top/{dir}"), "opaque", "x");
        for number in 0..files {
            let [a, b] = make(&trees, &format!("top/{dir}/{number:03}"), SORTS[number * 7 % SORTS.len()]);
            short.push(a);
            detailed.push(b);
        }
    }
    let layers = Layers::open(trees.at("upper"), [trees.at("lower")], true).unwrap();
    let told_of = |lines: &Vec<String>, options: &Options| {
        lines.iter().filter(|line| options.same || !line.starts_with('=')).cloned().collect::<Vec<_>>()
    };
    for same in [false, true] {
        for (stat, detail, want) in [(false, false, &short), (true, false, &short), (true, true, &detailed)] {
            let options = Options { stat, detail, same, ..Options::default() };
            for (own, alone) in [(true, false), (true, true), (false, false), (false, true)] {
                let told = std::thread::scope(|scope| {
                    let run = || {
                        let mut told = Told::default();
                        let way = if own { Way::own() } else { Way::by_proc() };
                        let mut walk = Walk::new(&layers, &options, &mut told, way);
                        walk.ahead = if alone { Ahead::Never } else { Ahead::NotYet(true) };
                        walk.run(b"/").unwrap();
                        // the directories themselves are the same
                        told.0.retain(|line| !line.starts_with('=') || line.matches('/').count() > 2);
                        told.0
                    };
                    scope.spawn(run).join().unwrap()
                });
                assert_eq!(told, told_of(want, &options), "stat {stat}, detail {detail}, {own} {alone}");
            }
        }
    }
    assert!(short.iter().filter(|line| line.ends_with(" xattrs")).count() > FILES / SORTS.len());
}
