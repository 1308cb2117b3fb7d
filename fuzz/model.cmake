# SPDX-License-Identifier: MIT
#
# The execution of programs: model, systems under test, oracles, reports; and the targets made of them. Included by
# CMakeLists.txt after pfa_fuzz_lang.
add_library(pfa_fuzz_exec STATIC
	common/arena.c
	common/exec.c
	common/exec_frees.c
	common/exec_cma.c
	common/exec_contig.c
	common/exec_contig_judge.c
	common/exec_contig_ops.c
	common/exec_harden.c
	common/exec_compact.c
	common/exec_made.c
	common/exec_migrate.c
	common/exec_misuse.c
	common/exec_movable.c
	common/exec_ops.c
	common/exec_plug.c
	common/exec_oracle.c
	common/exec_owner.c
	common/exec_real.c
	common/exec_real_balloon.c
	common/exec_real_look.c
	common/exec_real_mapped.c
	common/exec_real_ops.c
	common/exec_real_report.c
	common/exec_real_pace.c
	common/exec_real_told.c
	common/exec_real_walk.c
	common/exec_real_zstore.c
	common/exec_report.c
	common/exec_requests.c
	common/exec_state.c
	common/exec_views.c
	common/model.c
	common/model_request.c
	common/model_past.c
	common/model_compact.c
	common/model_contig.c
	common/model_movable.c
	common/model_plug.c
	common/setup.c
	common/setup_spoil.c
	common/sut.c
	common/sut_pfa.c
	common/sut_textbook.c
	../stress/bench/textbook.c)
target_include_directories(pfa_fuzz_exec PUBLIC common PRIVATE ../stress/bench)
target_link_libraries(pfa_fuzz_exec PUBLIC pfa_fuzz_lang pfa_sim pfa::pfa)
find_package(Threads REQUIRED) # the textbook allocator has a mutex
target_link_libraries(pfa_fuzz_exec PRIVATE Threads::Threads)
set_target_properties(pfa_fuzz_exec PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS ON)

# The locals that GCC worries about are not changed between setjmp and longjmp (EXEC_CALL).
target_compile_options(pfa_fuzz_exec PRIVATE $<$<C_COMPILER_ID:GNU>:-Wno-clobbered>)

# The owners that ship. On Linux alone, as the mapped arena is; the compressed store where LZ4 is.
if(TARGET pfa_zstore)
	target_link_libraries(pfa_fuzz_exec PUBLIC pfa_zstore)
	target_compile_definitions(pfa_fuzz_exec PUBLIC FUZZ_ZSTORE)
endif()
target_link_libraries(pfa_fuzz_exec PUBLIC pfa_balloon pfa_mapped)
# A compiler's own libraries, which are looked through last, may map memory, too.
target_link_options(pfa_fuzz_exec INTERFACE -Wl,--wrap=mmap,--wrap=mmap64,--wrap=mprotect -Wl,-u,__wrap_mmap)

foreach(name core config migrate contig hotplug misuse diff owners report walk)
	pfa_fuzz_target(fuzz_${name} SOURCES fuzz_${name}.c LIBS pfa_fuzz_exec pfa_fuzz_lang MUTATOR pfa_fuzz_mutator)
endforeach()

if(PFA_BUILD_TESTS)
	include(${CMAKE_CURRENT_LIST_DIR}/tests/model.cmake)
endif()
