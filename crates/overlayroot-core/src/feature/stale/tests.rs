// SPDX-License-Identifier: GPL-2.0-or-later
//! Which lowers count as another, and what a stored fingerprint may look like.
use super::*;

fn lower() -> Fingerprint {
    Fingerprint { uuid: "u-1".into(), fstype: "ext4".into(), os: "debian 13".into(), packages: 7, taken: 9 }
}

#[test]
fn only_what_both_tell_is_compared() {
    let was = lower();
    assert_eq!(differences(&was, &Fingerprint { taken: 1_000, ..lower() }), [""; 0]);
    assert_eq!(differences(&was, &Fingerprint::default()), [""; 0]);
    let nfs = Fingerprint { uuid: String::new(), packages: 0, ..lower() };
    assert_eq!((differences(&was, &nfs), differences(&nfs, &was)), (vec![], vec![]));
    let other = Fingerprint { uuid: "u-2".into(), fstype: "xfs".into(), os: "debian 14".into(), packages: 6, taken: 9 };
    assert_eq!(differences(&was, &other), ["uuid", "fstype", "os", "packages"]);
}

#[test]
fn what_is_stored_is_read() {
    let odd = Fingerprint { os: "a \"b\" \\ c\n\u{1} ü".into(), packages: -5, ..lower() };
    for fingerprint in [lower(), Fingerprint::default(), odd] {
        for text in [serde_json::to_string(&fingerprint), serde_json::to_string_pretty(&fingerprint)] {
            assert_eq!(parse(&text.unwrap()).as_ref(), Some(&fingerprint));
        }
    }
    // Of version 0.1 before it knew when, and of one to come.
    let old = r#"{"uuid":"u","fstype":"ext4","os":"debian 13","packages":1763763600}"#;
    assert_eq!(parse(old).map(|found| (found.packages, found.taken)), Some((1_763_763_600, 0)));
    assert_eq!(parse(r#"{"new":true,"newer":1.5e3,"uuid":"u"}"#).map(|found| found.uuid).as_deref(), Some("u"));
    assert_eq!(parse("{}"), Some(Fingerprint::default()));
}

#[test]
fn half_a_fingerprint_is_none() {
    let whole = serde_json::to_string(&lower()).unwrap();
    for end in 0..whole.len() {
        assert_eq!(parse(&whole[..end]), None, "{}", &whole[..end]);
    }
    for bad in
        ["", "null", "[]", "{}x", "{,}", r#"{"uuid":}"#, r#"{"packages":"x""#, r#"{"packages":x}"#, r#"{"a":1,}"#]
    {
        assert_eq!(parse(bad), None, "{bad}");
    }
}

#[test]
fn policies_and_near_misses() {
    for (word, policy) in Policy::ALL {
        assert_eq!((parse_policy(word), policy.word()), (Ok(policy), word));
    }
    let problem = parse_policy("prak").unwrap_err();
    assert_eq!(problem.nearest.as_deref(), Some("park"));
    assert!(parse_policy("").is_err() && parse_policy("Warn").is_err());
}

#[test]
fn a_sentence_for_people() {
    let shadow = |path: &str| Shadow { path: path.into(), kind: Kind::File };
    let shadows = Shadows { paths: vec![shadow("/a"), shadow("/b\n")], count: 9, complete: false };
    let stale = Stale { action: Action::Warned, differs: vec!["os".into()], was: lower(), shadows };
    assert_eq!(
        stale.to_string(),
        "the upper does not match the current lower (os); at least 9 changed files of the lower are hidden: /a, /b\\n, ..."
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_crash(text: String) {
        let _ = parse(&text);
    }
}
