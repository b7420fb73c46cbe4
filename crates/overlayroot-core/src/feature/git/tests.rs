// SPDX-License-Identifier: GPL-2.0-or-later
//! URLs and references that are taken, and those that are not.
use super::*;
use crate::config::Config;
use crate::config::Inputs;
use crate::layout::paths;
use crate::parse::cmdline::Source;
use crate::plan::git::asked;
use crate::step::Step;

fn config(cmdline: &str) -> Config {
    Config::read(&Inputs { cmdline: vec![Source::new("c", cmdline)], ..Inputs::default() })
}

#[test]
fn urls() {
    for good in [
        "https://git.example/nodes.git",
        "https://deploy@git.example:8443/nodes.git#v1.2",
        "http://[2001:db8::1]/nodes",
        "ssh://git@git.example/~site/nodes.git",
        "git://10.0.0.1/nodes#main",
        "file:///srv/nodes.git#refs/heads/main",
        "https://git.example/${hostname}.git#nodes/${mac}",
        "https://${ip}/a",
    ] {
        assert!(parse(good).unwrap().is_some_and(|git| git.written() == good), "{good}");
    }
    for (bad, why) in [
        ("ext::sh -c reboot", "no URL"),
        ("ext::sh://x/y", "is none of"),
        ("--upload-pack=reboot", "no URL"),
        ("-oProxyCommand=reboot://x/y", "is none of"),
        ("git@git.example:nodes.git", "ssh://user@host/path"),
        ("/srv/nodes.git", "file:///path"),
        ("file://server/nodes.git", "file:///path"),
        ("file:///", "names no repository"),
        ("https://git.example", "names no repository"),
        ("https://git.example//", "names no repository"),
        ("https:///nodes.git", "without a server"),
        ("https://:80/nodes.git", "without a server"),
        ("ssh://user@/nodes.git", "without a server"),
        ("ssh://-oProxyCommand=reboot/nodes.git", "begin with '-'"),
        ("ssh://-x@git.example/nodes.git", "begin with '-'"),
        ("ssh://user@-x/nodes.git", "begin with '-'"),
        ("https://user:secret@git.example/nodes.git", "password"),
        ("https://a@b:c@git.example/nodes.git", "password"),
        ("https://user:sec/ret@git.example/x", "no number behind"),
        ("https://git.example/a b", "percent-encoded"),
        ("https://git.example/é", "percent-encoded"),
        ("file:///srv/../etc", "'..'"),
        ("file:///srv/%2e%2E%2fetc", "'..'"),
        ("htps://git.example/x", "did you mean https"),
        ("HTTPS://git.example/x", "is none of"),
        ("https://git.example/${host}", "no variable"),
        ("https://git.example/${mac", "without '}'"),
        ("https://git.example/x#", "not a branch"),
        ("https://git.example/x#-x", "not a branch"),
    ] {
        let problem = parse(bad).expect_err(bad).to_string();
        assert!(problem.contains(why), "{bad}: {problem}");
    }
    assert_eq!(parse(""), Ok(None));
}

/// `tests/rootns/tests/host/pull_values.rs` holds the same names against git itself.
#[test]
fn references() {
    for good in ["main", "v1.2", "nodes/n7", "a-b", "a+b", "é", "refs/heads/main", "HEAD", "0123abc", "a@b", "@x"] {
        assert_eq!(check_ref(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "-",
        "-x",
        "--upload-pack=x",
        "+main",
        "@",
        "a:b",
        "a..b",
        "a b",
        "a\tb",
        "a^",
        "a~1",
        "a?",
        "a*",
        "a[b",
        "a\\b",
        "a@{1}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a/.b",
        "a.lock",
        "a.lock/b",
        "a.",
        "a\u{7f}",
        "x\n",
    ] {
        assert!(check_ref(bad).is_err(), "{bad:?}");
    }
    assert!(check_ref(&"a".repeat(200)).is_ok() && check_ref(&"a".repeat(201)).is_err());
    assert!(is_commit_id(&"0aF".repeat(14)[..40]) && is_commit_id(&"b".repeat(64)));
    assert!(!is_commit_id("0123abc") && !is_commit_id(&"g".repeat(40)));
    assert_eq!(full_names(Some("v1")), ["refs/tags/v1", "refs/heads/v1"]);
    assert_eq!(full_names(Some("refs/heads/v1")), ["refs/heads/v1"]);
    assert_eq!(full_names(None), ["HEAD"]);
}

#[test]
fn what_may_be_a_tag_must_be_a_signed_one() {
    for name in ["v7", "main", "nodes/n7", "refs/tags/v7", "refs/tags/main", "0123abc", "heads/main"] {
        assert!(must_be_tag(Some(name)), "{name}");
    }
    for name in [None, Some("HEAD"), Some("refs/heads/main"), Some("refs/heads/v7"), Some(&"a".repeat(40) as &str)] {
        assert!(!must_be_tag(name), "{name:?}");
    }
}

#[test]
fn no_transport_that_checks_the_server_leads_to_one_that_does_not() {
    for url in ["https://h/x", "ssh://h/x", "file:///x", "what is that"] {
        assert_eq!(transports(url), ["https", "ssh", "file"], "{url}");
    }
    for url in ["http://h/x", "git://h/x"] {
        assert_eq!(transports(url), SCHEMES, "{url}");
    }
}

#[test]
fn variables_can_only_be_one_part() {
    let some = |text: &str| Some(text.to_owned());
    let node =
        Node { hostname: some("n7"), mac: some("52:54:00:00:00:01"), serial: some("../;x $(y)#z"), ..Node::default() };
    let on = |text: &str| parse(text).unwrap().unwrap().on(&node);
    assert_eq!(
        on("https://s/${mac}/${hostname}.git#nodes/${mac}").unwrap(),
        ("https://s/52%3A54%3A00%3A00%3A00%3A01/n7.git".to_owned(), some("nodes/52-54-00-00-00-01"))
    );
    assert_eq!(on("https://s/x${serial}").unwrap().0, "https://s/x..%2F%3Bx%20%24%28y%29%23z");
    assert!(on("file:///srv/${serial}").unwrap_err().contains("'..'"));
    assert!(on("https://s/x#${serial}").unwrap_err().contains("not a branch"));
    assert!(on("https://s/${uuid}").unwrap_err().contains("${uuid} is not known"));
    let dash = Node { hostname: some("-oProxyCommand=x"), ..Node::default() };
    assert!(parse("ssh://${hostname}/x").unwrap().unwrap().on(&dash).unwrap_err().contains("begin with '-'"));
    assert!(parse("https://s/x#${hostname}").unwrap().unwrap().on(&dash).unwrap_err().contains("not a branch"));
}

#[test]
fn a_password_is_told_to_nobody() {
    for cmdline in [
        "rd.overlay rd.overlay.git=https://u:secret@h/x",
        "rd.overlay rd.overlay.git=https://u:se#cret@h/x",
        "rd.overlay rd.overlay.gitt=https://u:secret@h/x",
    ] {
        let config = config(cmdline);
        assert!(!format!("{config:?}").contains("cret") && config.issues.len() == 1, "{config:?}");
    }
    let git = parse("https://token@h/x?sig=a#v1").unwrap().unwrap();
    assert_eq!(git.to_string(), "https://***@h/x?***#v1");
    let plan = |cmdline: &str| {
        let facts = crate::facts::Facts {
            root: Some(crate::facts::Root::default()),
            kernel: crate::facts::Kernel { overlay: true, ..Default::default() },
            ..Default::default()
        };
        match crate::plan::decide(&config(cmdline), &facts) {
            crate::plan::Decision::Do(plan) | crate::plan::Decision::Instead(_, plan) => plan.steps,
            other @ (crate::plan::Decision::Off | crate::plan::Decision::NotYet) => panic!("{other}"),
        }
    };
    // What the record does not tell is kept for root alone.
    let kept = |steps: &[Step]| {
        steps.iter().any(|step| matches!(step, Step::WriteRun { path, text, .. } if path == paths::PULL_ASKED && text == &git.written()))
    };
    let steps = plan("rd.overlay rd.overlay.git=https://token@h/x?sig=a#v1");
    assert!(kept(&steps) && !steps.iter().any(|step| step.to_string().contains("token")), "{steps:?}");
    assert!(!kept(&plan("rd.overlay rd.overlay.git=https://h/x#v1")));
}

#[test]
fn a_mistake_never_runs_what_was_to_be_verified() {
    let good = "rd.overlay.git=https://h/x";
    assert!(asked(&config(good)).unwrap().is_some());
    let found = asked(&config(&format!("{good} rd.overlay.git.verify=/etc/signers"))).unwrap().unwrap();
    assert_eq!(found.verify.as_deref(), Some("/etc/signers"));
    assert_eq!(asked(&config("rd.overlay.git.verify=/etc/signers")), Ok(None));
    assert_eq!(asked(&config("rd.overlay.git=")), Ok(None));
    for bad in [
        "rd.overlay.git.verify=signers",
        "rd.overlay.git.verify=/etc/",
        "rd.overlay.git.verfy=/etc/signers",
        "rd.overlay.git_verify=/etc/signers",
        "rd.overlay.verify=/etc/signers",
        "rd.overlay.Git=/etc/signers",
        "rd.overlay.git@verify=/etc/signers",
    ] {
        let why = asked(&config(&format!("{good} {bad}"))).expect_err(bad);
        assert!(why.contains(bad), "{why}");
    }
    assert!(asked(&config(&format!("{good} rd.overlay.rest"))).unwrap().is_some());
}

proptest::proptest! {
    #[test]
    fn no_value_of_a_variable_leaves_its_place(value in ".{0,40}") {
        let node = Node { serial: Some(format!("x{value}")), ..Node::default() };
        if let Ok((url, reference)) = parse("https://s/a/${serial}/b#n/${serial}").unwrap().unwrap().on(&node) {
            proptest::prop_assert!(url.starts_with("https://s/a/x") && url.ends_with("/b"));
            proptest::prop_assert_eq!(url.matches('/').count(), 5);
            proptest::prop_assert!(reference.is_some_and(|name| name.starts_with("n/x") && !name.contains([':', ' '])));
        }
    }
}
