// SPDX-License-Identifier: GPL-2.0-or-later
//! A boot loader in step, and each way of being out of it.
use super::*;
use crate::loader::Kind;
use overlayroot_core::parse::cmdline::Source;

fn entry(name: &str, args: &[&str]) -> Entry {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Entry { name: name.to_owned(), args, ..Entry::default() }
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn state(kind: Kind, entries: Vec<Entry>) -> State {
    State { kind, entries, default: Some(0), unsure: String::new(), source: None }
}

fn told(state: Result<State, String>, running: &[&str], conf: &str) -> Vec<Finding> {
    let cmdline = vec![Source::new("/proc/cmdline", running.join(" "))];
    let inputs = Inputs { cmdline, conf: vec![Source::new("c", conf)], ubuntu: Vec::new() };
    let loader = Loader { state, running: strings(running), module: true, hook_in_overlay: false };
    let mut found = Vec::new();
    examine(&inputs, &Config::read(&inputs), &loader, &mut found);
    found
}

fn one(found: Vec<Finding>) -> (Grade, String, String) {
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().map(|found| (found.grade, found.text, found.todo)).unwrap()
}

#[test]
fn in_step() {
    let both = || vec![entry("a", &["quiet", "rd.overlay=tmpfs"]), entry("b", &["rd.overlay=tmpfs"])];
    let mut good = state(Kind::Bls, both());
    good.source = Some(("/etc/kernel/cmdline".into(), strings(&["rd.overlay=tmpfs"])));
    let (grade, text, _) = one(told(Ok(good), &["rd.overlay=tmpfs"], ""));
    assert_eq!((grade, text.as_str()), (Grade::Ok, "2 entries of GRUB's boot loader entries: rd.overlay=tmpfs"));
    // recovery mode of the same kernel may lack them
    let debian = vec![entry("/vmlinuz", &["rd.overlay"]), entry("/vmlinuz", &["single"])];
    assert_eq!(one(told(Ok(state(Kind::GrubD, debian)), &["rd.overlay"], "")).0, Grade::Ok);
}

#[test]
fn this_boot_only() {
    let plain = || state(Kind::CmdlineTxt, vec![entry("/boot/cmdline.txt", &["quiet"])]);
    let (grade, text, todo) = one(told(Ok(plain()), &["rd.overlay=LABEL=my disk"], ""));
    assert_eq!(grade, Grade::Warning);
    assert!(text.contains("the next one (/boot/cmdline.txt) gets no rd.overlay argument"), "{text}");
    assert_eq!(todo, "to keep it: overlayctl enable 'rd.overlay=\"LABEL=my disk\"'");
    // the file asks at every boot
    assert_eq!(one(told(Ok(plain()), &["rd.overlay"], "rd.overlay=tmpfs")).0, Grade::Note);
    let (grade, _, todo) = one(told(Ok(plain()), &[], ""));
    assert_eq!((grade, todo.as_str()), (Grade::Note, "overlayctl enable"));
}

#[test]
fn from_the_next_boot_on() {
    let next = state(Kind::Bls, vec![entry("a", &["rd.overlay=tmpfs"])]);
    let (grade, text, _) = one(told(Ok(next), &[], ""));
    assert_eq!(grade, Grade::Note);
    assert_eq!(text, "this boot has no rd.overlay argument, the next one (a) gets rd.overlay=tmpfs");
}

#[test]
fn some_kernels_only() {
    let some = vec![entry("a", &["rd.overlay=tmpfs"]), entry("b", &[]), entry("c", &["rd.overlay=LABEL=x"])];
    let (grade, text, todo) = one(told(Ok(state(Kind::Bls, some)), &["rd.overlay=tmpfs"], ""));
    assert_eq!(grade, Grade::Warning);
    assert!(text.ends_with("(b: no rd.overlay argument; c: rd.overlay=LABEL=x)"), "{text}");
    assert_eq!(todo, "overlayctl enable rd.overlay=tmpfs");
}

#[test]
fn not_regenerated() {
    let mut old = state(Kind::GrubD, vec![entry("/vmlinuz", &[])]);
    old.source = Some(("/etc/default/grub and grub.d".into(), strings(&["rd.overlay"])));
    let found = told(Ok(old), &[], "rd.overlay");
    let (grade, text, todo) = one(found);
    assert_eq!((grade, todo.as_str()), (Grade::Warning, "update-grub"));
    assert!(text.contains("have rd.overlay, grub.cfg has no rd.overlay argument"), "{text}");
}

#[test]
fn kernels_to_come() {
    let mut half = state(Kind::KernelInstall, vec![entry("a", &["rd.overlay"])]);
    half.source = Some(("/etc/kernel/cmdline".into(), Vec::new()));
    let (grade, _, todo) = one(told(Ok(half), &["rd.overlay"], ""));
    assert_eq!((grade, todo.as_str()), (Grade::Warning, "overlayctl enable rd.overlay"));
}

#[test]
fn a_root_from_a_server_has_its_boot_loader_there() {
    let leftover = || state(Kind::Bls, vec![entry("a", &[])]);
    for root in ["root=live:http://x/y", "root=nfs4:x:/y", "root=dhcp"] {
        let (grade, text, _) = one(told(Ok(leftover()), &[root, "rd.overlay"], ""));
        assert!(grade == Grade::Note && text.contains("over the network"), "{root}: {text}");
    }
    assert_eq!(one(told(Ok(leftover()), &["root=LABEL=nfs", "rd.overlay"], "")).0, Grade::Warning);
}

#[test]
fn not_known() {
    assert_eq!(one(told(Err("none".into()), &["rd.overlay"], "")).0, Grade::Note);
    assert_eq!(told(Err("none".into()), &[], ""), []);
    assert_eq!(told(Err("none".into()), &["rd.overlay"], "rd.overlay"), []);
    assert_eq!(one(told(Ok(state(Kind::GrubD, Vec::new())), &["rd.overlay"], "")).0, Grade::Note);
}

#[test]
fn a_hook_that_writes_the_line_anew() {
    let raspi = |extra: &[&str]| {
        let mut raspi = state(Kind::RaspiFirmware, vec![entry("/boot/firmware/cmdline.txt", &["rd.overlay"])]);
        raspi.source = Some(("/etc/default/raspi-extra-cmdline".into(), strings(extra)));
        raspi
    };
    let of = |extra: &[&str], hook_in_overlay| {
        let inputs = Inputs { cmdline: vec![Source::new("/proc/cmdline", "rd.overlay")], ..Inputs::default() };
        let loader =
            Loader { state: Ok(raspi(extra)), running: strings(&["rd.overlay"]), module: true, hook_in_overlay };
        let mut found = Vec::new();
        examine(&inputs, &Config::read(&inputs), &loader, &mut found);
        one(found)
    };
    assert_eq!(of(&["rd.overlay"], false).0, Grade::Ok);
    let (grade, text, todo) = of(&[], false);
    assert_eq!((grade, todo.as_str()), (Grade::Warning, "overlayctl enable rd.overlay"));
    assert!(text.contains("hook will write cmdline.txt with no rd.overlay argument"), "{text}");
    let (grade, text, todo) = of(&["rd.overlay"], true);
    assert_eq!((grade, todo.as_str()), (Grade::Warning, "overlayctl enable rd.overlay"));
    assert!(text.contains("the lower lacks and root=LiveOS_rootfs"), "{text}");
}
