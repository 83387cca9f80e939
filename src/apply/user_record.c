/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds and reads the records in a process. Writing them is part of the protocol (user_stop.c, user_load.c).
 */
#include "apply/user_record.h"

#include <errno.h>
#include <string.h>

#include "apply/user.h"
#include "base/array.h"
#include "base/hex.h"

#define PAGE 4096

void kc_records_free(struct kc_record *records, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(records[i].entries);
	free(records);
}

static bool is_text(const char *field, size_t size)
{
	return memchr(field, '\0', size) != NULL;
}

/* Is what the header says possible? `room` is what is mapped from its start on. */
static bool header_is_sound(const struct kc_record_header *header, uint64_t room)
{
	return header->version == KC_RECORD_VERSION && header->state < KC_RECORD_STATES && header->size &&
	       header->size % PAGE == 0 && header->size < (1u << 30) && header->text_size % PAGE == 0 &&
	       header->text_size && header->text_size <= header->size && header->text_size <= room &&
	       header->n_entries <= KC_RECORD_ENTRIES_MAX &&
	       sizeof(*header) + header->n_entries * sizeof(struct kc_record_entry) <= header->text_size &&
	       header->code_offset <= header->text_size &&
	       header->code_size <= header->text_size - header->code_offset &&
	       header->frame_offset < header->text_size &&
	       (!header->object_offset ||
		(header->object_offset >= header->text_size && header->object_offset < header->size)) &&
	       header->build_id_size <= sizeof(header->build_id) && is_text(header->hash, sizeof(header->hash)) &&
	       is_text(header->patchset, sizeof(header->patchset)) && is_text(header->object, sizeof(header->object));
}

static struct kc_error *read_entries(const struct kc_process_view *view, struct kc_record *record)
{
	size_t size = record->header.n_entries * sizeof(*record->entries);

	record->entries = calloc(record->header.n_entries + 1, sizeof(*record->entries));
	if (!record->entries)
		return kc_error_no_memory();
	if (kc_process_read(view, record->addr + sizeof(record->header), record->entries, size))
		return kc_error_new(KC_ERR_EXITED, "process %d: the record at 0x%lx vanished", view->pid, record->addr);
	return NULL;
}

/* The patched library may be gone (dlclose): then no entry leads to the code any more. */
static bool has_object(const struct kc_process_view *view, const struct kc_record_header *header)
{
	for (size_t i = 0; i < view->n_objects; i++) {
		const struct kc_object *object = &view->objects[i];

		if (object->bias == header->bias && object->build_id_size == header->build_id_size &&
		    memcmp(object->build_id, header->build_id, header->build_id_size) == 0)
			return true;
	}
	return false;
}

/* Reads the record at `addr` when there is one; `*size` is how far to go on. */
static struct kc_error *read_record(struct kc_ctx *ctx, const struct kc_process_view *view, uint64_t addr,
				    uint64_t room, struct kc_record **records, size_t *n, uint64_t *size)
{
	struct kc_record_header header;
	struct kc_record *record;

	*size = PAGE;
	if (kc_process_read(view, addr, header.magic, sizeof(header.magic)) ||
	    memcmp(header.magic, KC_RECORD_MAGIC, KC_RECORD_MAGIC_SIZE) != 0 ||
	    kc_process_read(view, addr, &header, sizeof(header)))
		return NULL;
	if (!header_is_sound(&header, room)) {
		kc_warning(ctx, "process %d: the record at 0x%lx is damaged and ignored", view->pid, addr);
		return NULL;
	}
	record = kc_array_add(records, n);
	if (!record)
		return kc_error_no_memory();
	record->addr = addr;
	record->header = header;
	if (!has_object(view, &header))
		record->header.state = KC_RECORD_UNDONE;
	*size = header.text_size;
	return read_entries(view, record);
}

struct kc_error *kc_records_read(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_record **records,
				 size_t *n)
{
	struct kc_record *found = NULL;
	struct kc_error *err = NULL;
	size_t n_found = 0;

	for (size_t i = 0; i < view->n_maps && !err; i++) {
		const struct kc_map *map = &view->maps[i];
		uint64_t step;

		/* two of our mappings may have become one in the kernel's list, so every page is looked at */
		if (map->inode || map->path[0] == '/' || !map->exec || map->write || map->shared)
			continue;
		for (uint64_t addr = map->start; addr < map->end && !err; addr += step)
			err = read_record(ctx, view, addr, map->end - addr, &found, &n_found, &step);
	}
	if (err) {
		kc_records_free(found, n_found);
		return err;
	}
	*records = found;
	*n = n_found;
	return NULL;
}

int kc_record_count_active(const struct kc_process_view *view, const struct kc_record *record)
{
	int active = 0;

	for (size_t i = 0; i < record->header.n_entries; i++) {
		const struct kc_record_entry *entry = &record->entries[i];
		uint8_t bytes[KC_JUMP_SIZE];
		int ret = kc_process_read(view, entry->addr, bytes, sizeof(bytes));

		if (ret)
			return ret;
		if (memcmp(bytes, entry->patched, sizeof(bytes)) == 0)
			active++;
	}
	return active;
}

static void describe(const struct kc_process_view *view, const struct kc_record *record,
		     struct kc_user_applied *applied)
{
	const struct kc_record_header *header = &record->header;
	bool in = header->state == KC_RECORD_APPLIED;
	int active = kc_record_count_active(view, record);

	snprintf(applied->hash, sizeof(applied->hash), "%.64s", header->hash);
	snprintf(applied->patchset, sizeof(applied->patchset), "%s", header->patchset);
	snprintf(applied->object, sizeof(applied->object), "%s", header->object);
	kc_hex_encode(header->build_id, header->build_id_size, applied->build_id);
	applied->level = header->level;
	applied->active = in;
	applied->verified = active == (in ? (int)header->n_entries : 0);
}

struct kc_error *kc_user_list(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_user_applied **applied,
			      size_t *n)
{
	struct kc_record *records = NULL;
	struct kc_user_applied *list;
	size_t n_records = 0;

	KC_TRY(kc_records_read(ctx, view, &records, &n_records));
	list = calloc(n_records + 1, sizeof(*list));
	for (size_t i = 0; list && i < n_records; i++)
		describe(view, &records[i], &list[i]);
	kc_records_free(records, n_records);
	if (!list)
		return kc_error_no_memory();
	*applied = list;
	*n = n_records;
	return NULL;
}
