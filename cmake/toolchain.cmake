# Flags and helpers that every module shares.

# What was compiled in one checkout is not compiled again in another: but for three tests, which read the tree,
# no object knows where it lies.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${CCACHE})
endif()

# gcov looks for the sources where the objects say they are.
if(NOT CMAKE_CXX_FLAGS MATCHES "--coverage")
  set(prefix_map -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
endif()

add_library(swerve_flags INTERFACE)
target_compile_options(swerve_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wswitch-enum
  ${prefix_map}
  # It means designated initializers, too, where a default is intended.
  -Wno-missing-field-initializers
  # g++ 12 takes the inactive members of a std::variant for uninitialized once it optimises.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # … and the operator delete of an Asio coroutine frame for a stranger to its operator new.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>
  $<$<BOOL:${SWERVE_WERROR}>:-Werror>)
if(SWERVE_SANITIZE)
  # Outside of fuzzing without three checks that ask at every pointer and cost a quarter of the compile time, for little: ASan stops at
  # null and at what is freed as well, x86 reads what is misaligned, and no class here is cast down.
  target_compile_options(swerve_flags INTERFACE
    -fsanitize=address,undefined $<$<NOT:$<BOOL:${SWERVE_FUZZ}>>:-fno-sanitize=null,alignment,vptr>
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(swerve_flags INTERFACE -fsanitize=address,undefined)
endif()

# swerve_pure(TARGET…): code without I/O, whose tests live through hours of virtual time. With the sanitizers that takes a fifth of
# the time at -O1, which here, other than with Asio, compiles as fast as -O0.
function(swerve_pure)
  if(SWERVE_SANITIZE)
    foreach(target IN LISTS ARGN)
      target_compile_options(${target} PRIVATE -O1)
    endforeach()
  endif()
endfunction()

# swerve_module(NAME DEPENDS TARGET…): a static library of the .cpp files beside the caller's CMakeLists.txt.
function(swerve_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;SOURCES")
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  add_library(swerve_${name} STATIC ${arg_SOURCES})
  target_link_libraries(swerve_${name} PUBLIC ${arg_DEPENDS} PRIVATE swerve_flags)
  target_include_directories(swerve_${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# swerve_test(NAME DEPENDS TARGET…): one doctest binary of the .cpp files in tests/NAME, run by ctest as NAME.
function(swerve_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS")
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${name}/*.cpp)
  add_executable(${name}_test ${sources} ${PROJECT_SOURCE_DIR}/tests/support/main.cpp)
  target_link_libraries(${name}_test PRIVATE ${arg_DEPENDS} doctest::doctest swerve_flags)
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR})
  add_test(NAME ${name} COMMAND ${name}_test)
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
