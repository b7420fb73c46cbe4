// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull` from servers that mean ill: it ends in time, with bounded room and memory, leaves what an earlier
//! pull has put in place, and nothing that it has started.
use overlayroot_rootns::forge::{FILE, Forge, own_network};
use overlayroot_rootns::hostile_git::Evil;
use overlayroot_rootns::on_stage;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const DIR: &str = "/sysroot/var/lib/overlayroot-rs/pull";
/// The longest, by a machine that is busy with other tests.
const LONGEST: Duration = Duration::from_secs(240);
/// 512 MiB are taken, and what comes between two looks.
const MOST_BYTES: u64 = 640 << 20;
/// Of one program: 1 GiB of its own, and what it has of files.
const MOST_MEMORY: u64 = 1536 << 20;

/// What a pull has had at the most while it ran.
#[derive(Debug, Default)]
struct Most {
    bytes: u64,
    memory: u64,
    programs: BTreeSet<u32>,
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.metadata().map_or(0, |at| if at.is_dir() { size(&entry.path()) } else { at.blocks() * 512 }))
        .sum()
}

fn tree(pid: u32, found: &mut BTreeSet<u32>) {
    if found.insert(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().for_each(|child| tree(child.parse().unwrap(), found));
    }
}

fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().map_or(0, |number| number.parse::<u64>().unwrap() << 10)
}

/// Looks on until it has ended, or takes too much.
fn watch(child: &mut Child, case: &str) -> Most {
    let (mut most, end) = (Most::default(), Instant::now() + LONGEST);
    while child.try_wait().unwrap().is_none() {
        let mut now = BTreeSet::new();
        tree(child.id(), &mut now);
        most.memory = now.iter().map(|pid| resident(*pid)).max().max(Some(most.memory)).unwrap();
        most.bytes = most.bytes.max(size(Path::new(DIR)));
        most.programs.extend(now.iter().filter(|pid| **pid != child.id()));
        let fits = most.bytes <= MOST_BYTES && most.memory <= MOST_MEMORY;
        if !fits || Instant::now() > end {
            now.iter().for_each(|pid| drop(Command::new("kill").args(["-9", &pid.to_string()]).status()));
            panic!("{case}: it takes too much, or does not end: {most:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    most
}

/// It runs, and is one of ours: numbers are used again.
fn runs(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.contains("git") && !text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

fn names() -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(DIR).unwrap().map(|at| at.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Servers, with the seconds that a call of git may take, and what can be told of it.
fn pull_from(evils: Vec<(Evil, &'static str, &'static [&'static str])>) {
    on_stage(&format!("evil{:?}", evils[0].0), move |stage| {
        own_network();
        stage.assemble("rd.overlay=tmpfs:size=1G");
        let forge = Forge::new();
        forge.script("1", "");
        forge.commit(None);
        fs::write("/sysroot/etc/overlayroot-rs.conf", format!("rd.overlay.git={FILE}\n")).unwrap();
        assert!(stage.overlayctl_inside(&["pull", "--timeout", "0"]).status.success());
        let before = (names(), fs::read_link(format!("{DIR}/current")).unwrap());
        for (port, (evil, grace, texts)) in (8500..).zip(evils) {
            let case = format!("{evil:?}");
            evil.start(port);
            let (scheme, asked) = (evil.scheme(), format!("127.0.0.1:{port}/nodes.git"));
            // git's own protocol knows no users.
            let [user, told] = if scheme == "git" { ["", ""] } else { ["SECRETU@", "***@"] };
            let url = format!("rd.overlay.git={scheme}://{user}{asked}#refs/heads/main\n");
            fs::write("/sysroot/etc/overlayroot-rs.conf", url).unwrap();
            let mut command = Command::new("chroot");
            command.args(["/sysroot", "/run/overlayctl", "pull", "--timeout", "0", "--grace", grace]);
            let began = Instant::now();
            let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            let most = watch(&mut child, &case);
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            println!(
                "{case}: {:?}, {} MiB, {} MiB of memory: {said}",
                began.elapsed(),
                most.bytes >> 20,
                most.memory >> 20
            );
            assert_eq!(output.status.code(), Some(1), "{case}: {said}");
            let state: Value =
                serde_json::from_str(&fs::read_to_string("/run/overlayroot/pull.json").unwrap()).unwrap();
            let why = state["reason"]["text"].as_str().unwrap_or_default().to_owned();
            let code = if why.contains("512") { "too-large" } else { "unreachable" };
            assert!(
                state["reason"]["code"] == code && texts.iter().any(|text| why.contains(text)),
                "{case}: {state:#}"
            );
            let told = format!("{scheme}://{told}{asked}");
            assert_eq!(state["url"], told.as_str(), "{case}");
            assert!(why.contains(&told) && said.contains(&told), "{case}: the URL is not named: {why}: {said}");
            assert!(!why.contains("SECRET") && !said.contains("SECRET"), "{case}: {why}: {said}");
            assert_eq!((names(), fs::read_link(format!("{DIR}/current")).unwrap()), before, "{case}: not as it was");
            let left: Vec<_> = most.programs.iter().filter(|pid| runs(**pid)).collect();
            assert!(!most.programs.is_empty() && left.is_empty(), "{case}: it has left {left:?} of {most:?}");
        }
        assert_eq!(fs::read_to_string("/sysroot/ran").unwrap(), "1\n", "something was run");
    });
}

#[test]
fn servers_that_never_end() {
    const TEXT: &str = "git took too long and was stopped";
    let evils = [Evil::Trickle, Evil::TrickleGit, Evil::SilentGit, Evil::SlowPack];
    pull_from(evils.map(|evil| (evil, "3", &[TEXT][..])).to_vec());
}

/// Which bound a pack meets first hangs on the machine: room, time, or the memory of what indexes it, which git calls an
/// invalid output. Of a single file it is always its size.
#[test]
fn servers_that_send_without_end() {
    const LARGE: &str = "the repository has more than 512";
    pull_from(vec![
        (Evil::Names, "90", &["ut of memory"][..]),
        (Evil::Pack, "15", &[LARGE, "git took too long and was stopped", "invalid index-pack output"]),
        (Evil::Count, "15", &["fatal: "]),
        (Evil::Object, "200", &[LARGE]),
    ]);
}
