// SPDX-License-Identifier: GPL-2.0-or-later
//! URLs, sums and words.
use super::*;
use crate::config::Config;
use crate::config::Inputs;
use crate::facts::fetched::{Fetched, From, SCHEMA};
use crate::parse::cmdline::Source;
use crate::plan::image_cache::is_uppers;
use crate::plan::image_cache::netroot;
use crate::value::why::Why;

const SUM: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn config(cmdline: &str) -> Config {
    Config::read(&Inputs { cmdline: vec![Source::new("c", cmdline)], ..Inputs::default() })
}

#[test]
fn netroot_is_ours_only_where_it_is_asked_for() {
    let theirs = "livenet:http://s/root.squashfs?x=a:b";
    for not in ["", "rd.overlay=off", "rd.live.overlay.overlayfs=0"] {
        assert_eq!(netroot(&config(not), theirs), theirs, "{not}");
    }
    for asked in [
        "rd.overlay",
        "rd.overlay.image.cache=LABEL=disk",
        &format!("rd.overlay.image.sha256={SUM}"),
        // No image is the right one: ours says so before it is mounted.
        "rd.overlay.image.sha256=oops",
    ] {
        let ours = netroot(&config(asked), theirs);
        assert_eq!(ours, "overlayimage:http://s/root.squashfs?x=a:b", "{asked}");
        assert!(is_ours(&ours) && !is_ours(theirs));
        assert_eq!(url_of(&ours), Some("http://s/root.squashfs?x=a:b"));
        for other in ["", "nfs:s:/x", "livenet:nfs://s/x", "livenet:torrent://x", "livenet:http://", "dhcp"] {
            assert_eq!(netroot(&config(asked), other), other);
        }
    }
    assert_eq!(HANDLER, format!("{}root", PREFIX.trim_end_matches(':')));
    assert_eq!((url_of("/etc/passwd"), url_of("file:///x")), (None, None));
}

#[test]
fn sums_as_sha256sum_writes_them() {
    let other = SUM.replace('b', "0");
    for text in [
        SUM.to_owned(),
        format!("{SUM}  root.squashfs\n"),
        format!("{SUM} *root.squashfs\n"),
        format!("{other}  other\n{}  ./images/root.squashfs\n", SUM.to_ascii_uppercase()),
        format!("# made today\n\n{SUM}  of another name\n"),
    ] {
        assert_eq!(sum_in(&text, "root.squashfs").as_deref(), Some(SUM), "{text}");
    }
    for text in ["", "<html>not found</html>", "abc  root.squashfs", &format!("{SUM}  a\n{other}  b\n")] {
        assert_eq!(sum_in(text, "root.squashfs"), None, "{text}");
    }
}

#[test]
fn names_and_neighbours() {
    assert_eq!(sum_url("http://s/a/root.squashfs"), "http://s/a/root.squashfs.sha256");
    assert_eq!(sum_url("http://s/root.squashfs?k=/1#x"), "http://s/root.squashfs.sha256?k=/1#x");
    assert_eq!((name("http://s/a/root.iso?k=/1"), name("http://s")), ("root.iso", ""));
}

#[test]
fn devices_and_the_upper_s_own() {
    assert_eq!(parse_cache("").unwrap(), None);
    assert_eq!(parse_cache("LABEL=x").unwrap(), Some(Device::Label("x".into())));
    for bad in ["x", "LABEL=", "/dev/../x", "tmpfs", "dir:/x"] {
        assert!(parse_cache(bad).unwrap_err().text.contains("no image is kept"), "{bad}");
    }
    let both =
        |upper: &str, cache: &str| is_uppers(&config(&format!("rd.overlay={upper} rd.overlay.image.cache={cache}")));
    assert!(both("LABEL=x", "LABEL=x") && both("loop:/f,dev=UUID=1", "UUID=1") && both("part:p", "PARTLABEL=p"));
    assert!(!both("LABEL=x", "LABEL=y") && !both("tmpfs", "LABEL=x") && !is_uppers(&config("rd.overlay=LABEL=x")));
}

#[test]
fn in_words() {
    let url = "http://s/root.squashfs".to_owned();
    let mut fetched = Fetched { url, bytes: 123_000_000, cache: "LABEL=disk".into(), ..Fetched::default() };
    assert_eq!(fetched.to_string(), "from http://s/root.squashfs, in RAM, 123 MB, not checked");
    fetched.why = Some(Why { code: "no-sum".into(), text: "nobody knows its sum".into() });
    let want = "the image is not kept on LABEL=disk (no-sum): nobody knows its sum";
    assert_eq!(fetched.complaint().as_deref(), Some(want));
    (fetched.sha256, fetched.device, fetched.why) = (SUM.into(), Some("/dev/vda1".into()), None);
    assert_eq!(fetched.to_string(), "from http://s/root.squashfs, kept on LABEL=disk, 123 MB, checked");
    fetched.from = From::Cache;
    assert_eq!(fetched.to_string(), "from the cache on LABEL=disk, 123 MB, checked");
    assert_eq!(fetched.complaint(), None);
}

#[test]
fn what_is_told_of_another_file_or_form_is_not_believed() {
    let fetched = Fetched { schema: SCHEMA, sha256: SUM.into(), path: "/c/x.img".into(), ..Fetched::default() };
    assert!(fetched.tells("/c/x.img") && !fetched.tells("/c/y.img"));
    assert!(!Fetched { sha256: String::new(), ..fetched.clone() }.tells("/c/x.img"));
    assert_eq!(Fetched::parse(&fetched.text()), Some(fetched.clone()));
    assert_eq!(Fetched::parse(&fetched.text().replace("schema 1", "schema 2")), None);
    assert_eq!(Fetched::parse(""), None);
    let why = Some(Why { code: "io".into(), text: "two\nlines, LABEL=a b".into() });
    let whole = Fetched {
        url: "http://s/x".into(),
        bytes: 7,
        from: From::Cache,
        device: Some("/dev/vda1".into()),
        cache: "LABEL=a b".into(),
        sum_by: "key".into(),
        why,
        ..fetched
    };
    let read = Fetched::parse(&whole.text()).unwrap();
    assert_eq!(read.why.as_ref().map(|why| why.text.as_str()), Some("two lines, LABEL=a b"));
    assert_eq!(Fetched { why: None, ..read }, Fetched { why: None, ..whole });
}
