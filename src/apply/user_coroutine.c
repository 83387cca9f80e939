/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Suspended coroutines: their stacks are private memory that no thread points into, found only by searching it. Only
 * processes that use makecontext or a library like it are searched. Inside the stop there is time for so much; what
 * lies beyond is searched just before, which leaves the documented gap for coroutines that are suspended in between.
 */
#include "apply/user_stop.h"

#include <fcntl.h>
#include <string.h>

#include "base/array.h"

#define STOPPED_LIMIT ((uint64_t)64 << 20) /* of memory that is there: some 15 ms */
#define RUNNING_LIMIT ((uint64_t)4 << 30)
#define STOPPED_PAGES ((uint64_t)1 << 20) /* of address space, there or not: 4 GiB, some 5 ms */
#define RUNNING_PAGES ((uint64_t)1 << 24)
#define CHUNK_PAGES 512		   /* of pagemap, for one read */
#define CONTROL_BLOCK_ROOM 16384   /* with the thread-local variables of the program */
#define PAGE_IS_THERE (3ull << 62) /* present or swapped out, in /proc/PID/pagemap */

struct search {
	struct kc_stop *stop;
	int pagemap;
	uint64_t left;	     /* bytes that may still be read */
	uint64_t pages_left; /* pages that may still be looked up */
	struct kc_hit hit;
	struct context *contexts; /* found when the first hit is */
	size_t n_contexts;
	bool contexts_known;
};

/* What a ucontext_t in memory says. */
struct context {
	uint64_t start, end; /* of its stack */
	uint64_t sp;	     /* where it is suspended */
	uint64_t pc_at;	     /* address of its saved pc */
	bool live;	     /* the return address of swapcontext, its pc, is still below its stack pointer */
};

/* Two words of a control block are the start and size of memory that holds the whole mapping, and ends with it. */
static bool names_block(const uint64_t *words, size_t n, const struct kc_map *map)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (words[i] && words[i] <= map->start && words[i + 1] == map->end - words[i])
			return true;
	return false;
}

/*
 * A thread's control block lies at the top of its stack, begins with its own address, twice, and names the memory that
 * the stack was made of. The C library keeps the stacks of threads that have ended; those have one, too. The control
 * block of the main thread does not count: the kernel shows it as one mapping with stacks of coroutines below it.
 */
static bool ends_in_control_block(const struct kc_process_view *view, const struct kc_map *map)
{
	uint64_t words[CONTROL_BLOCK_ROOM / sizeof(uint64_t)];
	uint64_t size = map->end - map->start < sizeof(words) ? map->end - map->start : sizeof(words);
	uint64_t start = map->end - size;

	if (kc_process_read(view, start, words, size))
		return false;
	for (size_t n = size / sizeof(*words), i = n - 2; i-- > 0;)
		if (words[i] == start + 8 * i && words[i + 2] == words[i])
			return names_block(words + i, n - i, map);
	return false;
}

/* The stack of a thread, which is checked on its own: below its stack pointer all words are stale. */
static bool is_thread_stack(const struct kc_process_view *view, const struct kc_map *map)
{
	return strcmp(map->path, "[stack]") == 0 || ends_in_control_block(view, map);
}

/* Memory of the patches themselves holds pointers to their code, but no stacks. */
static bool is_searched(const struct kc_stop *stop, size_t index)
{
	const struct kc_map *map = &stop->fresh->maps[index];

	return map->read && map->write && !map->exec && !map->shared && !is_thread_stack(stop->fresh, map);
}

/* Positions in a ucontext_t, in words from uc_stack.ss_sp on. */
enum {
	CONTEXT_SP = 0,
	CONTEXT_SIZE = 2,
	CONTEXT_RSP = 18,
	CONTEXT_RIP = 19,
	CONTEXT_WORDS = 20,
};

static bool note_contexts(struct search *search, uint64_t addr, const uint64_t *words, size_t n)
{
	for (size_t i = 0; i + CONTEXT_WORDS <= n; i++) {
		uint64_t start = words[i + CONTEXT_SP], size = words[i + CONTEXT_SIZE], sp = words[i + CONTEXT_RSP];
		uint64_t below, pc_at = addr + 8 * (i + CONTEXT_RIP);
		struct context *context;
		bool live;

		if (size < 1024 || size > (64u << 20) || sp < start || sp > start + size || start < KC_PAGE)
			continue;
		live = kc_process_read(search->stop->fresh, sp - 8, &below, sizeof(below)) == 0 &&
		       below == words[i + CONTEXT_RIP];
		context = kc_array_add(&search->contexts, &search->n_contexts);
		if (!context)
			return false;
		*context = (struct context){ start, start + size, sp, pc_at, live };
	}
	return true;
}

/* A ucontext_t may lie anywhere: in variables, on the heap, on a stack. Pieces overlap by one. */
static void find_contexts(struct search *search)
{
	const struct kc_process_view *view = search->stop->fresh;
	struct kc_scratch *scratch = malloc(sizeof(*scratch));
	const uint64_t overlap = CONTEXT_WORDS * sizeof(uint64_t);

	search->contexts_known = true;
	for (size_t i = 0; scratch && i < view->n_maps; i++) {
		const struct kc_map *map = &view->maps[i];

		if (!map->read || !map->write || map->shared)
			continue;
		for (uint64_t addr = map->start; addr + overlap < map->end; addr += sizeof(*scratch) - overlap) {
			uint64_t size = map->end - addr < sizeof(*scratch) ? map->end - addr : sizeof(*scratch);

			if (kc_process_read(view, addr, scratch, size) == 0 &&
			    !note_contexts(search, addr, scratch->words, size / sizeof(uint64_t)))
				break;
		}
	}
	free(scratch);
}

/* Below the stack pointer of every context that has this stack: left behind. (-8: the call of swapcontext itself.) */
static bool is_stale(struct search *search, uint64_t at)
{
	bool known = false;

	if (!search->contexts_known)
		find_contexts(search);
	for (size_t i = 0; i < search->n_contexts; i++) {
		const struct context *context = &search->contexts[i];

		if (at == context->pc_at)
			return true; /* what counts is the stack that it belongs to */
		if (at < context->start || at >= context->end)
			continue;
		if (context->live && at >= context->sp - 8)
			return false;
		known = true;
	}
	return known;
}

static bool search_chunk(struct search *search, uint64_t addr, size_t size)
{
	struct kc_stop *stop = search->stop;
	uint64_t *words = stop->scratch.words;

	if (kc_process_read(stop->transition->view, addr, words, size))
		return false;
	for (size_t i = 0; i < size / sizeof(*words); i++) {
		if (!kc_forbidden_has_return(&stop->transition->forbidden, words[i]) || is_stale(search, addr + 8 * i))
			continue;
		search->hit = (struct kc_hit){ .pc = words[i], .at = addr + 8 * i };
		return true;
	}
	return false;
}

/*
 * Reads only pages that are there: a stack reserves much and uses little. A mapping beyond what may be looked up is
 * left out: sanitizers and garbage collectors reserve terabytes.
 */
static bool search_map(struct search *search, const struct kc_map *map)
{
	uint64_t pages[CHUNK_PAGES], n_pages = (map->end - map->start) / KC_PAGE;

	if (n_pages > search->pages_left)
		return false;
	search->pages_left -= n_pages;
	for (uint64_t addr = map->start; addr < map->end && search->left; addr += CHUNK_PAGES * KC_PAGE) {
		size_t n = (map->end - addr) / KC_PAGE < CHUNK_PAGES ? (map->end - addr) / KC_PAGE : CHUNK_PAGES;
		ssize_t got =
			pread(search->pagemap, pages, n * sizeof(*pages), (off_t)(addr / KC_PAGE * sizeof(*pages)));

		for (size_t i = 0; i < n; i++) {
			if (got == (ssize_t)(n * sizeof(*pages)) && !(pages[i] & PAGE_IS_THERE))
				continue;
			if (search_chunk(search, addr + i * KC_PAGE, KC_PAGE))
				return true;
			search->left -= search->left < KC_PAGE ? search->left : KC_PAGE;
		}
	}
	return false;
}

struct kc_error *kc_stop_search_memory(struct kc_stop *stop, bool stopped)
{
	const struct kc_process_view *view = stop->fresh;
	kc_autoclose int pagemap = -1;
	struct search search = { .stop = stop,
				 .left = stopped ? STOPPED_LIMIT : RUNNING_LIMIT,
				 .pages_left = stopped ? STOPPED_PAGES : RUNNING_PAGES };
	char path[64];

	if (!view || !stop->transition->forbidden.n_returns)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", view->pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	search.pagemap = pagemap;
	for (size_t i = 0; i < view->n_maps && !search.hit.pc; i++)
		if (is_searched(stop, i))
			search_map(&search, &view->maps[i]);
	free(search.contexts);
	if (!search.hit.pc)
		return NULL;
	return kc_error_new(KC_ERR_BUSY, "process %d: a suspended coroutine is in code that would change (0x%lx)",
			    view->pid, search.hit.pc);
}
