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
	${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary.c ${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary_movable.c
	${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary_contig.c)
target_link_libraries(test_canary PRIVATE pfa_fuzz_exec)
set_target_properties(test_canary PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
file(READ ${CMAKE_CURRENT_LIST_DIR}/../common/sut_canary.h canaries)
string(REGEX MATCHALL "\n\tX\\([A-Z_]+," rows "${canaries}")
foreach(row IN LISTS rows)
	string(REGEX REPLACE "\n\tX\\(([A-Z_]+),$" "\\1" name "${row}")
	string(TOLOWER ${name} lower)
	set(area core)
	if(row MATCHES "OP_|PUTBACK|DESTINATION|MOVE|PINS_|AGAIN|COMPACTS|ISOLATED|MOVABLE")
		set(area migrate)
	endif()
	if(row MATCHES "HELD_|HOLDS_|UNDO_|RANGE_|SEARCH_")
		set(area contig)
	endif()
	add_test(NAME fuzz.canary.${lower} COMMAND test_canary ${name}
		${CMAKE_CURRENT_LIST_DIR}/../../corpus/${area}/seed)
	set_tests_properties(fuzz.canary.${lower} PROPERTIES LABELS fuzz TIMEOUT 300)
endforeach()

# The same for fuzz_owners, fuzz_report and fuzz_walk: they break the calls of owners, devices and the library.
if(TARGET pfa_zstore)
	foreach(area owners report)
		add_executable(test_${area}_canary ${CMAKE_CURRENT_LIST_DIR}/test_${area}_canary.c ${CMAKE_CURRENT_LIST_DIR}/real_canary.c)
		target_link_libraries(test_${area}_canary PRIVATE pfa_fuzz_exec)
		set_target_properties(test_${area}_canary PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
	endforeach()
	foreach(area owners report walk)
		string(REPLACE walk report name ${area})
		add_test(NAME fuzz.canary.${area} COMMAND test_${name}_canary ${CMAKE_CURRENT_LIST_DIR}/../../corpus/${area}/seed)
		set_tests_properties(fuzz.canary.${area} PROPERTIES LABELS fuzz TIMEOUT 300)
	endforeach()
endif()

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

# What the targets reach with the corpus, of the API and of the operations (reach_test.py says what must be). The
# linker's --wrap puts the counters of reach.c in between; the names are those of its table.
find_package(Python3 COMPONENTS Interpreter)
if(TARGET pfa_zstore AND Python3_FOUND AND UNIX AND NOT APPLE AND PFA_FUZZ_ENGINE MATCHES "^(replay)?$" AND NOT PFA_SANITIZE MATCHES "fuzzer")
	add_executable(pfa_reach ${CMAKE_CURRENT_LIST_DIR}/reach.c)
	target_link_libraries(pfa_reach PRIVATE pfa_fuzz_exec pfa_fuzz_lang)
	foreach(target core config migrate contig hotplug misuse diff text repair owners report walk)
		target_link_libraries(pfa_reach PRIVATE pfa_target_${target})
	endforeach()
	set_target_properties(pfa_reach PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
	file(READ ${CMAKE_CURRENT_LIST_DIR}/reach.c reach)
	string(REGEX MATCHALL "\nREACH_(CODE|PLAIN)\\(([^(]*, )?pfa_[a-z_]+," rows "${reach}")
	foreach(row IN LISTS rows)
		string(REGEX REPLACE ".*(pfa_[a-z_]+),$" "\\1" name "${row}")
		target_link_options(pfa_reach PRIVATE -Wl,--wrap=${name})
	endforeach()
	target_link_options(pfa_reach PRIVATE -Wl,--wrap=exec_operation -Wl,--wrap=real_operation -Wl,--wrap=exec_judge_told)
	set(reach_test ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/reach_test.py $<TARGET_FILE:pfa_reach>
		${CMAKE_CURRENT_LIST_DIR}/../../corpus ${CMAKE_CURRENT_LIST_DIR}/../../lib/tests/test_codes.c)
	add_test(NAME fuzz.reach COMMAND ${reach_test})
	add_test(NAME fuzz.reach_selftest COMMAND ${reach_test} --self-test)
	set_tests_properties(fuzz.reach fuzz.reach_selftest PROPERTIES LABELS fuzz TIMEOUT 300)
endif()
