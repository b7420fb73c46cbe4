// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull` over HTTP, when the server comes late or never, and when it is killed on the way.
use overlayroot_rootns::forge::{FILE, Forge, Kind, Secure, Web, own_network};
use overlayroot_rootns::{Stage, on_stage, run};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PORT: u16 = 8418;
const SECURE_PORT: u16 = 8419;
const URL: &str = "http://127.0.0.1:8418/nodes.git";
const DIR: &str = "/sysroot/var/lib/overlayroot-rs/pull";

fn state() -> Value {
    serde_json::from_str(&fs::read_to_string("/run/overlayroot/pull.json").unwrap_or_default()).unwrap_or_default()
}

fn conf(text: &str) {
    fs::write("/sysroot/etc/overlayroot-rs.conf", text).unwrap();
}

fn pulls(stage: &Stage) -> Value {
    let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    state()
}

/// A pull that goes on beside the test; `overlayctl_inside` was called before.
fn start(args: &[&str]) -> Child {
    // A copy: the other can't be replaced while it runs.
    run("cp", &["/overlayctl", "/run/beside"]);
    let mut command = Command::new("chroot");
    command.args(["/sysroot", "/run/beside", "pull"]).args(args).stderr(Stdio::piped()).spawn().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{what} did not come: {:#}", state());
        thread::sleep(Duration::from_millis(50));
    }
}

fn ready(stage: &Stage, url: &str) -> Forge {
    own_network();
    stage.assemble("rd.overlay");
    let forge = Forge::new();
    forge.script("1", "");
    forge.commit(Some("ops"));
    conf(&format!("rd.overlay.git={url}\nrd.overlay.git.verify=/etc/signers\n"));
    forge
}

#[test]
fn both_protocols_of_http() {
    for kind in [Kind::Dumb, Kind::Smart] {
        on_stage(&format!("{kind:?}"), move |stage| {
            let forge = ready(stage, URL);
            let first = forge.git(None, &["rev-parse", "HEAD"]);
            let second = forge.commit(Some("ops"));
            forge.tag("v1", Some("ops"));
            let web = Web::start(kind, PORT);
            assert_eq!(pulls(stage)["commit"], second.as_str());
            for (reference, want) in [("v1", &second), (first.as_str(), &first)] {
                conf(&format!("rd.overlay.git={URL}#{reference}\nrd.overlay.git.verify=/etc/signers\n"));
                assert_eq!(pulls(stage)["commit"], want.as_str());
            }
            let posted = web.requests.lock().unwrap().iter().any(|request| request.starts_with("POST"));
            assert_eq!(posted, kind == Kind::Smart);
            nix::unistd::sethostname("a;b c$(x)").unwrap();
            conf("rd.overlay.git=http://127.0.0.1:8418/${hostname}.git\n");
            let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
            assert_eq!((output.status.code(), &state()["reason"]["code"]), (Some(1), &"unreachable".into()));
            let requests = web.requests.lock().unwrap();
            let encoded = |request: &String| request.starts_with("GET /a%3Bb%20c%24%28x%29.git/info/refs");
            assert!(requests.iter().any(encoded), "{requests:?}");
        });
    }
}

/// The same server behind another one with a certificate that is known, which sends everybody to it.
#[test]
fn https_is_not_led_to_http() {
    on_stage("redirect", |stage| {
        let forge = ready(stage, URL);
        let commit = forge.commit(Some("ops"));
        let web = Web::start(Kind::Smart, PORT);
        let _secure = Secure::start(SECURE_PORT, &format!("{URL}/info/refs?service=git-upload-pack"));
        // Where the site's rules are depends on how git was built, and root's on the environment.
        let home = format!("/sysroot{}", std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()));
        fs::create_dir_all(&home).unwrap();
        let site = ["/sysroot/etc/gitconfig".to_owned(), format!("{home}/.gitconfig")];
        let rules = |text: &str| site.iter().for_each(|file| fs::write(file, text).unwrap());
        rules(&format!("[http]\n\tsslCAInfo = {}\n", Secure::CERTIFICATE));
        // Where Debian's curl looks, and whatever the environment says to it.
        fs::create_dir_all("/sysroot/etc/ssl/certs").unwrap();
        fs::copy(Secure::CERTIFICATE, "/sysroot/etc/ssl/certs/ca-certificates.crt").unwrap();
        // A rule of the site does not lead there either.
        let rule = format!("[url \"{URL}\"]\n\tinsteadOf = https://short/\n");
        for url in [format!("https://127.0.0.1:{SECURE_PORT}/nodes.git"), "https://short/".to_owned() + "x"] {
            conf(&format!("rd.overlay.git={url}\n"));
            if url.contains("short") {
                rules(&rule);
            }
            let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
            let text = state()["reason"]["text"].as_str().unwrap_or_default().to_owned();
            assert!(output.status.code() == Some(1) && state()["commit"].is_null(), "{:#}", state());
            // curl's words, or git's.
            assert!(text.contains("rotocol") || text.contains("'http' not allowed"), "{text}");
        }
        assert_eq!(*web.requests.lock().unwrap(), Vec::<String>::new(), "the server without a certificate was asked");
        // It is the way there that is refused, not the server.
        rules("");
        conf(&format!("rd.overlay.git={URL}\n"));
        assert_eq!(pulls(stage)["commit"], commit.as_str());
    });
}

/// What only the initramfs was told: the record that everybody reads has it cut, the pull asks with all of it.
#[test]
fn user_and_query_of_the_url_reach_the_server_and_nobody_else() {
    on_stage("secrets", |stage| {
        own_network();
        let url = "http://SECRETU@127.0.0.1:8418/nodes.git?sig=SECRETQ";
        let record = stage.assemble(&format!(
            "rd.overlay rd.overlay.git={url}#v1 rd.overlay.populate=u:SECRETP@h/x.tar rd.overlay.gti=u:SECRETG@h/x"
        ));
        let told = "http://***@127.0.0.1:8418/nodes.git?***";
        assert_eq!(record["issues"].as_array().unwrap().len(), 2, "{record:#}");
        assert!(!record.to_string().contains("SECRET"), "{record:#}");
        stage.reboot();
        stage.mount_root("ro");
        let record = stage.assemble(&format!("rd.overlay rd.overlay.git={url}#v1"));
        assert_eq!(record["requested"]["git"], format!("{told}#v1"), "{record:#}");
        assert!(!record.to_string().contains("SECRET"), "{record:#}");
        let kept = fs::metadata("/run/initramfs/overlayroot").unwrap();
        assert_eq!(kept.mode() & 0o777, 0o700);
        Forge::new();
        let web = Web::start(Kind::Dumb, PORT);
        let output = stage.overlayctl_inside(&["pull", "--timeout", "0"]);
        assert_eq!((output.status.code(), &state()["url"]), (Some(1), &told.into()), "{:#}", state());
        assert!(web.requests.lock().unwrap().iter().any(|request| request.contains("sig=SECRETQ")), "not asked for");
        let mut said = format!("{output:?}{:#}", state());
        for args in [
            &["status"][..],
            &["status", "--json"],
            &["check"],
            &["config"],
            &["explain", "git"],
            &["doctor"],
            &["plan"],
        ] {
            said += &format!("{:?}", stage.overlayctl_inside(args));
        }
        assert!(said.contains(told) && !said.contains("SECRET"), "{said}");
    });
}

#[test]
fn a_server_that_comes_late() {
    on_stage("late", |stage| {
        ready(stage, URL);
        stage.overlayctl_inside(&["keys"]);
        let mut child = start(&["--timeout", "60"]);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("try 1: fatal: ") && first.ends_with("again in 5 s"), "{first}");
        let _web = Web::start(Kind::Smart, PORT);
        assert!(child.wait().unwrap().success(), "{:#}", state());
        assert_eq!((&state()["outcome"], &state()["tries"]), (&"done".into(), &2.into()));
        assert_eq!(fs::read_to_string("/sysroot/ran").unwrap(), "1\n");
    });
}

#[test]
fn a_server_that_never_comes_ends_the_tries() {
    on_stage("never", |stage| {
        ready(stage, URL);
        let started = Instant::now();
        let output = stage.overlayctl_inside(&["pull", "--timeout", "8"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains("again in 5 s"), "{text}");
        let state = state();
        assert_eq!(state["reason"]["code"], "unreachable", "{state:#}");
        assert!(state["tries"].as_u64() >= Some(2) && started.elapsed() >= Duration::from_secs(8), "{state:#}");
        assert!(state["reason"]["text"].as_str().unwrap().contains("127.0.0.1"), "{state:#}");
        assert_eq!(fs::read_dir(DIR).unwrap().count(), 0, "something was left behind");
    });
}

#[test]
fn killed_on_the_way() {
    on_stage("killed", |stage| {
        let forge = ready(stage, FILE);
        let first = pulls(stage)["commit"].clone();
        forge.commit(Some("ops"));
        conf(&format!("rd.overlay.git={URL}\n"));
        let _web = Web::start(Kind::Silent, PORT);
        let mut child = start(&[]);
        until("its directory", || fs::exists(format!("{DIR}/2")).unwrap());
        let output = stage.overlayctl_inside(&["pull"]);
        assert!(String::from_utf8_lossy(&output.stderr).contains("another overlayctl pull is running"), "two at once");
        let status = String::from_utf8(stage.overlayctl_inside(&["status"]).stdout).unwrap();
        assert!(status.contains("is being fetched, try 1"), "{status}");
        child.kill().unwrap();
        child.wait().unwrap();
        let status = String::from_utf8(stage.overlayctl_inside(&["status"]).stdout).unwrap();
        assert!(status.contains("failed (interrupted)"), "{status}");
        let head = run("git", &["-C", &format!("{DIR}/current"), "rev-parse", "HEAD"]);
        assert_eq!(head.trim(), first.as_str().unwrap());
        conf(&format!("rd.overlay.git={FILE}\n"));
        assert_ne!(pulls(stage)["commit"], first);
        let mut left: Vec<_> = fs::read_dir(DIR).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["2", "current", "good"]);
    });
}

#[test]
fn the_journal_gets_each_line_with_the_name_of_its_script() {
    on_stage("journal", |stage| {
        let forge = ready(stage, FILE);
        forge.script("2-say", "echo said; echo also >&2");
        forge.commit(Some("ops"));
        stage.overlayctl_inside(&["keys"]);
        fs::create_dir_all("/run/systemd/journal").unwrap();
        let journal = UnixListener::bind("/run/systemd/journal/stdout").unwrap();
        let lines = thread::spawn(move || {
            let mut texts = Vec::new();
            for _ in 0..2 {
                let mut text = String::new();
                journal.accept().unwrap().0.read_to_string(&mut text).unwrap();
                texts.push(text);
            }
            texts
        });
        // As systemd starts a unit whose output goes to the journal.
        let (ours, its) = UnixStream::pair().unwrap();
        let its = fs::File::from(std::os::fd::OwnedFd::from(its));
        let metadata = its.metadata().unwrap();
        let mut command = Command::new("chroot");
        command.args(["/sysroot", "/run/overlayctl", "pull"]).stdin(Stdio::null());
        command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()));
        let status = command.stdout(its.try_clone().unwrap()).stderr(its).status().unwrap();
        drop(command);
        assert!(status.success(), "{:#}", state());
        let texts = lines.join().unwrap();
        assert_eq!(texts[0], "overlayroot.d/1\n\n6\n1\n0\n0\n0\n");
        assert_eq!(texts[1], "overlayroot.d/2-say\n\n6\n1\n0\n0\n0\nsaid\nalso\n");
        let mut own = String::new();
        { ours }.read_to_string(&mut own).unwrap();
        assert!(own.contains("<5>overlayroot-rs: runs overlayroot.d/2-say\n") && !own.contains("said"), "{own}");
    });
}
