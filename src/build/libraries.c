/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/libraries.h"

#include <string.h>

#include "base/array.h"
#include "base/file.h"

struct finder {
	struct kc_ctx *ctx;
	const char *linked_path;
	char *const *elf_paths;
	struct kc_libraries *libraries;
	const char **names; /* sonames that were looked for; borrowed from parsed files */
	size_t n_names;
};

static bool try_open(struct finder *f, const char *path, struct kc_elf **elf)
{
	kc_autoerror struct kc_error *err = access(path, R_OK) ? kc_error_not_found() : kc_elf_open(f->ctx, path, elf);

	return !err;
}

/* In the order of the header's comment. */
static struct kc_elf *library_open(struct finder *f, const char *soname)
{
	static const char *const host_dirs[] = {
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
		"/usr/local/lib"
	};
	const char *name = kc_path_name(f->linked_path);
	kc_autofree char *beside = NULL;
	struct kc_elf *elf = NULL;

	if (asprintf(&beside, "%.*s%s", (int)(name - f->linked_path), f->linked_path, soname) < 0)
		beside = NULL;
	if (beside && try_open(f, beside, &elf))
		return elf;
	for (char *const *path = f->elf_paths; path && *path; path++)
		if (!strcmp(kc_path_name(*path), soname) && try_open(f, *path, &elf))
			return elf;
	for (size_t i = 0; i < KC_ARRAY_SIZE(host_dirs); i++) {
		kc_autofree char *path = kc_path_join(host_dirs[i], soname);

		if (path && try_open(f, path, &elf))
			return elf;
	}
	return NULL;
}

static struct kc_error *add_needed(struct finder *f, const struct kc_elf *elf)
{
	for (size_t i = 0; i < elf->n_needed; i++) {
		struct kc_elf *library, **slot;
		const char **name;
		bool known = false;

		for (size_t j = 0; j < f->n_names; j++)
			known |= !strcmp(f->names[j], elf->needed[i]);
		if (known || strchr(elf->needed[i], '/'))
			continue;
		name = kc_array_add(&f->names, &f->n_names);
		if (!name)
			return kc_error_no_memory();
		*name = elf->needed[i];
		library = library_open(f, elf->needed[i]);
		if (!library) {
			kc_info(f->ctx, "%s needs %s, which is not on this host: new imports cannot come from it",
				elf->name, elf->needed[i]);
			continue;
		}
		slot = kc_array_add(&f->libraries->items, &f->libraries->n_items);
		if (!slot) {
			kc_elf_free(library);
			return kc_error_no_memory();
		}
		*slot = library;
	}
	return NULL;
}

struct kc_error *kc_libraries_find(struct kc_ctx *ctx, const struct kc_elf *linked, char *const *elf_paths,
				   struct kc_libraries *libraries)
{
	struct finder f = { .ctx = ctx, .linked_path = linked->name, .elf_paths = elf_paths, .libraries = libraries };
	struct kc_error *err = add_needed(&f, linked);

	for (size_t i = 0; !err && i < libraries->n_items; i++)
		err = add_needed(&f, libraries->items[i]);
	free(f.names);
	return err;
}

void kc_libraries_clear(struct kc_libraries *libraries)
{
	for (size_t i = 0; i < libraries->n_items; i++)
		kc_elf_free(libraries->items[i]);
	free(libraries->items);
	*libraries = (struct kc_libraries){ 0 };
}
