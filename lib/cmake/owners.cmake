# SPDX-License-Identifier: MIT
#
# The owners of movable frames that ship with the library: pfa::balloon; pfa::mapped on Linux; pfa::zstore where LZ4 is. And
# the devices for free page reporting: pfa::devices.
set(PFA_ZSTORE AUTO CACHE STRING "The compressed store, which needs LZ4: ON, OFF, or AUTO (if LZ4 is there)")
set_property(CACHE PFA_ZSTORE PROPERTY STRINGS AUTO ON OFF)
set(PFA_LZ4_ROOT "" CACHE PATH "Root of an unpacked LZ4 (.../usr/include/lz4.h), for word sizes without a package")

add_library(pfa_balloon owners/balloon.c)
target_link_libraries(pfa_balloon PUBLIC pfa)
list(APPEND pfa_targets pfa_balloon)

add_library(pfa_devices owners/discard.c owners/host.c)
target_link_libraries(pfa_devices PUBLIC pfa)
list(APPEND pfa_targets pfa_devices)

if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
	add_library(pfa_mapped owners/mapped.c owners/mapped_fault.c owners/mapped_move.c)
	target_link_libraries(pfa_mapped PUBLIC pfa_posix)
	list(APPEND pfa_targets pfa_mapped)
endif()

if(PFA_ZSTORE)
	if(PFA_LZ4_ROOT)
		find_path(PFA_LZ4_INCLUDE lz4.h PATHS ${PFA_LZ4_ROOT}/usr/include NO_DEFAULT_PATH)
		file(GLOB pfa_lz4_dirs ${PFA_LZ4_ROOT}/usr/lib ${PFA_LZ4_ROOT}/usr/lib/*)
		find_library(PFA_LZ4_LIBRARY lz4 PATHS ${pfa_lz4_dirs} NO_DEFAULT_PATH)
	else()
		find_path(PFA_LZ4_INCLUDE lz4.h)
		find_library(PFA_LZ4_LIBRARY lz4)
	endif()
	mark_as_advanced(PFA_LZ4_INCLUDE PFA_LZ4_LIBRARY)
	if(PFA_LZ4_INCLUDE AND PFA_LZ4_LIBRARY)
		# A library of another word size is found, too.
		include(CheckCSourceCompiles)
		include(CMakePushCheckState)
		cmake_push_check_state(RESET)
		set(CMAKE_REQUIRED_INCLUDES ${PFA_LZ4_INCLUDE})
		set(CMAKE_REQUIRED_LIBRARIES ${PFA_LZ4_LIBRARY})
		check_c_source_compiles("
			#include <lz4.h>
			int main(void) { return LZ4_sizeofState() == 0; }" PFA_LZ4_LINKS)
		cmake_pop_check_state()
	endif()
	if(PFA_LZ4_LINKS)
		add_library(pfa_zstore owners/zstore.c owners/zstore_block.c)
		target_include_directories(pfa_zstore SYSTEM PRIVATE ${PFA_LZ4_INCLUDE})
		# An installed package names the library, not the file that it was here.
		target_link_libraries(pfa_zstore PUBLIC pfa
			PRIVATE $<BUILD_INTERFACE:${PFA_LZ4_LIBRARY}> $<INSTALL_INTERFACE:lz4>)
		list(APPEND pfa_targets pfa_zstore)
	elseif(PFA_ZSTORE STREQUAL "AUTO")
		message(STATUS "no LZ4 for this word size: without pfa::zstore")
	else()
		message(FATAL_ERROR "PFA_ZSTORE is ON, and there is no LZ4 for this word size (package liblz4-dev, or PFA_LZ4_ROOT)")
	endif()
endif()

foreach(owner IN ITEMS balloon devices mapped zstore)
	if(TARGET pfa_${owner})
		set_target_properties(pfa_${owner} PROPERTIES EXPORT_NAME ${owner})
		add_library(pfa::${owner} ALIAS pfa_${owner})
	endif()
endforeach()
