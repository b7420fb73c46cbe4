// SPDX-License-Identifier: GPL-2.0-or-later
//! What happens to an upper's directories, on a real file system.
use super::*;
use std::os::unix::fs::PermissionsExt;

fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::named(dir.path().to_str().unwrap(), "overlay");
    (dir, store)
}

#[test]
fn a_new_upper_looks_like_the_lowers_root() {
    let (dir, store) = fresh();
    let like = dir.path().join("like");
    fs::create_dir(&like).unwrap();
    fs::set_permissions(&like, fs::Permissions::from_mode(0o1750)).unwrap();
    make(&store, like.to_str().unwrap()).unwrap();
    let (got, want) = (fs::metadata(&store.upper).unwrap(), fs::metadata(&like).unwrap());
    assert_eq!((got.mode(), got.uid(), got.mtime()), (want.mode(), want.uid(), want.mtime()));
}

#[test]
fn an_upper_with_content_keeps_its_own_and_work_is_emptied() {
    let (dir, store) = fresh();
    fs::create_dir_all(format!("{}/etc", store.upper)).unwrap();
    fs::set_permissions(&store.upper, fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir_all(format!("{}/work/a/b/c/d", store.work)).unwrap();
    make(&store, dir.path().to_str().unwrap()).unwrap();
    assert_eq!(fs::metadata(&store.upper).unwrap().mode() & 0o7777, 0o711);
    assert!(fs::read_dir(&store.work).unwrap().next().is_none());
}

#[test]
fn the_first_lower_is_remembered() {
    let (_dir, store) = fresh();
    let lower = |os: &str| Fingerprint { os: os.into(), ..Fingerprint::default() };
    remember(&store.fingerprint, &lower("debian 12")).unwrap();
    remember(&store.fingerprint, &lower("debian 13")).unwrap();
    assert!(fs::read_to_string(&store.fingerprint).unwrap().contains("debian 12"));
}

#[test]
fn a_description_outlives_another_lower_and_nothing_else_does() {
    let (_dir, store) = fresh();
    let (path, lower) = (&store.fingerprint, |os: &str| Fingerprint { os: os.into(), ..Fingerprint::default() });
    remember(path, &lower("debian 12")).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let field = format!("{DESCRIPTION}before \\\"13\\\"\"}}");
    fs::write(path, with(&text, Some(&field)).unwrap()).unwrap();
    assert_eq!(described(path).as_deref(), Some(field.as_str()));
    remember_anew(path, &lower("debian 13")).unwrap();
    let now = fs::read_to_string(path).unwrap();
    assert!(now.contains("debian 13") && described(path).as_deref() == Some(field.as_str()), "{now}");
    assert_eq!(stale::parse(&now), Some(lower("debian 13")));
    assert_eq!(with(&now, None), Some(serde_json::to_string(&lower("debian 13")).unwrap()));
    // What would change the rest goes.
    fs::write(path, with(&text, Some(&format!("{DESCRIPTION}x\",\"os\":\"evil\"}}"))).unwrap()).unwrap();
    remember_anew(path, &lower("debian 13")).unwrap();
    assert_eq!(stale::parse(&fs::read_to_string(path).unwrap()), Some(lower("debian 13")));
}

/// Where a boot has no time for it, what is in it is the host's.
#[test]
fn an_overfull_work_directory_is_put_aside() {
    let (dir, store) = fresh();
    fs::create_dir_all(format!("{}/work/a", store.work)).unwrap();
    make_within(&store, dir.path().to_str().unwrap(), Duration::ZERO).unwrap();
    assert!(fs::read_dir(&store.work).unwrap().next().is_none());
    assert!(fs::exists(format!("{}/work.0/work/a", store.trash)).unwrap());
}
