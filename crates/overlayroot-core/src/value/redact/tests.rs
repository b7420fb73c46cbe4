// SPDX-License-Identifier: GPL-2.0-or-later
//! No secret of a URL is told, by whatever way.
use super::*;
use crate::config::{Config, Inputs};
use crate::facts::{Archive, Facts, Node};
use crate::parse::cmdline::Source;
use crate::plan;
use crate::record::Requested;
use proptest::prelude::*;

#[test]
fn what_is_told_of_a_url() {
    for (value, want) in [
        ("https://h/x", "https://h/x"),
        ("https://h:8443/x.tar", "https://h:8443/x.tar"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x"),
        ("https://${hostname}/${mac}.tar", "https://${hostname}/${mac}.tar"),
        ("https://u:p@h/x", "https://***@h/x"),
        ("https://token@h/x", "https://***@h/x"),
        ("ssh://git@h:22/x", "ssh://***@h:22/x"),
        ("https://u:p@q@h/x", "https://***@h/x"),
        ("https://h/x?sig=a&b=c#d", "https://h/x?***"),
        ("https://u:p@h/x?sig=a", "https://***@h/x?***"),
        ("https://h?sig=a", "https://h?***"),
        ("https://u:p/q@h/x", "https://***"),
        ("https://u:p#q@h/x", "https://***"),
        ("https://u:1?q@h/x", "https://***"),
        ("https://u:p%40h/x", "https://***"),
        ("https:///u:p@h/x", "https://***@h/x"),
        ("https:/u:p@h/x", "***"),
        ("https:u:p@h/x", "***@h/x"),
        ("live:https://u:p@h/x", "***"),
        ("u:p@h/x", "***@h/x"),
        ("u:p@h", "***@h"),
        ("//u:p@h/x", "***"),
        ("h/x?sig=a", "h/x?***"),
        ("git@h:x", "***@h:x"),
        ("http://s/@scope/x.tar", "http://s/@scope/x.tar"),
        ("file:///srv/a@b.git", "file:///srv/a@b.git"),
        ("/srv/a:b@c?.tar", "/srv/a:b@c?.tar"),
        ("tmpfs:size=1G", "tmpfs:size=1G"),
        ("", ""),
    ] {
        assert_eq!(told(value), want, "{value}");
    }
}

#[test]
fn what_is_told_of_a_text() {
    assert_eq!(
        told_in("fatal: unable to access 'https://t@h/x?sig=a/': (see http://u:p@x) and url=ftp://h/y?z"),
        "fatal: unable to access 'https://***@h/x?***': (see http://***@x) and url=ftp://h/y?***"
    );
    assert_eq!(told_in("git@h: Permission denied"), "git@h: Permission denied");
    let url = "ssh://deploy@h/x";
    assert_eq!(told_by("deploy@h: Permission denied (publickey).", url), "***@h: Permission denied (publickey).");
    assert_eq!(told_by("bad token 'sig=abcd'", "https://h/x?sig=abcd"), "bad token '***'");
    assert_eq!(quoting_nothing("unknown option 'q@h/x' (a comma)"), "unknown option '***' (a comma)");
    assert_eq!(quoting_nothing("no URL"), "no URL");
}

/// All that comes to people of a boot with this command line.
fn all_of_it(cmdline: &str) -> String {
    let inputs = Inputs { cmdline: vec![Source::new("/proc/cmdline", cmdline)], ..Inputs::default() };
    let config = Config::read(&inputs);
    let some = || Some("x".to_owned());
    let facts = Facts {
        node: Node { hostname: some(), mac: some(), serial: some(), uuid: some(), ip: some() },
        archive: Archive { proxy: Some(cmdline.to_owned()), ..Archive::default() },
        ..Facts::default()
    };
    let decision = plan::decide(&config, &facts);
    let issues: String = config.issues.iter().map(|issue| format!("{issue}\n")).collect::<Vec<_>>().concat();
    let json = serde_json::to_string(&(Requested::of(&config), &config.issues, &config.notes)).unwrap();
    format!("{issues}{json}{decision}")
}

proptest! {
    #[test]
    fn no_secret_is_told(
        key in prop::sample::select(vec![
            "rd.overlay.populate", "rd.overlay.git", "rd.overlay.gti", "rd.overlay.popluate", "rd.overlay.image", "rd.overlay",
            "rd.overlay.image.cache", "rd.overlay.hostname", "rd.overlay.path", "rd.overlay.timeout", "overlayroot",
        ]),
        scheme in prop::sample::select(vec!["https://", "http://", "ssh://", "ftp://", "htps://", "", "https:", "https:/"]),
        user in "[a-z]{0,6}",
        // No quotes: the kernel's command line has its own.
        secret in "SECRET[!#$%&()*+,./0-9:;<=>?@A-Za-z\\[\\]^_`{|}~-]{0,12}|[!#$%&()*+,./0-9:;<=>?@\\[\\]^_`{|}~-]{0,8}SECRET",
        end in prop::sample::select(vec!["h/x.git", "h.example:8443/x", "[::1]/x", "h", "h/x@1", "h/x#main", "h/x,devices", "${mac}/x"]),
    ) {
        let value = format!("{scheme}{user}:{secret}@{end}");
        prop_assert!(!told(&value).contains("SECRET"), "{}: {}", value, told(&value));
// In a text a quote or a blank ends a URL, so here the secret is a plain one.
        let text = told_in(&["see '", &value.replace(&secret, "SECRET"), "' and so on"].concat());
        prop_assert!(!scheme.ends_with("://") || !text.contains("SECRET"), "{}", text);
        prop_assert_eq!(told(&told(&value)), told(&value));
// Where the key takes no URL, only its scheme tells that it is one.
        let takes_url = !crate::keys::is_known(key) || key.ends_with("populate") || key.ends_with("git");
        prop_assume!(scheme.ends_with("://") || takes_url);
        let said = all_of_it(&format!("rd.overlay {key}={value}"));
        prop_assert!(!said.contains("SECRET"), "{}: {}", value, said);
        prop_assert!(!told_by(&["fatal: '", &value, "/': x"].concat(), &value).contains("SECRET"), "{}", value);
    }

    #[test]
    fn no_query_is_told(
        key in prop::sample::select(vec!["rd.overlay.populate", "rd.overlay.git", "rd.overlay.gti"]),
        scheme in prop::sample::select(vec!["https://", "http://", "htps://", ""]),
        query in "[!#$%&()*+./0-9:;<=>?A-Za-z^_`|~-]{0,8}SECRET[!#$%&()*+./0-9:;<=>?A-Za-z^_`|~-]{0,8}",
    ) {
        // What stands behind it is the name of a branch or tag, and told.
        let query = if key.ends_with("git") { query.replace('#', "") } else { query };
        let value = format!("{scheme}h.example/x.git?{query}");
        prop_assert!(!told(&value).contains("SECRET"), "{}: {}", value, told(&value));
        prop_assert_eq!(told(&told(&value)), told(&value));
        let said = all_of_it(&format!("rd.overlay {key}={value}"));
        prop_assert!(!said.contains("SECRET"), "{}: {}", value, said);
    }
}
