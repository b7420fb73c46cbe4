// SPDX-License-Identifier: GPL-2.0-or-later
//! The shell of the dracut module uses of dracut only what every release from 049 to 111 has. Nothing is run: the
//! files are read, and each command and variable in them must be in a table.
#![allow(missing_docs, clippy::panic, reason = "tests")]

mod lex;

use lex::{Script, read};
use std::fs;
use std::path::{Path, PathBuf};

const FIRST: u32 = 49;
const LAST: u32 = 111;

/// Where a script runs, and so which of dracut's functions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `module-setup.sh`, in dracut on the host.
    Build,
    /// A hook, in the initramfs.
    Run,
}
use Place::{Build, Run};

/// Functions of dracut with the first and the last release that defines them, as its tags 049 to 111 have them. Those
/// that are not everywhere are here for the message.
const FUNCTIONS: [(Place, &str, u32, u32); 34] = [
    (Build, "derror", 49, 111),
    (Build, "dinfo", 49, 111),
    (Build, "dracut_module_included", 49, 111),
    (Build, "dracut_module_path", 50, 111),
    (Build, "dracut_need_initqueue", 49, 111),
    (Build, "dwarn", 49, 111),
    (Build, "find_binary", 49, 111),
    (Build, "for_each_kmod_dep", 49, 49),
    (Build, "inst", 49, 111),
    (Build, "inst_any", 49, 109),
    (Build, "inst_binary", 49, 111),
    (Build, "inst_dir", 49, 111),
    (Build, "inst_hook", 49, 111),
    (Build, "inst_libdir_file", 49, 111),
    (Build, "inst_multiple", 49, 111),
    (Build, "inst_rules", 49, 111),
    (Build, "inst_script", 49, 111),
    (Build, "inst_simple", 49, 111),
    (Build, "instmods", 49, 111),
    (Build, "ln_r", 49, 111),
    (Build, "require_any_binary", 49, 111),
    (Build, "require_binaries", 49, 111),
    (Build, "require_kernel_modules", 58, 111),
    (Run, "die", 49, 111),
    (Run, "emergency_shell", 49, 111),
    (Run, "getarg", 49, 111),
    (Run, "getargbool", 49, 111),
    (Run, "getargs", 49, 111),
    (Run, "info", 49, 111),
    (Run, "label_uuid_to_dev", 54, 111),
    (Run, "need_shutdown", 49, 111),
    (Run, "source_all", 49, 109),
    (Run, "wait_for_dev", 49, 111),
    (Run, "warn", 49, 111),
];

/// Variables of dracut. One that is not everywhere needs a default where it is used.
const VARIABLES: [(Place, &str, u32, u32); 8] = [
    (Build, "dracutsysrootdir", 50, 111),
    (Build, "hostonly", 49, 111),
    (Build, "hostonly_cmdline", 49, 111),
    (Build, "initdir", 49, 111),
    (Build, "moddir", 49, 111),
    (Build, "systemdsystemunitdir", 49, 111),
    (Build, "SYSTEMCTL", 52, 111),
    (Run, "netroot", 49, 111),
];

/// Of the shell. `exit` is not among them: dracut sources these files, from 110 on without a subshell.
const BUILTINS: [&str; 12] =
    [":", "[", "[[", "command", "echo", "local", "printf", "read", "return", "shift", "true", "unset"];
/// What else may be started. In the initramfs nothing but our own: what more is there depends on dracut's release.
const PROGRAMS: [(Place, &str); 2] = [(Build, "ln"), (Build, "mkdir")];
const OURS: [&str; 8] = [
    "overlay-assemble",
    "overlay-commit",
    "overlay-image",
    "overlay-loop",
    "overlay-populate",
    "overlay-thaw",
    "overlay-tries",
    "overlay-upper",
];

fn everywhere(first: u32, last: u32) -> bool {
    first <= FIRST && last >= LAST
}

/// What is wrong with a script, a line each.
fn complaints(place: Place, text: &str) -> Vec<String> {
    let script: Script = match read(text) {
        Ok(script) => script,
        Err(error) => return vec![error],
    };
    let mut out = Vec::new();
    for name in &script.commands {
        let known = BUILTINS.contains(&name.as_str())
            || OURS.contains(&name.as_str())
            || PROGRAMS.contains(&(place, name.as_str()))
            || script.functions.contains(name);
        let row = FUNCTIONS.iter().find(|row| row.0 == place && row.1 == name);
        match row {
            _ if known => {}
            None => out.push(format!("{name}: in no table, so nobody looked whether each dracut has it")),
            Some(&(_, _, first, last)) if !everywhere(first, last) => {
                out.push(format!("{name}: only in dracut {first:03} to {last:03}"));
            }
            Some(_) => {}
        }
    }
    for (name, has_default) in &script.variables {
        let own = name.starts_with("overlayroot_") || name.starts_with('_') && script.assigned.contains(name);
        let row = VARIABLES.iter().find(|row| row.0 == place && row.1 == name);
        match row {
            _ if own => {}
            None => out.push(format!("${name}: in no table, so nobody looked whether each dracut has it")),
            Some(&(_, _, first, last)) if !everywhere(first, last) && !has_default => {
                out.push(format!("${name}: only in dracut {first:03} to {last:03}, and it has no default here"));
            }
            Some(_) => {}
        }
    }
    out
}

fn scripts() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dracut/55overlayroot-rs");
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path()).unwrap_or_default()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "sh"));
    paths.sort();
    paths
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn place(path: &Path) -> Place {
    if path.ends_with("module-setup.sh") { Build } else { Run }
}

#[test]
fn what_the_module_uses_of_dracut_is_in_049_to_111() {
    let found: Vec<_> = scripts()
        .iter()
        .flat_map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            complaints(place(path), &text(path)).into_iter().map(move |line| format!("{name}: {line}"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_reader_sees_what_is_there() {
    // a reader that sees nothing complains of nothing
    let setup = scripts().into_iter().find(|path| place(path) == Build).expect("module-setup.sh");
    let script = read(&text(&setup)).expect("readable");
    for name in ["inst_hook", "inst_multiple", "instmods", "require_binaries", "dracut_need_initqueue", "derror", "ln"]
    {
        assert!(script.commands.contains(name), "{name}");
    }
    for name in ["moddir", "initdir", "dracutsysrootdir", "SYSTEMCTL"] {
        assert!(script.variables.iter().any(|(variable, _)| variable == name), "{name}");
    }
    for name in ["check", "depends", "installkernel", "install", "_overlayroot_mkfs"] {
        assert!(script.functions.contains(name), "{name}");
    }
}

#[test]
fn what_is_in_no_table_or_not_in_each_release_is_found() {
    let build = [
        ("require_kernel_modules overlay", "require_kernel_modules: only in dracut 058 to 111"),
        ("if inst_any -d /x y; then :; fi", "inst_any: only in dracut 049 to 109"),
        ("x() { echo \"$(inst_new /x)\"; }", "inst_new: in no table"),
        ("[[ -e x && -e y ]] && inst_new", "inst_new: in no table"),
        ("case a in b) inst_new ;; c) : ;; esac", "inst_new: in no table"),
        ("hostonly='' inst_new overlay", "inst_new: in no table"),
        ("for _x in a b; do ! inst_new \"$_x\"; done", "inst_new: in no table"),
        ("echo a |\n    grep a", "grep: in no table"),
        ("$SYSTEMCTL -q enable x", "$SYSTEMCTL: only in dracut 052 to 111"),
        ("echo \"${dracutsysrootdir}/etc\"", "$dracutsysrootdir: only in dracut 050 to 111"),
        ("echo \"${moddir:-$kernel}\"", "$kernel: in no table"),
        ("die no", "die: in no table"),
        ("exit 1", "exit: in no table"),
        ("cat <<E\nE", "here-document"),
        ("echo \"a", "not closed"),
    ];
    let run = [
        ("source_all /x", "source_all: only in dracut 049 to 109"),
        ("[ -n \"$NEWROOT\" ] && :", "$NEWROOT: in no table"),
        ("inst_simple /x", "inst_simple: in no table"),
        ("ln -s a b", "ln: in no table"),
    ];
    for (place, cases) in [(Build, &build[..]), (Run, &run[..])] {
        for (text, want) in cases {
            let found = complaints(place, text);
            assert!(found.iter().any(|line| line.contains(want)), "{text:?} gave {found:?}");
        }
    }
}

#[test]
fn what_each_release_has_is_not_complained_of() {
    let fine = [
        "${SYSTEMCTL:-systemctl} -q enable x",
        "[[ -f \"${dracutsysrootdir-}/etc/x\" ]] && inst_simple /etc/x",
        "# inst_new\necho 'inst_new $kernel' inst_new",
        "local _a=1 _b\n_a+=\" x\" # inst_new\necho $_a ${#_b} $1 $?",
        "inst_multiple -o $(command -v x) > /dev/null 2>&1 || return 1",
    ];
    for text in fine {
        assert_eq!(complaints(Build, text), Vec::<String>::new(), "{text:?}");
    }
}
