/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds a place for a patch's mapping: within reach of the object by 32-bit displacements, and out of the way of what
 * grows. A mapping below [stack] would sit in its growth area and kill the process later; one above [heap] would end
 * the heap.
 */
#include "apply/user_internal.h"

#include <string.h>

#define REACH (((uint64_t)1 << 31) - ((uint64_t)1 << 20))
#define LOWEST ((uint64_t)0x10000)
#define HIGHEST ((uint64_t)0x7fffffff0000)
#define STACK_ROOM ((uint64_t)64 << 20)
#define HEAP_ROOM ((uint64_t)256 << 20)

/* How far is the farthest byte of one from the farthest byte of the other? */
static uint64_t spread(const struct kc_object *object, uint64_t start, uint64_t size)
{
	uint64_t low = start < object->start ? start : object->start;
	uint64_t high = start + size > object->end ? start + size : object->end;

	return high - low;
}

static void consider(const struct kc_object *object, uint64_t start, uint64_t size, uint64_t *best, uint64_t *hole)
{
	uint64_t distance = spread(object, start, size);

	if (distance < REACH && distance < *best) {
		*best = distance;
		*hole = start;
	}
}

/* One page stays free on both sides, so that the kernel merges nothing with ours. */
static void consider_gap(const struct kc_object *object, uint64_t low, uint64_t high, uint64_t size, uint64_t *best,
			 uint64_t *hole)
{
	if (high < low || high - low < size + 2 * KC_PAGE)
		return;
	consider(object, high - KC_PAGE - size, size, best, hole);
	consider(object, low + KC_PAGE, size, best, hole);
}

/* The gap without what was taken in it before by the same transaction. */
static void consider_free(const struct kc_object *object, uint64_t low, uint64_t high, uint64_t size,
			  const struct kc_load *avoid, size_t n_avoid, uint64_t *best, uint64_t *hole)
{
	for (size_t i = 0; i < n_avoid; i++) {
		uint64_t start = avoid[i].base, end = avoid[i].base + avoid[i].size;

		if (!start || end <= low || start >= high)
			continue;
		consider_free(object, low, start, size, avoid + i + 1, n_avoid - i - 1, best, hole);
		low = end;
	}
	consider_gap(object, low, high, size, best, hole);
}

struct kc_error *kc_find_hole(struct kc_ctx *ctx, const struct kc_process_view *view, const struct kc_object *object,
			      uint64_t size, const struct kc_load *avoid, size_t n_avoid, uint64_t *hole)
{
	uint64_t low = LOWEST, best = UINT64_MAX;

	(void)ctx;
	for (size_t i = 0; i <= view->n_maps; i++) {
		const struct kc_map *map = i < view->n_maps ? &view->maps[i] : NULL;
		uint64_t high = map ? map->start : HIGHEST;

		if (high > HIGHEST)
			high = HIGHEST;
		if (map && strcmp(map->path, "[stack]") == 0)
			high = high > STACK_ROOM ? high - STACK_ROOM : 0;
		if (low < high)
			consider_free(object, low, high, size, avoid, n_avoid, &best, hole);
		if (map)
			low = map->end + (strcmp(map->path, "[heap]") == 0 ? HEAP_ROOM : 0);
	}
	if (best == UINT64_MAX)
		return kc_error_new(KC_ERR_NO_ROOM, "process %d: no free %lu KiB within 2 GiB of %s", view->pid,
				    size >> 10, object->name);
	return NULL;
}
