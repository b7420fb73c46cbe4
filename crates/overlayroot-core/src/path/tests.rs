// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use crate::path::preset::PRESETS;
use crate::value::device::Device;

fn one_of(value: &str) -> Asked {
    let mut all = parse(value).unwrap_or_else(|problem| panic!("{value}: {problem}"));
    assert_eq!(all.len(), 1, "{value}");
    all.remove(0)
}

#[test]
fn kinds_and_forms() {
    let shown = |value: &str| one_of(value).to_string();
    assert_eq!(shown("persist:/var/lib/x"), "persist:/var/lib/x");
    assert_eq!(shown("persist:/var/lib//x/"), "persist:/var/lib/x/");
    assert_eq!(shown("bind:/srv/with space"), "bind:/srv/with space");
    assert_eq!(one_of("persist:/etc/ssh/ssh_host_*").form, Form::Files);
    assert_eq!(one_of("persist:/var/x,dev=LABEL=keep").params.dev, Some(Device::Label("keep".into())));
    let volatile = one_of("volatile:/var/tmp,size=20%,nr_inodes=10k,mode=1777,copy").params;
    assert_eq!(
        (volatile.options().as_str(), volatile.mode, volatile.copy),
        ("size=20%,nr_inodes=10k", Some(0o1777), true)
    );
    assert_eq!(one_of("volatile:/x").params.options(), "size=25%");
}

#[test]
fn presets_have_a_kind_or_are_given_one() {
    assert!(one_of("containers").either);
    let given = one_of("volatile:containers,size=1G");
    assert_eq!((given.kind, given.either, given.params.size.as_deref()), (Kind::Volatile, false, Some("1G")));
    assert!(!one_of("persist:containers").either);
    assert_eq!(parse("docker,dev=LABEL=x").unwrap().len(), 3);
    for preset in &PRESETS {
        let all = parse(preset.name).unwrap();
        assert!(all.iter().all(|asked| asked.preset == Some(preset.name)));
        // What a preset says could have been written.
        for asked in all.iter().filter(|asked| asked.form == Form::Directory) {
            assert_eq!(one_of(&format!("persist:{}/", asked.path)).path, asked.path);
        }
    }
}

#[test]
fn what_is_refused_says_why() {
    for (value, why) in [
        ("", "neither"),
        ("persist:", "neither"),
        ("/var/x", "no kind"),
        ("persist:/", "root itself"),
        ("persist:/a/../b", "must not contain"),
        ("persist:var/x", "neither"),
        ("persist:/proc/x", "kernel's"),
        ("volatile:/run", "kernel's"),
        ("bind:/dev/shm", "kernel's"),
        ("keep:/x", "not one of persist"),
        ("persist:/a*/b", "last part"),
        ("bind:/etc/x*", "files"),
        ("persist:/etc/x*/", "files"),
        ("volatile:ssh-host-keys", "files"),
        ("persist:/x,size=1G", "not among"),
        ("volatile:/x,dev=LABEL=x", "not among"),
        ("readonly:/x,size=1", "takes no parameters"),
        ("volatile:/x,size=much", "size=much"),
        ("volatile:/x,mode=9999", "octal"),
        ("persist:/x,dev=LABEL=", "without a name"),
        ("persist:/x,dev=sda", "not one of LABEL="),
        ("persist:/a\"b", "character"),
    ] {
        let problem = parse(value).unwrap_err();
        assert!(problem.text.contains(why), "{value}: {problem}");
    }
    assert_eq!(parse("ssh-hostkeys").unwrap_err().nearest.as_deref(), Some("ssh-host-keys"));
    assert_eq!(parse("presist:/x").unwrap_err().nearest.as_deref(), Some("persist"));
    assert!(parse(&format!("persist:/{}", "-".repeat(100))).is_err(), "escaped it is longer than a name may be");
}

#[test]
fn patterns() {
    for (pattern, name) in [
        ("ssh_host_*", "ssh_host_rsa_key.pub"),
        ("*", "x"),
        ("a?c", "abc"),
        ("a?c", "aéc"),
        ("*.conf", "a.b.conf"),
        ("a*b*c", "aXbYbZc"),
        ("x", "x"),
        (".*", ".x"),
        ("x**", "x"),
    ] {
        assert!(fits(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("ssh_host_*", "ssh_config"),
        ("*", ".x"),
        ("a?c", "ac"),
        ("*.conf", "conf"),
        ("a*b", "abc"),
        ("", "x"),
        ("?", ""),
    ] {
        assert!(!fits(pattern, name), "{pattern} {name}");
    }
}

proptest::proptest! {
    #[test]
    fn no_value_panics_or_leaves_the_root(value: String) {
        for asked in parse(&value).unwrap_or_default() {
            proptest::prop_assert!(asked.path.starts_with('/') && !asked.path.split('/').any(|part| part == ".."));
        }
    }

    #[test]
    fn a_pattern_ends(pattern in "[a*?]{0,12}", name in "a{0,40}b?") {
        fits(&pattern, &name);
    }
}
