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
