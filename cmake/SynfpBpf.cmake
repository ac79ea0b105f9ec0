# Compiles bpf/ for both byte orders and generates synfp/detail/bpf_object.hpp and bpf_request_object.hpp: the objects
# as bytes, and what their BTF says as static_asserts. Only this build step needs clang; the installed headers do not.
synfp_find_libbpf(REQUIRED)
find_program(SYNFP_BPF_CLANG NAMES clang clang-14)
find_program(SYNFP_BPF_STRIP NAMES llvm-strip llvm-strip-14)
if(NOT SYNFP_BPF_CLANG OR NOT SYNFP_BPF_STRIP)
  message(FATAL_ERROR "synfp::probe needs clang and llvm-strip to build its BPF programs (Debian: clang, llvm). "
                      "Without the probe: -DSYNFP_PROBE=OFF.")
endif()

# How every BPF program of the project is compiled; --target, -c and -o follow.
# -disable-ssc: stack slot colouring spills pointers in a way that the 6.1 verifier refuses without CAP_PERFMON.
set(SYNFP_BPF_COMPILE ${SYNFP_BPF_CLANG} -mcpu=v3 -O2 -g -Wall -Wextra -Werror -mllvm -disable-ssc)
# clang does not search Debian's multiarch directory for the bpf target.
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND SYNFP_BPF_COMPILE -idirafter ${CMAKE_SYSROOT}/usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
endif()

# synfp_compile_bpf(OBJECT SOURCE [TARGET bpf|bpfel|bpfeb])
# compiles SOURCE into OBJECT, of which BTF stays and DWARF goes. It finds synfp/abi.h and the headers of bpf/.
function(synfp_compile_bpf object source)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "TARGET" "")
  if(NOT arg_TARGET)
    set(arg_TARGET bpf)
  endif()
  cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${synfp_SOURCE_DIR} OUTPUT_VARIABLE name)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${SYNFP_BPF_COMPILE} --target=${arg_TARGET} -I${synfp_SOURCE_DIR}/include -I${synfp_SOURCE_DIR}/bpf
            -ffile-prefix-map=${synfp_SOURCE_DIR}/= -fdebug-compilation-dir=. -MMD -MF ${object}.d -c ${source} -o ${object}
    COMMAND ${SYNFP_BPF_STRIP} -g ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "Compiling ${name} (${arg_TARGET})"
    VERBATIM)
endfunction()

set(SYNFP_GENERATED_DIR ${CMAKE_CURRENT_BINARY_DIR}/generated)
add_executable(embed_bpf EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/cmake/embed_bpf.c)
target_link_libraries(embed_bpf PRIVATE PkgConfig::libbpf)
file(MAKE_DIRECTORY ${SYNFP_GENERATED_DIR}/synfp/detail)
# synfp_embed_probe(SOURCE NAME): generates synfp/detail/NAME.hpp from bpf/SOURCE.bpf.c.
function(synfp_embed_probe source name)
  foreach(byte_order bpfel bpfeb)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${source}.${byte_order}.o)
    synfp_compile_bpf(${object} ${synfp_SOURCE_DIR}/bpf/${source}.bpf.c TARGET ${byte_order})
    list(APPEND objects ${object})
  endforeach()
  set(header ${SYNFP_GENERATED_DIR}/synfp/detail/${name}.hpp)
  add_custom_command(
    OUTPUT ${header}
    COMMAND embed_bpf ${name} ${objects} > ${header}
    DEPENDS embed_bpf ${objects}
    COMMENT "Embedding bpf/${source}.bpf.c"
    VERBATIM)
  set(bpf_headers ${bpf_headers} ${header} PARENT_SCOPE)
endfunction()
synfp_embed_probe(synfp bpf_object)
synfp_embed_probe(request bpf_request_object)
if(SYNFP_INSTALL)
  set(all ALL)  # what install() copies has to be built
endif()
add_custom_target(synfp_bpf_object ${all} DEPENDS ${bpf_headers})

# For programs that load the probe: adds libbpf and the generated header.
add_library(synfp_probe INTERFACE)
add_library(synfp::probe ALIAS synfp_probe)
set_target_properties(synfp_probe PROPERTIES EXPORT_NAME probe)
target_link_libraries(synfp_probe INTERFACE synfp::core PkgConfig::libbpf)
target_include_directories(synfp_probe INTERFACE $<BUILD_INTERFACE:${SYNFP_GENERATED_DIR}>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/synfp-probe>)
add_dependencies(synfp_probe synfp_bpf_object)

# Compiles a BPF program of the tools or tests (SOURCE, in the current directory) and makes generated/HEADER of its
# bytes, in NAMESPACE. TARGET builds it.
function(synfp_embed_bpf target source namespace header)
  cmake_path(GET source STEM name)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated/${header})
  synfp_compile_bpf(${object} ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/generated)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND embed_bpf --bytes ${namespace} ${object} > ${generated}
    DEPENDS embed_bpf ${object}
    COMMENT "Embedding ${source}"
    VERBATIM)
  add_custom_target(${target} DEPENDS ${generated})
endfunction()
