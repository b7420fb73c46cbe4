// SPDX-License-Identifier: GPL-2.0-or-later
//! What `enable` and `disable` say of the files, and all of it for scripts.

use super::Job;
use super::checked::End;
use overlayroot_host::loader::diff::diff;
use serde_json::json;

/// What changes, and what a person must do.
pub fn text(job: &Job<'_>) -> String {
    let mut out = format!("boot loader: {} ({})\n", job.kind.word(), job.reason);
    for edit in &job.plan.edits {
        out.push_str(&diff(&edit.path, edit.before.as_deref(), edit.after.as_deref()));
    }
    for command in &job.plan.commands {
        out.push_str(&format!("run: {}\n", shell(command)));
    }
    if job.plan.is_done() {
        out.push_str("nothing to change\n");
    }
    job.plan.notes.iter().for_each(|note| out.push_str(&format!("note: {note}\n")));
    job.plan.todo.iter().for_each(|todo| out.push_str(&format!("to do: {todo}\n")));
    out
}

/// A command as one would type it.
pub fn shell(words: &[String]) -> String {
    let plain = |word: &String| word.chars().all(|c| c.is_ascii_alphanumeric() || "_./:=,@+-%".contains(c));
    let quoted = |word: &String| if plain(word) { word.clone() } else { format!("'{word}'") };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// For scripts.
pub fn value(job: &Job<'_>, end: &End) -> serde_json::Value {
    let edits = job.plan.edits.iter().map(|edit| {
        json!({
            "path": format!("/{}", edit.path),
            "what": match (&edit.before, &edit.after) {
                (None, _) => "made",
                (_, None) => "removed",
                _ => "changed",
            },
            "diff": diff(&edit.path, edit.before.as_deref(), edit.after.as_deref()),
        })
    });
    json!({
        "boot_loader": job.kind.word(),
        "reason": job.reason,
        "arguments": job.plan.want,
        "done": !job.common.dry_run,
        "edits": edits.collect::<Vec<_>>(),
        "commands": job.plan.commands,
        "notes": job.plan.notes,
        "todo": job.plan.todo,
        "next_boot": end.boot.told(),
    })
}
