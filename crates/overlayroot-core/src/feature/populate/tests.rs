// SPDX-License-Identifier: GPL-2.0-or-later
//! The grammar of `rd.overlay.populate`, and what is kept with an upper.
use super::*;

const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn node() -> Node {
    let some = |text: &str| Some(text.to_owned());
    Node { hostname: some("n7"), serial: some("A/B"), mac: some("52:54:00:00:00:01"), ..Node::default() }
}

#[test]
fn sources_and_options() {
    let asked = parse(&format!("http://s:8080/n/${{hostname}}.tar?x=1,sha256={},devices", SUM.to_uppercase()));
    let asked = asked.unwrap().unwrap();
    assert_eq!((asked.is_url(), asked.devices, asked.sha256.as_deref()), (true, true, Some(SUM)));
    assert_eq!(asked.on(&node()).unwrap(), "http://s:8080/n/n7.tar?x=1");
    let asked = parse("/usr/share/nodes/${mac}.tar.zst").unwrap().unwrap();
    assert_eq!(
        (asked.is_url(), asked.on(&node()).unwrap().as_str()),
        (false, "/usr/share/nodes/52:54:00:00:00:01.tar.zst")
    );
    assert_eq!(parse(""), Ok(None));
    for scheme in SCHEMES {
        assert!(parse(&format!("{scheme}://s/x")).is_ok());
    }
}

#[test]
fn mistakes() {
    for (value, want) in [
        ("x.tar", "neither a URL nor"),
        ("htp://s/x", "did you mean http?"),
        ("file:///etc/x.tar", "'file' is none of"),
        ("http:///x", "without a server"),
        ("http://", "without a server"),
        ("http://s/ü", "must be percent-encoded"),
        ("http://s/a b", "must be percent-encoded"),
        ("http://s/x,sha265=00", "did you mean sha256?"),
        ("http://s/x,sha256=00", "not 64 hexadecimal digits"),
        ("http://s/x,devices=1", "unknown option 'devices'"),
        ("http://s/x,", "unknown option ''"),
        ("http://s/${seral}", "did you mean ${serial}?"),
        ("/", "not the plain path"),
        ("/a/../b", "not the plain path"),
        ("/a//b", "not the plain path"),
        ("/a/", "not the plain path"),
    ] {
        let problem = parse(value).unwrap_err().to_string();
        assert!(problem.contains(want), "{value}: {problem}");
    }
    let asked = parse("/nodes/${serial}.tar").unwrap().unwrap();
    assert!(asked.on(&node()).unwrap_err().contains("can't be part of a path"));
    let asked = parse("/nodes/${serial}/x.tar").unwrap().unwrap();
    let climbs = Node { serial: Some("..".into()), ..node() };
    assert!(asked.on(&climbs).unwrap_err().contains("not the plain path"));
}

#[test]
fn passwords_are_not_told() {
    let asked = parse("http://u:secret@s/x").unwrap().unwrap();
    assert!(!asked.to_string().contains("secret"));
    let facts = Archive { proxy: Some("http://p:secret@proxy:3128".into()), ..Archive::default() };
    let step = Populate::new(&asked, &node(), &facts, Store::named("/x", "overlay"), "/sysroot");
    assert!(!step.to_string().contains("secret") && step.source.contains("secret"), "{step}");
}

#[test]
fn what_is_kept_with_the_upper() {
    let marker = Marker::of(SUM.into(), "http://s/x");
    assert_eq!(Marker::parse(&marker.to_string()), marker);
    assert_eq!(Marker::parse("what?"), Marker::default());
    let long = Marker { source: "é".repeat(300), ..marker.clone() };
    assert!(long.to_string().len() < 380);
    let step = |value: &str| {
        let asked = parse(value).unwrap().unwrap();
        Populate::new(&asked, &node(), &Archive::default(), Store::named("/x", "overlay"), "/sysroot")
    };
    assert!(step("http://s/x").is_from(&marker) && !step("http://s/y").is_from(&marker));
    // Also where people are not told what differs; not by an older version's marker.
    let signed = Marker::of(SUM.into(), "http://t@s/x?v=1");
    assert!(!signed.to_string().contains("v=1") && signed.source == "http://***@s/x?***");
    assert!(step("http://t@s/x?v=1").is_from(&signed) && !step("http://t@s/x?v=2").is_from(&signed));
    let old = Marker { id: String::new(), source: "http://t:***@s/x".into(), ..marker.clone() };
    assert!(step("http://t:p@s/x").is_from(&old) && !step("http://s/y").is_from(&old));
    // The sum says what it is, wherever it came from.
    assert!(step(&format!("http://s/y,sha256={SUM}")).is_from(&marker));
    assert!(!step(&format!("http://s/x,sha256={}", SUM.replace('e', "f"))).is_from(&marker));
    // Where the variable is not known nobody can tell.
    assert!(step("http://s/${uuid}").is_from(&marker));
}

#[test]
fn what_is_missing_is_named() {
    let asked = parse("http://s/${uuid}").unwrap().unwrap();
    let facts = Archive { programs: vec![PROGRAM.into(), CURL.into()], ..Archive::default() };
    let unready = |asked: &Asked, facts: &Archive| {
        Populate::new(asked, &node(), facts, Store::named("/x", "overlay"), "/sysroot").unready
    };
    assert_eq!(unready(&asked, &facts).as_deref(), Some("${uuid} is not known on this machine"));
    let asked = parse("http://s/x").unwrap().unwrap();
    assert_eq!(unready(&asked, &facts), None);
    let facts = Archive { programs: vec![PROGRAM.into()], ..Archive::default() };
    assert!(unready(&asked, &facts).unwrap().starts_with("curl is not in the initramfs"));
    assert_eq!(unready(&parse("/x.tar").unwrap().unwrap(), &facts), None);
}
