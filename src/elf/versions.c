/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Symbol versions of the ELF reader: .gnu.version, .gnu.version_r (needed) and .gnu.version_d (defined). */
#include "elf/elf_internal.h"

#include <stdlib.h>

#define HIDDEN_BIT 0x8000

static bool copy_from(const struct kc_elf *elf, uint64_t vaddr, void *out, size_t size)
{
	const uint8_t *at = kc_elf_read(elf, vaddr, size);

	if (at)
		memcpy(out, at, size);
	return at != NULL;
}

static struct kc_error *bad_versions(const struct kc_elf *elf)
{
	return elf_bad(elf, "the symbol versions are damaged");
}

/* `budget` bounds the work: no file has more versions than version numbers. */
static struct kc_error *read_needed_library(struct kc_elf *elf, const struct elf_dynamic *dynamic, uint64_t addr,
					    const Elf64_Verneed *need, struct elf_version *versions, size_t *budget)
{
	const char *library = elf_string(dynamic->strings, need->vn_file);

	if (!library)
		return bad_versions(elf);
	addr += need->vn_aux;
	for (uint32_t i = 0; i < need->vn_cnt; i++) {
		struct elf_version *version;
		Elf64_Vernaux aux;

		if (!copy_from(elf, addr, &aux, sizeof(aux)) || (*budget)-- == 0)
			return bad_versions(elf);
		version = &versions[aux.vna_other & (ELF_MAX_VERSIONS - 1)];
		version->name = elf_string(dynamic->strings, aux.vna_name);
		version->library = library;
		if (!version->name)
			return bad_versions(elf);
		if (aux.vna_next == 0)
			break;
		addr += aux.vna_next;
	}
	return NULL;
}

static struct kc_error *read_needed(struct kc_elf *elf, const struct elf_dynamic *dynamic, struct elf_version *versions)
{
	uint64_t addr = dynamic->needed_versions;
	size_t budget = ELF_MAX_VERSIONS;
	Elf64_Verneed need;

	if (addr == 0)
		return NULL;
	for (uint64_t i = 0; i < dynamic->n_needed_versions; i++) {
		if (!copy_from(elf, addr, &need, sizeof(need)) || budget-- == 0)
			return bad_versions(elf);
		KC_TRY(read_needed_library(elf, dynamic, addr, &need, versions, &budget));
		if (need.vn_next == 0)
			break;
		addr += need.vn_next;
	}
	return NULL;
}

static struct kc_error *read_defined(struct kc_elf *elf, const struct elf_dynamic *dynamic,
				     struct elf_version *versions)
{
	uint64_t addr = dynamic->defined_versions;
	size_t budget = ELF_MAX_VERSIONS;
	Elf64_Verdaux name;
	Elf64_Verdef def;

	if (addr == 0)
		return NULL;
	for (uint64_t i = 0; i < dynamic->n_defined_versions; i++) {
		struct elf_version *version;

		if (!copy_from(elf, addr, &def, sizeof(def)) || budget-- == 0 ||
		    !copy_from(elf, addr + def.vd_aux, &name, sizeof(name)))
			return bad_versions(elf);
		version = &versions[def.vd_ndx & (ELF_MAX_VERSIONS - 1)];
		/* The base "version" is the library's own name, not a version. */
		if (!(def.vd_flags & VER_FLG_BASE)) {
			version->name = elf_string(dynamic->strings, name.vda_name);
			version->library = NULL;
			if (!version->name)
				return bad_versions(elf);
		}
		if (def.vd_next == 0)
			break;
		addr += def.vd_next;
	}
	return NULL;
}

struct kc_error *elf_read_versions(struct kc_elf *elf, const struct elf_dynamic *dynamic)
{
	size_t n = elf->n_dynamic_symbols;
	kc_autofree struct elf_version *versions = NULL;
	const uint8_t *indexes;

	if (dynamic->version_indexes == 0 || n == 0)
		return NULL;
	indexes = kc_elf_read(elf, dynamic->version_indexes, n * sizeof(uint16_t));
	if (!indexes)
		return bad_versions(elf);
	versions = calloc(ELF_MAX_VERSIONS, sizeof(*versions));
	if (!versions)
		return kc_error_no_memory();
	KC_TRY(read_needed(elf, dynamic, versions));
	KC_TRY(read_defined(elf, dynamic, versions));
	for (size_t i = 1; i < n; i++) {
		struct kc_elf_symbol *symbol = &elf->dynamic_symbols[i];
		const struct elf_version *version;
		uint16_t index;

		memcpy(&index, indexes + i * sizeof(index), sizeof(index));
		version = &versions[index & (ELF_MAX_VERSIONS - 1)];
		symbol->version_hidden = index & HIDDEN_BIT;
		if ((index & (ELF_MAX_VERSIONS - 1)) <= VER_NDX_GLOBAL)
			continue;
		if (!version->name)
			return bad_versions(elf);
		symbol->version = version->name;
		/* A variable that was copied into the executable is defined there with its library's version. */
		symbol->library = symbol->shndx == SHN_UNDEF ? version->library : NULL;
	}
	return NULL;
}
