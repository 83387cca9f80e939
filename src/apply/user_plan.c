/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan: from the patches that are wanted and the records that are found, to the bytes that must change and the code
 * that nobody may be in. A killed patcher needs no special repair: each plan starts from the bytes that are there.
 */
#include "apply/user_internal.h"

#include <string.h>

#include "base/array.h"
#include "base/hex.h"

/* ---- patches and objects ---- */

static bool is_for(const struct kc_patch *patch, const struct kc_object *object)
{
	char text[2 * sizeof(object->build_id) + 1];

	kc_hex_encode(object->build_id, object->build_id_size, text);
	return object->build_id_size && patch->manifest.kind == KC_PATCH_USER &&
	       strcmp(patch->manifest.target, text) == 0;
}

/* Is exactly this patch in this object, whole? */
static bool is_in(const struct kc_session *session, const struct kc_patch *patch, const struct kc_object *object)
{
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];

		if (record->header.bias == object->bias && record->header.state == KC_RECORD_APPLIED &&
		    strcmp(record->header.hash, patch->hash) == 0 &&
		    kc_record_count_active(session->view, record) == (int)record->header.n_entries)
			return true;
	}
	return false;
}

static struct kc_error *add_load(struct kc_session *session, const struct kc_patch *patch,
				 const struct kc_object *object)
{
	const struct kc_patch_payload *payload = kc_patch_payload_find(patch, KC_PAYLOAD_NAME);
	struct kc_load *load = kc_array_add(&session->loads, &session->n_loads);

	if (!load)
		return kc_error_no_memory();
	load->patch = patch;
	load->object = object;
	if (!payload)
		return kc_error_new(KC_ERR_INPUT, "the patch for %s has no code", object->name);
	KC_TRY(kc_payload_parse(session->ctx, object->name, payload->data, payload->size, &load->payload));
	if (load->payload->build_id_size != object->build_id_size ||
	    memcmp(load->payload->build_id, object->build_id, object->build_id_size) != 0)
		return kc_error_new(KC_ERR_WRONG_TARGET, "the patch for %s contains code for another build-id",
				    object->name);
	return NULL;
}

struct kc_error *kc_plan_match(struct kc_session *session, struct kc_patch *const *patches, size_t n_patches)
{
	bool fits = false;

	for (size_t i = 0; i < n_patches; i++) {
		for (size_t j = 0; j < session->view->n_objects; j++) {
			if (!is_for(patches[i], &session->view->objects[j]))
				continue;
			fits = true;
			if (!is_in(session, patches[i], &session->view->objects[j]))
				KC_TRY(add_load(session, patches[i], &session->view->objects[j]));
		}
	}
	if (!session->n_loads)
		return kc_error_new(KC_ERR_NOTHING,
				    fits ? "process %d (%s): already patched" : "process %d (%s): no patch fits",
				    session->view->pid, session->view->comm);
	return NULL;
}

/* ---- records ---- */

static bool may_be_active(const struct kc_record *record)
{
	return record->header.state == KC_RECORD_INTENT || record->header.state == KC_RECORD_APPLIED ||
	       record->header.state == KC_RECORD_UNDOING;
}

bool kc_plan_is_garbage(const struct kc_record *record)
{
	return record->header.state == KC_RECORD_PREPARED ||
	       (record->header.state == KC_RECORD_UNDONE && !(record->header.flags & KC_RECORD_PINNED));
}

static bool has_load(const struct kc_session *session, uint64_t bias)
{
	for (size_t i = 0; i < session->n_loads; i++)
		if (session->loads[i].object->bias == bias)
			return true;
	return false;
}

static bool has_state(const struct kc_session *session, uint64_t bias, enum kc_record_state state)
{
	for (size_t i = 0; i < session->n_records; i++)
		if (session->records[i].header.bias == bias && session->records[i].header.state == state)
			return true;
	return false;
}

/* Did the killed patcher write all entries of everything that it switched together? */
static bool was_completed(const struct kc_session *session, uint64_t transaction)
{
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];

		if (record->header.state == KC_RECORD_INTENT && record->header.transaction == transaction &&
		    kc_record_count_active(session->view, record) != (int)record->header.n_entries)
			return false;
	}
	return true;
}

/* The transaction that was at work on an object when its patcher was killed, and whether it was completed. */
static bool is_new_level_complete(const struct kc_session *session, uint64_t bias)
{
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];

		if (record->header.bias == bias && record->header.state == KC_RECORD_INTENT)
			return was_completed(session, record->header.transaction);
	}
	return false;
}

static bool is_wanted(const struct kc_session *session, const struct kc_record *record, bool undo, const char *patchset)
{
	uint64_t bias = record->header.bias;

	if (!may_be_active(record) || has_load(session, bias))
		return false;
	if (undo && (!patchset || strcmp(record->header.patchset, patchset) == 0))
		return false;
	switch (record->header.state) {
	case KC_RECORD_APPLIED:
		return true;
	case KC_RECORD_INTENT:
		return !has_state(session, bias, KC_RECORD_APPLIED) && is_new_level_complete(session, bias);
	default: /* UNDOING: by a new level that did not get through, or by an unpatch */
		return has_state(session, bias, KC_RECORD_INTENT) && !is_new_level_complete(session, bias);
	}
}

struct kc_error *kc_plan_settle(struct kc_session *session, bool undo, const char *patchset)
{
	session->wanted = calloc(session->n_records + 1, sizeof(*session->wanted));
	if (!session->wanted)
		return kc_error_no_memory();
	for (size_t i = 0; i < session->n_records; i++)
		session->wanted[i] = is_wanted(session, &session->records[i], undo, patchset);
	return NULL;
}

/* ---- what to write ---- */

static const struct kc_record_entry *find_entry(const struct kc_record_entry *entries, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (entries[i].addr == addr)
			return &entries[i];
	return NULL;
}

/* What may be at `addr` now, and what must be there in the end. */
struct address_plan {
	bool known; /* the bytes that are there are original or ours */
	const uint8_t *wanted;
	const uint8_t *original;
};

static void consider_entry(struct address_plan *plan, const struct kc_record_entry *entry, const uint8_t *bytes,
			   bool wanted)
{
	if (!entry)
		return;
	if (!plan->original)
		plan->original = entry->original;
	if (wanted)
		plan->wanted = entry->patched;
	if (memcmp(bytes, entry->patched, KC_JUMP_SIZE) == 0 || memcmp(bytes, entry->original, KC_JUMP_SIZE) == 0)
		plan->known = true;
}

static bool has_write(const struct kc_transition *transition, uint64_t addr)
{
	for (size_t i = 0; i < transition->n_writes; i++)
		if (transition->writes[i].addr == addr)
			return true;
	return false;
}

static struct kc_error *plan_address(struct kc_session *session, uint64_t addr)
{
	struct address_plan plan = { 0 };
	uint8_t bytes[KC_JUMP_SIZE];
	const uint8_t *wanted;
	struct kc_write *write;

	if (has_write(session->transition, addr))
		return NULL;
	if (kc_process_read(session->view, addr, bytes, sizeof(bytes)))
		return kc_error_new(KC_ERR_BYTES_DIFFER, "process %d: nothing is mapped at 0x%lx", session->view->pid,
				    addr);
	for (size_t i = 0; i < session->n_loads; i++)
		consider_entry(&plan,
			       find_entry(session->loads[i].entries, session->loads[i].payload->n_functions, addr),
			       bytes, true);
	for (size_t i = 0; i < session->n_records; i++)
		if (may_be_active(&session->records[i]))
			consider_entry(&plan,
				       find_entry(session->records[i].entries, session->records[i].header.n_entries,
						  addr),
				       bytes, session->wanted[i]);
	if (!plan.known)
		return kc_error_new(KC_ERR_BYTES_DIFFER, "process %d: somebody else changed the code at 0x%lx",
				    session->view->pid, addr);
	wanted = plan.wanted ? plan.wanted : plan.original;
	if (memcmp(bytes, wanted, KC_JUMP_SIZE) == 0)
		return NULL;
	write = kc_array_add(&session->transition->writes, &session->transition->n_writes);
	if (!write)
		return kc_error_no_memory();
	write->addr = addr;
	memcpy(write->expected, bytes, KC_JUMP_SIZE);
	memcpy(write->bytes, wanted, KC_JUMP_SIZE);
	return NULL;
}

static struct kc_error *plan_writes(struct kc_session *session)
{
	for (size_t i = 0; i < session->n_loads; i++)
		for (size_t j = 0; j < session->loads[i].payload->n_functions; j++)
			KC_TRY(plan_address(session, session->loads[i].entries[j].addr));
	for (size_t i = 0; i < session->n_records; i++)
		for (size_t j = 0; may_be_active(&session->records[i]) && j < session->records[i].header.n_entries; j++)
			KC_TRY(plan_address(session, session->records[i].entries[j].addr));
	return NULL;
}

static struct kc_error *add_state(struct kc_session *session, uint64_t record, enum kc_record_state from,
				  enum kc_record_state during, enum kc_record_state to)
{
	struct kc_transition *transition = session->transition;
	struct kc_state_write *write = kc_array_add(&transition->states, &transition->n_states);

	if (!write)
		return kc_error_no_memory();
	*write = (struct kc_state_write){ .record = record, .from = from, .during = during, .to = to };
	return NULL;
}

static struct kc_error *plan_states(struct kc_session *session)
{
	for (size_t i = 0; i < session->n_loads; i++) {
		const struct kc_load *load = &session->loads[i];

		KC_TRY(add_state(session, load->base, load->reused ? KC_RECORD_UNDONE : KC_RECORD_PREPARED,
				 KC_RECORD_INTENT, KC_RECORD_APPLIED));
	}
	for (size_t i = 0; i < session->n_records; i++) {
		const struct kc_record *record = &session->records[i];

		if (!may_be_active(record))
			continue;
		if (!session->wanted[i])
			KC_TRY(add_state(session, record->addr, record->header.state, KC_RECORD_UNDOING,
					 KC_RECORD_UNDONE));
		else if (record->header.state != KC_RECORD_APPLIED)
			KC_TRY(add_state(session, record->addr, record->header.state, record->header.state,
					 KC_RECORD_APPLIED));
	}
	return NULL;
}

/* ---- where nobody may be ---- */

/* The original of a replaced function. At its very entry a thread has not begun: there it may be. */
static struct kc_error *forbid_function(struct kc_session *session, const struct kc_load *load,
					const struct kc_payload_function *function)
{
	struct kc_forbidden *forbidden = &session->transition->forbidden;
	uint64_t bias = load->object->bias, entry = function->addr + function->jump_offset;

	if (load->patch->manifest.consistency == KC_CONSISTENCY_FUNCTION)
		return kc_forbidden_add_range(forbidden, bias + entry + 1, KC_JUMP_SIZE - 1);
	for (size_t i = 0; i < function->n_fragments; i++) {
		const struct kc_payload_fragment *fragment = &function->fragments[i];
		uint64_t skip = entry - fragment->addr < fragment->size ? entry + 1 - fragment->addr : 0;

		KC_TRY(kc_forbidden_add_range(forbidden, bias + fragment->addr + skip, fragment->size - skip));
	}
	for (size_t i = 0; i < function->n_returns; i++)
		KC_TRY(kc_forbidden_add_return(forbidden, bias + function->returns[i]));
	return NULL;
}

/* Do the bytes before `at` end in a call? e8 rel32, or ff /2 in one of its lengths. */
static bool follows_call(const uint8_t *code, size_t at)
{
	if (at >= 5 && code[at - 5] == 0xe8)
		return true;
	for (size_t size = 2; size <= 7 && size <= at; size++)
		if (code[at - size] == 0xff && (code[at - size + 1] & 0x38) == 0x10)
			return true;
	return false;
}

/* Code of ours that goes out: its calls are found by their form, which finds too many rather than too few. */
static struct kc_error *forbid_mapping(struct kc_session *session, const struct kc_record *record)
{
	struct kc_forbidden *forbidden = &session->transition->forbidden;
	uint64_t start = record->addr + record->header.code_offset;
	size_t size = record->header.code_size;
	kc_autofree uint8_t *code = malloc(size + 1);

	if (!code)
		return kc_error_no_memory();
	if (kc_process_read(session->view, start, code, size))
		return kc_error_new(KC_ERR_EXITED, "process %d: the patch's code vanished", session->view->pid);
	KC_TRY(kc_forbidden_add_range(forbidden, start, size));
	for (size_t at = 2; at <= size; at++)
		if (follows_call(code, at))
			KC_TRY(kc_forbidden_add_return(forbidden, start + at));
	return NULL;
}

static struct kc_error *plan_forbidden(struct kc_session *session)
{
	for (size_t i = 0; i < session->n_loads; i++)
		for (size_t j = 0; j < session->loads[i].payload->n_functions; j++)
			KC_TRY(forbid_function(session, &session->loads[i], &session->loads[i].payload->functions[j]));
	for (size_t i = 0; i < session->n_records; i++)
		if (may_be_active(&session->records[i]) && !session->wanted[i])
			KC_TRY(forbid_mapping(session, &session->records[i]));
	kc_forbidden_finish(&session->transition->forbidden);
	return NULL;
}

/* Coroutines are suspended on stacks that no thread shows. Who uses them imports one of these. */
static struct kc_error *plan_search(struct kc_session *session)
{
	static const char *const names[] = { "makecontext", "swapcontext", "jump_fcontext", "co_create",
					     "coro_transfer" };

	for (size_t i = 0; i < session->link_map->n_items; i++) {
		const struct kc_linked *item = &session->link_map->items[i];
		const struct kc_elf *elf = kc_linked_elf(session->ctx, session->view, &session->link_map->items[i]);

		for (size_t j = 0; elf && j < elf->n_dynamic_symbols; j++) {
			const struct kc_elf_symbol *symbol = &elf->dynamic_symbols[j];
			bool libc = strncmp(item->object->name, "libc.", 5) == 0;

			for (size_t k = 0; k < KC_ARRAY_SIZE(names) && !libc; k++)
				if (strcmp(symbol->name, names[k]) == 0)
					session->transition->search_memory = true;
		}
		if (elf && !elf->n_dynamic_symbols && kc_elf_symbol_find(elf, "swapcontext"))
			session->transition->search_memory = true;
	}
	return NULL;
}

struct kc_error *kc_plan_transition(struct kc_session *session)
{
	struct kc_transition *transition = session->transition;

	transition->view = session->view;
	transition->restorers = session->gadgets->restorers;
	transition->n_restorers = session->gadgets->n_restorers;
	KC_TRY(plan_writes(session));
	KC_TRY(plan_states(session));
	KC_TRY(plan_forbidden(session));
	return plan_search(session);
}
