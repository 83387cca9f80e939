/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A module as the distribution ships it. See kernel_object.h. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "target/kernel/kernel_object_internal.h"
#include "target/kernel/unpack.h"

static const char *modinfo(const struct kc_elf *elf, const char *key)
{
	const struct kc_elf_section *section = kc_elf_section_find(elf, ".modinfo");
	size_t length = strlen(key);
	const char *at, *end;

	if (!section || !section->data || !section->size || section->data[section->size - 1] != '\0')
		return NULL;
	at = (const char *)section->data;
	for (end = at + section->size; at < end; at += strlen(at) + 1) {
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	}
	return NULL;
}

static struct kc_error *read_name(struct kc_kernel_object *module)
{
	const char *name = modinfo(module->elf, "name");

	if (!kc_elf_section_find(module->elf, ".gnu.linkonce.this_module") || !name || !*name)
		return kc_error_new(KC_ERR_INPUT, "%s: an object file, but not a kernel module", module->elf->name);
	module->name = strdup(name);
	return module->name ? NULL : kc_error_no_memory();
}

static bool is_init(const struct kc_elf_section *section)
{
	return !strncmp(section->name, ".init", strlen(".init"));
}

/* Everything that kallsyms knows of the module at some time (kernel/module/kallsyms.c): what is defined and named. */
static bool has_place(const struct kc_elf_symbol *symbol)
{
	return symbol->section && symbol->name[0] && (symbol->section->flags & SHF_ALLOC) &&
	       symbol->type != STT_SECTION && symbol->type != STT_FILE;
}

static struct kc_error *read_symbols(struct kc_kernel_object *module)
{
	const struct kc_elf *elf = module->elf;

	module->symbols = calloc(elf->n_symbols + 1, sizeof(*module->symbols));
	if (!module->symbols)
		return kc_error_no_memory();
	for (size_t i = 1; i < elf->n_symbols; i++) {
		struct kc_kernel_symbol *symbol = &module->symbols[module->n_symbols];

		if (!has_place(&elf->symbols[i]))
			continue;
		symbol->name = elf->symbols[i].name;
		symbol->addr = elf->symbols[i].value;
		symbol->section = elf->symbols[i].section;
		symbol->is_function = elf->symbols[i].type == STT_FUNC;
		symbol->is_global = elf->symbols[i].bind != STB_LOCAL;
		module->n_symbols++;
	}
	if (module->n_symbols == 0)
		return kc_error_new(KC_ERR_INPUT, "%s: it has no symbols", elf->name);
	return NULL;
}

/*
 * While a module is being loaded livepatch sees all its symbols, later on those of init sections are gone: a sympos is
 * good only when it is the same in both.
 */
static void count_again(const struct kc_kernel_object *module)
{
	for (size_t i = 0; i < module->n_symbols; i++) {
		bool is_behind_init = false;

		if (module->symbols[i].sympos != 1)
			continue;
		for (struct kc_kernel_symbol *symbol = &module->symbols[i]; symbol;
		     symbol = kc_kernel_object_next(module, symbol)) {
			is_behind_init |= is_init(symbol->section);
			if (is_behind_init)
				symbol->sympos = 0;
		}
	}
}

/* EXPORT_SYMBOL(foo) makes __ksymtab_foo in __ksymtab or __ksymtab_gpl. */
static void mark_exports(const struct kc_kernel_object *module)
{
	static const char PREFIX[] = "__ksymtab_";

	for (size_t i = 0; i < module->n_symbols; i++) {
		const char *name = module->symbols[i].name;
		struct kc_kernel_symbol *symbol;

		if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
		    strncmp(module->symbols[i].section->name, "__ksymtab", strlen("__ksymtab")) != 0)
			continue;
		symbol = kc_kernel_object_find(module, name + strlen(PREFIX));
		if (symbol)
			symbol->is_exported = true;
	}
}

struct kc_error *kc_kernel_module_parse(struct kc_ctx *ctx, const char *path, struct kc_buf *data,
					struct kc_kernel_object **object)
{
	kc_autokernelobject struct kc_kernel_object *module = calloc(1, sizeof(*module));

	if (!module)
		return kc_error_no_memory();
	module->is_module = true;
	module->data = *data;
	*data = (struct kc_buf){ 0 };
	KC_TRY(kc_elf_parse(ctx, path, module->data.data, module->data.size, &module->elf));
	if (module->elf->type != ET_REL)
		return kc_error_new(KC_ERR_INPUT, "%s: not a kernel module", path);
	KC_TRY(read_name(module));
	KC_TRY(read_symbols(module));
	KC_TRY(kc_kernel_object_index(module));
	count_again(module);
	mark_exports(module);
	*object = kc_steal(module);
	return NULL;
}

struct kc_error *kc_kernel_module_open(struct kc_ctx *ctx, const char *path, struct kc_kernel_object **object)
{
	kc_autobuf struct kc_buf file = { 0 }, data = { 0 };

	KC_TRY(kc_kernel_file_read(path, &file));
	KC_TRY(kc_unpack(ctx, path, file.data, file.size, &data));
	return kc_kernel_module_parse(ctx, path, &data, object);
}
