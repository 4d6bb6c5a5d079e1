# The packages of Debian 12 that the project stands on, and our names for them.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(CapnProto REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
# The packaged CMake file of RocksDB asks for packages which the shared library does not need.
find_library(MYFS_ROCKSDB_LIBRARY rocksdb REQUIRED)
find_path(MYFS_ROCKSDB_INCLUDE rocksdb/db.h REQUIRED)
if(MYFS_TESTS)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
endif()

# What a room sees that is marked KJ.
add_library(myfs_kj INTERFACE)
target_link_libraries(myfs_kj INTERFACE CapnProto::capnp-rpc CapnProto::capnp CapnProto::kj-async
  CapnProto::kj PkgConfig::LIBUV)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 looks through kj's pointers to members of empty lambdas and sees an access that is
  # never made.
  target_compile_options(myfs_kj INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(myfs_kj INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${PROJECT_SOURCE_DIR}/cmake/kj_for_clang.h>")
endif()

add_library(myfs_rocksdb INTERFACE)
target_include_directories(myfs_rocksdb SYSTEM INTERFACE ${MYFS_ROCKSDB_INCLUDE})
target_link_libraries(myfs_rocksdb INTERFACE ${MYFS_ROCKSDB_LIBRARY})

add_library(myfs_libedit INTERFACE)
target_link_libraries(myfs_libedit INTERFACE PkgConfig::LIBEDIT)
