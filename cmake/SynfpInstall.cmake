# cmake --install: headers, find_package(synfp) and pkg-config files. All of it is text that does not depend
# on the architecture, hence share/.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/synfp)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/synfp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(FILES ${SYNFP_RECORDED_DIR}/synfp/fingerprint/recorded.hpp ${SYNFP_RECORDED_DIR}/synfp/fingerprint/observed.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/synfp/fingerprint)
# The licence asks for its text in copies.
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/LICENSES DESTINATION ${CMAKE_INSTALL_DOCDIR})

# One export per target: find_package(synfp COMPONENTS ...) looks only for what the components need.
set(components core)
if(TARGET synfp_probe)
  list(APPEND components probe)
  # The object is inside: users need no clang. In a directory that only users of the probe search: who forgets to link
  # synfp::probe gets one sentence from the compiler instead of undefined symbols from the linker.
  install(FILES ${SYNFP_GENERATED_DIR}/synfp/detail/bpf_object.hpp ${SYNFP_GENERATED_DIR}/synfp/detail/bpf_request_object.hpp
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/synfp-probe/synfp/detail)
endif()
if(TARGET synfp)
  list(APPEND components synfp)
endif()
if(TARGET synfp_tls)
  list(APPEND components tls)
endif()
foreach(component IN LISTS components)
  get_target_property(target synfp::${component} ALIASED_TARGET)
  install(TARGETS ${target} EXPORT synfp-${component}-targets)
  install(EXPORT synfp-${component}-targets NAMESPACE synfp:: DESTINATION ${package_dir})
endforeach()

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
foreach(component IN LISTS components)
  string(REPLACE synfp-synfp synfp module synfp-${component})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${module}.pc.in ${PROJECT_BINARY_DIR}/package/${module}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/package/${module}.pc DESTINATION ${pkgconfig_dir})
endforeach()
