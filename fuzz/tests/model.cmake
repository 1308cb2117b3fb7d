# SPDX-License-Identifier: MIT
#
# Tests of the model, the oracles (canaries), the second system under test, and determinism.
if(TARGET pfa_cmocka)
	add_executable(test_model ${CMAKE_CURRENT_LIST_DIR}/test_model.c)
	target_link_libraries(test_model PRIVATE pfa_fuzz_exec pfa_cmocka)
	set_target_properties(test_model PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
	add_test(NAME fuzz.model COMMAND test_model)
	set_tests_properties(fuzz.model PROPERTIES LABELS fuzz TIMEOUT 60)
endif()

# A test per broken allocator, by the names in sut_canary.h.
add_executable(test_canary ${CMAKE_CURRENT_LIST_DIR}/test_canary.c
	${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary.c)
target_link_libraries(test_canary PRIVATE pfa_fuzz_exec)
set_target_properties(test_canary PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
file(READ ${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary.h canaries)
string(REGEX MATCHALL "\n\tX\\([A-Z_]+," rows "${canaries}")
foreach(row IN LISTS rows)
	string(REGEX REPLACE "\n\tX\\(([A-Z_]+),$" "\\1" name "${row}")
	string(TOLOWER ${name} lower)
	add_test(NAME fuzz.canary.${lower} COMMAND test_canary ${name})
	set_tests_properties(fuzz.canary.${lower} PROPERTIES LABELS fuzz TIMEOUT 300)
endforeach()

file(GLOB seed_folders LIST_DIRECTORIES true ${CMAKE_CURRENT_LIST_DIR}/../../corpus/*/seed
	${CMAKE_CURRENT_LIST_DIR}/../../corpus/*/regress)
if(seed_folders)
	add_executable(test_seeds ${CMAKE_CURRENT_LIST_DIR}/test_seeds.c)
	target_link_libraries(test_seeds PRIVATE pfa_fuzz_exec)
	set_target_properties(test_seeds PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
	foreach(what determinism textbook)
		add_test(NAME fuzz.seeds.${what} COMMAND test_seeds ${what} ${seed_folders})
		set_tests_properties(fuzz.seeds.${what} PROPERTIES LABELS fuzz TIMEOUT 600)
	endforeach()
endif()
