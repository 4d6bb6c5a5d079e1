#!/usr/bin/env bash
# Quickstart: builds MyFS, starts a server on a fresh data directory, copies real trees in through
# one client and checks every entry through a second one.
#
#   ./examples/quickstart.sh [--embedded] [--entries N] [--keep DIR] [--bin DIR] [TREE...]
#
#   --embedded   no server process: each client runs the server inside itself, one after the other
#   --entries N  top the copied trees up to N entries (default 20000)
#   --keep DIR   put the data directory there (it must not exist) and leave it; default: a
#                temporary one, removed at the end
#   --bin DIR    install and build nothing; the programs are there
#   TREE...      what to copy (default /usr/include /usr/share); their last names must differ
set -euo pipefail
cd "$(dirname "$0")/.."

embedded=0 entries=20000 keep='' bin='' trees=()
while [ $# -gt 0 ]; do
  case "$1" in
    --embedded) embedded=1 ;;
    --entries) entries=${2:?--entries needs a number}; shift ;;
    --keep) keep=${2:?--keep needs a directory}; shift ;;
    --bin) bin=${2:?--bin needs a directory}; shift ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) echo "quickstart: unknown option $1 (see --help)" >&2; exit 2 ;;
    *) trees+=("$1") ;;
  esac
  shift
done
[ ${#trees[@]} -gt 0 ] || trees=(/usr/include /usr/share)
for tree in "${trees[@]}"; do
  [ -d "$tree" ] || { echo "quickstart: $tree: no directory" >&2; exit 2; }
done
fail() { echo "quickstart: $*" >&2; exit 2; }
[[ "$entries" =~ ^[0-9]+$ ]] || fail "--entries $entries: must be a number"
[ -z "$keep" ] || [ ! -e "$keep" ] || fail "--keep $keep: exists already"

if [ -z "$bin" ]; then
  .ci/install .ci/packages.txt
  echo "quickstart: building"
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
  cmake --build build --target myfs-tree myfsd myfs-shell myfs-server
  bin=$PWD/build/bin
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/myfs-quickstart.XXXXXX")
data=${keep:-$work/data}
server=
finish() {
  if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then wait "$server" || true; fi
  chmod -R u+rwX "$work" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

mkdir -p "$data"
if [ $embedded = 1 ]; then
  url=embedded:$data
else
  mkfifo "$work/ready"
  "$bin/myfsd" --data "$data" --listen "unix:$data/myfs.sock" >"$work/ready" &
  server=$!
  read -r line <"$work/ready" || { echo "quickstart: myfsd did not start" >&2; exit 1; }
  echo "quickstart: $line"
  url=myfs+unix:$data/myfs.sock
fi

found=$(find "${trees[@]}" | wc -l)
missing=$((entries > found ? entries - found : 0))
"$bin/myfs-tree" oddities "$work/oddities" --entries "$missing"

echo "quickstart: copying ${trees[*]} and oddities through one client"
"$bin/myfs-tree" put --mount "$url" --manifest "$work/manifest" "${trees[@]}" "$work/oddities"
echo "quickstart: checking every entry through a second client"
"$bin/myfs-tree" verify --mount "$url" --manifest "$work/manifest"

if [ -n "$server" ]; then
  kill -TERM "$server"
  wait "$server" || { echo "quickstart: myfsd ended with status $?" >&2; exit 1; }
  server=
fi
"$bin/myfsd" --fsck "$data"
echo
echo "quickstart: OK"
if [ -n "$keep" ]; then
  echo "Look around in it:   build/bin/myfs-shell -m embedded:$data"
else
  echo "Look around in your own:   build/bin/myfs-shell -m embedded:/tmp/myfs-data"
  echo "Keep this one next time:   ./examples/quickstart.sh --keep /tmp/myfs-data"
fi
