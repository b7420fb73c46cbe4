#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# completions.sh TREE: a package is unpacked in TREE. bash, zsh and fish find its completions where they look for them,
# and complete verbs, options, keys, and the names of kept uppers.
set -eu
tree=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/overlayroot-completions.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "completions: FAILED: $*" >&2
    exit 1
}

for shell in bash zsh fish; do
    command -v "$shell" > /dev/null || fail "$shell is missing; packaging/deps.sh package installs it"
done

# No overlay runs here: two uppers are kept by a program of that name.
mkdir "$work/bin" "$work/home"
cat > "$work/bin/overlayctl" << 'END'
#!/bin/sh
[ "$*" = "uppers --names" ] && printf '%s\n' overlay.1 overlay.2
END
chmod 755 "$work/bin/overlayctl"
export PATH="$work/bin:$PATH" HOME="$work/home" LC_ALL=C.UTF-8

# What a shell makes of a line: either the only word that fits, or what all that fit have in common.
# bash's is what it offers, one word a line.
cat > "$work/bash" << 'END'
source "$1" || exit
shift
[[ $(complete -p overlayctl) =~ \ -F\ ([_a-z]+)\  ]] || exit
read -ra COMP_WORDS <<< "$1"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"${BASH_REMATCH[1]}" overlayctl "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}"
END
in_bash() {
    bash --norc --noprofile "$work/bash" "$tree/usr/share/bash-completion/completions/overlayctl" "$1"
}

# zsh completes in a terminal only. The directories are those that it looks in, below the tree.
cat > "$work/zsh" << 'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "tree=${(q)1} out=${(q)3}"
zpty -w shell 'fpath=($tree$^fpath(N) $fpath); autoload -U compinit; compinit -u -D; print ${_comps[overlayctl]:-none} >$out'
zpty -w shell 'show() { zle complete-word; print -r -- "$BUFFER" >>$out; BUFFER= }; zle -N show; bindkey "^T" show'
zpty -w shell 'print ready >>$out'
# what the terminal shows is read away, lest it fills up
await() { repeat 600; do while zpty -rt shell; do :; done; (( $(grep -c . $1) >= $2 )) && return; sleep 0.1; done; return 1 }
touch $3
await $3 2 && zpty -w -n shell "$2"$'\x14' && await $3 3
zpty -d shell
END
in_zsh() {
    rm -f "$work/zsh.out"
    zsh -f "$work/zsh" "$tree" "$1" "$work/zsh.out" > "$work/zsh.log" 2>&1 || { cat "$work/zsh.log" && fail "zsh: $1"; }
    grep -qx _overlayctl "$work/zsh.out" || fail "zsh finds no completion of overlayctl where it looks"
    tail -n 1 "$work/zsh.out" | sed 's/ *$//; s/.* //'
}

# fish adds a tab and a description
in_fish() {
    XDG_DATA_DIRS="$tree/usr/share:/usr/share" fish -c "complete -C '$1'" | cut -f 1
}

offers() {
    shell=$1 line=$2 want=$3
    "in_$shell" "$line" > "$work/offered" || fail "$shell: '$line'"
    # bash and fish name all that fit
    [ "$(paste -sd ' ' "$work/offered")" = "$want" ] || fail "$shell makes '$(cat "$work/offered")' of '$line', not '$want'"
}

for shell in bash zsh fish; do
    offers "$shell" 'overlayctl stat' status
    offers "$shell" 'overlayctl status --js' --json
    offers "$shell" 'overlayctl explain rd.overlay.sta' rd.overlay.stale
    case $shell in zsh) both=overlay. ;; *) both='overlay.1 overlay.2' ;; esac
    offers "$shell" 'overlayctl uppers restore ov' "$both"
    offers "$shell" 'overlayctl diff --upper overlay.2' overlay.2
done
echo "completions: bash, zsh and fish find and complete verbs, options, keys and uppers"
