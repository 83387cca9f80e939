/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes the unwind table of a patch known to the process's unwinder (libgcc's), so that C++ exceptions and backtraces
 * pass through patched code. libgcc has a function for it, which takes a lock: it is called only on a thread that is
 * parked in a system call and has neither libgcc nor the loader on its stack.
 */
#include "apply/user_internal.h"

#include <string.h>
#include <sys/syscall.h>

#include "base/array.h"

/* The last word of the room for libgcc's bookkeeping is ours. */
enum frame_state {
	FRAME_NONE,
	FRAME_ADDED,	/* or about to be: then the rest is still zero */
	FRAME_REMOVING, /* by a patcher that was killed: may be in or out, so it stays mapped */
};

static bool imports(const struct kc_elf *elf, const char *name)
{
	for (size_t i = 0; i < elf->n_dynamic_symbols; i++)
		if (elf->dynamic_symbols[i].shndx == SHN_UNDEF && strcmp(elf->dynamic_symbols[i].name, name) == 0)
			return true;
	return false;
}

static struct kc_error *find(struct kc_session *session, const char *name, uint64_t *addr)
{
	struct kc_found_symbol found = { 0 };
	struct kc_error *err =
		kc_link_map_find(session->ctx, session->view, session->link_map, name, NULL, NULL, &found);

	if (err && kc_error_code(err) != KC_ERR_NOT_FOUND)
		return err;
	kc_error_free(err);
	*addr = found.ifunc ? 0 : found.addr;
	return NULL;
}

struct kc_error *kc_unwinder_find(struct kc_session *session, struct kc_unwinder *unwinder)
{
	KC_TRY(find(session, "__register_frame_info", &unwinder->add));
	KC_TRY(find(session, "__deregister_frame_info", &unwinder->remove));
	if (!unwinder->add || !unwinder->remove) {
		unwinder->add = 0;
		return NULL;
	}
	for (size_t i = 0; i < session->link_map->n_items; i++) {
		struct kc_linked *item = &session->link_map->items[i];
		const struct kc_object *object = item->object;
		const struct kc_elf *elf = kc_linked_elf(session->ctx, session->view, item);
		bool is_unwinder = unwinder->add >= object->start && unwinder->add < object->end;
		bool is_loader = strncmp(object->name, "ld-", 3) == 0;

		if (elf && strncmp(object->name, "libc.", 5) != 0 && imports(elf, "backtrace"))
			unwinder->has_users = true;
		if ((is_unwinder || is_loader) && !object->is_main &&
		    unwinder->n_quiet < KC_ARRAY_SIZE(unwinder->quiet))
			unwinder->quiet[unwinder->n_quiet++] = (struct kc_range){ object->start, object->end };
	}
	if (!unwinder->n_quiet) /* linked statically: libgcc cannot be told from the rest */
		unwinder->quiet[unwinder->n_quiet++] = (struct kc_range){ unwinder->add, unwinder->add + 512 };
	return NULL;
}

bool kc_unwinder_wants(const struct kc_unwinder *unwinder, const struct kc_load *load)
{
	return unwinder->add && (load->payload->flags & KC_PAYLOAD_UNWIND || unwinder->has_users);
}

static uint64_t state_addr(uint64_t base, const struct kc_record_header *header)
{
	return base + header->object_offset + KC_UNWIND_OBJECT_SIZE - sizeof(uint64_t);
}

int kc_unwinder_add_op(const struct kc_unwinder *unwinder, const struct kc_process_view *view, uint64_t base,
		       const struct kc_record_header *header, struct kc_remote_op *op)
{
	uint64_t state = FRAME_ADDED;

	*op = (struct kc_remote_op){
		.nr_or_addr = unwinder->add,
		.is_call = true,
		.args = { base + header->frame_offset, base + header->object_offset },
	};
	return kc_remote_write(view, 0, state_addr(base, header), &state, sizeof(state));
}

enum kc_removal kc_unwinder_remove_op(const struct kc_unwinder *unwinder, const struct kc_process_view *view,
				      uint64_t base, const struct kc_record_header *header, struct kc_remote_op *op)
{
	static const uint8_t zeros[KC_UNWIND_OBJECT_SIZE];
	uint8_t object[KC_UNWIND_OBJECT_SIZE];
	uint64_t state;

	if (!header->object_offset)
		return KC_REMOVAL_NOT_NEEDED;
	if (header->size - header->object_offset < sizeof(object) ||
	    kc_process_read(view, base + header->object_offset, object, sizeof(object)))
		return KC_REMOVAL_IMPOSSIBLE;
	memcpy(&state, object + sizeof(object) - sizeof(state), sizeof(state));
	if (memcmp(object, zeros, sizeof(object) - sizeof(state)) == 0)
		return KC_REMOVAL_NOT_NEEDED;
	if (state != FRAME_ADDED || !unwinder->remove)
		return KC_REMOVAL_IMPOSSIBLE;
	*op = (struct kc_remote_op){
		.nr_or_addr = unwinder->remove,
		.is_call = true,
		.args = { base + header->frame_offset },
		.mark_addr = state_addr(base, header),
		.mark = FRAME_REMOVING,
	};
	return KC_REMOVAL_NEEDED;
}
