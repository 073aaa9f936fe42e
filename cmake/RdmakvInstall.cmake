# What `cmake --install` puts where, for users of the library:
#   librdmakv.so          lib/
#   kv_store.h            include/                for C
#   the C++ headers       include/rdmakv-cpp/     under their paths in the tree, as they include each other
#   find_package(rdmakv)  lib/cmake/rdmakv/       target rdmakv::rdmakv
#   pkg-config rdmakv     lib/pkgconfig/
# The programs are installed where they are declared (rdmakv_program).
include(CMakePackageConfigHelpers)

install(TARGETS rdmakv EXPORT rdmakv
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/rdmakv/include/kv_store.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(rdmakv_cpp_headers
  protocol/kv_combine.h
  protocol/kv_handshake.h
  protocol/kv_message.h
  protocol/kv_modify.h
  protocol/kv_opcode.h
  protocol/kv_puts.h
  protocol/kv_transaction.h
  rdmakv/fabric_factory.h
  rdmakv/client/at_once.h
  rdmakv/client/client.h
  rdmakv/client/future.h
  rdmakv/client/get_run.h
  rdmakv/client/open_for_server.h
  rdmakv/client/operation.h
  rdmakv/client/put_run.h
  rdmakv/client/server_list.h
  rdmakv/client/transaction.h
  rdmakv/client/update.h
  rdmakv/transport/authentication.h
  rdmakv/transport/endpoint.h
  rdmakv/transport/fabric.h
  rdmakv/transport/local_atomics.h
  rdmakv/transport/memory.h
  rdmakv/transport/pages.h
  rdmakv/transport/status.h
  rdmakv/transport/value_buffer.h)
foreach(header ${rdmakv_cpp_headers})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/rdmakv-cpp/${folder})
endforeach()

install(EXPORT rdmakv NAMESPACE rdmakv:: FILE rdmakvTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rdmakv)
file(WRITE ${PROJECT_BINARY_DIR}/rdmakvConfig.cmake
  "include(\${CMAKE_CURRENT_LIST_DIR}/rdmakvTargets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rdmakvConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/rdmakvConfig.cmake ${PROJECT_BINARY_DIR}/rdmakvConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rdmakv)

# The prefix is found from where the file lies, so `cmake --install --prefix` and staged trees work.
file(RELATIVE_PATH rdmakv_prefix_from_pc
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" rdmakv_prefix_from_pc "${rdmakv_prefix_from_pc}")
configure_file(${PROJECT_SOURCE_DIR}/cmake/rdmakv.pc.in ${PROJECT_BINARY_DIR}/rdmakv.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/rdmakv.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
