/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ELF object writer. Layout of the file: header, contents of the caller's sections (relocation sections of their
 * own among them), the other relocation sections, .symtab, .strtab, .shstrtab, section headers. Equal calls give equal
 * bytes.
 */
#include "elf/elf_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct writer_section {
	char *name;
	Elf64_Shdr header;
	struct kc_buf data;
	Elf64_Rela *relas; /* the symbol is a kc_symbol_id until finish */
	size_t n_relas;
	kc_section_id applies_to; /* of a relocation section; else 0 */
};

struct writer_symbol {
	char *name;
	Elf64_Sym raw; /* st_shndx stays 0: `section` may be larger than it holds */
	kc_section_id section;
	uint32_t final_index;
};

struct kc_elf_writer {
	struct writer_section *sections; /* handle - 1 */
	size_t n_sections;
	struct writer_symbol *symbols; /* handle - 1 */
	size_t n_symbols;
};

struct kc_elf_writer *kc_elf_writer_new(void)
{
	return calloc(1, sizeof(struct kc_elf_writer));
}

void kc_elf_writer_free(struct kc_elf_writer *writer)
{
	if (!writer)
		return;
	for (size_t i = 0; i < writer->n_sections; i++) {
		free(writer->sections[i].name);
		free(writer->sections[i].relas);
		kc_buf_free(&writer->sections[i].data);
	}
	for (size_t i = 0; i < writer->n_symbols; i++)
		free(writer->symbols[i].name);
	free(writer->sections);
	free(writer->symbols);
	free(writer);
}

kc_section_id kc_elf_writer_add_section(struct kc_elf_writer *writer, const char *name, uint32_t type, uint64_t flags,
					uint64_t align, uint64_t entsize, const void *data, uint64_t size)
{
	struct writer_section *section = kc_array_add(&writer->sections, &writer->n_sections);

	if (!section)
		return 0;
	section->header = (Elf64_Shdr){ .sh_type = type,
					.sh_flags = flags,
					.sh_addralign = align ? align : 1,
					.sh_entsize = entsize,
					.sh_size = size };
	if (type != SHT_NOBITS)
		kc_buf_append(&section->data, data, size);
	section->name = strdup(name);
	if (!section->name || section->data.failed) {
		free(section->name);
		kc_buf_free(&section->data);
		writer->n_sections--;
		return 0;
	}
	return writer->n_sections;
}

kc_section_id kc_elf_writer_add_rela_section(struct kc_elf_writer *writer, const char *name, uint64_t flags,
					     kc_section_id applies_to)
{
	kc_section_id id = kc_elf_writer_add_section(writer, name, SHT_RELA, flags | SHF_INFO_LINK, 8,
						     sizeof(Elf64_Rela), NULL, 0);

	if (id)
		writer->sections[id - 1].applies_to = applies_to;
	return id;
}

void kc_elf_writer_append(struct kc_elf_writer *writer, kc_section_id id, uint64_t align, const void *data,
			  uint64_t size)
{
	struct writer_section *section = &writer->sections[id - 1];

	if (section->header.sh_addralign < align)
		section->header.sh_addralign = align;
	section->header.sh_size += size;
	if (section->header.sh_type == SHT_NOBITS)
		return;
	if (data)
		kc_buf_append(&section->data, data, size);
	else
		kc_buf_append_zeros(&section->data, size);
}

void kc_elf_writer_set(struct kc_elf_writer *writer, kc_section_id id, uint64_t offset, const void *data, uint64_t size)
{
	struct kc_buf *buf = &writer->sections[id - 1].data;

	if (!buf->failed && offset <= buf->size && size <= buf->size - offset)
		memcpy(buf->data + offset, data, size);
}

uint64_t kc_elf_writer_section_size(const struct kc_elf_writer *writer, kc_section_id id)
{
	return writer->sections[id - 1].header.sh_size;
}

kc_symbol_id kc_elf_writer_add_symbol(struct kc_elf_writer *writer, const char *name, uint8_t bind, uint8_t type,
				      kc_section_id section, uint64_t value, uint64_t size)
{
	struct writer_symbol *symbol = kc_array_add(&writer->symbols, &writer->n_symbols);

	if (!symbol)
		return 0;
	symbol->raw = (Elf64_Sym){ .st_info = ELF64_ST_INFO(bind, type), .st_value = value, .st_size = size };
	symbol->section = section;
	symbol->name = strdup(name);
	if (!symbol->name) {
		writer->n_symbols--;
		return 0;
	}
	return writer->n_symbols;
}

bool kc_elf_writer_add_rela(struct kc_elf_writer *writer, kc_section_id section, uint64_t offset, uint32_t type,
			    kc_symbol_id symbol, int64_t addend)
{
	struct writer_section *owner;
	Elf64_Rela *rela;

	if (section == 0 || section > writer->n_sections || symbol > writer->n_symbols)
		return false;
	owner = &writer->sections[section - 1];
	rela = kc_array_add(&owner->relas, &owner->n_relas);
	if (!rela)
		return false;
	*rela = (Elf64_Rela){ .r_offset = offset, .r_info = ELF64_R_INFO((uint64_t)symbol, type), .r_addend = addend };
	return true;
}

/* Numbers the symbols, local ones first as ELF demands. Returns the index of the first global one. */
static uint32_t number_symbols(struct kc_elf_writer *writer)
{
	uint32_t next = 1, first_global;

	for (size_t i = 0; i < writer->n_symbols; i++)
		if (ELF64_ST_BIND(writer->symbols[i].raw.st_info) == STB_LOCAL)
			writer->symbols[i].final_index = next++;
	first_global = next;
	for (size_t i = 0; i < writer->n_symbols; i++)
		if (ELF64_ST_BIND(writer->symbols[i].raw.st_info) != STB_LOCAL)
			writer->symbols[i].final_index = next++;
	return first_global;
}

/* Appends `name` to a string table and returns its offset; offset 0 is the empty string. */
static uint32_t add_string(struct kc_buf *strings, const char *name)
{
	uint32_t at = strings->size;

	if (*name == '\0')
		return 0;
	kc_buf_append(strings, name, strlen(name) + 1);
	return at;
}

static struct kc_error *make_symtab(struct kc_elf_writer *writer, struct kc_buf *symtab, struct kc_buf *strings)
{
	kc_autofree Elf64_Sym *table = calloc(writer->n_symbols + 1, sizeof(*table));

	if (!table)
		return kc_error_no_memory();
	for (size_t i = 0; i < writer->n_symbols; i++) {
		const struct writer_symbol *symbol = &writer->symbols[i];
		Elf64_Sym *raw = &table[symbol->final_index];

		*raw = symbol->raw;
		raw->st_shndx = symbol->section;
		raw->st_name = add_string(strings, symbol->name);
	}
	kc_buf_append(symtab, table, (writer->n_symbols + 1) * sizeof(*table));
	return NULL;
}

static void append_section(struct kc_buf *out, size_t start, Elf64_Shdr *header, const void *data, size_t size)
{
	/* Alignment counts from the start of the file, which may not be the start of the buffer. */
	size_t at = out->size - start;
	size_t aligned = (at + header->sh_addralign - 1) & ~(header->sh_addralign - 1);

	kc_buf_append_zeros(out, aligned - at);
	header->sh_offset = out->size - start;
	if (header->sh_type == SHT_NOBITS)
		return;
	header->sh_size = size;
	kc_buf_append(out, data, size);
}

static void append_relas(struct kc_elf_writer *writer, struct writer_section *section, struct kc_buf *out, size_t start,
			 Elf64_Shdr *header)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		Elf64_Rela *rela = &section->relas[i];
		uint32_t id = ELF64_R_SYM(rela->r_info);

		if (id)
			rela->r_info =
				ELF64_R_INFO((uint64_t)writer->symbols[id - 1].final_index, ELF64_R_TYPE(rela->r_info));
	}
	append_section(out, start, header, section->relas, section->n_relas * sizeof(*section->relas));
}

static size_t count_headers(const struct kc_elf_writer *writer)
{
	size_t n = 1 + writer->n_sections + 3; /* null, .symtab, .strtab, .shstrtab */

	for (size_t i = 0; i < writer->n_sections; i++)
		n += writer->sections[i].n_relas > 0 && !writer->sections[i].applies_to;
	return n;
}

/* Writes the caller's sections and their relocations; returns the index of the next header to fill. */
static size_t append_contents(struct kc_elf_writer *writer, struct kc_buf *out, size_t start, Elf64_Shdr *headers,
			      struct kc_buf *names, size_t symtab_index)
{
	size_t next = 1;

	for (size_t i = 0; i < writer->n_sections; i++) {
		struct writer_section *section = &writer->sections[i];

		headers[next] = section->header;
		headers[next].sh_name = add_string(names, section->name);
		if (section->applies_to) {
			headers[next].sh_link = symtab_index;
			headers[next].sh_info = section->applies_to;
			append_relas(writer, section, out, start, &headers[next++]);
		} else {
			append_section(out, start, &headers[next++], section->data.data, section->data.size);
		}
		if (section->data.failed)
			out->failed = true;
	}
	for (size_t i = 0; i < writer->n_sections; i++) {
		struct writer_section *section = &writer->sections[i];
		kc_autobuf struct kc_buf name = { 0 };

		if (section->n_relas == 0 || section->applies_to)
			continue;
		kc_buf_printf(&name, ".rela%s", section->name);
		headers[next] = (Elf64_Shdr){ .sh_type = SHT_RELA,
					      .sh_flags = SHF_INFO_LINK,
					      .sh_link = symtab_index,
					      .sh_info = i + 1,
					      .sh_addralign = 8,
					      .sh_entsize = sizeof(Elf64_Rela) };
		if (name.failed)
			out->failed = true;
		else
			headers[next].sh_name = add_string(names, name.data);
		append_relas(writer, section, out, start, &headers[next++]);
	}
	return next;
}

struct kc_error *kc_elf_writer_finish(struct kc_elf_writer *writer, struct kc_buf *out)
{
	size_t n = count_headers(writer), symtab_index = n - 3, start = out->size;
	kc_autofree Elf64_Shdr *headers = calloc(n, sizeof(*headers));
	kc_autobuf struct kc_buf names = { 0 }, strings = { 0 }, symtab = { 0 };
	Elf64_Ehdr header = { .e_type = ET_REL,
			      .e_machine = EM_X86_64,
			      .e_version = EV_CURRENT,
			      .e_ehsize = sizeof(Elf64_Ehdr),
			      .e_shentsize = sizeof(Elf64_Shdr),
			      .e_shnum = n,
			      .e_shstrndx = n - 1 };
	uint32_t first_global = number_symbols(writer);

	if (!headers)
		return kc_error_no_memory();
	if (n >= SHN_LORESERVE)
		return kc_error_new(KC_ERR_LIMIT, "an object with %zu sections", n);
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	header.e_ident[EI_VERSION] = EV_CURRENT;
	kc_buf_append_zeros(&names, 1);
	kc_buf_append_zeros(&strings, 1);
	KC_TRY(make_symtab(writer, &symtab, &strings));

	kc_buf_append_zeros(out, sizeof(header));
	append_contents(writer, out, start, headers, &names, symtab_index);
	headers[symtab_index] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
					      .sh_link = symtab_index + 1,
					      .sh_info = first_global,
					      .sh_addralign = 8,
					      .sh_entsize = sizeof(Elf64_Sym),
					      .sh_name = add_string(&names, ".symtab") };
	append_section(out, start, &headers[symtab_index], symtab.data, symtab.size);
	headers[n - 2] =
		(Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_addralign = 1, .sh_name = add_string(&names, ".strtab") };
	append_section(out, start, &headers[n - 2], strings.data, strings.size);
	headers[n - 1] =
		(Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_addralign = 1, .sh_name = add_string(&names, ".shstrtab") };
	append_section(out, start, &headers[n - 1], names.data, names.size);
	kc_buf_append_zeros(out, -(out->size - start) & 7);
	header.e_shoff = out->size - start;
	kc_buf_append(out, headers, n * sizeof(*headers));
	if (out->failed || names.failed || strings.failed || symtab.failed)
		return kc_error_no_memory();
	memcpy(out->data + start, &header, sizeof(header));
	return NULL;
}
