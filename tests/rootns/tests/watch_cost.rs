// SPDX-License-Identifier: GPL-2.0-or-later
//! What watching costs: one look, and one walk of a large upper.
#![allow(missing_docs)]
use overlayroot_linux::treesize;
use overlayroot_linux::upperfill::reading;
use overlayroot_rootns::cost::fill;
use overlayroot_rootns::{on_stage, run};
use std::time::{Duration, Instant};

#[test]
fn a_look_takes_microseconds_and_a_walk_of_half_a_million_files_bounded_memory() {
    on_stage("watchcost", |stage| {
        let disk = stage.disk("upper.img", 512, &["-t", "ext4", "-m", "0", "-N", "600000"]);
        run("mount", &[&disk.node, "/mnt"]);
        const LOOKS: u32 = 10_000;
        let begin = Instant::now();
        for _ in 0..LOOKS {
            reading("/run", "tmpfs").unwrap();
        }
        let look = begin.elapsed() / LOOKS;
        println!("one look: {look:?}");
        assert!(look < Duration::from_millis(1), "{look:?}");
        fill("/mnt/many", 500_000);
        for _ in 0..3 {
            let begin = Instant::now();
            let walked = treesize::sizes("/mnt", None).unwrap();
            let took = begin.elapsed();
            let text = walked.sizes.to_text();
            println!("a walk of 500,000 files: {took:?}, {} bytes", text.len());
            assert!(walked.whole && text.len() < 2 << 20 && took < Duration::from_secs(60));
        }
        // In time, whatever there is.
        let begin = Instant::now();
        let cut = treesize::sizes("/mnt", Some(Instant::now() + Duration::from_millis(50))).unwrap();
        assert!(!cut.whole && begin.elapsed() < Duration::from_secs(2));
        run("umount", &["/mnt"]);
    });
}
