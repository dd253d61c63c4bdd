#!/usr/bin/env bash
# Shows that the attacks of the simulator can fail the code: every wrong rule in this folder must be
# caught by its attack within a bounded number of schedules, and the right rule must not.
#
# usage: run.sh [NAME...]    only these mutants, by file name without .patch
#
# Each patch says in its first lines what it breaks and by which attack it is caught. The crates are
# copied, the patch applied to the copy, the judge built and run. A mutant that survives and a patch
# that no longer applies end it with exit code 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
base=${CARGO_TARGET_DIR:-$root/target}/mutants
tree=$base/tree
# A target folder of its own: cargo tells two copies of one workspace apart by nothing, and would take
# what was built from a mutant for the right thing.
export CARGO_TARGET_DIR=$base/target

# How many schedules, or seeds, an attack has for every rule, right or wrong.
count() {
    case $1 in
    restart) echo "${RESTARTS:-20}" ;;
    *) echo "${SCHEDULES:-1000}" ;;
    esac
}

# Makes the copy the same as the work tree. Only files that differ are written, so that little is
# built again; written anew, so that cargo notices.
copy() {
    mkdir -p "$tree"
    (cd "$root" && find Cargo.toml Cargo.lock crates -type f) | while read -r file; do
        if ! cmp --quiet "$root/$file" "$tree/$file"; then
            mkdir -p "$tree/$(dirname "$file")"
            cp "$root/$file" "$tree/$file"
        fi
    done
    (cd "$tree" && find crates -type f) | while read -r file; do
        [ -e "$root/$file" ] || rm "$tree/$file"
    done
}

build() {
    (cd "$tree" && cargo build --quiet --locked -p meanwhile-simulator --example attack)
}

attack() {
    "$CARGO_TARGET_DIR/debug/examples/attack" "$1" "$(count "$1")"
}

header() { sed -n "s/^# $2: //p" "$1"; }

chosen=("$@")
patches=()
for patch in "$here"/*.patch; do
    name=$(basename "$patch" .patch)
    if [ ${#chosen[@]} -eq 0 ] || printf '%s\n' "${chosen[@]}" | grep -qxF -- "$name"; then
        patches+=("$patch")
    fi
done
failed=0
report() { printf '| %-40s | %-16s | %-42s |\n' "$1" "$2" "$3"; }

copy
build
report rule attack outcome
report --- --- ---
for attack in $(for patch in "${patches[@]}"; do header "$patch" attack; done | sort -u); do
    outcome=$(attack "$attack")
    case $outcome in
    clean*) ;;
    *) failed=1 ;;
    esac
    report "(as it is)" "$attack" "$outcome"
done
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    attack=$(header "$patch" attack)
    copy
    if ! patch --quiet --directory "$tree" --strip 1 <"$patch" >/dev/null; then
        report "$name" "$attack" "DOES NOT APPLY"
        failed=1
        continue
    fi
    if ! build 2>"$tree/errors"; then
        cat "$tree/errors" >&2
        report "$name" "$attack" "DOES NOT BUILD"
        failed=1
        continue
    fi
    outcome=$(attack "$attack")
    case $outcome in
    caught*) ;;
    *)
        outcome="SURVIVED $outcome"
        failed=1
        ;;
    esac
    report "$name" "$attack" "$outcome"
done
copy
exit $failed
