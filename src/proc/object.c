/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ELF objects in the memory of a process: headers, build-id and soname are read from memory, because the file on
 * disk may be another one by now. Everything read is hostile: what does not fit is no object.
 */
#include "proc/process.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/array.h"
#include "base/file.h"
#include "proc/internal.h"

#define SEGMENTS_MAX 128
#define NOTES_SIZE_MAX 65536
#define DYNAMIC_MAX 1024
#define NAME_SIZE_MAX 256

void kc_objects_clear(struct kc_process_view *view)
{
	for (size_t i = 0; i < view->n_objects; i++) {
		free((char *)view->objects[i].path);
		free((char *)view->objects[i].name);
	}
	free(view->objects);
	view->objects = NULL;
	view->n_objects = 0;
}

/* One field of the auxiliary vector, or 0. */
static uint64_t aux_value(pid_t pid, uint64_t type)
{
	kc_autobuf struct kc_buf aux = { 0 };
	char path[64];
	Elf64_auxv_t entry;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	if (kc_file_read(path, 65536, &aux))
		return 0;
	for (size_t at = 0; at + sizeof(entry) <= aux.size; at += sizeof(entry)) {
		memcpy(&entry, aux.data + at, sizeof(entry));
		if (entry.a_type == type)
			return entry.a_un.a_val;
	}
	return 0;
}

static bool is_elf_header(const Elf64_Ehdr *header)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_ident[EI_DATA] == ELFDATA2LSB && header->e_machine == EM_X86_64 &&
	       (header->e_type == ET_DYN || header->e_type == ET_EXEC) && header->e_phentsize == sizeof(Elf64_Phdr) &&
	       header->e_phnum > 0 && header->e_phnum <= SEGMENTS_MAX && header->e_phoff < (1u << 20);
}

/* Bias and extent from the loadable segments, which must be where the maps have them. */
static bool place_object(const struct kc_process_view *view, const struct kc_map *map, const Elf64_Phdr *segments,
			 size_t n, struct kc_object *object)
{
	bool first = true, code = false;

	for (size_t i = 0; i < n; i++) {
		const Elf64_Phdr *segment = &segments[i];
		const struct kc_map *at;
		uint64_t start, end;

		if (segment->p_type != PT_LOAD || !segment->p_memsz)
			continue;
		if (first) {
			if (segment->p_offset >= 4096)
				return false;
			object->bias = map->start - (segment->p_vaddr & ~(uint64_t)4095);
			object->start = map->start;
			first = false;
		}
		start = object->bias + segment->p_vaddr;
		end = start + segment->p_memsz;
		if (end < start || end - object->start > (uint64_t)INT32_MAX)
			return false;
		object->end = (end + 4095) & ~(uint64_t)4095;
		if (!(segment->p_flags & PF_X))
			continue;
		at = kc_process_map_at(view, start);
		if (!at || at->inode != map->inode || !at->exec)
			return false; /* mapped as data, not loaded */
		code = true;
	}
	return !first && code;
}

static void read_build_id(const struct kc_process_view *view, const Elf64_Phdr *notes, struct kc_object *object)
{
	size_t size = notes->p_memsz, at = 0;
	kc_autofree uint8_t *data = NULL;
	Elf64_Nhdr note;

	if (size > NOTES_SIZE_MAX)
		return;
	data = malloc(size + 1);
	if (!data || kc_process_read(view, object->bias + notes->p_vaddr, data, size))
		return;
	while (size - at >= sizeof(note)) {
		size_t name_size, desc_size;

		memcpy(&note, data + at, sizeof(note));
		at += sizeof(note);
		name_size = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		desc_size = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name_size > size - at || desc_size > size - at - name_size)
			return;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(data + at, "GNU", 4) == 0 &&
		    note.n_descsz && note.n_descsz <= sizeof(object->build_id)) {
			memcpy(object->build_id, data + at + name_size, note.n_descsz);
			object->build_id_size = note.n_descsz;
			return;
		}
		at += name_size + desc_size;
	}
}

/* A string of at most NAME_SIZE_MAX bytes (caller frees); NULL when there is none. The page behind it need not exist.
 */
static char *read_name(const struct kc_process_view *view, uint64_t addr)
{
	size_t size = NAME_SIZE_MAX, in_page = 4096 - addr % 4096;
	char name[NAME_SIZE_MAX];

	if (kc_process_read(view, addr, name, size)) {
		size = in_page < size ? in_page : size;
		if (kc_process_read(view, addr, name, size))
			return NULL;
	}
	return *name && memchr(name, '\0', size) ? strdup(name) : NULL;
}

/* The soname in memory (caller frees), or NULL. */
static char *read_soname(const struct kc_process_view *view, const Elf64_Phdr *dynamic, const struct kc_object *object)
{
	size_t n = dynamic->p_memsz / sizeof(Elf64_Dyn);
	uint64_t strings = 0, soname = UINT64_MAX;
	Elf64_Dyn entries[DYNAMIC_MAX];

	if (n > DYNAMIC_MAX)
		n = DYNAMIC_MAX;
	if (kc_process_read(view, object->bias + dynamic->p_vaddr, entries, n * sizeof(*entries)))
		return NULL;
	for (size_t i = 0; i < n && entries[i].d_tag != DT_NULL; i++) {
		if (entries[i].d_tag == DT_STRTAB)
			strings = entries[i].d_un.d_ptr;
		if (entries[i].d_tag == DT_SONAME)
			soname = entries[i].d_un.d_val;
	}
	if (!strings || soname == UINT64_MAX)
		return NULL;
	if (strings < object->start) /* the loader relocates this pointer in most objects, but not in all */
		strings += object->bias;
	return read_name(view, strings + soname);
}

/* Names end up in reports: no control characters, no '/'. */
static bool is_good_name(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == '/' || *name == 0x7f)
			return false;
	return true;
}

static struct kc_error *name_object(const struct kc_map *map, char *soname, struct kc_object *object)
{
	static const char deleted[] = " (deleted)";
	size_t size = strlen(map->path);
	char *path;

	path = strdup(map->path);
	if (!path) {
		free(soname);
		return kc_error_no_memory();
	}
	if (size >= sizeof(deleted) && strcmp(path + size - (sizeof(deleted) - 1), deleted) == 0) {
		path[size - (sizeof(deleted) - 1)] = '\0';
		object->deleted = true;
	}
	object->path = path;
	if (soname && is_good_name(soname)) {
		object->name = soname;
		return NULL;
	}
	free(soname);
	object->name = strdup(kc_path_name(path));
	return object->name ? NULL : kc_error_no_memory();
}

/* Adds the object whose first page is at `map`, if there is a loaded one. */
static struct kc_error *add_object(struct kc_process_view *view, const struct kc_map *map, uint64_t main_phdr)
{
	struct kc_object object = { 0 }, *added;
	Elf64_Phdr segments[SEGMENTS_MAX];
	char *soname = NULL;
	Elf64_Ehdr header;

	if (kc_process_read(view, map->start, &header, sizeof(header)) || !is_elf_header(&header) ||
	    kc_process_read(view, map->start + header.e_phoff, segments, header.e_phnum * sizeof(*segments)) ||
	    !place_object(view, map, segments, header.e_phnum, &object))
		return NULL;
	for (size_t i = 0; i < header.e_phnum; i++) {
		if (segments[i].p_type == PT_NOTE && !object.build_id_size)
			read_build_id(view, &segments[i], &object);
		if (segments[i].p_type == PT_DYNAMIC && !soname)
			soname = read_soname(view, &segments[i], &object);
	}
	object.is_main = main_phdr >= object.start && main_phdr < object.end;
	KC_TRY(name_object(map, soname, &object));
	added = kc_array_add(&view->objects, &view->n_objects);
	if (!added) {
		free((char *)object.path);
		free((char *)object.name);
		return kc_error_no_memory();
	}
	*added = object;
	return NULL;
}

struct kc_error *kc_objects_find(struct kc_ctx *ctx, struct kc_process_view *view)
{
	uint64_t main_phdr = aux_value(view->pid, AT_PHDR);

	(void)ctx;
	for (size_t i = 0; i < view->n_maps; i++) {
		const struct kc_map *map = &view->maps[i];

		if (map->inode && map->read && map->offset == 0)
			KC_TRY(add_object(view, map, main_phdr));
	}
	return NULL;
}

static bool same_build_id(const struct kc_elf *elf, const struct kc_object *object)
{
	return elf->build_id_size == object->build_id_size &&
	       memcmp(elf->build_id, object->build_id, elf->build_id_size) == 0;
}

struct kc_error *kc_object_open_elf(struct kc_ctx *ctx, const struct kc_process_view *view,
				    const struct kc_object *object, struct kc_elf **elf)
{
	const struct kc_map *map = kc_process_map_at(view, object->start);
	kc_autoelf struct kc_elf *opened = NULL;
	kc_autofree char *fallback = NULL;
	kc_autoerror struct kc_error *err = NULL;
	char path[96];

	if (!map)
		return kc_error_new(KC_ERR_EXITED, "%s is no longer mapped", object->name);
	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", view->pid, (unsigned long)map->start,
		 (unsigned long)map->end);
	err = kc_elf_open(ctx, path, &opened);
	if (err) {
		/* map_files needs a capability; a process of one's own can be read by path */
		if (asprintf(&fallback, "/proc/%d/root%s", view->pid, object->path) < 0)
			return kc_error_no_memory();
		if (object->deleted)
			return kc_error_prefix(kc_steal(err), "%s", object->path);
		KC_TRY(kc_elf_open(ctx, fallback, &opened));
	}
	if (!same_build_id(opened, object))
		return kc_error_new(KC_ERR_WRONG_TARGET, "%s on disk is not the file that is mapped", object->path);
	*elf = kc_steal(opened);
	return NULL;
}
