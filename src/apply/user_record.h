/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record: what was done to a process, kept in the process, at the start of each patch's mapping. Any later tool
 * finds it by its magic, lists it, finishes it or undoes it. It can be written by the process, so it is a hint: sizes
 * and addresses in it are checked, and what code may be switched in comes from the signed patch file that it names.
 *
 * Layout (little-endian): struct kc_record_header, then n_entries of struct kc_record_entry.
 * The state is written alone, with one write; everything else never changes after KC_RECORD_PREPARED.
 */
#ifndef KC_APPLY_USER_RECORD_H
#define KC_APPLY_USER_RECORD_H

#include "patch/user_payload.h"
#include "proc/process.h"

#define KC_RECORD_MAGIC "\x7fkcare-patch\r\n\x1a" /* with its '\0': 16 bytes */
#define KC_RECORD_MAGIC_SIZE 16
#define KC_RECORD_VERSION 1
#define KC_RECORD_ENTRIES_MAX 65536

enum kc_record_state {
	KC_RECORD_PREPARED, /* its code was never reachable; it and what follows may be incomplete */
	KC_RECORD_INTENT,   /* entries are being written: each is wholly old or wholly new */
	KC_RECORD_APPLIED,
	KC_RECORD_UNDOING, /* entries are being taken out */
	KC_RECORD_UNDONE,  /* no entry leads here, no thread was inside then: may be unmapped unless pinned */
	KC_RECORD_STATES,
};

enum kc_record_flags {
	KC_RECORD_PINNED = 1, /* a pointer to its code may be stored anywhere: never unmapped */
};

struct kc_record_header {
	char magic[KC_RECORD_MAGIC_SIZE];
	uint32_t version;
	uint32_t state;	      /* enum kc_record_state */
	uint64_t size;	      /* of the whole mapping */
	uint64_t text_size;   /* of its first part, mapped R-X; the rest is mapped RW */
	uint64_t transaction; /* the same in all records that were switched together */
	uint64_t bias;	      /* of the patched object */
	uint64_t code_offset; /* the replacement code inside the mapping */
	uint64_t code_size;
	uint64_t frame_offset;	/* of .eh_frame; 0: none */
	uint64_t object_offset; /* of libgcc's bookkeeping for it (in the RW part); 0: not to be registered */
	uint32_t level;
	uint32_t flags;
	uint32_t n_entries;
	uint32_t build_id_size;
	uint8_t build_id[64]; /* of the patched object */
	char hash[72];	      /* of the patch file, as text */
	char patchset[64];
	char object[256]; /* name of the patched object */
};
_Static_assert(sizeof(struct kc_record_header) == 560, "the record's layout is fixed");

struct kc_record_entry {
	uint64_t addr; /* run-time address of the jump */
	uint8_t original[8];
	uint8_t patched[8]; /* KC_JUMP_SIZE bytes of each are used */
};
_Static_assert(sizeof(struct kc_record_entry) == 24, "the record's layout is fixed");

struct kc_record {
	uint64_t addr; /* of the mapping */
	struct kc_record_header header;
	struct kc_record_entry *entries;
};

/*
 * All records in a process, by address. Where the patched object is gone, the state is KC_RECORD_UNDONE.
 * What looks like one but is unsound is skipped with a warning.
 */
struct kc_error *kc_records_read(struct kc_ctx *ctx, const struct kc_process_view *view, struct kc_record **records,
				 size_t *n);
void kc_records_free(struct kc_record *records, size_t n);

/* How many of its entries are in the process's memory now; -errno when they cannot be read. */
int kc_record_count_active(const struct kc_process_view *view, const struct kc_record *record);

#endif
