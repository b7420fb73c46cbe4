// SPDX-License-Identifier: GPL-2.0-or-later
//! What holds, and who said so.
use super::*;
use overlayroot_core::parse::cmdline::Source;

fn read(cmdline: &str, conf: &str, ubuntu: &str) -> Vec<Setting> {
    let inputs = Inputs {
        cmdline: vec![Source::new("/proc/cmdline", cmdline)],
        conf: vec![Source::new("c", conf)],
        ubuntu: vec![Source::new("u", ubuntu)],
    };
    settings(&inputs, &Config::read(&inputs))
}

fn of<'a>(settings: &'a [Setting], key: &str) -> &'a Setting {
    settings.iter().find(|setting| setting.key == key).unwrap()
}

/// A value for each key that is none of its default.
fn example(key: &Key) -> &'static str {
    match key.name {
        "rd.overlay" => "LABEL=x",
        "rd.overlay.crypt" => "/dev/vdb",
        "rd.overlay.reset" | "rd.overlay.readonly" => "1",
        "rd.overlay.name" => "work",
        "rd.overlay.fallback" => "ro",
        "rd.overlay.timeout" => "7",
        "rd.overlay.stale" => "park",
        "rd.overlay.image.sha256" => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "rd.overlay.image.cache" => "LABEL=cache",
        "rd.overlay.hostname" => "node-1",
        "rd.overlay.populate" => "/x.tar",
        "rd.overlay.git" => "https://h/x",
        "rd.overlay.git.verify" => "/etc/signers",
        "rd.overlay.path" => "volatile:/srv/",
        "rd.overlay.path.dev" => "LABEL=keep",
        "rd.overlay.watch.warn" => "60",
        "rd.overlay.watch.critical" => "95",
        "rd.overlay.watch.textfile" => "/run/x.prom",
        other => panic!("{other} is new: give it a value here, and a field in origin()"),
    }
}

#[test]
fn every_key_of_the_table_tells_its_value_and_origin() {
    for key in KEYS {
        let line = format!("{}={}", key.name, example(key));
        let settings = read(&line, "", "");
        let setting = of(&settings, key.name);
        assert_eq!(setting.origin, From::Given { text: line.clone(), source: "/proc/cmdline".into() }, "{line}");
        assert_eq!(setting.value, example(key), "{setting:?}");
        assert!(setting.said.len() == 1 && setting.said[0].decides, "{setting:?}");
        let settings = read("", "", "");
        let setting = of(&settings, key.name);
        assert_eq!((setting.value.as_str(), &setting.origin), (key.default, &From::Default));
    }
}

#[test]
fn every_path_counts() {
    let settings = read("", "rd.overlay.path = volatile:/srv/\nrd.overlay.path = docker\n", "");
    let path = of(&settings, "rd.overlay.path");
    assert_eq!(path.value, "volatile:/srv/ docker");
    assert!(path.said.len() == 2 && path.said.iter().all(|said| said.decides && said.why.is_empty()), "{path:?}");
}

#[test]
fn the_upper_is_told_as_it_could_be_written() {
    for spec in ["tmpfs:size=2G", "1", "dir:/u,size=1G", "loop:/f,dev=LABEL=d,size=8G", "subvol:o", "part:p", "UUID=1"]
    {
        let told = |line: &str| of(&read(line, "", ""), "rd.overlay").value.clone();
        let value = told(&format!("rd.overlay={spec}"));
        assert!(!value.contains(' ') && told(&format!("rd.overlay={value}")) == value, "{spec}: {value}");
    }
}

#[test]
fn what_is_overruled_says_by_whom() {
    let settings = read("rd.overlay.timeout=5 rd.overlay.timeout=8", "rd.overlay.timeout = 60\n", "");
    let timeout = of(&settings, "rd.overlay.timeout");
    assert_eq!(timeout.value, "8");
    let said: Vec<_> = timeout.said.iter().map(|said| (said.source.as_str(), said.decides)).collect();
    assert_eq!(said, [("c:1", false), ("/proc/cmdline", false), ("/proc/cmdline", true)]);
    assert_eq!(timeout.said[0].why, "rd.overlay.timeout=8 in /proc/cmdline decides");
}

#[test]
fn a_bad_value_leaves_the_default_and_says_why() {
    let settings = read("rd.overlay.fallback=hatl", "", "");
    let fallback = of(&settings, "rd.overlay.fallback");
    assert_eq!((fallback.value.as_str(), &fallback.origin), ("tmpfs", &From::Default));
    assert!(fallback.said[0].why.contains("not one of tmpfs"), "{fallback:?}");
}

#[test]
fn ubuntus_words_count_only_where_ours_are_not() {
    let settings = read("", "", "overlayroot=\"tmpfs\"");
    let overlay = of(&settings, "rd.overlay");
    assert!(overlay.value.starts_with("tmpfs") && overlay.said[0].decides, "{overlay:?}");
    let settings = read("rd.overlay=0", "", "overlayroot=\"tmpfs\"");
    let overlay = of(&settings, "rd.overlay");
    assert_eq!((overlay.value.as_str(), overlay.said.len()), ("0", 2));
    assert!(!overlay.said[0].decides && overlay.said[1].decides, "{overlay:?}");
}

#[test]
fn no_password_is_told() {
    let all = read(
        "rd.overlay.populate=https://u:secret@h/x.tar rd.overlay.git=https://u:secret@h/x",
        "rd.overlay.crypt=/dev/vdb,pass=secret\n",
        "overlayroot=\"crypt:dev=/dev/vdb,pass=secret\"",
    );
    assert!(!serde_json::to_string(&all).unwrap().contains("secret"), "{all:#?}");
}

#[test]
fn names_as_people_write_them() {
    for (word, key) in [
        ("rd.overlay", "rd.overlay"),
        ("overlay", "rd.overlay"),
        ("stale", "rd.overlay.stale"),
        ("git.verify", "rd.overlay.git.verify"),
        ("rd.overlay.timeout=9", "rd.overlay.timeout"),
        ("rd.live.overlay.reset", "rd.overlay.reset"),
    ] {
        assert_eq!(find(word).unwrap().name, key, "{word}");
    }
    assert_eq!(find("rd.overlay.tiemout").unwrap_err().as_deref(), Some("rd.overlay.timeout"));
    assert_eq!(find("falback").unwrap_err().as_deref(), Some("rd.overlay.fallback"));
    assert_eq!(find("xyzzy").unwrap_err(), None);
}

proptest::proptest! {
    #[test]
    fn no_secret_of_a_url_is_told(
        key in proptest::sample::select(vec![
            "rd.overlay.populate", "rd.overlay.git", "rd.overlay.gti", "rd.overlay.popluate", "rd.overlay.image", "rd.overlay",
            "rd.overlay.image.cache", "rd.overlay.hostname", "rd.overlay.path", "rd.overlay.timeout", "overlayroot",
        ]),
        scheme in proptest::sample::select(vec!["https://", "http://", "ssh://", "ftp://", "htps://"]),
        secret in "SECRET[!#$%&()*+,./0-9:;<=>?@A-Za-z\\[\\]^_`{|}~-]{0,12}|[!#$%&()*+,./0-9:;<=>?@\\[\\]^_`{|}~-]{0,8}SECRET",
        end in proptest::sample::select(vec!["h/x.git", "h.example:8443/x", "[::1]/x", "h", "h/x@1", "h/x#main", "${mac}/x"]),
    ) {
        let cmdline = format!("rd.overlay {key}={scheme}u:{secret}@{end}");
        let said = serde_json::to_string(&read(&cmdline, "", "")).unwrap();
        proptest::prop_assert!(!said.contains("SECRET"), "{}: {}", cmdline, said);
    }
}
