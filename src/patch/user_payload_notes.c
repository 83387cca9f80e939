/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the notes of a userspace payload: what the patch is for, what it replaces, what it imports. Nothing in them is
 * believed before it was checked; each note has to be used up to its last byte.
 */
#include "patch/user_payload_internal.h"

#include <stdlib.h>

#include "base/array.h"
#include "patch/cursor.h"

enum { JUMP_OFFSET_BEHIND_ENDBR = 4 };

/* The symbols of the payload by name, so that thousands of notes do not each search thousands of symbols. */
struct name {
	const char *text;
	struct kc_elf_symbol *symbol;
};

struct names {
	struct name *sorted;
	size_t n;
};

static void names_clear(struct names *names)
{
	free(names->sorted);
}

static int compare_names(const void *a, const void *b)
{
	const struct name *left = a, *right = b;

	return strcmp(left->text, right->text);
}

static struct kc_error *names_collect(const struct kc_elf *elf, struct names *names)
{
	names->sorted = calloc(elf->n_symbols + 1, sizeof(*names->sorted));
	if (!names->sorted)
		return kc_error_no_memory();
	for (size_t i = 1; i < elf->n_symbols; i++) {
		struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (symbol->type != STT_SECTION && symbol->type != STT_FILE && symbol->name[0])
			names->sorted[names->n++] = (struct name){ symbol->name, symbol };
	}
	qsort(names->sorted, names->n, sizeof(*names->sorted), compare_names);
	return NULL;
}

static bool is_name(const struct names *names, size_t i, const char *text)
{
	return i < names->n && strcmp(names->sorted[i].text, text) == 0;
}

/* A note names its symbol; two symbols of that name would leave open which one is meant. */
static struct kc_error *names_find(const struct names *names, const char *text, struct kc_elf_symbol **symbol)
{
	struct name key = { text, NULL };
	struct name *found = bsearch(&key, names->sorted, names->n, sizeof(key), compare_names);
	size_t i;

	if (!found)
		return kc_error_new(KC_ERR_INPUT, "a note names the symbol '%s', which does not exist", text);
	i = (size_t)(found - names->sorted);
	if ((i > 0 && is_name(names, i - 1, text)) || is_name(names, i + 1, text))
		return kc_error_new(KC_ERR_INPUT, "a note names the symbol '%s', which exists twice", text);
	*symbol = found->symbol;
	return NULL;
}

/* `size` 0 gives NULL where `optional`. */
static const char *read_string(struct kc_cursor *desc, uint32_t size, bool optional)
{
	if (optional && size == 0)
		return NULL;
	if (size < 2 || size > KC_PAYLOAD_STRING_MAX)
		desc->failed = true;
	return kc_cursor_string(desc, size);
}

static struct kc_error *read_target(struct kc_payload *payload, struct kc_cursor *desc)
{
	uint32_t build_id_size;
	const uint8_t *build_id;

	if (payload->build_id_size)
		return kc_error_new(KC_ERR_INPUT, "two target notes");
	payload->flags = kc_cursor_u32(desc);
	build_id_size = kc_cursor_u32(desc);
	build_id = kc_cursor_bytes(desc, build_id_size);
	if (!build_id || build_id_size == 0 || build_id_size > sizeof(payload->build_id))
		return kc_error_new(KC_ERR_INPUT, "the target note has a bad build-id");
	if (payload->flags & ~(uint32_t)(KC_PAYLOAD_PINNED | KC_PAYLOAD_UNWIND))
		return kc_error_new(KC_ERR_INPUT, "the target note has unknown flags 0x%x", payload->flags);
	memcpy(payload->build_id, build_id, build_id_size);
	payload->build_id_size = build_id_size;
	return NULL;
}

static struct kc_error *read_fragments(struct kc_payload_function *function, struct kc_cursor *desc, uint32_t n)
{
	if (n == 0 || n > KC_PAYLOAD_FRAGMENTS_MAX)
		return kc_error_new(KC_ERR_INPUT, "%u fragments (1 to %d are allowed)", n, KC_PAYLOAD_FRAGMENTS_MAX);
	function->fragments = calloc(n, sizeof(*function->fragments));
	if (!function->fragments)
		return kc_error_no_memory();
	function->n_fragments = n;
	for (uint32_t i = 0; i < n; i++) {
		struct kc_payload_fragment *fragment = &function->fragments[i];
		uint64_t end;

		fragment->addr = kc_cursor_u64(desc);
		fragment->size = kc_cursor_u64(desc);
		if (fragment->size == 0 || __builtin_add_overflow(fragment->addr, fragment->size, &end))
			return kc_error_new(KC_ERR_INPUT, "fragment %u is empty or wraps around", i);
	}
	if (function->fragments[0].addr != function->addr || function->fragments[0].size != function->size)
		return kc_error_new(KC_ERR_INPUT, "the first fragment is not the function itself");
	return NULL;
}

/* A return address lies behind a call, so never at a fragment's start, but perhaps just behind its end. */
static bool is_return_of(const struct kc_payload_function *function, uint64_t addr)
{
	for (size_t i = 0; i < function->n_fragments; i++) {
		const struct kc_payload_fragment *fragment = &function->fragments[i];

		if (addr > fragment->addr && addr - fragment->addr <= fragment->size)
			return true;
	}
	return false;
}

static struct kc_error *read_returns(struct kc_payload_function *function, struct kc_cursor *desc, uint32_t n)
{
	if (n > KC_PAYLOAD_RETURNS_MAX || n > desc->size / sizeof(uint64_t))
		return kc_error_new(KC_ERR_INPUT, "too many return addresses: %u", n);
	function->returns = calloc(n ? n : 1, sizeof(*function->returns));
	if (!function->returns)
		return kc_error_no_memory();
	function->n_returns = n;
	for (uint32_t i = 0; i < n; i++) {
		function->returns[i] = kc_cursor_u64(desc);
		if (!is_return_of(function, function->returns[i]))
			return kc_error_new(KC_ERR_INPUT, "the return address 0x%lx is in none of its fragments",
					    function->returns[i]);
	}
	return NULL;
}

static struct kc_error *check_replacement(const struct kc_payload_function *function)
{
	const struct kc_elf_symbol *symbol = function->replacement;
	const struct kc_elf_section *section = symbol->section;

	if (!section || !(section->flags & SHF_ALLOC) || !(section->flags & SHF_EXECINSTR) || symbol->type != STT_FUNC)
		return kc_error_new(KC_ERR_INPUT, "the replacement '%s' is not a function", symbol->name);
	if (symbol->value >= section->size)
		return kc_error_new(KC_ERR_INPUT, "the replacement '%s' is outside its section", symbol->name);
	return NULL;
}

/* On failure the half-read function is in the array already, which is what frees its parts. */
static struct kc_error *read_function(struct kc_payload *payload, const struct names *names, struct kc_cursor *desc)
{
	struct kc_payload_function *function;
	uint32_t n_fragments, n_returns, name_size;
	const uint8_t *hash;
	const char *name;

	if (payload->n_functions >= KC_PAYLOAD_FUNCTIONS_MAX)
		return kc_error_new(KC_ERR_INPUT, "more than %d functions", KC_PAYLOAD_FUNCTIONS_MAX);
	function = kc_array_add(&payload->functions, &payload->n_functions);
	if (!function)
		return kc_error_no_memory();
	function->addr = kc_cursor_u64(desc);
	function->size = kc_cursor_u64(desc);
	function->jump_offset = kc_cursor_u32(desc);
	n_fragments = kc_cursor_u32(desc);
	n_returns = kc_cursor_u32(desc);
	name_size = kc_cursor_u32(desc);
	hash = kc_cursor_bytes(desc, sizeof(function->hash));
	if (!hash)
		return kc_error_new(KC_ERR_INPUT, "cut short");
	memcpy(function->hash, hash, sizeof(function->hash));
	KC_TRY(read_fragments(function, desc, n_fragments));
	KC_TRY(read_returns(function, desc, n_returns));
	name = read_string(desc, name_size, false);
	if (!name)
		return kc_error_new(KC_ERR_INPUT, "bad symbol name");
	KC_TRY(names_find(names, name, &function->replacement));
	if (function->jump_offset != 0 && function->jump_offset != JUMP_OFFSET_BEHIND_ENDBR)
		return kc_error_new(KC_ERR_INPUT, "%s: bad jump offset %u", name, function->jump_offset);
	if (function->size < function->jump_offset + KC_JUMP_SIZE)
		return kc_error_new(KC_ERR_INPUT, "%s: the original is shorter than the jump", name);
	return check_replacement(function);
}

/* The name of a shared object, as in DT_NEEDED, or of a symbol version: printable, and no path. */
static bool is_plain_name(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '/')
			return false;
	return true;
}

static struct kc_error *read_import(struct kc_payload *payload, const struct names *names, struct kc_cursor *desc)
{
	struct kc_payload_import *import;
	uint32_t name_size, version_size, library_size;
	const char *name;

	if (payload->n_imports >= KC_PAYLOAD_IMPORTS_MAX)
		return kc_error_new(KC_ERR_INPUT, "more than %d imports", KC_PAYLOAD_IMPORTS_MAX);
	import = kc_array_add(&payload->imports, &payload->n_imports);
	if (!import)
		return kc_error_no_memory();
	import->flags = kc_cursor_u32(desc);
	name_size = kc_cursor_u32(desc);
	version_size = kc_cursor_u32(desc);
	library_size = kc_cursor_u32(desc);
	name = read_string(desc, name_size, false);
	import->version = read_string(desc, version_size, true);
	import->library = read_string(desc, library_size, true);
	if (desc->failed)
		return kc_error_new(KC_ERR_INPUT, "bad strings");
	KC_TRY(names_find(names, name, &import->symbol));
	if (import->symbol->shndx != SHN_UNDEF)
		return kc_error_new(KC_ERR_INPUT, "the import '%s' is defined in the payload", name);
	if (import->flags & ~(uint32_t)KC_IMPORT_WEAK)
		return kc_error_new(KC_ERR_INPUT, "the import '%s' has unknown flags 0x%x", name, import->flags);
	if ((import->version && !is_plain_name(import->version)) ||
	    (import->library && !is_plain_name(import->library)))
		return kc_error_new(KC_ERR_INPUT, "the import '%s' has a bad version or library name", name);
	return NULL;
}

static struct kc_error *read_desc(struct kc_payload *payload, const struct names *names, uint32_t type,
				  struct kc_cursor *desc)
{
	switch (type) {
	case KC_NOTE_TARGET:
		KC_TRY(read_target(payload, desc));
		break;
	case KC_NOTE_FUNCTION:
		KC_TRY(read_function(payload, names, desc));
		break;
	case KC_NOTE_IMPORT:
		KC_TRY(read_import(payload, names, desc));
		break;
	default:
		return kc_error_new(KC_ERR_INPUT, "unknown type %u", type);
	}
	if (desc->failed || desc->size)
		return kc_error_new(KC_ERR_INPUT, "type %u has a wrong size", type);
	return NULL;
}

/* Notes are padded to four bytes, with zeros; the last one may end its section without padding. */
static bool skip_padding(struct kc_cursor *notes, size_t used)
{
	for (; used % 4 && notes->size; used++)
		if (kc_cursor_integer(notes, 1))
			return false;
	return true;
}

static struct kc_error *read_note(struct kc_payload *payload, const struct names *names, struct kc_cursor *notes)
{
	uint32_t owner_size = kc_cursor_u32(notes), desc_size = kc_cursor_u32(notes), type = kc_cursor_u32(notes);
	const char *owner = kc_cursor_string(notes, owner_size);
	struct kc_cursor desc;

	if (!owner || strcmp(owner, KC_PAYLOAD_NOTE_OWNER) || !skip_padding(notes, owner_size))
		return kc_error_new(KC_ERR_INPUT, "cut short, or not a note of kcare");
	desc = (struct kc_cursor){ kc_cursor_bytes(notes, desc_size), desc_size, false };
	if (!desc.data || !skip_padding(notes, desc_size))
		return kc_error_new(KC_ERR_INPUT, "cut short, or badly padded");
	return read_desc(payload, names, type, &desc);
}

static int compare_functions(const void *a, const void *b)
{
	const struct kc_payload_function *left = a, *right = b;

	return left->addr < right->addr ? -1 : left->addr > right->addr;
}

static int compare_fragments(const void *a, const void *b)
{
	const struct kc_payload_fragment *left = a, *right = b;

	return left->addr < right->addr ? -1 : left->addr > right->addr;
}

/* Two originals that share bytes could not both be checked and replaced. */
static struct kc_error *check_overlaps(const struct kc_payload *payload)
{
	kc_autofree struct kc_payload_fragment *all = NULL;
	size_t n = 0;

	for (size_t i = 0; i < payload->n_functions; i++)
		n += payload->functions[i].n_fragments;
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		return kc_error_no_memory();
	n = 0;
	for (size_t i = 0; i < payload->n_functions; i++)
		for (size_t k = 0; k < payload->functions[i].n_fragments; k++)
			all[n++] = payload->functions[i].fragments[k];
	qsort(all, n, sizeof(*all), compare_fragments);
	for (size_t i = 1; i < n; i++)
		if (all[i].addr - all[i - 1].addr < all[i - 1].size)
			return kc_error_new(KC_ERR_INPUT, "two replaced functions overlap at 0x%lx", all[i].addr);
	return NULL;
}

static struct kc_error *find_notes(const struct kc_elf *elf, struct kc_cursor *notes)
{
	const struct kc_elf_section *found = NULL;

	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (strcmp(section->name, KC_PAYLOAD_NOTE_SECTION))
			continue;
		if (found || section->type != SHT_NOTE || !section->data || section->n_relas)
			return kc_error_new(KC_ERR_INPUT, "bad %s section", KC_PAYLOAD_NOTE_SECTION);
		found = section;
	}
	if (!found)
		return kc_error_new(KC_ERR_INPUT, "no %s section", KC_PAYLOAD_NOTE_SECTION);
	*notes = (struct kc_cursor){ found->data, found->size, false };
	return NULL;
}

struct kc_error *kc_payload_read_notes(struct kc_payload *payload)
{
	KC_CLEANUP(names_clear) struct names names = { 0 };
	struct kc_cursor notes = { 0 };

	KC_TRY(find_notes(payload->elf, &notes));
	KC_TRY(names_collect(payload->elf, &names));
	for (size_t i = 0; notes.size; i++) {
		struct kc_error *err = read_note(payload, &names, &notes);

		if (err)
			return kc_error_prefix(err, "note %zu", i);
	}
	if (!payload->build_id_size)
		return kc_error_new(KC_ERR_INPUT, "no target note");
	if (!payload->n_functions)
		return kc_error_new(KC_ERR_INPUT, "it replaces no function");
	qsort(payload->functions, payload->n_functions, sizeof(*payload->functions), compare_functions);
	return check_overlaps(payload);
}
