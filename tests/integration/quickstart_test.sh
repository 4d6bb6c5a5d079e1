#!/usr/bin/env bash
# Usage: quickstart_test.sh server|embedded BIN_DIR
# examples/quickstart.sh on a small tree, twice, with the programs of BIN_DIR's build; and a file
# that changes behind its back is noticed.
set -euo pipefail
mode=$1 bin=$2
cd "$(dirname "$0")/../.."
work=$(mktemp -d "${TMPDIR:-/tmp}/myfs-quickstart-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
fail() { echo "quickstart_test: $*" >&2; exit 1; }

args=(--entries 600 --bin "$bin")
[ "$mode" = server ] || args+=(--embedded)
for round in first second; do
  ./examples/quickstart.sh "${args[@]}" --keep "$work/$round" cli >"$work/out" 2>&1 \
    || { cat "$work/out"; fail "$round run: status $?"; }
  grep -q '^quickstart: OK$' "$work/out" || { cat "$work/out"; fail "$round run: not OK"; }
  grep -q 'MB/s' "$work/out" || { cat "$work/out"; fail "$round run: no figures"; }
done

# What it checks is what is there: after a change by somebody else it must complain.
url=embedded:$work/second
"$bin/myfs-shell" -m "$url" -c 'ls /cli' | grep -q '^CMakeLists.txt$' || fail "the copy is missing"
"$bin/myfs-tree" put --mount "embedded:$work/third" --manifest "$work/manifest" cli >/dev/null
"$bin/myfs-tree" verify --mount "embedded:$work/third" --manifest "$work/manifest" >/dev/null \
  || fail "a good copy is called bad"
"$bin/myfs-shell" -m "embedded:$work/third" -c 'write -a /cli/CMakeLists.txt x'
if "$bin/myfs-tree" verify --mount "embedded:$work/third" --manifest "$work/manifest" \
  >"$work/out" 2>&1; then
  fail "a changed file is not noticed"
fi
grep -q 'cli/CMakeLists.txt' "$work/out" || { cat "$work/out"; fail "the file is not named"; }
if ./examples/quickstart.sh "${args[@]}" --entries none >"$work/out" 2>&1; then
  fail "--entries none is taken"
fi
echo "quickstart_test: $mode OK"
