#!/usr/bin/env bash
# Usage: install_test.sh BUILD_DIR SOURCE_DIR
# Installs the build into a prefix, moves the prefix, and builds and runs examples/hello.cc against
# it as a stranger would: once by find_package(MyFS), once by pkg-config.
set -euo pipefail
build=$1 source=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "install_test: $*" >&2
  exit 1
}

cmake --install "$build" --prefix "$work/first" >"$work/install.log"
mv "$work/first" "$work/prefix"
prefix=$work/prefix
lib=$(dirname "$(find "$prefix" -name libmyfs.so)")

[ "$(readlink "$lib/libmyfs.so.0")" = libmyfs.so.0.1.0 ] || fail "libmyfs.so has no version"
strange=$(nm -D --defined-only "$lib/libmyfs.so" | awk '{print $3}' | grep -v '^myfs_' || true)
[ -z "$strange" ] || fail "libmyfs.so shows more than its interface: $strange"
strange=$(nm -DC --defined-only "$lib/libmyfs-testing.so" | cut -d' ' -f3- |
  grep -vE '^(myfs_|((typeinfo|typeinfo name|vtable) for )?myfs::(lin|sim)::)' || true)
[ -z "$strange" ] || fail "libmyfs-testing.so shows more than its interface: $strange"
if readelf -d "$lib/libmyfs.so" | grep -q rocksdb; then fail "libmyfs.so needs RocksDB"; fi
if grep -rlE '#include <(capnp|kj|absl|uv)' "$prefix/include"; then
  fail "a public header includes what an embedder may not have"
fi
# Each public header stands alone, in the oldest languages that it promises.
echo '#include <myfs/myfs.h>' | "${CC:-cc}" -std=c11 -Wall -Wextra -Wpedantic -Werror \
  -I"$prefix/include" -fsyntax-only -x c -
for header in myfs.h myfs.hpp lease.h lease.hpp lost_writes.h lost_writes.hpp testing.h history.h \
  linearizability.h; do
  echo "#include <myfs/$header>" | "${CXX:-c++}" -std=c++20 -Wall -Wextra -Werror \
    -I"$prefix/include" -fsyntax-only -x c++ -
done
for program in myfsd myfs-shell; do
  "$prefix/bin/$program" --help >/dev/null || fail "$program does not run from the prefix"
done

mkdir "$work/by-cmake"
cp "$source/examples/hello.cc" "$source/examples/simulate.cc" "$work/by-cmake"
cat >"$work/by-cmake/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.16)
project(stranger LANGUAGES CXX)
find_package(MyFS 0.1 REQUIRED)
add_executable(hello hello.cc)
target_link_libraries(hello MyFS::myfs)
add_executable(simulate simulate.cc)
target_link_libraries(simulate MyFS::testing)
CMAKE
cmake -G Ninja -S "$work/by-cmake" -B "$work/by-cmake/build" \
  -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/by-cmake/build" >/dev/null

PKG_CONFIG_PATH=$lib/pkgconfig
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion myfs)" = 0.1.0 ] || fail "myfs.pc does not tell the version"
read -ra flags <<<"$(pkg-config --cflags --libs myfs)"
"${CXX:-c++}" -std=c++20 "$source/examples/hello.cc" -o "$work/by-pkg-config" "${flags[@]}" \
  -Wl,-rpath,"$lib"

for hello in "$work/by-cmake/build/hello" "$work/by-pkg-config"; do
  out=$("$hello" "embedded:$work/data")
  [[ $out == *"Hello from MyFS"* && $out == *hello.txt* ]] || fail "$hello printed: $out"
done
out=$("$work/by-cmake/build/simulate" 7)
[[ $out == *"operations: linearizable"* ]] || fail "simulate printed: $out"
echo "install_test: OK"
