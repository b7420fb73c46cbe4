// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use crate::sys::newfile;
use crate::testing::on_cpu;
use rustix::fs::mknodat;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};

fn whole(path: &Path) -> io::Result<Vec<Layer>> {
    Layer::whole(path.to_str().unwrap()).map(|layer| vec![layer])
}

#[test]
fn everything_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::create_dir_all(from.join("deep/er")).unwrap();
    fs::create_dir(&to).unwrap();
    fs::write(from.join("deep/er/file"), "text").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"not \xff UTF-8");
    fs::write(from.join(odd), "odd").unwrap();
    fs::hard_link(from.join("deep/er/file"), from.join("same")).unwrap();
    symlink("nowhere/at all", from.join("link")).unwrap();
    fs::set_permissions(from.join("same"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(from.join("deep"), fs::Permissions::from_mode(0o1700)).unwrap();
    let sparse = File::create(from.join("sparse")).unwrap();
    sparse.write_all_at(b"middle", 4 << 20).unwrap();
    sparse.set_len(16 << 20).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    copy(&whole(&from).unwrap(), to.to_str().unwrap(), &[]).unwrap();
    let stat = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
    assert_eq!(fs::read_to_string(to.join("deep/er/file")).unwrap(), "text");
    assert_eq!((stat("same").mode() & 0o7777, stat("deep").mode() & 0o7777), (0o4751, 0o1700));
    assert_eq!(stat("same").ino(), stat("deep/er/file").ino());
    assert_eq!(fs::read_link(to.join("link")).unwrap().to_str(), Some("nowhere/at all"));
    assert_eq!(stat("deep").mtime_nsec(), fs::symlink_metadata(from.join("deep")).unwrap().mtime_nsec());
    assert_eq!(fs::read(to.join("sparse")).unwrap(), fs::read(from.join("sparse")).unwrap());
    assert!(stat("sparse").blocks() < 1 << 11, "{} blocks", stat("sparse").blocks());
    assert!(to.join(odd).exists() && !to.join("socket").exists());
}

/// No link is followed, no pipe is waited for, and a path need not be one that the kernel takes.
#[test]
fn links_pipes_and_nesting_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, outside) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("outside"));
    for made in [&from, &to, &outside] {
        fs::create_dir(made).unwrap();
    }
    fs::write(outside.join("secret"), "x").unwrap();
    symlink(&outside, from.join("link")).unwrap();
    symlink(outside.join("secret"), from.join("file")).unwrap();
    let top = descent::open(CWD, &from).unwrap();
    mknodat(&top, "pipe", FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let mut at = top;
    for _ in 0..3000 {
        mkdirat(&at, "dd", Mode::RWXU).unwrap();
        at = descent::open(&at, "dd").unwrap();
    }
    newfile::inside(&at, b"one").unwrap();
    linkat(&at, "one", &at, "two", AtFlags::empty()).unwrap();
    copy(&whole(&from).unwrap(), to.to_str().unwrap(), &[]).unwrap();
    assert!(fs::symlink_metadata(to.join("link")).unwrap().is_symlink());
    assert!(fs::symlink_metadata(to.join("file")).unwrap().is_symlink());
    let pipe = fs::symlink_metadata(to.join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o777 == 0o640);
    let mut at = descent::open(CWD, &to).unwrap();
    for _ in 0..3000 {
        at = descent::open(&at, "dd").unwrap();
    }
    let file = rustix::fs::statat(&at, "two", AtFlags::SYMLINK_NOFOLLOW).unwrap();
    assert_eq!(file.st_nlink, 2);
    let link = whole(&from.join("link")).unwrap();
    assert!(copy(&link, to.to_str().unwrap(), &[]).is_err(), "a link is followed");
    for tree in [from, to] {
        crate::sys::remove_tree::empty(tree.to_str().unwrap(), &mut || false).unwrap();
    }
}

/// Whoever could write there may have given many files far down several names: to remember the whole way for each of
/// them, and to go it for each name, was more than a boot has memory and time for.
#[test]
fn further_names_far_down_cost_no_more_than_others() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    for made in [&from, &to] {
        fs::create_dir(made).unwrap();
    }
    let down = |top: &Path, make: bool| {
        let mut at = descent::open(CWD, top).unwrap();
        for _ in 0..2000 {
            if make {
                mkdirat(&at, "d", Mode::RWXU).unwrap();
            }
            at = descent::open(&at, "d").unwrap();
        }
        if make {
            mkdirat(&at, "a", Mode::RWXU).unwrap();
            mkdirat(&at, "b", Mode::RWXU).unwrap();
        }
        [descent::open(&at, "a").unwrap(), descent::open(&at, "b").unwrap()]
    };
    let [a, b] = down(&from, true);
    for number in 0..3000 {
        let name = number.to_string();
        newfile::inside(&a, name.as_bytes()).unwrap();
        linkat(&a, &name, &a, format!("{name}.2"), AtFlags::empty()).unwrap();
        linkat(&a, &name, &b, &name, AtFlags::empty()).unwrap();
    }
    let before = on_cpu();
    copy(&whole(&from).unwrap(), to.to_str().unwrap(), &[]).unwrap();
    let took = on_cpu() - before;
    let [a, b] = down(&to, false);
    for (at, name) in [(&a, "0"), (&a, "2999.2"), (&b, "1500")] {
        assert_eq!(statat(at, name, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_nlink, 3, "{name}");
    }
    for tree in [from, to] {
        crate::sys::remove_tree::empty(tree.to_str().unwrap(), &mut || false).unwrap();
    }
    assert!(took < std::time::Duration::from_secs(3), "{took:?}");
}
