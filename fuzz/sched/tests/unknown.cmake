# SPDX-License-Identifier: MIT
#
# Code that calls an entry point which tsan.c does not have: the link must fail, and say which.
file(WRITE ${OUT}.c "_Atomic unsigned short x;\nint main(void) { return x; }\n")
execute_process(COMMAND ${CC} -fsanitize=thread -c ${OUT}.c -o ${OUT}.o RESULT_VARIABLE code)
if(NOT code EQUAL 0)
	message(FATAL_ERROR "cannot compile it")
endif()
execute_process(COMMAND ${CC} ${OUT}.o ${RUNTIME} -o ${OUT} RESULT_VARIABLE code ERROR_VARIABLE error)
if(code EQUAL 0 OR NOT error MATCHES "undefined reference to .__tsan_atomic16_load")
	message(FATAL_ERROR "exit code ${code}: ${error}")
endif()
