// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives from a real HTTP server, in a network that has nothing but the loopback device.
use overlayroot_rootns::http::{Reply, Server, private_network};
use overlayroot_rootns::tar::{made, tar};
use overlayroot_rootns::{Stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

fn archive() -> Vec<u8> {
    tar(&[made(b'0', "etc/node").body("fetched"), made(b'0', "etc/more").body(vec![7; 200_000])])
}

fn online(name: &str, test: impl FnOnce(&mut Stage, &Server) + Send + 'static) {
    on_stage_with(name, "ext4", 64, |stage| {
        private_network();
        let server = Server::start();
        test(stage, &server);
    });
}

fn why(record: &Value) -> (&str, &str, String) {
    let reason = record["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == "populate");
    let text = reason.map_or(String::new(), |reason| reason["text"].as_str().unwrap().to_owned());
    (record["outcome"].as_str().unwrap(), record["populate"]["why"].as_str().unwrap_or("none"), text)
}

#[test]
fn fetched_by_name_and_only_once() {
    online("fetch", |stage, server| {
        server.at("/n/n7/52%3A54%3A00%3Aab%3Acd%3Aef.tar", Reply::Body(archive()));
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let cmdline = format!(
            "rd.overlay={} BOOTIF=01-52-54-00-ab-cd-ef rd.overlay.hostname=n7 \
             rd.overlay.populate={}/n/${{hostname}}/${{mac}}.tar",
            disk.node, server.url
        );
        let record = stage.assemble(&cmdline);
        assert_eq!(
            (&record["outcome"], &record["populate"]["state"]),
            (&"applied".into(), &"done".into()),
            "{record:#}"
        );
        assert_eq!(fs::read_to_string("/sysroot/etc/node").unwrap(), "fetched");
        assert_eq!(record["populate"]["source"], format!("{}/n/n7/52%3A54%3A00%3Aab%3Acd%3Aef.tar", server.url));
        stage.reboot();
        assert_eq!(stage.assemble(&cmdline)["populate"]["state"], "kept");
        assert_eq!(server.requests().len(), 1, "a network is not needed again");
    });
}

#[test]
fn a_server_that_does_not_do_what_it_should() {
    online("server", |stage, server| {
        refused(stage, server);
        fetched_in_the_end(stage, server, &archive());
        no_room(stage, server);
        bounded(stage, server, archive());
    });
}

/// Answers that are none.
fn refused(stage: &Stage, server: &Server) {
    let cases = [
        (server.at("/none", Reply::Status("404 Not Found")), "fetch", "error: 404"),
        (
            server.at("/html", Reply::Body(b"<html>please log in</html>".to_vec())),
            "archive",
            "it begins with '<html>please",
        ),
        (server.at("/file", Reply::Redirect("file:///etc/passwd".into())), "fetch", "Protocol \"file\""),
        (server.at("/loop", Reply::Redirect("/loop".into())), "fetch", "redirects"),
        ("http://nowhere.invalid/x".to_owned(), "", ""),
    ];
    for (url, word, want) in cases.into_iter().filter(|(_, word, _)| !word.is_empty()) {
        let record = stage.assemble(&format!("rd.overlay rd.overlay.populate={url}"));
        let (outcome, why, text) = why(&record);
        assert!(outcome == "degraded" && why == word && text.contains(want), "{url}: {why}: {text}");
        assert!(!fs::exists("/sysroot/etc/node").unwrap());
        stage.reboot();
    }
}

/// It answers in the end: after a broken connection, by another place, without a length.
fn fetched_in_the_end(stage: &Stage, server: &Server, whole: &[u8]) {
    for url in [
        server.at("/flaky", Reply::Flaky(whole.to_vec(), 1)),
        server.at("/moved", Reply::Redirect("/good".into())),
        server.at("/good", Reply::Body(whole.to_vec())),
        server.at("/endless", Reply::Endless(whole.to_vec())),
    ] {
        let record = stage.assemble(&format!("rd.overlay rd.overlay.populate={url}"));
        assert_eq!(record["populate"]["state"], "done", "{url}: {record:#}");
        stage.reboot();
    }
}

/// More than the upper has room for, whether it says so or not.
fn no_room(stage: &Stage, server: &Server) {
    let big = vec![0; 12 << 20];
    for url in [server.at("/big", Reply::Body(big.clone())), server.at("/bigger", Reply::Endless(big))] {
        let record = stage.assemble(&format!("rd.overlay=tmpfs:size=8M rd.overlay.populate={url}"));
        assert_eq!(why(&record).1, "no-room", "{record:#}");
        stage.reboot();
    }
}

/// By hand, where nobody wants to wait for the bounds of a boot.
fn bounded(stage: &Stage, server: &Server, whole: Vec<u8>) {
    let half = whole.len() / 2;
    for directory in ["/tmp/u", "/tmp/w"] {
        fs::create_dir(directory).unwrap();
    }
    for (url, seconds, word, least, most) in [
        (server.at("/short", Reply::Short(whole.clone(), half)), "6,1,3", "fetch", 0, 4),
        (server.at("/stalls", Reply::Stalls(whole.clone(), half)), "30,1,2", "fetch", 2, 12),
        (server.at("/stalls2", Reply::Stalls(whole, half)), "3,60,60", "fetch", 2, 8),
        ("http://127.0.0.1:1/x".to_owned(), "6,3,3", "fetch", 1, 6),
    ] {
        let started = Instant::now();
        let args = [
            "--upper",
            "/tmp/u",
            "--work",
            "/tmp/w",
            "--scratch",
            "/tmp",
            "--lower",
            "/sysroot",
            "--seconds",
            seconds,
            &url,
        ];
        let output = stage.command("overlay-populate").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().last().unwrap_or_default();
        assert!(!output.status.success() && last.starts_with(word), "{url}: {said}");
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(least) && took < Duration::from_secs(most), "{url}: {took:?}: {said}");
        assert_eq!(run("ls", &["-A", "/tmp/u", "/tmp/w"]).trim(), "/tmp/u:\n\n/tmp/w:", "{url}");
    }
}

#[test]
fn passwords_and_proxies() {
    online("secret", |stage, server| {
        let host = server.url.trim_start_matches("http://").to_owned();
        server.at("/x", Reply::Status("403 Forbidden"));
        let record = stage.assemble(&format!("rd.overlay rd.overlay.populate=http://me:secret@{host}/x"));
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("403"), "{record:#}");
        assert!(!record.to_string().contains("secret"), "{record:#}");
        stage.reboot();
        // A proxy is asked for the whole URL.
        server.at("http://far.example/x.tar", Reply::Body(archive()));
        let record =
            stage.assemble(&format!("rd.overlay proxy={} rd.overlay.populate=http://far.example/x.tar", server.url));
        assert_eq!(record["populate"]["state"], "done", "{record:#}");
        assert_eq!(server.requests().last().map(String::as_str), Some("http://far.example/x.tar"));
    });
}
