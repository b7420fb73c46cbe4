// SPDX-License-Identifier: GPL-2.0-or-later
//! overlay-image as netroot starts it, and what came of it.

use crate::http::{Server, private_network};
use crate::{Disk, Stage, on_stage_with};
use overlayroot_core::facts::fetched::Fetched;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Where the cache has its images.
pub const IMAGES: &str = "/run/initramfs/overlayroot/cache/.overlayroot/images";

/// An image of 1.2 MB, no two words of it the same.
pub fn image() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Its SHA-256, as the keys take it.
pub fn sum(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// What came of one.
pub struct Boot {
    /// What was handed over, if anything: path and bytes.
    pub given: Option<(String, Vec<u8>)>,
    /// What it says of the image.
    pub told: Option<Fetched>,
    /// What it printed.
    pub said: String,
    /// Whether it ended well.
    pub good: bool,
    /// How long it took.
    pub took: Duration,
}

impl Boot {
    /// What it says of the image, which must be there.
    pub fn told(&self) -> &Fetched {
        self.told.as_ref().unwrap_or_else(|| panic!("nothing was told: {}", self.said))
    }

    /// The code of why it is not kept; empty where it is.
    pub fn why(&self) -> &str {
        self.told().why.as_ref().map_or("", |why| why.code.as_str())
    }
}

/// One boot's overlay-image, as netroot starts it; the disk is left mounted.
pub fn boot(stage: &Stage, url: &str, cmdline: &str) -> Boot {
    if !fs::exists("/next").unwrap() {
        fs::write("/next", "#!/bin/sh\nprintf %s \"$1\" > /tmp/given\n").unwrap();
        fs::set_permissions("/next", fs::Permissions::from_mode(0o755)).unwrap();
    }
    let _ = fs::remove_file("/tmp/given");
    let netroot = format!("overlayimage:{url}");
    let args = ["--next", "/next", "--seconds", "3,2", "eth0", &netroot, "/sysroot"];
    let started = Instant::now();
    let output = stage.tool("overlayimageroot", format!("root=live:{url} {cmdline}").as_bytes(), &args);
    let path = fs::read_to_string("/tmp/given").ok();
    Boot {
        given: path.map(|path| (path.clone(), fs::read(path).unwrap())),
        told: fs::read_to_string("/run/overlayroot/image").ok().and_then(|text| Fetched::parse(&text)),
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        good: output.status.success(),
        took: started.elapsed(),
    }
}

/// A stage with a server and a disk of `mib` MiB, and the key that names that.
pub fn online(name: &str, mib: u64, test: impl FnOnce(&mut Stage, &Server, &Disk, &str) + Send + 'static) {
    on_stage_with(name, "ext4", 24, move |stage| {
        private_network();
        let server = Server::start();
        let disk = stage.disk("cache.img", mib, &["-t", "ext4", "-m", "0"]);
        let key = format!("rd.overlay.image.cache={}", disk.node);
        test(stage, &server, &disk, &key);
    });
}

/// How often the server was asked for a path.
pub fn gets(server: &Server, path: &str) -> usize {
    server.requests().iter().filter(|asked| *asked == path).count()
}
