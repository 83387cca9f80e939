/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of patchsets. */
#include <string.h>

#include "base/array.h"
#include "portal/feeds/publisher_internal.h"

char kc_patchset_product(const char *name)
{
	static const char qemu[] = "-qemu";
	size_t size = strlen(name);

	if (*name == 'U' && size >= sizeof(qemu) && !strcmp(name + size - strlen(qemu), qemu))
		return 'Q';
	return *name;
}

bool kc_names_have(const struct kc_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->names[i], name))
			return true;
	return false;
}

struct kc_error *kc_names_add(struct kc_names *names, const char *name)
{
	char **added;

	if (kc_names_have(names, name))
		return NULL;
	added = kc_array_add(&names->names, &names->n);
	if (!added)
		return kc_error_no_memory();
	*added = strdup(name);
	if (*added)
		return NULL;
	names->n--;
	return kc_error_no_memory();
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void kc_names_sort(struct kc_names *names)
{
	if (names->n)
		qsort(names->names, names->n, sizeof(*names->names), compare);
}

void kc_names_clear(struct kc_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->names[i]);
	free(names->names);
	*names = (struct kc_names){ 0 };
}
