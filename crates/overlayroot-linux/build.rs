// SPDX-License-Identifier: GPL-2.0-or-later
//! libblkid-sys declares the functions but links nothing.
fn main() {
    println!("cargo:rustc-link-lib=dylib=blkid");
    println!("cargo:rerun-if-changed=build.rs");
}
