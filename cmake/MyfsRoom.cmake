# Rooms and their tests.
#
#   myfs_room(NAME base SOURCES a.cc ... HEADERS a.h ... PUBLIC_DEPS ... PRIVATE_DEPS ... [KJ])
#       makes the static library myfs_<name>. A room in deps is written myfs_<other>. KJ rooms, and
#       no others, see kj, capnp and uv; they share one precompiled header.
#   myfs_test(NAME unit.base.result SOURCES result_test.cc ... DEPS myfs_base ... [KJ] [NO_MAIN]
#             [LABELS unit ...] [TIMEOUT 300])
#       makes the gtest executable build/bin/tests/<name> and one ctest of that name. Its labels are
#       the first word of the name and those given; the label `root` marks what needs privilege.
#   myfs_add_rooms(dir...)
#       enters these directories.

set(MYFS_PCH_SOURCE ${PROJECT_BINARY_DIR}/gen/precompiled.cc)
file(CONFIGURE OUTPUT ${MYFS_PCH_SOURCE} CONTENT "// Compiles the precompiled header.\n")

function(myfs_precompiled name headers)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${MYFS_PCH_SOURCE})
  target_link_libraries(${name} PRIVATE ${ARGN})
  target_precompile_headers(${name} PRIVATE ${headers})
endfunction()

set(kj_headers <kj/async.h> <kj/async-io.h> <kj/function.h> <kj/map.h> <capnp/message.h>
  <capnp/serialize.h> <capnp/serialize-async.h> <capnp/rpc.h> <capnp/rpc-twoparty.h> <uv.h>)
set(test_headers <gtest/gtest.h> <gmock/gmock.h> <atomic> <chrono> <functional> <memory> <string>
  <string_view> <thread> <vector>)
myfs_precompiled(myfs_pch_kj "${kj_headers}" myfs_kj)
if(MYFS_TESTS)
  myfs_precompiled(myfs_pch_test "${test_headers}" GTest::gmock GTest::gtest)
  myfs_precompiled(myfs_pch_test_kj "${test_headers};${kj_headers}"
    GTest::gmock GTest::gtest myfs_kj)
endif()

function(myfs_room)
  cmake_parse_arguments(PARSE_ARGV 0 arg "KJ" "NAME" "SOURCES;HEADERS;PUBLIC_DEPS;PRIVATE_DEPS")
  set(room myfs_${arg_NAME})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${room}: what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(arg_SOURCES)
    set(scope PUBLIC)
    set(private PRIVATE)
    add_library(${room} STATIC ${arg_SOURCES} ${arg_HEADERS})
    set_property(GLOBAL APPEND PROPERTY MYFS_ROOMS ${room})
  else()
    set(scope INTERFACE)
    set(private INTERFACE)
    add_library(${room} INTERFACE ${arg_HEADERS})
  endif()
  target_include_directories(${room} ${scope} ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${room} ${scope} ${arg_PUBLIC_DEPS} ${private} ${arg_PRIVATE_DEPS})
  if(arg_KJ)
    target_link_libraries(${room} ${scope} myfs_kj)
    if(arg_SOURCES)
      target_precompile_headers(${room} REUSE_FROM myfs_pch_kj)
    endif()
  endif()
endfunction()

function(myfs_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "KJ;NO_MAIN" "NAME;TIMEOUT" "SOURCES;DEPS;LABELS;ARGS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${arg_NAME}: what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  set_target_properties(${arg_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/tests)
  target_include_directories(${arg_NAME} PRIVATE ${PROJECT_SOURCE_DIR}
    ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(${arg_NAME} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest)
  if(NOT arg_NO_MAIN)
    target_link_libraries(${arg_NAME} PRIVATE GTest::gtest_main)
  endif()
  if(arg_KJ)
    target_link_libraries(${arg_NAME} PRIVATE myfs_kj)
    target_precompile_headers(${arg_NAME} REUSE_FROM myfs_pch_test_kj)
  else()
    target_precompile_headers(${arg_NAME} REUSE_FROM myfs_pch_test)
  endif()
  add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} ${arg_ARGS})
  string(REGEX MATCH "^[^.]+" kind ${arg_NAME})
  set_tests_properties(${arg_NAME} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${kind};${arg_LABELS}")
endfunction()

function(myfs_add_rooms)
  foreach(room IN LISTS ARGN)
    add_subdirectory(${room})
  endforeach()
endfunction()
