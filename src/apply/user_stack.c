/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a thread inside forbidden code? Its pc, every word of its stack that is an exact return address of that code, and,
 * behind each signal frame, the interrupted pc and the stack that was in use before (a handler may run on another one).
 * There are no false "no"s, because the return addresses are complete; a false "yes" (a stale word) costs a retry.
 */
#include "apply/user_stack.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>

#include "base/array.h"

#define STACKS_MAX 16 /* nested handlers */
#define STACK_SIZE_MAX ((uint64_t)256 << 20)

static struct kc_error *add_range(struct kc_range **ranges, size_t *n, uint64_t start, uint64_t size)
{
	struct kc_range *range = kc_array_add(ranges, n);

	if (!range)
		return kc_error_no_memory();
	range->start = start;
	range->end = start + size;
	return NULL;
}

struct kc_error *kc_forbidden_add_range(struct kc_forbidden *forbidden, uint64_t start, uint64_t size)
{
	return add_range(&forbidden->ranges, &forbidden->n_ranges, start, size);
}

struct kc_error *kc_forbidden_add_return(struct kc_forbidden *forbidden, uint64_t addr)
{
	uint64_t *added = kc_array_add(&forbidden->returns, &forbidden->n_returns);

	if (!added)
		return kc_error_no_memory();
	*added = addr;
	return NULL;
}

static int compare_addrs(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return first < second ? -1 : first > second;
}

void kc_forbidden_finish(struct kc_forbidden *forbidden)
{
	if (!forbidden->n_returns)
		return;
	qsort(forbidden->returns, forbidden->n_returns, sizeof(*forbidden->returns), compare_addrs);
	forbidden->low = forbidden->returns[0];
	forbidden->high = forbidden->returns[forbidden->n_returns - 1];
}

void kc_forbidden_clear(struct kc_forbidden *forbidden)
{
	free(forbidden->ranges);
	free(forbidden->returns);
	*forbidden = (struct kc_forbidden){ 0 };
}

bool kc_forbidden_has_pc(const struct kc_forbidden *forbidden, uint64_t pc)
{
	for (size_t i = 0; i < forbidden->n_ranges; i++)
		if (pc >= forbidden->ranges[i].start && pc < forbidden->ranges[i].end)
			return true;
	return false;
}

bool kc_forbidden_has_return(const struct kc_forbidden *forbidden, uint64_t word)
{
	return forbidden->n_returns && word >= forbidden->low && word <= forbidden->high &&
	       bsearch(&word, forbidden->returns, forbidden->n_returns, sizeof(word), compare_addrs);
}

/* The stacks of one thread that are still to be searched. */
struct stacks {
	const struct kc_transition *transition;
	pid_t pid;
	struct kc_range list[STACKS_MAX];
	size_t n;
	struct kc_hit *hit;
};

/* Reads what there is of [addr, addr + size): a stack may end before its mapping is known to. */
static size_t read_some(pid_t pid, uint64_t addr, void *data, size_t size)
{
	struct iovec local = { data, size }, remote = { (void *)(uintptr_t)addr, size };
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return n > 0 ? (size_t)n : 0;
}

/*
 * Where a stack ends: at the end of its mapping. The thread pointer of a thread made by the C library lies at the top
 * of its stack, which is nearer when the kernel shows several mappings as one.
 */
static uint64_t stack_end(const struct kc_transition *transition, uint64_t sp, uint64_t thread_pointer)
{
	const struct kc_map *map = kc_process_map_at(transition->view, sp);
	uint64_t end = map ? map->end : sp + STACK_SIZE_MAX;

	if (thread_pointer > sp && thread_pointer < end)
		end = (thread_pointer + 7) & ~7ull;
	return end - sp > STACK_SIZE_MAX ? sp + STACK_SIZE_MAX : end;
}

static void add_stack(struct stacks *stacks, uint64_t start, uint64_t end)
{
	start &= ~7ull;
	for (size_t i = 0; i < stacks->n; i++)
		if (start >= stacks->list[i].start && start < stacks->list[i].end)
			return;
	if (stacks->n < STACKS_MAX) {
		stacks->list[stacks->n].start = start;
		stacks->list[stacks->n++].end = end;
	}
}

/* `at` holds the address of code that ends a handler: what the kernel put behind it says what was interrupted. */
static bool follow_signal_frame(struct stacks *stacks, uint64_t at)
{
	struct {
		uint64_t restorer, flags, link;
		uint64_t stack_start;
		uint64_t stack_flags, stack_size;
		struct sigcontext context;
	} frame;

	if (read_some(stacks->pid, at, &frame, sizeof(frame)) != sizeof(frame) || frame.context.cs != 0x33)
		return false; /* a stale word, no frame */
	if (kc_forbidden_has_pc(&stacks->transition->forbidden, frame.context.rip)) {
		*stacks->hit = (struct kc_hit){ .pc = frame.context.rip, .sure = true };
		return true;
	}
	add_stack(stacks, frame.context.rsp, stack_end(stacks->transition, frame.context.rsp, 0));
	return false;
}

static bool is_restorer(const struct kc_transition *transition, uint64_t word)
{
	for (size_t i = 0; i < transition->n_restorers; i++)
		if (word == transition->restorers[i])
			return true;
	return false;
}

static bool search_words(struct stacks *stacks, uint64_t at, const uint64_t *words, size_t n)
{
	const struct kc_transition *transition = stacks->transition;

	for (size_t i = 0; i < n; i++) {
		if (kc_forbidden_has_return(&transition->forbidden, words[i])) {
			*stacks->hit = (struct kc_hit){ .pc = words[i], .at = at + 8 * i };
			return true;
		}
		if (is_restorer(transition, words[i]) && follow_signal_frame(stacks, at + 8 * i))
			return true;
	}
	return false;
}

/* One stack. The first read is small: most stacks are. */
static bool search_stack(struct stacks *stacks, struct kc_range stack, struct kc_scratch *scratch, bool *readable)
{
	size_t want = 4096;

	*readable = false;
	for (uint64_t at = stack.start; at < stack.end;) {
		size_t size = stack.end - at < want ? stack.end - at : want, got;

		got = read_some(stacks->pid, at, scratch->words, size) & ~(size_t)7;
		if (!got) {
			uint64_t page = (at & ~(KC_PAGE - 1)) + KC_PAGE;

			/* a read that crosses into nothing gives nothing: take what the page has */
			got = page - at < size ? read_some(stacks->pid, at, scratch->words, page - at) & ~(size_t)7 : 0;
			if (!got)
				return false;
		}
		*readable = true;
		if (search_words(stacks, at, scratch->words, got / 8))
			return true;
		at += got;
		want = sizeof(scratch->words);
	}
	return false;
}

enum kc_verdict kc_stack_search(const struct kc_transition *transition, pid_t pid, uint64_t pc, uint64_t sp,
				uint64_t thread_pointer, struct kc_scratch *scratch, struct kc_hit *hit)
{
	struct stacks stacks = { .transition = transition, .pid = pid, .hit = hit };
	bool readable;

	*hit = (struct kc_hit){ 0 };
	if (kc_forbidden_has_pc(&transition->forbidden, pc)) {
		*hit = (struct kc_hit){ .pc = pc, .sure = true };
		return KC_VERDICT_INSIDE;
	}
	if (!transition->forbidden.n_returns && !transition->forbidden.n_ranges)
		return KC_VERDICT_OUTSIDE;
	add_stack(&stacks, sp, stack_end(transition, sp, thread_pointer));
	for (size_t i = 0; i < stacks.n; i++) {
		if (search_stack(&stacks, stacks.list[i], scratch, &readable))
			return KC_VERDICT_INSIDE;
		if (i == 0 && !readable)
			return KC_VERDICT_UNKNOWN;
	}
	return stacks.n == STACKS_MAX ? KC_VERDICT_UNKNOWN : KC_VERDICT_OUTSIDE;
}
