# Compiler flags and the helpers that declare a room, a program and a test.
add_library(rdmakv_flags INTERFACE)
target_include_directories(rdmakv_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(rdmakv_flags INTERFACE
  -Wall -Wextra -Werror $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  -fno-omit-frame-pointer -fno-semantic-interposition
  # GCC 12 sees copies of 2^63 bytes in std::string's own code.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(RDMAKV_SANITIZE)
  target_compile_options(rdmakv_flags INTERFACE -fsanitize=${RDMAKV_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(rdmakv_flags INTERFACE -fsanitize=${RDMAKV_SANITIZE})
endif()
if(RDMAKV_BUILD_FUZZERS)
  target_compile_options(rdmakv_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(RDMAKV_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES C CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  # Where everything is inlined GCC comes to know that a copy is short, and makes "rep movs" of it, which takes longer to
  # begin than the library takes for all of an entry.
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mstringop-strategy=libcall RDMAKV_HAVE_STRINGOP_STRATEGY)
  if(RDMAKV_HAVE_STRINGOP_STRATEGY)
    target_compile_options(rdmakv_flags INTERFACE -mstringop-strategy=libcall)
    target_link_options(rdmakv_flags INTERFACE -mstringop-strategy=libcall)
  endif()
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# rdmakv_one_unit(TARGET): compiles it as one translation unit, if RDMAKV_UNITY.
function(rdmakv_one_unit target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${RDMAKV_UNITY} UNITY_BUILD_BATCH_SIZE 0)
  # These have the variants of XXH3 as functions, where all others have it inline.
  foreach(file hashed_copy long_hash)
    set_source_files_properties(${file}.cc ${CMAKE_SOURCE_DIR}/protocol/${file}.cc
      PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endforeach()
endfunction()

# rdmakv_room(NAME SOURCES... [LINK LIBRARIES...]): a static library `rdmakv_NAME`.
function(rdmakv_room name)
  cmake_parse_arguments(ROOM "" "" "LINK" ${ARGN})
  add_library(rdmakv_${name} STATIC ${ROOM_UNPARSED_ARGUMENTS})
  target_link_libraries(rdmakv_${name} PUBLIC rdmakv_flags ${ROOM_LINK})
  rdmakv_one_unit(rdmakv_${name})
  # For tests/mutants, which builds the rooms once more.
  list(TRANSFORM ROOM_UNPARSED_ARGUMENTS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  set_property(GLOBAL PROPERTY RDMAKV_SOURCES_${name} ${ROOM_UNPARSED_ARGUMENTS})
endfunction()

# rdmakv_program(NAME SOURCES... [LINK LIBRARIES...]): a program in build/bin, installed.
function(rdmakv_program name)
  cmake_parse_arguments(PROGRAM "" "" "LINK" ${ARGN})
  add_executable(${name} ${PROGRAM_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE rdmakv_flags ${PROGRAM_LINK})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# rdmakv_vm_test(NAME SOURCES... [LINK LIBRARIES...]): a GoogleTest program for the Soft-RoCE machine, where
# tests/softroce/suite runs it; CTest does not know of it.
function(rdmakv_vm_test name)
  cmake_parse_arguments(TEST "" "" "LINK" ${ARGN})
  add_executable(${name} ${TEST_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE rdmakv_flags ${TEST_LINK} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

# rdmakv_test(NAME SOURCES... [LINK LIBRARIES...]): a GoogleTest program; each TEST is a CTest test.
function(rdmakv_test name)
  rdmakv_vm_test(${name} ${ARGN})
  gtest_discover_tests(${name} TEST_PREFIX ${name}. PROPERTIES TIMEOUT 300 DISCOVERY_TIMEOUT 60)
endfunction()
