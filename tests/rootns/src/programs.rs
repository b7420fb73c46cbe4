// SPDX-License-Identifier: GPL-2.0-or-later
//! A lower that can run something by itself, for `overlayctl shell`.

use crate::{Stage, run};
use std::fs;
use std::path::Path;

/// Puts these programs of the host into `/bin` of the root, with the libraries that they and overlayctl need, and the
/// directories that the shell mounts on.
pub fn programs(stage: &Stage, names: &[&str]) {
    stage.mount_root("rw");
    for dir in ["dev", "proc", "run", "sys", "tmp", "bin", "usr"] {
        fs::create_dir_all(format!("/sysroot/{dir}")).expect("a directory of the root");
    }
    let mut files = Vec::new();
    for name in names {
        let path = run("sh", &["-c", &format!("readlink -f $(command -v {name})")]).trim().to_owned();
        run("cp", &[&path, &format!("/sysroot/bin/{name}")]);
        files.push(path);
    }
    files.push("/overlayctl".to_owned());
    for file in files {
        let libraries = run("ldd", &[&file]);
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = format!("/sysroot{library}");
            fs::create_dir_all(Path::new(&to).parent().expect("its directory")).expect("a directory of the root");
            run("cp", &["-L", library, &to]);
        }
    }
    fs::write("/sysroot/etc/resolv.conf", "# the lower's\n").expect("resolv.conf");
    stage.mount_root("ro");
}
