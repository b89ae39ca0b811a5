# Sourced by every script here: where things are kept and how steps are reported.
# shellcheck shell=bash

set -euo pipefail

NEUROMESH_CACHE=${NEUROMESH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/neuromesh}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export NEUROMESH_CACHE ROOT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$NEUROMESH_CACHE/target}
export PATH=$NEUROMESH_CACHE/tools/bin:$PATH
export NEUROMESH_MODELS=${NEUROMESH_MODELS:-$NEUROMESH_CACHE/models}
mkdir -p "$NEUROMESH_CACHE/stamps"

say() { printf '%s\n' "setup: $*"; }
die() {
    printf '%s\n' "setup: $*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# step NAME KEY COMMAND...: runs COMMAND unless it has succeeded before with the same KEY (any text: versions, hashes).
step() {
    local name=$1 key stamp started=$SECONDS
    key=$(printf '%s' "$2" | sha256sum | cut -c1-16)
    stamp=$NEUROMESH_CACHE/stamps/$name
    shift 2
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then return 0; fi
    say "$name …"
    "$@" || die "$name failed (see above); what was done so far is kept, run the same command again"
    printf '%s' "$key" >"$stamp"
    say "$name: done in $((SECONDS - started)) s"
}

# The contents of files, as one key.
hash_of() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }

# system_packages PACKAGE...: installs Debian packages, as root or through sudo.
system_packages() {
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        has sudo || die "please install these packages, then run again: $*"
        sudo=(sudo)
    fi
    has apt-get || die "this is not Debian or Ubuntu; please install the equivalents of these packages, then run again: $*"
    say "installing with apt: $*"
    "${sudo[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists at hand"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        die "apt could not install: $*"
}

# need COMMAND PACKAGE [COMMAND PACKAGE]...: installs the packages whose command is missing.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        has "$1" || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] || system_packages "${missing[@]}"
}

# Clones share compiled code. Cargo knows a file by its place in the workspace and its time, so that what another clone left
# could pass for ours: the files of a clone that comes after another are made new.
own_target() {
    local owner=$CARGO_TARGET_DIR/.clone
    [ "$(cat "$owner" 2>/dev/null)" != "$ROOT" ] || return 0
    mkdir -p "$CARGO_TARGET_DIR"
    (cd "$ROOT" && git ls-files -z -- Cargo.toml sdk node-native wasm tests 2>/dev/null | xargs -0 touch -c --) || true
    printf '%s' "$ROOT" >"$owner"
}
own_target
