// SPDX-License-Identifier: GPL-2.0-or-later
//! What an image lacks, each with how bad that is.
use crate::doctor::tests::{doctor, facts, host, one};
use crate::doctor::{Grade, KernelImage, worst};
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::place::Place;

type Change = fn(&mut KernelImage);

#[test]
fn what_the_image_lacks() {
    let change = |change: Change| {
        let mut host = host();
        host.kernels.iter_mut().for_each(change);
        host
    };
    let facts = Facts { place: Some(Place::default()), ..facts() };
    let cases: [(Change, &str, Grade); 6] = [
        (|k| k.files = Ok(vec!["init".into()]), "lacks the dracut module", Grade::Problem),
        (|k| k.files.as_mut().unwrap().retain(|f| f != "loop.ko"), "lacks the kernel module loop", Grade::Problem),
        (|k| k.files.as_mut().unwrap().retain(|f| f != "mkfs.ext4"), "lacks mkfs.ext4", Grade::Problem),
        (|k| k.builtin.clear(), "lacks the kernel module ext4", Grade::Problem),
        (|k| k.has.as_mut().unwrap().retain(|m| m != "loop"), "kernel 6.1 has no module loop", Grade::Problem),
        (
            |k| k.newer = vec!["/etc/overlayroot-rs.conf".into()],
            "is older than /etc/overlayroot-rs.conf",
            Grade::Warning,
        ),
    ];
    for (how, want, grade) in cases {
        let text = one(&doctor("rd.overlay=loop:/f,size=1G", "", &facts, &change(how)), grade);
        assert!(text.contains(want), "{text}");
    }
    let disk = overlayroot_core::facts::disk::Disk { path: "/dev/vda".into(), ..Default::default() };
    let bare = Facts { disk: Some(disk), ..facts.clone() };
    let found = doctor("rd.overlay=part:persist", "", &bare, &host());
    assert!(found.iter().any(|f| f.check == "initramfs" && f.text.contains("lacks sfdisk")), "{found:#?}");
    let named = overlayroot_core::facts::disk::Partition { name: "persist".into(), ..Default::default() };
    let disk = overlayroot_core::facts::disk::Disk { partitions: vec![named], ..bare.disk.clone().unwrap_or_default() };
    let made = Facts { disk: Some(disk), ..bare.clone() };
    for (upper, lacks) in [("persist", false), ("persist,grow", true)] {
        let found = doctor(&format!("rd.overlay=part:{upper}"), "", &made, &host());
        assert_eq!(found.iter().any(|f| f.text.contains("lacks sfdisk")), lacks, "{upper}: {found:#?}");
        assert!(!found.iter().any(|f| f.text.contains("lacks mkfs")), "{upper}: {found:#?}");
    }
    // What can't be told is no reason to worry.
    for how in [(|k| k.image = None) as Change, |k| k.files = Err("no lsinitrd".into())] {
        let found = doctor("rd.overlay=loop:/f,size=1G", "", &facts, &change(how));
        assert_eq!(worst(&found), Grade::Note, "{found:#?}");
    }
}
