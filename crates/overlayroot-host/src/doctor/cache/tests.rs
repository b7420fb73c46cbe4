// SPDX-License-Identifier: GPL-2.0-or-later
//! What the initramfs and the command line must have for a cache.
use crate::doctor::tests::{doctor, facts, host};
use crate::doctor::{Grade, Host};
use overlayroot_core::facts::Facts;

#[test]
fn what_an_image_s_cache_needs() {
    let live = "root=live:http://s/i rd.overlay rd.overlay.image.cache=LABEL=c";
    let with = |more: &[&str]| {
        let mut host = host();
        let files = host.kernels[0].files.as_mut().unwrap();
        files.extend(more.iter().map(|name| (*name).to_owned()));
        host
    };
    let cache = |cmdline: &str, host: &Host| {
        let found = doctor(cmdline, "", &Facts { fetched: Some(Default::default()), ..facts() }, host);
        let of = found.into_iter().filter(|finding| finding.check == "cache" && finding.grade != Grade::Note);
        of.map(|finding| (finding.grade, finding.text)).collect::<Vec<_>>()
    };
    let all = with(&["livenetroot", "overlay-image", "overlayimageroot", "curl"]);
    assert_eq!(cache(live, &all), [(Grade::Ok, "the image of root=live: is kept on LABEL=c".to_owned())]);
    let text = |cmdline: &str, host: &Host| cache(cmdline, host).remove(0).1;
    assert!(text(live, &host()).contains("lacks dracut's module livenet"));
    assert!(text(live, &with(&["livenetroot", "overlayimageroot", "curl"])).contains("lacks overlay-image"));
    assert!(text("root=/dev/sda1 rd.overlay.image.cache=LABEL=c", &all).contains("for root=live:URL"));
    assert!(text(&live.replace("rd.overlay ", "rd.overlay=LABEL=c "), &all).contains("the upper's own device"));
    assert_eq!(cache("rd.overlay", &all), []);
}
