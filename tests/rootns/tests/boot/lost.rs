// SPDX-License-Identifier: GPL-2.0-or-later
//! Somebody has unmounted what lies beside the merged root: what the tools say then is true.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Stage, on_stage};
use serde_json::Value;
use std::fs;

fn tool(stage: &Stage, args: &[&str]) -> (bool, String) {
    let output = stage.overlayctl_inside(args);
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (output.status.success(), said)
}

#[test]
fn a_lower_that_is_not_mounted_any_more_is_no_empty_one_and_no_rival_s() {
    on_stage("lost-lower", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let line = format!("rd.overlay={}", disk.node);
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        fs::write("/sysroot/etc/new", "x").unwrap();
        unmount("/run/rootfsbase");

        let (well, said) = tool(stage, &["status", "--json"]);
        let status: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!((well, &status["level"]), (false, &"warning".into()), "{said}");
        assert_eq!(status["live"]["lost_mounts"], serde_json::json!(["/run/rootfsbase"]));
        assert!(said.contains("no longer mounted: /run/rootfsbase; reboot to get it back"), "{said}");

        for args in [["diff", "/etc"].as_slice(), &["stale"]] {
            let (well, said) = tool(stage, args);
            assert!(!well && said.contains("the lower is not mounted on /run/rootfsbase"), "{args:?}: {said}");
        }
        // These do without.
        let (well, said) = tool(stage, &["du"]);
        assert!(well && said.contains("/etc"), "{said}");
        let (well, said) = tool(stage, &["uppers"]);
        assert!(well && said.starts_with("* overlay "), "{said}");

        let (_, said) = tool(stage, &["doctor", "--cmdline", &line]);
        assert!(!said.contains("another module"), "{said}");
        assert!(said.contains("the root's file system was not found"), "{said}");
    });
}
