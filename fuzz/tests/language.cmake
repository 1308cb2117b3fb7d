# SPDX-License-Identifier: MIT
#
# Tests of the operation language and of pfa-trace.
if(TARGET pfa_cmocka)
	add_executable(test_program tests/test_program.c)
	target_link_libraries(test_program PRIVATE pfa_fuzz_lang pfa_cmocka)
	set_target_properties(test_program PROPERTIES C_STANDARD 11)
	add_test(NAME fuzz.program COMMAND test_program)
	set_tests_properties(fuzz.program PROPERTIES LABELS fuzz TIMEOUT 600)
endif()
