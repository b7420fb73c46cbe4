// SPDX-License-Identifier: GPL-2.0-or-later
//! The text beside an image: its checksum, and entries for boot loaders.

/// Stands for the address where none is given.
const NOWHERE: &str = "http://YOUR-SERVER/";
/// Directly readable in a URL, and without a meaning to pxelinux, iPXE and grub.
const PLAIN: &str = "-._~";

/// Understands `--url`: the directory that the image will be in, with a slash at its end.
pub fn base(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if !rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')) {
        return Err("must begin with http:// or https:// and a server".to_owned());
    }
    let fits = |letter: char| letter.is_ascii_alphanumeric() || PLAIN.contains(letter) || "/:@%[]+,=".contains(letter);
    if let Some(letter) = text.chars().find(|letter| !fits(*letter)) {
        return Err(format!("{letter:?} has a meaning to boot loaders: write it as %XX"));
    }
    Ok(format!("{}/", text.trim_end_matches('/')))
}

/// The name as a URL has it.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || PLAIN.as_bytes().contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The kernel's arguments that boot the image: the one place that knows them.
pub fn arguments(base: Option<&str>, name: &str, sha256: &str) -> String {
    let url = format!("{}{}", base.unwrap_or(NOWHERE), encoded(name));
    format!("root=live:{url} rd.neednet=1 ip=dhcp rd.overlay=tmpfs rd.overlay.image.sha256={sha256}")
}

/// Suffix of the checksum's file.
pub const SUM: &str = ".sha256";
/// Suffix of pxelinux's entry.
pub const PXELINUX: &str = ".pxelinux.cfg";
/// Suffix of iPXE's script.
pub const IPXE: &str = ".ipxe";
/// Suffix of GRUB's entry.
pub const GRUB: &str = ".grub.cfg";

/// The texts of these files, in this order.
pub fn texts(base: Option<&str>, name: &str, sha256: &str) -> [String; 4] {
    let (label, arguments, at) = (encoded(name), arguments(base, name, sha256), base.unwrap_or(NOWHERE));
    let mut head =
        "# vmlinuz and initrd.img are the image's kernel and an initramfs for it, see overlayctl(8).\n".to_owned();
    if base.is_none() {
        head.push_str("# Replace YOUR-SERVER by the address of the HTTP server, or build with --url.\n");
    }
    [
        format!("{sha256}  {name}\n"),
        format!(
            "# pxelinux: INCLUDE this from pxelinux.cfg/default.\n{head}\
             LABEL {label}\n  KERNEL vmlinuz\n  INITRD initrd.img\n  APPEND {arguments}\n"
        ),
        format!(
            "#!ipxe\n# iPXE: chain this.\n{head}\
             kernel {at}vmlinuz initrd=initrd.img {arguments}\ninitrd {at}initrd.img\nboot\n"
        ),
        format!(
            "# GRUB: source this from grub.cfg, or copy it there.\n{head}\
             menuentry '{label}' {{\n    linux /vmlinuz {arguments}\n    initrd /initrd.img\n}}\n"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts() {
        let [sum, pxelinux, ipxe, grub] = texts(Some("http://10.0.0.1:8080/img/"), "node 1.squashfs", "ab");
        let arguments = "root=live:http://10.0.0.1:8080/img/node%201.squashfs rd.neednet=1 ip=dhcp \
                         rd.overlay=tmpfs rd.overlay.image.sha256=ab";
        let head = "# vmlinuz and initrd.img are the image's kernel and an initramfs for it, see overlayctl(8).\n";
        assert_eq!(sum, "ab  node 1.squashfs\n");
        assert_eq!(
            pxelinux,
            format!(
                "# pxelinux: INCLUDE this from pxelinux.cfg/default.\n{head}LABEL node%201.squashfs\n  \
                 KERNEL vmlinuz\n  INITRD initrd.img\n  APPEND {arguments}\n"
            )
        );
        assert_eq!(
            ipxe,
            format!(
                "#!ipxe\n# iPXE: chain this.\n{head}kernel http://10.0.0.1:8080/img/vmlinuz initrd=initrd.img \
                 {arguments}\ninitrd http://10.0.0.1:8080/img/initrd.img\nboot\n"
            )
        );
        assert_eq!(
            grub,
            format!(
                "# GRUB: source this from grub.cfg, or copy it there.\n{head}menuentry 'node%201.squashfs' {{\n    \
                 linux /vmlinuz {arguments}\n    initrd /initrd.img\n}}\n"
            )
        );
    }

    #[test]
    fn without_an_address_it_is_plain_that_one_is_missing() {
        for text in &texts(None, "a.erofs", "ab")[1..] {
            assert!(text.contains("root=live:http://YOUR-SERVER/a.erofs ") && text.contains("# Replace YOUR-SERVER"));
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(base("http://server/a").unwrap(), "http://server/a/");
        assert_eq!(base("https://[fd00::1]/").unwrap(), "https://[fd00::1]/");
        for bad in
            ["server/a", "http://", "http:///a", "nfs://s/", "http://s/a b", "http://s/$x", "http://s/?q", "http://s/'"]
        {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
