# SPDX-License-Identifier: MIT
#
# The explorer of states: what is complete in a moment, what takes longer (--long), and that it finds what it must.
set(pfa_exhaust_corpus ${PROJECT_SOURCE_DIR}/corpus/exhaust)
file(GLOB quick CONFIGURE_DEPENDS ${pfa_exhaust_corpus}/quick/*.pfa.txt)
add_test(NAME fuzz.exhaust.quick COMMAND pfa-trace exhaust ${quick})
set_tests_properties(fuzz.exhaust.quick PROPERTIES LABELS fuzz TIMEOUT 300 FAIL_REGULAR_EXPRESSION "stopped")
if(PFA_LONG_TESTS)
	file(GLOB files CONFIGURE_DEPENDS ${pfa_exhaust_corpus}/long/*.pfa.txt)
	foreach(file IN LISTS files)
		get_filename_component(name ${file} NAME)
		string(REPLACE ".pfa.txt" "" name ${name})
		add_test(NAME fuzz.exhaust.${name} COMMAND pfa-trace exhaust ${file})
		set_tests_properties(fuzz.exhaust.${name} PROPERTIES LABELS "fuzz;long" TIMEOUT 1800 FAIL_REGULAR_EXPRESSION "stopped")
	endforeach()
endif()

# Planted bugs are found, by a shortest program; a canonical form that leaves something out is found out; wrong counts are said.
function(pfa_exhaust_canary name expected)
	add_test(NAME fuzz.exhaust.canary.${name} COMMAND pfa-trace exhaust ${ARGN})
	set_tests_properties(fuzz.exhaust.canary.${name} PROPERTIES LABELS fuzz TIMEOUT 120 PASS_REGULAR_EXPRESSION "${expected}")
endfunction()
pfa_exhaust_canary(drain "FOUND after 5 operations: I7.*\na = alloc[^\n]*\nb = alloc[^\n]*\nfree [ab]\nfree [ab]\ncache_drain" --plant drain
	${pfa_exhaust_corpus}/long/service6.pfa.txt)
pfa_exhaust_canary(holder "FOUND after 2 operations: I4.*\nisolate_range[^\n]*\nundo_hold" --plant holder
	${pfa_exhaust_corpus}/quick/frames24.pfa.txt)
pfa_exhaust_canary(news "FOUND after 5 operations: I9 complete.*\na = alloc[^\n]*\ndevice_register[^\n]*\ndevice_flush\nfree a\ndevice_flush" --plant news
	${pfa_exhaust_corpus}/quick/report4.pfa.txt)
pfa_exhaust_canary(release "FOUND after 2 operations: I4.*\na = cma_alloc[^\n]*\ncma_release a" --plant release
	${pfa_exhaust_corpus}/quick/area128.pfa.txt)
pfa_exhaust_canary(order "FOUND after 4 operations: two states of one canonical form" --forget order --merged 1
	${pfa_exhaust_corpus}/long/service6.pfa.txt)
pfa_exhaust_canary(types "FOUND after 1 operations: two states of one canonical form" --forget types --merged 1
	${pfa_exhaust_corpus}/long/types128.pfa.txt)
pfa_exhaust_canary(due "FOUND after 4 operations: two states of one canonical form" --forget due --merged 1
	${pfa_exhaust_corpus}/quick/report4.pfa.txt)
pfa_exhaust_canary(limit "stopped: states, [0-9]+ states not expanded" --states 100 ${pfa_exhaust_corpus}/quick/frames24.pfa.txt)
pfa_exhaust_canary(counts "states: the file says 7" ${PROJECT_SOURCE_DIR}/fuzz/tests/exhaust_counts.pfa.txt)
