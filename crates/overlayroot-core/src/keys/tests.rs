// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;

#[test]
fn only_three_words_are_false() {
    for no in ["0", "no", "off"] {
        assert!(!parse_bool(Some(no)));
    }
    for yes in [None, Some(""), Some("1"), Some("false"), Some("No"), Some("00")] {
        assert!(parse_bool(yes), "{yes:?}");
    }
}

#[test]
fn fallback_words_and_near_misses() {
    assert_eq!(parse_fallback("ro"), Ok(Fallback::Ro));
    assert_eq!(parse_fallback("hatl").unwrap_err().nearest.as_deref(), Some("halt"));
    for (word, value) in Fallback::ALL {
        assert_eq!(value.word(), word);
    }
}

#[test]
fn timeouts() {
    assert_eq!(parse_timeout("0"), Ok(0));
    for bad in ["", "-1", "+1", "8s", "1.5", "99999", "99999999999"] {
        assert!(parse_timeout(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_that_were_meant_for_us() {
    for ours in ["rd.overlay.rest", "rd.overlayfs", "RD.Overlay", "rd_overlay", "rd-overlay.reset"] {
        assert!(is_ours(ours) && !is_known(ours), "{ours}");
    }
    assert!(!is_ours("rd.live.overlay.size"));
}

#[test]
fn a_slip_of_the_hand_is_ours_and_the_right_name_is_known() {
    let table = [
        ("rd.overlya", "rd.overlay"),
        ("rd.ovelay", "rd.overlay"),
        ("rd.overly", "rd.overlay"),
        ("rd.ovrlay", "rd.overlay"),
        ("rd.voerlay", "rd.overlay"),
        ("rdoverlay", "rd.overlay"),
        ("r.overlay", "rd.overlay"),
        ("rf.overlay", "rd.overlay"),
        ("rd..overlay", "rd.overlay"),
        ("RD.OVERLAY", "rd.overlay"),
        ("rd.overlay:tmpfs", "rd.overlay"),
        ("rd.ovelay:tmpfs", "rd.overlay"),
        ("rd.overlay_reset", "rd.overlay.reset"),
        ("rd.overlya.reset", "rd.overlay.reset"),
        ("rd.overlya.rest", "rd.overlay.reset"),
        ("rdoverlay.timeout", "rd.overlay.timeout"),
        ("rd.ovelay.git.verify", "rd.overlay.git.verify"),
        ("rd.live.overlya", "rd.live.overlay"),
        ("rd.live.overlay.rest", "rd.live.overlay.reset"),
        ("overlayrot", "overlayroot"),
        ("ovelayroot", "overlayroot"),
        ("overlay_root", "overlayroot"),
        ("Overlayroot", "overlayroot"),
        ("overlayroot:tmpfs", "overlayroot"),
    ];
    for (key, meant) in table {
        assert!(is_ours(key) && !is_known(key), "{key}");
        assert_eq!(nearest_name(key).as_deref(), Some(meant), "{key}");
    }
    assert!(!is_ours(UBUNTU), "it has a reader of its own");
}

#[test]
fn arguments_of_others_are_none_of_ours() {
    let list = include_str!("../../../../tests/fixtures/arguments-of-others.txt");
    let names: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 500);
    for name in names {
        for spelled in [name.to_owned(), name.replace('-', "_"), name.replace('_', "-")] {
            assert!(!is_ours(&spelled), "{spelled}");
        }
    }
}
