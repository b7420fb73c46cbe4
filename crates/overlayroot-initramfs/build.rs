// SPDX-License-Identifier: GPL-2.0-or-later
//! Leaves the unwind tables out of the release ELF (see `no-unwind.ld`).
fn main() {
    println!("cargo:rerun-if-changed=no-unwind.ld");
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{here}/no-unwind.ld");
    }
}
