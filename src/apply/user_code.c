/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions of the process that the patcher makes use of: a system call followed by a return, and the code that ends
 * signal handlers. Nothing of ours is in the process yet when they are needed, and nothing is written to find a place.
 */
#include "apply/user_internal.h"

#include <string.h>

#include "base/array.h"

#define CODE_MAX ((uint64_t)256 << 20) /* per mapping; no shared C library is larger */

void kc_gadgets_clear(struct kc_gadgets *gadgets)
{
	free(gadgets->restorers);
	*gadgets = (struct kc_gadgets){ 0 };
}

/* Ways to say "rt_sigreturn": mov $15, %rax or %eax; push $15, pop %rax; then syscall. */
static const struct {
	uint8_t bytes[9];
	size_t size;
} restorer_forms[] = {
	{ { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 }, 9 },
	{ { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 }, 7 },
	{ { 0x6a, 0x0f, 0x58, 0x0f, 0x05 }, 5 },
};

/* `at` is the offset of a syscall instruction. */
static struct kc_error *judge(struct kc_gadgets *gadgets, const uint8_t *code, size_t size, size_t at, uint64_t start)
{
	if (!gadgets->syscall_ret && at + 2 < size && code[at + 2] == 0xc3)
		gadgets->syscall_ret = start + at;
	for (size_t i = 0; i < KC_ARRAY_SIZE(restorer_forms); i++) {
		size_t form = restorer_forms[i].size, before = form - 2;
		uint64_t *restorer;

		if (at < before || memcmp(code + at - before, restorer_forms[i].bytes, form) != 0)
			continue;
		restorer = kc_array_add(&gadgets->restorers, &gadgets->n_restorers);
		if (!restorer)
			return kc_error_no_memory();
		*restorer = start + at - before;
		if (!gadgets->restorer)
			gadgets->restorer = *restorer;
		return NULL;
	}
	return NULL;
}

static struct kc_error *search_map(const struct kc_process_view *view, const struct kc_map *map,
				   struct kc_gadgets *gadgets)
{
	size_t size = map->end - map->start;
	kc_autofree uint8_t *code = malloc(size);
	const uint8_t *at;

	if (!code)
		return kc_error_no_memory();
	if (kc_process_read(view, map->start, code, size))
		return NULL; /* a part of the file that is not there: not what we look for */
	for (at = code; (at = memmem(at, (size_t)(code + size - at), "\x0f\x05", 2)); at++)
		KC_TRY(judge(gadgets, code, size, (size_t)(at - code), map->start));
	return NULL;
}

struct kc_error *kc_gadgets_find(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_gadgets *gadgets)
{
	(void)ctx;
	for (size_t i = 0; i < view->n_maps; i++) {
		const struct kc_map *map = &view->maps[i];

		if (map->exec && map->read && map->inode && map->end - map->start <= CODE_MAX)
			KC_TRY(search_map(view, map, gadgets));
	}
	if (!gadgets->syscall_ret || !gadgets->restorer)
		return kc_error_new(KC_ERR_REFUSED, "process %d (%s): no C library that we know", view->pid,
				    view->comm);
	return NULL;
}
