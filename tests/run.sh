#!/usr/bin/env bash
# Usage: tests/run.sh [--full] [--asan] [--no-root]
#   Installs what is missing, builds into build/ and runs every test.
#   --asan     also builds with the address and undefined behaviour sanitizers and runs the tests
#   --full     that, and: thread sanitizer, clang 16 with its thread safety analysis, clang-tidy,
#              the mutations, and the long counts of fuzz and crash tests (MYFS_LONG=1)
#   --no-root  leaves out the tests that need privilege (label `root`)
# Status 0: everything passed. A missing program is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

full=0 asan=0 root_tests=1
for arg in "$@"; do
  case "$arg" in
    --full) full=1 asan=1 ;;
    --asan) asan=1 ;;
    --no-root) root_tests=0 ;;
    -h | --help)
      sed -n '2,9s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      echo "tests/run.sh: unknown option $arg (--help lists them)" >&2
      exit 2
      ;;
  esac
done
jobs=$(nproc)
as_root=() # how the tests get privilege

build_dir() { [ "$1" = release ] && echo build || echo "build-$1"; }

configure() { # preset
  local dir
  dir=$(build_dir "$1")
  mkdir -p "$dir"
  cmake --preset "$1" >"$dir/configure.log" 2>&1 || {
    cat "$dir/configure.log"
    exit 1
  }
}

build() { # preset
  echo "== $1: build"
  configure "$1"
  cmake --build --preset "$1" -j "$jobs"
}

# Ends the run at once, not after the build, if there are tests that could not be run.
check_privilege() {
  [ "$root_tests" = 1 ] && [ "$(id -u)" -ne 0 ] || return 0
  local total
  total=$(ctest --test-dir build -N -L '^root$' | sed -n 's/^Total Tests: //p')
  [ "${total:-0}" -gt 0 ] || return 0
  if command -v sudo >/dev/null && sudo -v; then
    as_root=(sudo -E)
    return
  fi
  echo "tests/run.sh: $total tests need root; run as root, with sudo, or with --no-root" >&2
  exit 1
}

run_tests() { # preset, command in front of ctest...
  local preset=$1 without=()
  shift
  # What looks at the sources or makes builds of its own is run with the release build only.
  [ "$preset" = release ] || without+=(once)
  [ "$root_tests" = 1 ] || without+=(root)
  local regex
  regex="^($(IFS='|' && echo "${without[*]}"))$"
  echo "== $preset: tests"
  "${as_root[@]}" "$@" ctest --test-dir "$(build_dir "$preset")" -j "$jobs" --output-on-failure \
    --no-tests=error --timeout 900 -LE "$regex"
}

# The analyzer's core checks come all or none. Those for garbage take the value that a Result with
# an error does not have for one, so what they alone report is passed over.
clang_tidy() {
  local log=build-clang/tidy.log
  local garbage='uninitialized|UndefinedBinaryOperatorResult|CallAndMessage'
  local passed_over="\[clang-analyzer-core\.($garbage)"
  run-clang-tidy-16 -quiet -p build-clang -j "$jobs" "^$PWD/(sdk|server|cli)/.*\.cc$" \
    >"$log" 2>&1 && return
  grep -E '(error|warning):' "$log" | sort -u >"$log.findings" || true
  if grep -vE "$passed_over" "$log.findings"; then exit 1; fi
  if [ ! -s "$log.findings" ]; then
    cat "$log"
    exit 1
  fi
}

export ASAN_OPTIONS=detect_stack_use_after_return=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp print_suppressions=0"
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp second_deadlock_stack=1"

.ci/install .ci/packages.txt .ci/packages-tests.txt
configure release
check_privilege
if [ "$asan" = 1 ]; then
  build asan
  run_tests asan
fi
if [ "$full" = 1 ]; then
  build tsan
  # gcc 12's thread sanitizer needs less address randomisation than newer kernels apply.
  run_tests tsan setarch "$(uname -m)" -R
  build clang
  echo "== clang-tidy"
  clang_tidy
  echo "== mutations"
  python3 tests/mutate/mutate.py
  export MYFS_LONG=1
fi
build release
run_tests release
if [ "$root_tests" = 0 ]; then
  echo "tests/run.sh: passed; the tests labelled root were left out (--no-root)"
fi
