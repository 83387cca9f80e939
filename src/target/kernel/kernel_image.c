/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel image: unpacks a vmlinuz, and reads what the image says of itself. See kernel_object.h. */
#include <stdlib.h>
#include <string.h>

#include "sign/hash.h"
#include "target/kernel/kallsyms.h"
#include "target/kernel/kernel_object_internal.h"
#include "target/kernel/unpack.h"

enum { BANNER_MAX = 1024 };

/* The line at `addr`, with its newline (caller frees); NULL: there is none, or no memory. */
static char *read_line(const struct kc_elf *elf, uint64_t addr)
{
	const Elf64_Phdr *segment = kc_elf_segment_at(elf, addr);
	uint64_t left = segment ? segment->p_filesz - (addr - segment->p_vaddr) : 0;
	const uint8_t *line, *end;

	if (left > BANNER_MAX)
		left = BANNER_MAX;
	line = kc_elf_read(elf, addr, left);
	end = line ? memchr(line, '\n', left) : NULL;
	return end ? strndup((const char *)line, (size_t)(end + 1 - line)) : NULL;
}

/* linux_banner is the text that /proc/version shows, unless somebody has renamed the system. */
static struct kc_error *read_banner(struct kc_kernel_object *image)
{
	const struct kc_kernel_symbol *symbol = kc_kernel_symbol_find(image, "linux_banner");
	static const char START[] = "Linux version ", BEFORE_COMPILER[] = ") (";
	const char *release, *compiler;
	char id[KC_KERNEL_ID_SIZE];

	image->proc_version = symbol ? read_line(image->elf, symbol->addr) : NULL;
	if (!image->proc_version || strncmp(image->proc_version, START, strlen(START)) != 0)
		return kc_error_new(KC_ERR_INPUT, "%s: it does not say which version it is", image->elf->name);
	release = image->proc_version + strlen(START);
	compiler = strstr(release, BEFORE_COMPILER); /* "(builder@host) (gcc-12 (Debian 12.2.0-14) …" */
	if (!compiler)
		return kc_error_new(KC_ERR_INPUT, "%s: it does not say which compiler made it", image->elf->name);
	compiler += strlen(BEFORE_COMPILER);
	image->release = strndup(release, strcspn(release, " \n"));
	image->compiler = strndup(compiler, strcspn(compiler, " )\n"));
	if (!image->release || !image->compiler)
		return kc_error_no_memory();
	kc_kernel_id(image->proc_version, strlen(image->proc_version), id);
	memcpy(image->kernel_id, id, sizeof(image->kernel_id));
	return NULL;
}

/* Entries of __ksymtab are three offsets relative to themselves: value, name, namespace. */
enum { KSYMTAB_ENTRY = 12 };

static uint64_t relative(const struct kc_elf_section *section, uint64_t at)
{
	int32_t offset;

	memcpy(&offset, section->data + at, sizeof(offset));
	return section->addr + at + (uint64_t)(int64_t)offset;
}

static void mark_exports(struct kc_kernel_object *image, const struct kc_elf_section *section,
			 const struct kc_elf_section *strings)
{
	for (uint64_t at = 0; at + KSYMTAB_ENTRY <= section->size; at += KSYMTAB_ENTRY) {
		uint64_t value = relative(section, at), name = relative(section, at + 4) - strings->addr;
		struct kc_kernel_symbol *symbol;

		if (name >= strings->size || !memchr(strings->data + name, '\0', strings->size - name))
			continue;
		symbol = kc_kernel_object_find(image, (const char *)strings->data + name);
		while (symbol && symbol->addr != value)
			symbol = kc_kernel_object_next(image, symbol);
		if (symbol)
			symbol->is_exported = true;
	}
}

static struct kc_error *read_exports(struct kc_kernel_object *image)
{
	const struct kc_elf_section *strings = kc_elf_section_find(image->elf, "__ksymtab_strings");

	for (size_t i = 1; strings && strings->data && i < image->elf->n_sections; i++) {
		const struct kc_elf_section *section = &image->elf->sections[i];

		if (section->data && (!strcmp(section->name, "__ksymtab") || !strcmp(section->name, "__ksymtab_gpl")))
			mark_exports(image, section, strings);
	}
	for (size_t i = 0; i < image->n_symbols; i++) {
		if (image->symbols[i].is_exported)
			return NULL;
	}
	return kc_error_new(KC_ERR_INPUT, "%s: its table of exported symbols cannot be read", image->elf->name);
}

static struct kc_error *unpack(struct kc_ctx *ctx, const char *path, struct kc_buf *out)
{
	kc_autobuf struct kc_buf file = { 0 };

	KC_TRY(kc_kernel_file_read(path, &file));
	if (file.size >= SELFMAG && !memcmp(file.data, ELFMAG, SELFMAG)) {
		*out = file;
		file = (struct kc_buf){ 0 };
		return NULL;
	}
	return kc_unpack_bzimage(ctx, path, (const uint8_t *)file.data, file.size, out);
}

struct kc_error *kc_kernel_image_open(struct kc_ctx *ctx, const char *path, struct kc_kernel_object **object)
{
	kc_autokernelobject struct kc_kernel_object *image = calloc(1, sizeof(*image));

	if (!image)
		return kc_error_no_memory();
	image->name = strdup(KC_KERNEL_VMLINUX);
	if (!image->name)
		return kc_error_no_memory();
	KC_TRY(unpack(ctx, path, &image->data));
	KC_TRY(kc_elf_parse(ctx, path, image->data.data, image->data.size, &image->elf));
	if (image->elf->type == ET_REL)
		return kc_error_new(KC_ERR_INPUT, "%s: an object file or module, not a kernel image", path);
	KC_TRY(kc_kallsyms_read(path, image->elf->data, image->elf->size, &image->names, &image->symbols,
				&image->n_symbols));
	KC_TRY(kc_kernel_object_index(image));
	KC_TRY(read_exports(image));
	KC_TRY(read_banner(image));
	*object = kc_steal(image);
	return NULL;
}
