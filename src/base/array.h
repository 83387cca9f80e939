/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growing arrays of any element type, kept as the pair `T *items; size_t n_items` in the owner's struct:
 *
 *	struct point *p = kc_array_add(&shape->points, &shape->n_points);
 *	if (!p)
 *		return kc_error_no_memory();
 */
#ifndef KC_BASE_ARRAY_H
#define KC_BASE_ARRAY_H

#include <stddef.h>

/* Appends one zeroed element and returns its address (valid until the next add), or NULL when out of memory. */
#define kc_array_add(items, n_items) \
	((__typeof__(*(items)))kc_array_grow((void **)(items), (n_items), sizeof(**(items))))

void *kc_array_grow(void **items, size_t *n_items, size_t item_size);

#define KC_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
