# SPDX-License-Identifier: MIT
#
# Defines the imported target pfa_cmocka, if a cmocka exists that links with the word size and flags of this build.
# PFA_CMOCKA_ROOT names an unpacked pair of packages (see pfa_cmocka32 in ci/install.sh), else the system's is taken.
include(CheckCSourceCompiles)
include(CMakePushCheckState)

if(PFA_CMOCKA_ROOT)
	find_path(PFA_CMOCKA_INCLUDE cmocka.h PATHS ${PFA_CMOCKA_ROOT}/usr/include NO_DEFAULT_PATH)
	file(GLOB pfa_cmocka_dirs ${PFA_CMOCKA_ROOT}/usr/lib ${PFA_CMOCKA_ROOT}/usr/lib/*)
	find_library(PFA_CMOCKA_LIBRARY cmocka PATHS ${pfa_cmocka_dirs} NO_DEFAULT_PATH)
else()
	find_path(PFA_CMOCKA_INCLUDE cmocka.h)
	find_library(PFA_CMOCKA_LIBRARY cmocka)
endif()

if(PFA_CMOCKA_INCLUDE AND PFA_CMOCKA_LIBRARY)
	cmake_push_check_state(RESET)
	set(CMAKE_REQUIRED_INCLUDES ${PFA_CMOCKA_INCLUDE})
	set(CMAKE_REQUIRED_LIBRARIES ${PFA_CMOCKA_LIBRARY})
	check_c_source_compiles("
		#include <setjmp.h>
		#include <stdarg.h>
		#include <stddef.h>
		#include <stdint.h>
		#include <cmocka.h>
		int main(void) { return cmocka_run_group_tests((struct CMUnitTest *)0, 0, 0); }" PFA_CMOCKA_LINKS)
	cmake_pop_check_state()
endif()

if(PFA_CMOCKA_LINKS)
	add_library(pfa_cmocka UNKNOWN IMPORTED)
	set_target_properties(pfa_cmocka PROPERTIES IMPORTED_LOCATION ${PFA_CMOCKA_LIBRARY}
		INTERFACE_INCLUDE_DIRECTORIES ${PFA_CMOCKA_INCLUDE})
elseif(PFA_REQUIRE_CMOCKA)
	message(FATAL_ERROR "no cmocka for this word size (package libcmocka-dev, or PFA_CMOCKA_ROOT)")
else()
	message(STATUS "no cmocka for this word size: tests that need it are left out")
endif()
