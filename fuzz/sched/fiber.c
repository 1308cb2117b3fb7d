/* SPDX-License-Identifier: MIT
 *
 * fiber.c - see fiber.h.
 */
#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h" /* ARENA_ASAN */

#if ARENA_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

static struct fiber *fiber_left, *fiber_entered;

/* The first thing on the side that was switched to: fiber_left has been saved, fiber_entered runs. */
static void fiber_arrived(void)
{
#if ARENA_ASAN
	__sanitizer_finish_switch_fiber(fiber_entered->fake, &fiber_left->stack, &fiber_left->stack_bytes);
#endif
}

static void fiber_begin(void)
{
	fiber_arrived();
	fiber_entered->entry(fiber_entered->arg);
	abort();
}

#ifndef FIBER_UCONTEXT

/* Saves what a called function must preserve on the stack, whose top then tells everything. The floating point control
 * words are not among it: nothing here changes them. */
void fiber_swap(void **save, void *load);

#if defined(__x86_64__)
#define FIBER_SAVED 6u
__asm__(".text\n"
        ".globl fiber_swap\n"
        ".hidden fiber_swap\n"
        ".type fiber_swap, @function\n"
        "fiber_swap:\n"
        "	pushq %rbp\n"
        "	pushq %rbx\n"
        "	pushq %r12\n"
        "	pushq %r13\n"
        "	pushq %r14\n"
        "	pushq %r15\n"
        "	movq %rsp, (%rdi)\n"
        "	movq %rsi, %rsp\n"
        "	popq %r15\n"
        "	popq %r14\n"
        "	popq %r13\n"
        "	popq %r12\n"
        "	popq %rbx\n"
        "	popq %rbp\n"
        "	ret\n"
        ".size fiber_swap, .-fiber_swap\n");
#else
#define FIBER_SAVED 20u
__asm__(".text\n"
        ".globl fiber_swap\n"
        ".hidden fiber_swap\n"
        ".type fiber_swap, %function\n"
        "fiber_swap:\n"
        "	sub sp, sp, #160\n"
        "	stp x19, x20, [sp, #0]\n"
        "	stp x21, x22, [sp, #16]\n"
        "	stp x23, x24, [sp, #32]\n"
        "	stp x25, x26, [sp, #48]\n"
        "	stp x27, x28, [sp, #64]\n"
        "	stp x29, x30, [sp, #80]\n"
        "	stp d8, d9, [sp, #96]\n"
        "	stp d10, d11, [sp, #112]\n"
        "	stp d12, d13, [sp, #128]\n"
        "	stp d14, d15, [sp, #144]\n"
        "	mov x9, sp\n"
        "	str x9, [x0]\n"
        "	mov sp, x1\n"
        "	ldp x19, x20, [sp, #0]\n"
        "	ldp x21, x22, [sp, #16]\n"
        "	ldp x23, x24, [sp, #32]\n"
        "	ldp x25, x26, [sp, #48]\n"
        "	ldp x27, x28, [sp, #64]\n"
        "	ldp x29, x30, [sp, #80]\n"
        "	ldp d8, d9, [sp, #96]\n"
        "	ldp d10, d11, [sp, #112]\n"
        "	ldp d12, d13, [sp, #128]\n"
        "	ldp d14, d15, [sp, #144]\n"
        "	add sp, sp, #160\n"
        "	ret\n"
        ".size fiber_swap, .-fiber_swap\n");
#endif

static void fiber_prepare(struct fiber *f, unsigned char *stack, size_t bytes)
{
	/* What fiber_swap pops, as if fiber_begin had been interrupted before its first instruction. */
	uintptr_t top = ((uintptr_t)stack + bytes) & ~(uintptr_t)15;
#if defined(__x86_64__)
	/* the registers, the address to return to, and above it where a caller's would be: the stack is 8 off 16 there */
	uintptr_t *sp = (uintptr_t *)(top - (FIBER_SAVED + 2) * sizeof(uintptr_t));
	memset(sp, 0, (FIBER_SAVED + 2) * sizeof(uintptr_t));
	sp[FIBER_SAVED] = (uintptr_t)fiber_begin;
#else
	uintptr_t *sp = (uintptr_t *)(top - FIBER_SAVED * sizeof(uintptr_t));
	memset(sp, 0, FIBER_SAVED * sizeof(uintptr_t));
	sp[11] = (uintptr_t)fiber_begin; /* x30 */
#endif
	f->sp = sp;
}

static void fiber_go(struct fiber *from, struct fiber *to)
{
	fiber_swap(&from->sp, to->sp);
}

#else

static void fiber_prepare(struct fiber *f, unsigned char *stack, size_t bytes)
{
	if (getcontext(&f->context) != 0)
		abort();
	f->context.uc_stack.ss_sp = stack;
	f->context.uc_stack.ss_size = bytes;
	f->context.uc_link = NULL;
	makecontext(&f->context, fiber_begin, 0);
}

static void fiber_go(struct fiber *from, struct fiber *to)
{
	if (swapcontext(&from->context, &to->context) != 0)
		abort();
}

#endif

void fiber_make(struct fiber *f, void *stack, size_t stack_bytes, void (*entry)(void *arg), void *arg)
{
	f->stack = stack;
	f->stack_bytes = stack_bytes;
	f->fake = NULL;
	f->entry = entry;
	f->arg = arg;
#if ARENA_ASAN
	__asan_unpoison_memory_region(stack, stack_bytes); /* what frames that were left for ever poisoned */
#endif
	fiber_prepare(f, stack, stack_bytes);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
	fiber_left = from;
	fiber_entered = to;
#if ARENA_ASAN
	__sanitizer_start_switch_fiber(&from->fake, to->stack, to->stack_bytes);
#endif
	fiber_go(from, to);
	fiber_arrived();
}
