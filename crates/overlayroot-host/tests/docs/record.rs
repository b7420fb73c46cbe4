// SPDX-License-Identifier: GPL-2.0-or-later
//! docs/reference/record.md has all that a record can have.

use crate::read;
use crate::sources::{fields, pull_codes, refusal_codes, step_names};

#[test]
fn the_record_s_document_has_every_code_and_step() {
    let page = read("docs/reference/record.md");
    for code in refusal_codes().union(&step_names()).cloned().chain(pull_codes()) {
        assert!(page.contains(&format!("| `{code}` |")), "docs/reference/record.md has no row for `{code}`");
    }
}

#[test]
fn the_record_s_document_has_every_field_and_outcome() {
    let page = read("docs/reference/record.md");
    let fields = fields(&[("record/mod.rs", "Record"), ("feature/pulled.rs", "Pulled")]);
    // of the record, of what was asked for, of facts.rs, layout.rs and stale.rs
    for field in ["took_us", "path_dev", "packages", "marker", "differs"] {
        assert!(fields.contains(field), "{field}: {fields:?}");
    }
    for field in &fields {
        assert!(page.contains(&format!("`{field}`")), "docs/reference/record.md lacks the field `{field}`");
    }
    for word in ["applied", "degraded", "off", "refused", "failed", "done", "undone", "unit", "hook", "hand"] {
        assert!(page.contains(&format!("`{word}`")), "docs/reference/record.md lacks `{word}`");
    }
}
