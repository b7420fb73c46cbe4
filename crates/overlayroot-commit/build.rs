// SPDX-License-Identifier: GPL-2.0-or-later
//! Leaves the unwind tables out of the release ELF, as that of `overlay-assemble` does.
fn main() {
    let script = "../overlayroot-initramfs/no-unwind.ld";
    println!("cargo:rerun-if-changed={script}");
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/{script}");
    }
}
