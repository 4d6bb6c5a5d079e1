# Compiler, linker and the flags that every file of the project is built with.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1")
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")

# -fPIC for all and not POSITION_INDEPENDENT_CODE, which gives executables -fPIE: one precompiled
# header then serves libraries and tests.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
# initial-exec: thread-local variables are found without a call. They are few bytes, so that the
# library can still be opened at run time.
add_compile_options(-fPIC -fno-omit-frame-pointer -pthread -ftls-model=initial-exec)
add_link_options(-pthread)

set(known_compiler OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^12\\.")
  set(known_compiler ON)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION MATCHES "^16\\.")
  set(known_compiler ON)
endif()
add_compile_options(-Wall -Wextra)
if(known_compiler AND MYFS_WERROR)
  add_compile_options(-Werror -Wno-error=invalid-pch)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wthread-safety -Wthread-safety-beta)
endif()

if(MYFS_LOCK_RANKS)
  add_compile_definitions(MYFS_LOCK_RANKS=1)
endif()
if(MYFS_FAULTS)
  add_compile_definitions(MYFS_FAULTS=1)
endif()
if(MYFS_SANITIZE)
  add_compile_options(-fsanitize=${MYFS_SANITIZE})
  add_link_options(-fsanitize=${MYFS_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented code confuses this analysis of g++ 12; the release build has it.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  if(MYFS_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  if(MYFS_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Fences are invisible to it; what they order is also ordered by acquire and release.
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(MYFS_CCACHE ccache)
if(MYFS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What ccache needs in order to cache files that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${MYFS_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
endif()

find_program(MYFS_MOLD mold)
if(MYFS_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
