// SPDX-License-Identifier: GPL-2.0-or-later
//! Each policy, and what is no fingerprint, on a real file system.
use super::*;

fn lower(packages: i64) -> Fingerprint {
    Fingerprint { uuid: "u".into(), packages, taken: 1, ..Fingerprint::default() }
}

/// An upper with `etc/file`, begun on `lower(1)`, of which the lower has a later one.
fn asked(dir: &tempfile::TempDir, policy: Policy) -> Compare {
    let at = |name: &str| dir.path().join(name);
    let store = Store::named(dir.path().to_str().unwrap(), "overlay");
    for etc in ["overlay/etc", "lower/etc"] {
        fs::create_dir_all(at(etc)).unwrap();
        fs::write(at(etc).join("file"), "x").unwrap();
    }
    store::remember(&store.fingerprint, &lower(1)).unwrap();
    let lower_at = at("lower").to_str().unwrap().to_owned();
    Compare { store, lower: lower_at, now: lower(2), policy, readonly: false, hidden: None }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_same_lower_is_no_matter() {
    let dir = tempfile::tempdir().unwrap();
    let mut asked = asked(&dir, Policy::Reset);
    asked.now = Fingerprint { taken: 99, ..lower(1) };
    assert_eq!(apply(&asked, false).unwrap(), (None, Became::default()));
    assert!(fs::exists(format!("{}/etc/file", asked.store.upper)).unwrap());
}

#[test]
fn keep_and_warn_change_nothing() {
    for (policy, action, count) in [(Policy::Keep, Action::Kept, 0), (Policy::Warn, Action::Warned, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let asked = asked(&dir, policy);
        let before = text(&asked.store.fingerprint);
        let (found, became) = apply(&asked, false).unwrap();
        let found = found.unwrap();
        assert_eq!((found.action, found.shadows.count, found.differs), (action, count, vec!["packages".into()]));
        assert_eq!((became, text(&asked.store.fingerprint)), (Became::default(), before));
    }
}

#[test]
fn park_keeps_the_old_one_with_its_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(&dir, Policy::Park);
    let (found, became) = apply(&asked, false).unwrap();
    let found = found.unwrap();
    assert_eq!((found.action, found.shadows.paths.first().unwrap().path.as_str()), (Action::Parked, "/etc/file"));
    assert!(became.reset && became.note.unwrap().contains("kept as overlay.1"));
    let (upper, fingerprint) = asked.store.kept(1);
    assert!(fs::exists(format!("{upper}/etc/file")).unwrap() && text(&fingerprint).contains("\"packages\":1"));
    for gone in [&asked.store.upper, &asked.store.fingerprint, &asked.store.marker] {
        assert!(!fs::exists(gone).unwrap(), "{gone}");
    }
}

#[test]
fn reset_throws_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(&dir, Policy::Reset);
    let (found, became) = apply(&asked, false).unwrap();
    assert!(found.unwrap().action == Action::Reset && became.reset);
    assert!(!fs::exists(&asked.store.upper).unwrap() && !fs::exists(&asked.store.fingerprint).unwrap());
    assert!(fs::exists(format!("{}/upper.0/etc/file", asked.store.trash)).unwrap());
}

#[test]
fn nothing_is_written_where_nothing_may_be() {
    for policy in [Policy::Park, Policy::Reset] {
        let dir = tempfile::tempdir().unwrap();
        let asked = Compare { readonly: true, ..asked(&dir, policy) };
        let before = text(&asked.store.fingerprint);
        let (found, became) = apply(&asked, false).unwrap();
        assert!(found.unwrap().action == Action::Warned && !became.reset);
        assert_eq!(text(&asked.store.fingerprint), before);
        assert!(fs::exists(format!("{}/etc/file", asked.store.upper)).unwrap());
    }
}

#[test]
fn what_was_restored_by_hand_stays() {
    for (policy, action) in
        [(Policy::Park, Action::Accepted), (Policy::Reset, Action::Accepted), (Policy::Warn, Action::Warned)]
    {
        let dir = tempfile::tempdir().unwrap();
        let asked = asked(&dir, policy);
        assert_eq!(apply(&asked, true).unwrap().0.unwrap().action, action);
        assert!(fs::exists(format!("{}/etc/file", asked.store.upper)).unwrap());
        let again = apply(&asked, false).unwrap().0;
        assert_eq!(again.is_none(), action == Action::Accepted, "{policy:?}");
    }
}

#[test]
fn what_is_no_fingerprint_is_not_stale() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(&dir, Policy::Reset);
    for half in ["{\"uuid\":\"u\",\"pack", "\0\0\0"] {
        fs::write(&asked.store.fingerprint, half).unwrap();
        let (found, became) = apply(&asked, false).unwrap();
        assert!(found.is_none() && became.note.unwrap().contains("is not valid"), "{half}");
        store::remember(&asked.store.fingerprint, &asked.now).unwrap();
        assert_eq!(text(&asked.store.fingerprint), half, "what is not understood stays");
    }
    fs::write(&asked.store.fingerprint, "").unwrap();
    assert_eq!(apply(&asked, false).unwrap(), (None, Became::default()));
    store::remember(&asked.store.fingerprint, &asked.now).unwrap();
    assert_eq!(stored(&asked.store.fingerprint), Stored::Is(asked.now.clone()));
    fs::remove_file(&asked.store.fingerprint).unwrap();
    assert_eq!(apply(&asked, false).unwrap(), (None, Became::default()));
}

#[test]
fn one_without_a_time_has_its_file_s() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.json");
    fs::write(&path, "{\"uuid\":\"u\"}").unwrap();
    let Stored::Is(found) = stored(path.to_str().unwrap()) else { panic!("not read") };
    assert_eq!(found.taken, fs::metadata(&path).unwrap().mtime());
}

#[test]
fn an_empty_upper_is_of_no_lower() {
    let dir = tempfile::tempdir().unwrap();
    let asked = asked(&dir, Policy::Park);
    fs::remove_dir_all(format!("{}/etc", asked.store.upper)).unwrap();
    assert_eq!(apply(&asked, false).unwrap(), (None, Became::default()));
    assert!(!fs::exists(&asked.store.fingerprint).unwrap() && !fs::exists(asked.store.kept(1).0).unwrap());
}
