# cmake --install: headers, find_package(synfp) and pkg-config files. All of it is text that does not depend
# on the architecture, hence share/.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/synfp)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/synfp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(FILES ${SYNFP_RECORDED_DIR}/synfp/fingerprint/recorded.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/synfp/fingerprint)

install(TARGETS synfp EXPORT synfp-targets)
install(EXPORT synfp-targets NAMESPACE synfp:: DESTINATION ${package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/synfp-config.cmake.in
                              ${PROJECT_BINARY_DIR}/package/synfp-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/synfp-config-version.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/package/synfp-config.cmake
              ${PROJECT_BINARY_DIR}/package/synfp-config-version.cmake
              ${CMAKE_CURRENT_LIST_DIR}/SynfpDependencies.cmake
        DESTINATION ${package_dir})

# The .pc files find the prefix from where they lie, so the tree can be moved.
file(RELATIVE_PATH SYNFP_PC_PREFIX /prefix/${pkgconfig_dir} /prefix)
string(REGEX REPLACE "/$" "" SYNFP_PC_PREFIX ${SYNFP_PC_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/synfp.pc.in ${PROJECT_BINARY_DIR}/package/synfp.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/synfp.pc DESTINATION ${pkgconfig_dir})

if(TARGET synfp_probe)
  install(TARGETS synfp_probe EXPORT synfp-probe-targets)
  install(EXPORT synfp-probe-targets NAMESPACE synfp:: DESTINATION ${package_dir})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/synfp-probe.pc.in ${PROJECT_BINARY_DIR}/package/synfp-probe.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/synfp-probe.pc DESTINATION ${pkgconfig_dir})
  # The object is inside: users need no clang. In a directory that only users of the probe search: who forgets to link
  # synfp::probe gets one sentence from the compiler instead of undefined symbols from the linker.
  install(FILES ${SYNFP_GENERATED_DIR}/synfp/detail/bpf_object.hpp
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/synfp-probe/synfp/detail)
endif()
