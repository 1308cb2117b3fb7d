/* SPDX-License-Identifier: MIT
 *
 * fiber.h - logical threads of one operating system thread: a stack each, and a switch of a few instructions.
 *
 * x86-64 and aarch64 have the switch in assembly; elsewhere, and with FIBER_UCONTEXT, it is swapcontext(). AddressSanitizer
 * is told of each switch. A fiber may be left for ever in the middle of anything: making it anew starts it over.
 */
#ifndef SCHED_FIBER_H
#define SCHED_FIBER_H

#include <stddef.h>

#if !defined(FIBER_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FIBER_UCONTEXT 1
#endif
#ifdef FIBER_UCONTEXT
#include <ucontext.h>
#endif

struct fiber {
	void *sp;           /* where it was left */
	const void *stack;  /* lowest address; of the first fiber known once it was left */
	size_t stack_bytes;
	void *fake;         /* AddressSanitizer's */
	void (*entry)(void *arg);
	void *arg;
#ifdef FIBER_UCONTEXT
	ucontext_t context;
#endif
};

/* Prepares *f to run entry(arg), which must not return, on this stack. The program's own stack needs none of this: a
 * zeroed struct fiber stands for it. */
void fiber_make(struct fiber *f, void *stack, size_t stack_bytes, void (*entry)(void *arg), void *arg);

/* Leaves `from`, the running fiber, and goes on where `to` was left. Returns when something switches to `from`. */
void fiber_switch(struct fiber *from, struct fiber *to);

#endif
