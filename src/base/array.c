/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/array.h"

#include <stdlib.h>
#include <string.h>

/* The capacity is not stored: it is always the next power of two, so memory grows when n_items reaches one. */
void *kc_array_grow(void **items, size_t *n_items, size_t item_size)
{
	size_t n = *n_items, bytes;
	void *grown = *items, *added;

	if ((n & (n - 1)) == 0) {
		if (__builtin_mul_overflow(n ? 2 * n : 1, item_size, &bytes))
			return NULL;
		grown = realloc(*items, bytes);
		if (!grown)
			return NULL;
		*items = grown;
	}
	added = (char *)grown + n * item_size;
	memset(added, 0, item_size);
	*n_items = n + 1;
	return added;
}
