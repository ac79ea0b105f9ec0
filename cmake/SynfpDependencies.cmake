# The libraries that synfp's headers need, found through pkg-config as PkgConfig::liburing, PkgConfig::libbpf and
# PkgConfig::openssl. Used by this build and, installed beside synfp-config.cmake, by find_package(synfp).
# Without REQUIRED the caller reads liburing_FOUND, libbpf_FOUND or openssl_FOUND and the sentence in SYNFP_MISSING.
# Macros, not functions: the results belong to the caller's scope.

macro(_synfp_find module minimum package needed_by)
  find_package(PkgConfig QUIET)
  unset(SYNFP_MISSING)
  if(NOT PKG_CONFIG_FOUND)
    set(${module}_FOUND FALSE)
    set(SYNFP_MISSING "synfp finds ${module} through pkg-config, which is not installed (Debian: pkg-config).")
  else()
    # GLOBAL: a project that adds synfp as a subdirectory links the target from its own directories.
    pkg_check_modules(${module} QUIET IMPORTED_TARGET GLOBAL ${module}>=${minimum})
    if(NOT ${module}_FOUND)
      set(SYNFP_MISSING "synfp needs ${module} >= ${minimum}, which pkg-config does not find (Debian: ${package}).")
    endif()
  endif()
  if(SYNFP_MISSING)
    string(APPEND SYNFP_MISSING " ${needed_by}")
  endif()
  if(SYNFP_MISSING AND "${ARGN}" STREQUAL "REQUIRED")
    message(FATAL_ERROR "${SYNFP_MISSING}")
  endif()
endmacro()

macro(synfp_find_liburing)
  _synfp_find(liburing 2.3 liburing-dev "Only synfp::synfp needs it." ${ARGN})
endmacro()

macro(synfp_find_libbpf)
  _synfp_find(libbpf 1.1 libbpf-dev "Only synfp::probe needs it." ${ARGN})
endmacro()

macro(synfp_find_openssl)
  _synfp_find(openssl 3.0 libssl-dev "Only synfp::tls needs it." ${ARGN})
endmacro()
