// SPDX-License-Identifier: GPL-2.0-or-later
//! What the dracut module asks of dracut, with functions of the test's own in place of dracut's.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::process::Command;

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dracut/55overlayroot-rs/module-setup.sh");

/// Each says that it was called.
const DRACUT: &str = r#"
for name in instmods inst_multiple inst_simple inst_hook dwarn derror dracut_need_initqueue; do
    eval "$name() { echo \"$name \$*\"; }"
done
dracut_module_included() { return 1; }
overlay-assemble() {
    case $1 in
        --running) return "$running" ;;
        --file-systems) echo "ext4 squashfs virtio_blk" ;;
        --programs) echo "" ;;
    esac
}
moddir=/module initdir=/image
. "$module"
installkernel
install
echo "hostonly_cmdline $hostonly_cmdline"
"#;

/// What it asks, where the root is an overlay or not, and dracut is to write arguments into the image or not.
fn asks(running: bool, hostonly_cmdline: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["-c", DRACUT]).env("module", MODULE).env("hostonly_cmdline", hostonly_cmdline);
    let output = bash.env("running", if running { "0" } else { "1" }).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn of_a_running_overlay_no_argument_gets_into_the_image() {
    for (running, before, after) in
        [(true, "yes", "no"), (true, "no", "no"), (true, "", ""), (false, "yes", "yes"), (false, "no", "no")]
    {
        let said = asks(running, before);
        assert!(said.ends_with(&format!("hostonly_cmdline {after}\n")), "{running} {before}: {said}");
        assert_eq!(said.contains("dwarn overlayroot-rs: the root is an overlay now"), before != after, "{said}");
    }
}

#[test]
fn what_lies_below_a_running_overlay_gets_its_drivers() {
    let said = asks(true, "yes");
    assert!(said.lines().any(|line| line == "instmods overlay loop ext4 squashfs virtio_blk"), "{said}");
}
