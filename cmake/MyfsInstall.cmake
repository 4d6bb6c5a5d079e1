# What strangers get: libmyfs.so, its headers, MyFSConfig.cmake and myfs.pc. The rooms that make
# programs install them themselves.

include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/MyFS)
install(TARGETS myfs EXPORT MyFSTargets)
install(FILES ${PROJECT_SOURCE_DIR}/include/myfs/async.h
  ${PROJECT_SOURCE_DIR}/include/myfs/async.hpp
  ${PROJECT_SOURCE_DIR}/include/myfs/history.h ${PROJECT_SOURCE_DIR}/include/myfs/linearizability.h
  ${PROJECT_SOURCE_DIR}/include/myfs/testing.h
  ${PROJECT_SOURCE_DIR}/include/myfs/myfs.h ${PROJECT_SOURCE_DIR}/include/myfs/myfs.hpp
  ${PROJECT_SOURCE_DIR}/include/myfs/lease.h ${PROJECT_SOURCE_DIR}/include/myfs/lease.hpp
  ${PROJECT_SOURCE_DIR}/include/myfs/lost_writes.h
  ${PROJECT_SOURCE_DIR}/include/myfs/lost_writes.hpp
  ${PROJECT_SOURCE_DIR}/include/myfs/lowlevel.h
  ${PROJECT_SOURCE_DIR}/include/myfs/myfs.capnp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/myfs)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT MyFSTargets NAMESPACE MyFS:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/MyFSConfig.cmake.in
  ${PROJECT_BINARY_DIR}/gen/MyFSConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gen/MyFSConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gen/MyFSConfig.cmake
  ${PROJECT_BINARY_DIR}/gen/MyFSConfigVersion.cmake DESTINATION ${package_dir})

# The prefix is found from the place of the file, so that the tree can be moved.
file(RELATIVE_PATH MYFS_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" MYFS_PC_PREFIX "${MYFS_PC_PREFIX}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/myfs.pc.in ${PROJECT_BINARY_DIR}/gen/myfs.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/gen/myfs.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
