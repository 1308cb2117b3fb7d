# SPDX-License-Identifier: MIT
#
# Tests of the operation language and of pfa-trace.
if(TARGET pfa_cmocka)
	add_executable(test_program tests/test_program.c)
	target_link_libraries(test_program PRIVATE pfa_fuzz_lang pfa_cmocka)
	if(PFA_LONG_TESTS)
		target_compile_definitions(test_program PRIVATE PROGRAM_ROUNDS=20000)
	endif()
	set_target_properties(test_program PROPERTIES C_STANDARD 11)
	add_test(NAME fuzz.program COMMAND test_program)
	set_tests_properties(fuzz.program PROPERTIES LABELS fuzz TIMEOUT 600)
endif()

find_package(Python3 COMPONENTS Interpreter)
# Two costly ones: with sanitizers only where there is time.
if(TARGET pfa-trace AND Python3_FOUND AND (PFA_LONG_TESTS OR NOT PFA_SANITIZE))
	# the same tool with targets whose findings are known
	add_executable(pfa_trace_planted ${pfa_trace_sources} tests/shrink_targets.c)
	target_link_libraries(pfa_trace_planted PRIVATE pfa_exhaust pfa_fuzz_exec pfa_fuzz_lang)
	set_target_properties(pfa_trace_planted PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
	add_test(NAME fuzz.trace COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tests/trace_test.py
		$<TARGET_FILE:pfa-trace> $<TARGET_FILE:pfa_trace_planted> ${CMAKE_CURRENT_BINARY_DIR}/trace_test
		${CMAKE_CURRENT_SOURCE_DIR}/../corpus)
	set_tests_properties(fuzz.trace PROPERTIES LABELS fuzz TIMEOUT 600)

	# One of the seeds has pfns that only 64-bit instances have.
	if(CMAKE_SIZEOF_VOID_P EQUAL 8)
		separate_arguments(flags UNIX_COMMAND "${CMAKE_C_FLAGS}")
		if(PFA_SANITIZE)
			list(APPEND flags -fsanitize=${PFA_SANITIZE})
		endif()
		add_test(NAME fuzz.to_c COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/tests/to_c_test.py
			$<TARGET_FILE:pfa-trace> ${CMAKE_CURRENT_BINARY_DIR}/to_c_test
			${CMAKE_CURRENT_SOURCE_DIR}/../corpus/core/seed ${CMAKE_CURRENT_SOURCE_DIR}/../corpus/misuse/seed
			-- ${CMAKE_C_COMPILER} ${flags} -I${CMAKE_CURRENT_SOURCE_DIR}/../lib/include $<TARGET_FILE:pfa>)
		set_tests_properties(fuzz.to_c PROPERTIES LABELS fuzz TIMEOUT 600)
	endif()
endif()
