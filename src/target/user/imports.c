/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbols of the payload that are not in it: places of the target, and imports from other files with the version that
 * the link editor would have chosen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "target/user/emitter.h"

static struct kc_emit_symbol *find_symbol(struct kc_emitter *emitter, kc_section_id section, const char *name,
					  uint64_t value)
{
	for (size_t i = 0; i < emitter->n_symbols; i++) {
		struct kc_emit_symbol *symbol = &emitter->symbols[i];

		if (symbol->section == section && symbol->value == value && !strcmp(symbol->name, name))
			return symbol;
	}
	return NULL;
}

/* Takes `name`, which may be NULL when out of memory. */
static kc_symbol_id add_symbol(struct kc_emitter *emitter, kc_section_id section, char *name, uint8_t bind,
			       uint8_t type, uint64_t value)
{
	kc_autofree char *owned = name;
	struct kc_emit_symbol *symbol;

	if (!owned)
		return 0;
	symbol = find_symbol(emitter, section, owned, value);
	if (symbol)
		return symbol->id;
	symbol = kc_array_add(&emitter->symbols, &emitter->n_symbols);
	if (!symbol)
		return 0;
	symbol->section = section;
	symbol->value = value;
	symbol->id = kc_elf_writer_add_symbol(emitter->writer, owned, bind, type, section, value, 0);
	symbol->name = kc_steal(owned);
	return symbol->id;
}

kc_symbol_id kc_emit_target(struct kc_emitter *emitter, const char *name, const char *suffix, uint8_t type,
			    uint64_t addr)
{
	char *full = NULL;

	if (asprintf(&full, "%s%s", name, suffix) < 0)
		return 0;
	return add_symbol(emitter, emitter->target_section, full, STB_LOCAL, type, addr);
}

kc_symbol_id kc_emit_target_tls(struct kc_emitter *emitter, const char *name, uint64_t offset)
{
	char *full = NULL;

	if (asprintf(&full, "%s@tls", name) < 0)
		return 0;
	return add_symbol(emitter, emitter->tls_section, full, STB_LOCAL, STT_TLS, offset);
}

/* "name@VERSION" or "name@@VERSION", as .symver makes it. */
static const char *explicit_version(const char *name)
{
	const char *at = strchr(name, '@');

	return at ? at + strspn(at, "@") : NULL;
}

static const struct kc_elf_symbol *find_needed(const struct kc_emitter *emitter, const char *name)
{
	size_t n;
	struct kc_elf_symbol **found = kc_linked_names(emitter->linked, name, &n);
	const char *version = explicit_version(name);

	for (size_t i = 0; i < n; i++) {
		if (found[i]->shndx == SHN_UNDEF &&
		    (!version || (found[i]->version && !strcmp(found[i]->version, version))))
			return found[i];
	}
	return NULL;
}

/* What a link of the patched program would take: the first library's default version. */
static const struct kc_elf_symbol *find_in_library(const struct kc_elf *library, const char *name)
{
	const char *version = explicit_version(name);

	for (size_t i = 1; i < library->n_dynamic_symbols; i++) {
		const struct kc_elf_symbol *symbol = &library->dynamic_symbols[i];

		if (symbol->shndx == SHN_UNDEF || symbol->bind == STB_LOCAL ||
		    !kc_symbol_name_equal(symbol->name, name))
			continue;
		if (version ? symbol->version && !strcmp(symbol->version, version) : !symbol->version_hidden)
			return symbol;
	}
	return NULL;
}

static struct kc_error *find_import(const struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				    const struct kc_elf_symbol *symbol, struct kc_payload_import *import)
{
	const struct kc_elf_symbol *found = find_needed(emitter, symbol->name);

	if (symbol->bind == STB_WEAK)
		import->flags |= KC_IMPORT_WEAK;
	if (found) {
		import->version = found->version;
		import->library = found->library;
		return NULL;
	}
	for (size_t i = 0; i < emitter->options->n_libraries; i++) {
		const struct kc_elf *library = emitter->options->libraries[i];

		found = find_in_library(library, symbol->name);
		if (found) {
			import->version = found->version;
			import->library = library->soname;
			return NULL;
		}
	}
	if (symbol->bind == STB_WEAK)
		return NULL;
	return kc_error_new(
		KC_ERR_IMPORT,
		"%s: the fix needs %s, which neither %s nor a library that it uses exports; a function that "
		"is hidden in the file can only be used when an object that calls it is given, too",
		unit->object->name, symbol->name, emitter->linked->elf->name);
}

struct kc_error *kc_emit_import(struct kc_emitter *emitter, const struct kc_emit_unit *unit,
				const struct kc_elf_symbol *symbol, kc_symbol_id *id)
{
	kc_autofree char *name = strndup(symbol->name, strcspn(symbol->name, "@"));
	struct kc_elf_symbol named = { .name = name };
	struct kc_payload_import import = { .symbol = &named };
	const struct kc_emit_symbol *known;

	if (!name)
		return kc_error_no_memory();
	known = find_symbol(emitter, 0, name, 0);
	if (known) {
		*id = known->id;
		return NULL;
	}
	KC_TRY(find_import(emitter, unit, symbol, &import));
	*id = add_symbol(emitter, 0, strdup(name), import.flags & KC_IMPORT_WEAK ? STB_WEAK : STB_GLOBAL, STT_NOTYPE,
			 0);
	if (!*id)
		return kc_error_no_memory();
	kc_payload_encode_import(&emitter->notes, &import);
	return NULL;
}
