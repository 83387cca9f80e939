/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What images and modules have in common: look-ups by name and address. See kernel_object.h. */
#include "target/kernel/kernel_object_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "target/kernel/unpack.h"

struct kc_error *kc_kernel_file_read(const char *path, struct kc_buf *content)
{
	int err = kc_file_read_now(path, KC_UNPACK_LIMIT, content);

	if (err == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %lu MiB", path, KC_UNPACK_LIMIT >> 20);
	if (err < 0)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", path);
	return NULL;
}

void kc_kernel_object_free(struct kc_kernel_object *object)
{
	if (!object)
		return;
	kc_elf_free(object->elf);
	kc_buf_free(&object->data);
	kc_buf_free(&object->names);
	free(object->heads);
	free(object->chain);
	free(object->symbols);
	free(object->name);
	free(object->release);
	free(object->proc_version);
	free(object->compiler);
	free(object);
}

/* FNV-1a. */
static size_t hash_name(const struct kc_kernel_object *object, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	return (hash ^ hash >> 32) & (object->n_heads - 1);
}

static struct kc_kernel_symbol *skip_to(const struct kc_kernel_object *object, struct kc_kernel_symbol *symbol,
					const char *name)
{
	while (symbol && strcmp(symbol->name, name) != 0)
		symbol = object->chain[symbol - object->symbols];
	return symbol;
}

struct kc_kernel_symbol *kc_kernel_object_find(const struct kc_kernel_object *object, const char *name)
{
	return skip_to(object, object->heads[hash_name(object, name)], name);
}

struct kc_kernel_symbol *kc_kernel_object_next(const struct kc_kernel_object *object,
					       const struct kc_kernel_symbol *symbol)
{
	return skip_to(object, object->chain[symbol - object->symbols], symbol->name);
}

const struct kc_kernel_symbol *kc_kernel_symbol_find(const struct kc_kernel_object *object, const char *name)
{
	return kc_kernel_object_find(object, name);
}

const struct kc_kernel_symbol *kc_kernel_symbol_next(const struct kc_kernel_object *object,
						     const struct kc_kernel_symbol *symbol)
{
	return kc_kernel_object_next(object, symbol);
}

struct kc_error *kc_kernel_object_index(struct kc_kernel_object *object)
{
	object->n_heads = 16;
	while (object->n_heads < object->n_symbols)
		object->n_heads *= 2;
	object->heads = calloc(object->n_heads, sizeof(*object->heads));
	object->chain = calloc(object->n_symbols + 1, sizeof(*object->chain));
	if (!object->heads || !object->chain)
		return kc_error_no_memory();
	for (size_t i = object->n_symbols; i-- > 0;) {
		struct kc_kernel_symbol **head = &object->heads[hash_name(object, object->symbols[i].name)];

		object->chain[i] = *head;
		*head = &object->symbols[i];
	}
	for (size_t i = 0; i < object->n_symbols; i++) {
		struct kc_kernel_symbol *symbol = &object->symbols[i], *next = kc_kernel_object_next(object, symbol);

		if (symbol->sympos == 0) { /* the first of its name */
			symbol->sympos = 1;
			symbol->is_unique = !next;
		}
		if (next)
			next->sympos = symbol->sympos + 1;
	}
	return NULL;
}

const struct kc_kernel_symbol *kc_kernel_symbol_at(const struct kc_kernel_object *image, uint64_t addr, size_t *n)
{
	const struct kc_kernel_symbol *symbols = image->symbols;
	size_t low = 0, high = image->n_symbols, first;

	while (low < high) { /* the first one above */
		size_t middle = low + (high - low) / 2;

		if (symbols[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	*n = 0;
	if (low == 0)
		return NULL;
	for (first = low; first > 0 && symbols[first - 1].addr == symbols[low - 1].addr; first--)
		++*n;
	return &symbols[first];
}

const uint8_t *kc_kernel_image_read(const struct kc_kernel_object *image, uint64_t addr, size_t size)
{
	return kc_elf_read(image->elf, addr, size);
}
