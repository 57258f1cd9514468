#!/bin/sh
# Makes the file tree of the container image.
#
#   config/image-tree.sh FOLDER [EXECUTABLE]
#
# FOLDER must be missing or empty. EXECUTABLE is a statically linked skrouterd; without it the
# script builds one. The image holds that file under its names, and a writable /tmp. It has no
# shell, no libraries and no users, for it runs under any user id.
set -eu

# The names of the executable, each of which is a command.
names="skrouterd skup skstat skmanage"
# Largest executable in bytes.
limit=25000000

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 FOLDER [EXECUTABLE]" >&2
    exit 2
fi
tree=$1
executable=${2:-}

if [ -z "$executable" ]; then
    sources=$(cd "$(dirname "$0")/.." && pwd)
    host=$(rustc -vV | sed -n 's/^host: //p')
    # The target keeps the flag from the procedural macros, which cannot be linked statically.
    RUSTFLAGS="-C target-feature=+crt-static" \
        cargo build --manifest-path "$sources/Cargo.toml" --locked --release --target "$host" --package skrouterd --bin skrouterd >&2
    executable=${CARGO_TARGET_DIR:-$sources/target}/$host/release/skrouterd
fi

if command -v readelf >/dev/null 2>&1 && readelf --program-headers "$executable" | grep -q INTERP; then
    echo "$0: $executable is linked dynamically; an empty image has no libraries for it" >&2
    exit 1
fi
if [ -n "$(ls -A "$tree" 2>/dev/null)" ]; then
    echo "$0: $tree is not empty" >&2
    exit 1
fi
umask 022
mkdir -p "$tree/usr/bin" "$tree/tmp"
chmod 755 "$tree" "$tree/usr" "$tree/usr/bin"
chmod 1777 "$tree/tmp"
# Users call both /bin/... and /usr/bin/...
ln -s usr/bin "$tree/bin"

for name in $names; do
    if [ "$name" = skrouterd ]; then
        # Without debugging sections, but with symbols, so that a backtrace names its functions.
        if command -v strip >/dev/null 2>&1; then
            strip --strip-debug -o "$tree/usr/bin/skrouterd" "$executable"
        else
            cp "$executable" "$tree/usr/bin/skrouterd"
        fi
        chmod 755 "$tree/usr/bin/skrouterd"
    else
        ln -s skrouterd "$tree/usr/bin/$name"
    fi
done

octets=$(wc -c <"$tree/usr/bin/skrouterd")
if [ "$octets" -ge "$limit" ]; then
    echo "$0: the executable has $octets octets; the image must stay below $limit" >&2
    exit 1
fi
