/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel has and the module refers to. On 6.1 the kernel searches its whole symbol table for each livepatch
 * symbol, so that each is imported once, and exported ones by the ordinary way.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/kernel/kernel_emitter.h"

#define TRAMPOLINE "__SCT__" /* of a static call */
#define STATIC_CALL_KEY "__SCK__"

enum { VERSION_NAME_SIZE = 56 }; /* of struct modversion_info: longer names have no version that a module can state */

bool kc_kernel_is_plain_export(const struct kc_kernel_export *export)
{
	if (strlen(export->name) >= VERSION_NAME_SIZE)
		return false;
	return !strcmp(export->module, KC_KERNEL_VMLINUX) || !strcmp(export->module, "kcare");
}

const struct kernel_import *kc_kernel_import_find(const struct kernel_emitter *emitter, const char *name)
{
	for (size_t i = 0; i < emitter->n_imports; i++)
		if (!strcmp(emitter->imports[i].name, name))
			return &emitter->imports[i];
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static const struct kernel_import *find_klp(const struct kernel_emitter *emitter, const struct kernel_import *wanted)
{
	for (size_t i = 0; i < emitter->n_imports; i++) {
		const struct kernel_import *import = &emitter->imports[i];

		if (import->object && import->sympos == wanted->sympos && !strcmp(import->symbol, wanted->symbol) &&
		    !strcmp(import->object, wanted->object) && same_text(import->module, wanted->module))
			return import;
	}
	return NULL;
}

static struct kc_error *add(struct kernel_emitter *emitter, const struct kernel_import *wanted, char *name,
			    uint8_t bind, kc_symbol_id *id)
{
	struct kernel_import *import = kc_array_add(&emitter->imports, &emitter->n_imports);

	if (!import) {
		free(name);
		return kc_error_no_memory();
	}
	*import = *wanted;
	import->name = name;
	import->id = *id = kc_elf_writer_add_symbol(emitter->writer, name, bind, STT_NOTYPE, 0, 0, 0);
	return import->id ? NULL : kc_error_no_memory();
}

/*
 * objtool writes a site for each call of a trampoline. With the key's name beside it, the site refers to the key; else
 * the kernel finds the key by the trampoline, as for all keys that are not exported.
 */
static struct kc_error *add_static_call_key(struct kernel_emitter *emitter, const char *trampoline)
{
	kc_autobuf struct kc_buf key = { 0 };
	kc_symbol_id unused;

	kc_buf_printf(&key, STATIC_CALL_KEY "%s", trampoline + strlen(TRAMPOLINE));
	if (key.failed)
		return kc_error_no_memory();
	if (!kc_kernel_symvers_find(&emitter->symvers, key.data))
		return NULL;
	return kc_kernel_import_export(emitter, key.data, false, &unused);
}

struct kc_error *kc_kernel_import_export(struct kernel_emitter *emitter, const char *name, bool is_weak,
					 kc_symbol_id *id)
{
	const struct kernel_import *import = kc_kernel_import_find(emitter, name);
	const struct kernel_import wanted = { 0 };
	char *copy;

	if (import && !import->object) {
		*id = import->id;
		return NULL;
	}
	copy = strdup(name);
	if (!copy)
		return kc_error_no_memory();
	KC_TRY(add(emitter, &wanted, copy, is_weak ? STB_WEAK : STB_GLOBAL, id));
	return strncmp(name, TRAMPOLINE, strlen(TRAMPOLINE)) == 0 ? add_static_call_key(emitter, name) : NULL;
}

/* objtool finds foo.cold's parent by the name "foo". */
static bool is_clone_name(const struct kernel_emitter *emitter, const char *name)
{
	size_t n;

	kc_kernel_clone_names(emitter, name, &n);
	return n > 0;
}

/* The template has an __this_module of its own. */
static bool is_taken(const struct kernel_emitter *emitter, const char *name)
{
	return kc_kernel_import_find(emitter, name) || kc_elf_symbol_find(emitter->options->template_elf, name);
}

/*
 * The name as it is, where nothing else has it. Static calls through a trampoline that modules may not use become
 * plain calls of it, by a name that objtool does not take for one.
 */
static char *unique_name(const struct kernel_emitter *emitter, const char *symbol)
{
	bool is_trampoline = strncmp(symbol, TRAMPOLINE, strlen(TRAMPOLINE)) == 0;
	char *name = is_trampoline || is_clone_name(emitter, symbol) ? NULL : strdup(symbol);

	for (unsigned n = 1; !name || is_taken(emitter, name); n++) {
		free(name);
		if (asprintf(&name, "original.%u.%s", n, symbol) < 0)
			return NULL;
	}
	return name;
}

static struct kc_error *import_klp(struct kernel_emitter *emitter, const struct kernel_import *wanted, kc_symbol_id *id)
{
	const struct kernel_import *import = find_klp(emitter, wanted);
	char *name;

	if (import) {
		*id = import->id;
		return NULL;
	}
	name = unique_name(emitter, wanted->symbol);
	return name ? add(emitter, wanted, name, STB_GLOBAL, id) : kc_error_no_memory();
}

struct kc_error *kc_kernel_import_symbol(struct kernel_emitter *emitter, const struct kernel_unit *unit,
					 const struct kc_kernel_object *object, const struct kc_kernel_symbol *symbol,
					 kc_symbol_id *id)
{
	const struct kc_kernel_export *export = kc_kernel_symvers_find(&emitter->symvers, symbol->name);
	struct kernel_import wanted = { .object = object->name, .symbol = symbol->name, .sympos = symbol->sympos };

	if (symbol->is_exported && !object->is_module && export && kc_kernel_is_plain_export(export) &&
	    !is_clone_name(emitter, symbol->name))
		return kc_kernel_import_export(emitter, symbol->name, false, id);
	if (object->is_module)
		wanted.module = kc_kernel_unit_module(unit);
	return import_klp(emitter, &wanted, id);
}

struct kc_error *kc_kernel_import_foreign(struct kernel_emitter *emitter, const struct kernel_unit *unit,
					  const struct kc_kernel_export *export, kc_symbol_id *id)
{
	/* Position 0: the kernel makes sure that the name is the only one. */
	struct kernel_import wanted = { .object = export->module,
					.symbol = export->name,
					.module = kc_kernel_unit_module(unit) };

	return import_klp(emitter, &wanted, id);
}
