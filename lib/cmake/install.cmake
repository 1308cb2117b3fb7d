# SPDX-License-Identifier: MIT
#
# Install rules: headers, libraries, find_package(pfa) files and relocatable pkg-config files.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pfa_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pfa)
set(pfa_generated ${CMAKE_CURRENT_BINARY_DIR}/generated)

# Shared libraries find each other beside them, also where the program that is linked names only some of them.
if(NOT APPLE)
	set_target_properties(${pfa_targets} PROPERTIES INSTALL_RPATH "$ORIGIN")
endif()
install(TARGETS ${pfa_targets} EXPORT pfaTargets
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
	INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/pfa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT pfaTargets NAMESPACE pfa:: DESTINATION ${pfa_cmake_dir})

configure_package_config_file(cmake/pfaConfig.cmake.in ${pfa_generated}/pfaConfig.cmake
	INSTALL_DESTINATION ${pfa_cmake_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${pfa_generated}/pfaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${pfa_generated}/pfaConfig.cmake ${pfa_generated}/pfaConfigVersion.cmake DESTINATION ${pfa_cmake_dir})

# pkg-config: one file a library. The prefix is found from the file's own place, so that an install can be moved.
set(pfa_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pfa_pc_prefix /prefix/${pfa_pc_dir} /prefix)
string(REGEX REPLACE "/$" "" pfa_pc_prefix "${pfa_pc_prefix}")
set(pfa_pc_pfa "hardened page-frame allocator, the core")
set(pfa_pc_pfa_posix "libpfa's platform for POSIX systems")
set(pfa_pc_pfa_single "libpfa's platform for programs without threads")
set(pfa_pc_pfa_sim "libpfa's simulated platform, for tests")
set(pfa_pc_pfa_balloon "libpfa's balloon: frames taken out of use, and given back")
set(pfa_pc_pfa_devices "libpfa's devices for free page reporting")
set(pfa_pc_pfa_mapped "libpfa's mapped arena: frames that move under plain pointers")
set(pfa_pc_pfa_zstore "libpfa's compressed store")
foreach(target IN LISTS pfa_targets)
	set(pfa_pc_description ${pfa_pc_${target}})
	set(pfa_pc_library ${target})
	string(REPLACE "_" "-" pfa_pc_name ${target})
	set(pfa_pc_requires "")
	set(pfa_pc_libs "")
	if(NOT target STREQUAL "pfa")
		set(pfa_pc_requires "Requires: pfa = ${PROJECT_VERSION}\n")
	endif()
	if(target STREQUAL "pfa_posix")
		set(pfa_pc_libs " -pthread")
	elseif(target STREQUAL "pfa_mapped")
		set(pfa_pc_requires "Requires: pfa-posix = ${PROJECT_VERSION}\n")
	elseif(target STREQUAL "pfa_zstore")
		set(pfa_pc_libs " -llz4")
	endif()
	configure_file(cmake/pfa.pc.in ${pfa_generated}/${pfa_pc_name}.pc @ONLY)
	install(FILES ${pfa_generated}/${pfa_pc_name}.pc DESTINATION ${pfa_pc_dir})
endforeach()
