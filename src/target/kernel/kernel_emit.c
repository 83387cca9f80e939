/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flow of emission; see kernel_emitter.h for who does what. */
#include "target/kernel/kernel_emit.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

static void emitter_clear(struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		free(emitter->units[i].clones);
		kc_elf_names_clear(&emitter->units[i].plain_names);
	}
	for (size_t i = 0; i < emitter->n_imports; i++)
		free(emitter->imports[i].name);
	for (size_t i = 0; i < emitter->n_outputs; i++)
		free(emitter->outputs[i].name);
	free(emitter->units);
	free(emitter->names);
	free(emitter->imports);
	free(emitter->outputs);
	free(emitter->stubs);
	kc_kernel_symvers_clear(&emitter->symvers);
	kc_elf_writer_free(emitter->writer);
}

static int by_name(const void *a, const void *b)
{
	const struct kernel_name *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order)
		return order;
	return x->unit != y->unit ? (x->unit > y->unit) - (x->unit < y->unit)
				  : (x->item > y->item) - (x->item < y->item);
}

/* Things of one name stay in the order of the objects. */
static struct kc_error *read_names(struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++) {
		const struct kc_diff *diff = emitter->units[i].object->diff;

		for (size_t j = 0; j < diff->n_items; j++) {
			const struct kc_diff_item *item = &diff->items[j];
			struct kernel_name *name;

			if (!item->clone || !item->symbol || item->is_literal)
				continue;
			name = kc_array_add(&emitter->names, &emitter->n_names);
			if (!name)
				return kc_error_no_memory();
			*name = (struct kernel_name){ item->symbol->name, &emitter->units[i], item };
		}
	}
	if (emitter->n_names)
		qsort(emitter->names, emitter->n_names, sizeof(*emitter->names), by_name);
	return NULL;
}

const struct kernel_name *kc_kernel_clone_names(const struct kernel_emitter *emitter, const char *name, size_t *n)
{
	size_t low = 0, high = emitter->n_names;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(emitter->names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*n = 0;
	while (low + *n < emitter->n_names && !strcmp(emitter->names[low + *n].name, name))
		++*n;
	return &emitter->names[low];
}

static struct kc_error *emitter_init(struct kernel_emitter *emitter, const struct kc_kernel_emit_object *objects,
				     size_t n)
{
	emitter->writer = kc_elf_writer_new();
	emitter->units = calloc(n + 1, sizeof(*emitter->units));
	if (!emitter->writer || !emitter->units)
		return kc_error_no_memory();
	emitter->n_units = n;
	for (size_t i = 0; i < n; i++) {
		struct kernel_unit *unit = &emitter->units[i];

		unit->object = &objects[i];
		unit->target = objects[i].placement->object;
		unit->clones = calloc(objects[i].diff->n_items + 1, sizeof(*unit->clones));
		if (!unit->clones)
			return kc_error_no_memory();
		KC_TRY(kc_elf_names_read(objects[i].placement->plain, &unit->plain_names));
	}
	KC_TRY(read_names(emitter));
	KC_TRY(kc_kernel_layout_read(emitter->options->template_elf, &emitter->layout));
	return kc_kernel_symvers_parse(emitter->options->symvers, &emitter->symvers);
}

static bool changes_anything(const struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++)
		for (size_t j = 0; j < emitter->units[i].object->diff->n_items; j++)
			if (emitter->units[i].clones[j].is_included &&
			    emitter->units[i].object->diff->items[j].is_function)
				return true;
	return false;
}

static struct kc_error *emit_all(struct kernel_emitter *emitter, struct kc_buf *out)
{
	kc_autobuf struct kc_buf object = { 0 };

	KC_TRY(kc_kernel_globals_begin(emitter));
	KC_TRY(kc_kernel_emit_clones(emitter));
	if (!changes_anything(emitter))
		return kc_error_new(KC_ERR_NO_CHANGE, "the fixes change no function of this kernel");
	KC_TRY(kc_kernel_emit_livepatch(emitter));
	KC_TRY(kc_kernel_emit_globals(emitter));
	KC_TRY(kc_elf_writer_finish(emitter->writer, &object));
	return kc_kernel_finish(emitter, &object, out);
}

struct kc_error *kc_kernel_emit(struct kc_ctx *ctx, const struct kc_kernel_emit_object *objects, size_t n_objects,
				const struct kc_kernel_emit_options *options, struct kc_kernel_emitted *emitted,
				struct kc_buf *out)
{
	KC_CLEANUP(emitter_clear)
	struct kernel_emitter emitter = { .ctx = ctx, .options = options, .emitted = emitted };
	struct kc_error *err;

	*emitted = (struct kc_kernel_emitted){ 0 };
	err = emitter_init(&emitter, objects, n_objects);
	if (!err)
		err = emit_all(&emitter, out);
	if (err)
		kc_kernel_emitted_clear(emitted);
	return err;
}

static void free_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		free(*text);
	free(texts);
}

void kc_kernel_emitted_clear(struct kc_kernel_emitted *emitted)
{
	for (size_t i = 0; i < emitted->globals.n_items; i++)
		free(emitted->globals.items[i].name);
	free(emitted->globals.items);
	free_texts(emitted->functions);
	free_texts(emitted->switches);
	free(emitted->states);
	*emitted = (struct kc_kernel_emitted){ 0 };
}
