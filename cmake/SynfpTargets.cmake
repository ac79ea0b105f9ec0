# How the project's own programs are compiled. Users of the library get none of this. The examples link synfp_flags and
# what a user would link; everything else links synfp_own, which brings the server too.
add_library(synfp_flags INTERFACE)
target_compile_options(synfp_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
                       $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
# g++ 12 at -O3 takes std::string("a") + b for an overlapping copy (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(synfp_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(SYNFP_SANITIZE)
  target_compile_options(synfp_flags INTERFACE -fsanitize=${SYNFP_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
  # clang 14 cannot emit that check for coroutines ("Cannot represent a difference across sections").
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(synfp_flags INTERFACE -fno-sanitize=function
                           -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/tests/sanitizers.ignore)
  endif()
  target_link_options(synfp_flags INTERFACE -fsanitize=${SYNFP_SANITIZE})
endif()

add_library(synfp_own INTERFACE)
target_link_libraries(synfp_own INTERFACE synfp_flags synfp::synfp)
# A program that includes no io/ header does not load liburing.
target_link_options(synfp_own INTERFACE -Wl,--as-needed)
