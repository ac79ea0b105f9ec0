# How the project's own programs are compiled. Users of the library get none of this.
add_library(synfp_own INTERFACE)
target_link_libraries(synfp_own INTERFACE synfp::synfp)
# A program that includes no io/ header does not load liburing.
target_link_options(synfp_own INTERFACE -Wl,--as-needed)
target_compile_options(synfp_own INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror
                       $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
# g++ 12 at -O3 takes std::string("a") + b for an overlapping copy (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(synfp_own INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(SYNFP_SANITIZE)
  target_compile_options(synfp_own INTERFACE -fsanitize=${SYNFP_SANITIZE} -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
  # clang 14 cannot emit that check for coroutines ("Cannot represent a difference across sections").
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(synfp_own INTERFACE -fno-sanitize=function)
  endif()
  target_link_options(synfp_own INTERFACE -fsanitize=${SYNFP_SANITIZE})
endif()
