/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of the ELF reader: header, sections, segments, and look-ups by name and address. What is inside the
 * sections is read by symbols.c, relocations.c, dynamic.c, versions.c and notes.c. Hand-written rather than libelf:
 * every access to the file is one of elf_at() and kc_elf_read(), so that a damaged file cannot lead anywhere.
 */
#include "elf/elf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"

#define FILE_LIMIT (1UL << 30)

struct kc_error *elf_bad(const struct kc_elf *elf, const char *format, ...)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (!message)
		return kc_error_no_memory();
	return kc_error_new(KC_ERR_INPUT, "%s: %s", elf->name, message);
}

static struct kc_error *check_header(struct kc_elf *elf, Elf64_Ehdr *header)
{
	if (elf->size < sizeof(*header) || memcmp(elf->data, ELFMAG, SELFMAG) != 0)
		return elf_bad(elf, "not an ELF file");
	memcpy(header, elf->data, sizeof(*header));
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return elf_bad(elf, "not an x86-64 ELF file");
	if (header->e_ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT)
		return elf_bad(elf, "unknown ELF version");
	if (header->e_type != ET_REL && header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return elf_bad(elf, "neither an object nor an executable nor a shared library (ELF type %u)",
			       header->e_type);
	elf->type = header->e_type;
	elf->entry = header->e_entry;
	return NULL;
}

static struct kc_error *read_segments(struct kc_elf *elf, const Elf64_Ehdr *header, const Elf64_Shdr *first_section)
{
	size_t n = header->e_phnum;
	const uint8_t *table;
	Elf64_Phdr *segments;

	if (n == PN_XNUM)
		n = first_section ? first_section->sh_info : 0;
	if (n == 0)
		return NULL;
	if (header->e_phentsize != sizeof(Elf64_Phdr))
		return elf_bad(elf, "program headers of %u bytes", header->e_phentsize);
	table = elf_at(elf, header->e_phoff, (uint64_t)n * sizeof(Elf64_Phdr));
	if (!table)
		return elf_bad(elf, "the program headers lie outside the file");
	segments = calloc(n, sizeof(*segments));
	if (!segments)
		return kc_error_no_memory();
	memcpy(segments, table, n * sizeof(*segments));
	elf->segments = segments;
	elf->n_segments = n;
	return NULL;
}

static struct kc_error *read_section(struct kc_elf *elf, uint32_t index, const Elf64_Shdr *header)
{
	struct kc_elf_section *section = &elf->sections[index];

	section->index = index;
	section->name = "";
	if (index == 0) /* holds the large counts, nothing else */
		return NULL;
	section->type = header->sh_type;
	section->flags = header->sh_flags;
	section->addr = header->sh_addr;
	section->offset = header->sh_offset;
	section->size = header->sh_size;
	section->align = header->sh_addralign;
	section->entsize = header->sh_entsize;
	section->link = header->sh_link;
	section->info = header->sh_info;
	if (section->type == SHT_NULL) {
		section->size = 0;
		return NULL;
	}
	if (section->align & (section->align - 1))
		return elf_bad(elf, "section %u: the alignment is not a power of two", index);
	if (section->type == SHT_NOBITS)
		return NULL;
	section->data = elf_at(elf, section->offset, section->size);
	return section->data ? NULL : elf_bad(elf, "section %u lies outside the file", index);
}

static struct kc_error *name_sections(struct kc_elf *elf, const Elf64_Shdr *headers, size_t strings_index)
{
	const struct kc_elf_section *strings;

	if (strings_index == SHN_UNDEF)
		return NULL;
	if (strings_index >= elf->n_sections || !elf->sections[strings_index].data)
		return elf_bad(elf, "there is no section with the section names");
	strings = &elf->sections[strings_index];
	for (size_t i = 1; i < elf->n_sections; i++) {
		const char *name = elf_string((struct elf_bytes){ strings->data, strings->size }, headers[i].sh_name);

		if (!name && elf->sections[i].type != SHT_NULL)
			return elf_bad(elf, "section %zu: bad name", i);
		elf->sections[i].name = name ? name : "";
	}
	return NULL;
}

/* The section headers as an aligned copy (caller frees). None at all is fine in linked files, as in memory images. */
static struct kc_error *copy_section_headers(struct kc_elf *elf, const Elf64_Ehdr *header, Elf64_Shdr **headers,
					     size_t *n)
{
	Elf64_Shdr first;
	const uint8_t *at;

	*n = 0;
	if (header->e_shoff == 0)
		return NULL;
	at = elf_at(elf, header->e_shoff, sizeof(first));
	if (at) {
		memcpy(&first, at, sizeof(first));
		*n = header->e_shnum ? header->e_shnum : first.sh_size;
	}
	if (!at || *n > elf->size / sizeof(first) || !elf_at(elf, header->e_shoff, *n * sizeof(first))) {
		*n = 0;
		return elf->type == ET_REL ? elf_bad(elf, "the section headers lie outside the file") : NULL;
	}
	if (*n == 0)
		return NULL;
	if (header->e_shentsize != sizeof(first))
		return elf_bad(elf, "section headers of %u bytes", header->e_shentsize);
	*headers = calloc(*n, sizeof(first));
	if (!*headers)
		return kc_error_no_memory();
	memcpy(*headers, at, *n * sizeof(first));
	return NULL;
}

static struct kc_error *read_headers(struct kc_elf *elf)
{
	kc_autofree Elf64_Shdr *headers = NULL;
	size_t n, strings_index;
	Elf64_Ehdr header = { 0 };

	KC_TRY(check_header(elf, &header));
	KC_TRY(copy_section_headers(elf, &header, &headers, &n));
	KC_TRY(read_segments(elf, &header, headers));
	if (!headers)
		return NULL;
	elf->sections = calloc(n, sizeof(*elf->sections));
	if (!elf->sections)
		return kc_error_no_memory();
	elf->n_sections = n;
	for (size_t i = 0; i < n; i++)
		KC_TRY(read_section(elf, i, &headers[i]));
	strings_index = header.e_shstrndx == SHN_XINDEX ? headers[0].sh_link : header.e_shstrndx;
	return name_sections(elf, headers, strings_index);
}

/* Marks the members of a COMDAT group with its signature, as in C++ for _ZN3FooD5Ev and its parts. */
static struct kc_error *read_group(struct kc_elf *elf, const struct kc_elf_section *group)
{
	size_t n = group->size / sizeof(uint32_t);
	const struct kc_elf_symbol *symbol;
	const char *signature;
	uint32_t word;

	if (group->info >= elf->n_symbols || n == 0)
		return elf_bad(elf, "section %u: bad group", group->index);
	memcpy(&word, group->data, sizeof(word));
	if (!(word & GRP_COMDAT))
		return NULL;
	symbol = &elf->symbols[group->info];
	signature = symbol->type == STT_SECTION && symbol->section ? symbol->section->name : symbol->name;
	for (size_t i = 1; i < n; i++) {
		memcpy(&word, group->data + i * sizeof(word), sizeof(word));
		if (word >= elf->n_sections)
			return elf_bad(elf, "section %u: bad group member", group->index);
		elf->sections[word].group = signature;
	}
	return NULL;
}

static struct kc_error *read_groups(struct kc_elf *elf)
{
	if (elf->type != ET_REL)
		return NULL;
	for (size_t i = 0; i < elf->n_sections; i++)
		if (elf->sections[i].type == SHT_GROUP)
			KC_TRY(read_group(elf, &elf->sections[i]));
	return NULL;
}

static struct kc_error *read_all(struct kc_elf *elf)
{
	KC_TRY(read_headers(elf));
	KC_TRY(elf_read_symtab(elf));
	KC_TRY(read_groups(elf));
	KC_TRY(elf_read_section_relas(elf));
	KC_TRY(elf_read_dynamic(elf));
	elf_read_build_id(elf);
	return NULL;
}

struct kc_error *kc_elf_parse(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_elf **elf)
{
	kc_autoelf struct kc_elf *new = calloc(1, sizeof(*new));

	(void)ctx;
	if (!new)
		return kc_error_no_memory();
	new->name = strdup(name);
	if (!new->name)
		return kc_error_no_memory();
	new->data = data;
	new->size = size;
	new->null_symbol.name = "";
	KC_TRY(read_all(new));
	*elf = kc_steal(new);
	return NULL;
}

struct kc_error *kc_elf_open(struct kc_ctx *ctx, const char *path, struct kc_elf **elf)
{
	/* Not mapped: a file that another user truncates meanwhile would kill us. O_NONBLOCK: it may be a pipe. */
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	kc_autobuf struct kc_buf content = { 0 };
	struct stat st;
	int ret;

	if (fd < 0 || fstat(fd, &st) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		return kc_error_new(KC_ERR_INPUT, "%s: not a regular file", path);
	ret = kc_fd_read(fd, FILE_LIMIT, &content);
	if (ret == -EFBIG)
		return kc_error_new(KC_ERR_LIMIT, "%s: larger than %lu MiB", path, FILE_LIMIT >> 20);
	if (ret < 0)
		return kc_error_errno(KC_ERR_SYSTEM, -ret, "cannot read %s", path);
	KC_TRY(kc_elf_parse(ctx, path, content.data, content.size, elf));
	(*elf)->owned_data = kc_steal(content.data);
	return NULL;
}

void kc_elf_free(struct kc_elf *elf)
{
	if (!elf)
		return;
	for (size_t i = 0; i < elf->n_sections; i++)
		free(elf->sections[i].relas);
	free(elf->sections);
	free(elf->symbols);
	free(elf->dynamic_symbols);
	free(elf->dynamic_relas);
	free((void *)elf->segments);
	free(elf->needed);
	free((char *)elf->name);
	free(elf->owned_data);
	free(elf);
}

struct kc_elf_section *kc_elf_section_find(const struct kc_elf *elf, const char *name)
{
	for (size_t i = 1; i < elf->n_sections; i++)
		if (strcmp(elf->sections[i].name, name) == 0)
			return &elf->sections[i];
	return NULL;
}

struct kc_elf_symbol *kc_elf_symbol_find(const struct kc_elf *elf, const char *name)
{
	struct kc_elf_symbol *local = NULL;

	for (size_t i = 1; i < elf->n_symbols; i++) {
		struct kc_elf_symbol *symbol = &elf->symbols[i];

		if (symbol->shndx == SHN_UNDEF || strcmp(symbol->name, name) != 0)
			continue;
		if (symbol->bind != STB_LOCAL)
			return symbol;
		if (!local)
			local = symbol;
	}
	return local;
}

const uint8_t *kc_elf_read(const struct kc_elf *elf, uint64_t vaddr, size_t size)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		uint64_t at = vaddr - segment->p_vaddr, offset;

		if (segment->p_type != PT_LOAD || vaddr < segment->p_vaddr || at > segment->p_filesz ||
		    size > segment->p_filesz - at || __builtin_add_overflow(segment->p_offset, at, &offset))
			continue;
		return elf_at(elf, offset, size);
	}
	return NULL;
}

const Elf64_Phdr *kc_elf_segment_at(const struct kc_elf *elf, uint64_t vaddr)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];

		if (segment->p_type == PT_LOAD && vaddr >= segment->p_vaddr &&
		    vaddr - segment->p_vaddr < segment->p_memsz)
			return segment;
	}
	return NULL;
}

struct kc_elf_section *kc_elf_section_at(const struct kc_elf *elf, uint64_t vaddr)
{
	for (size_t i = 1; i < elf->n_sections; i++) {
		struct kc_elf_section *section = &elf->sections[i];

		/* .tbss takes no addresses: its range is that of the sections behind it. */
		if (!(section->flags & SHF_ALLOC) || ((section->flags & SHF_TLS) && section->type == SHT_NOBITS))
			continue;
		if (vaddr >= section->addr && vaddr - section->addr < section->size)
			return section;
	}
	return NULL;
}

char *kc_elf_build_id_text(const struct kc_elf *elf)
{
	char *text = malloc(2 * elf->build_id_size + 1);

	if (text)
		kc_hex_encode(elf->build_id, elf->build_id_size, text);
	return text;
}
