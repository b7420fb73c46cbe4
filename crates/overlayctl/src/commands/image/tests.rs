// SPDX-License-Identifier: GPL-2.0-or-later
//! Names of images, and what is beside them.

use super::*;

#[test]
fn what_a_tool_said() {
    let text = "\r[==  -] 4/10  40%\r[=== /] 10/10 100%\nWrite failed\nWrite failed\nFATAL ERROR: so\n";
    assert_eq!(said_in(text), ["Write failed", "FATAL ERROR: so"]);
    let log = tempfile::NamedTempFile::new().unwrap();
    fs::write(log.path(), &text[..20]).unwrap();
    assert_eq!(percent(log.path().to_str().unwrap()), 40);
    assert_eq!(percent("/nonexistent"), 0);
}
