// SPDX-License-Identifier: GPL-2.0-or-later
//! An ordinary user who tries everything.

use std::process::Command;

/// What an ordinary user tries at each path below those that are given. Prints what gave in.
const TRY: &str = r#"
find "$@" -xdev \( -type d -o -type f -o -type c -o -type b \) -exec sh -c '
    for at; do
        if [ -d "$at" ]; then
            (: >"$at/written") 2>/dev/null && echo "$at: a file is made"
            mkdir "$at/made" 2>/dev/null && echo "$at: a directory is made"
            mknod "$at/whiteout" c 0 0 2>/dev/null && echo "$at: a whiteout is made"
            mkfifo "$at/fifo" 2>/dev/null && echo "$at: a pipe is made"
            ln -s x "$at/symbolic" 2>/dev/null && echo "$at: a symbolic link is made"
            [ ! -f "$at/mine" ] || ! ln "$at/mine" "$at/linked" 2>/dev/null || echo "$at: a link is made"
            [ ! -f "$at/mine" ] || ! mv "$at/mine" "$at/renamed" 2>/dev/null || echo "$at: a file is renamed"
            [ ! -f "$at/mine" ] || ! rm -f "$at/mine" 2>/dev/null || echo "$at: a file is removed"
        elif [ -c "$at" ] || [ -b "$at" ]; then
            (: <"$at") 2>/dev/null && echo "$at: a device is opened"
        else
            (: >>"$at") 2>/dev/null && echo "$at: a file is opened for writing"
            touch -c -d @1 "$at" 2>/dev/null && echo "$at: a time is set"
            chmod 777 "$at" 2>/dev/null && echo "$at: a mode is set"
            [ ! -u "$at" ] || [ "$("$at" -u 2>/dev/null)" != 0 ] || echo "$at: setuid counts"
        fi
    done' sh {} + 2>/dev/null
true
"#;

/// Before it: what the owner of a namespace can do to mounts that it was given.
const RAISE: &str = r#"
for at; do
    for options in rw suid dev rw,suid,dev; do
        mount -o "remount,bind,$options" "$at" 2>/dev/null
    done
    umount "$at" 2>/dev/null
done
"#;

fn as_user(script: &str, places: &[String], before: &[&str]) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]).args(before);
    let output = command.args(["sh", "-c", script, "sh"]).args(places).output().expect("setpriv");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What gives in to an ordinary user at these paths and below.
pub fn user(places: &[String]) -> String {
    as_user(TRY, places, &[])
}

/// The same user, as root of a user and a mount namespace of its own, where its own number is 0 without setuid.
pub fn user_with_namespaces(places: &[String]) -> String {
    let own = ["unshare", "--user", "--map-root-user", "--mount"];
    as_user(&format!("{RAISE}\n{TRY}"), places, &own).lines().filter(|line| !line.ends_with("setuid counts")).collect()
}
