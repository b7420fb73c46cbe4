// SPDX-License-Identifier: GPL-2.0-or-later
//! What watching costs: one look, and one walk of a large upper.
use overlayroot_diff::Stat;
use overlayroot_diff::usage::{Counter, Sum, count};
use overlayroot_host::watch::growth::{Sizes, Tally};
use overlayroot_linux::tool::upperfill::reading;
use overlayroot_rootns::cost::fill;
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{on_stage, run};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// As `overlayctl watch` counts.
struct Walked {
    sizes: Sizes,
    files: u32,
    most: u32,
}

impl Counter for Walked {
    fn directory(&mut self, path: &[u8], _: usize, _: Sum, own: Sum) {
        let tally = Tally { bytes: own.bytes, inodes: own.inodes };
        self.sizes.add(&overlayroot_diff::shown(path), tally);
    }

    fn file(&mut self, _: &[u8], _: &Stat) -> ControlFlow<()> {
        self.files += 1;
        if self.files == self.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn problem(&mut self, path: &[u8], error: io::Error) {
        panic!("{}: {error}", overlayroot_diff::shown(path));
    }
}

fn walk(most: u32) -> Walked {
    let mut walked = Walked { sizes: Sizes::default(), files: 0, most };
    count(Path::new("/mnt"), b"/", &mut walked).unwrap();
    walked
}

#[test]
fn a_look_takes_microseconds_and_a_walk_of_half_a_million_files_bounded_memory() {
    let _alone = crate::alone();
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
            let walked = walk(u32::MAX);
            let took = begin.elapsed();
            let text = walked.sizes.to_text();
            println!("a walk of 500,000 files: {took:?}, {} bytes", text.len());
            assert!(walked.files == 500_000 && text.len() < 2 << 20 && took < Duration::from_secs(60));
        }
        // Cut short it tells what there was so far.
        let cut = walk(1000);
        assert!(cut.files == 1000 && !cut.sizes.is_empty());
        unmount("/mnt");
    });
}
