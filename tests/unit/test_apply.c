/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The patcher on real child processes of this program: payloads are made here, of a few bytes of code, for functions of
 * this very file.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "apply/user_internal.h"
#include "base/array.h"
#include "base/hex.h"
#include "elf/elf_writer.h"

/* The leak check would trace us, and we could not trace others. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static volatile int sink;

/* What is replaced. Long enough for a jump, and not inlined. */
__attribute__((noinline, no_sanitize("address", "undefined"))) int victim_value(int x);
int victim_value(int x)
{
	sink = x;
	sink = sink + 1;
	return sink;
}

__attribute__((noinline)) void victim_sleep(void);
void victim_sleep(void)
{
	struct timespec forever = { 1000, 0 };

	nanosleep(&forever, NULL);
	sink = 0;
}

struct child {
	pid_t pid;
	int to, from;
};

static void serve(int from, int to)
{
	char command;

	while (read(from, &command, 1) == 1) {
		int value = victim_value(10);

		if (write(to, &value, sizeof(value)) != sizeof(value))
			break;
		if (command == 's')
			victim_sleep();
	}
	_exit(0);
}

static struct child start_child(void)
{
	struct child child;
	int down[2], up[2];

	assert_int_equal(pipe(down), 0);
	assert_int_equal(pipe(up), 0);
	child.pid = fork();
	if (child.pid == 0)
		serve(down[0], up[1]);
	assert_true(child.pid > 0);
	close(down[0]);
	close(up[1]);
	child.to = down[1];
	child.from = up[0];
	return child;
}

static int ask(const struct child *child, char command)
{
	int value;

	assert_int_equal(write(child->to, &command, 1), 1);
	assert_int_equal(read(child->from, &value, sizeof(value)), sizeof(value));
	return value;
}

static void end_child(struct child *child)
{
	close(child->to);
	close(child->from);
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

/* A patch in memory, as kc_patch_open() would give it. */
struct made {
	struct kc_patch patch;
	struct kc_patch_payload payload;
	struct kc_buf object;
	char target[129];
};

/* "mov $value, %eax; ret" in the place of `name`. */
static void make_patch(struct kc_ctx *ctx, const char *name, int value, uint32_t level, struct made *made)
{
	kc_autoelf struct kc_elf *self = NULL;
	struct kc_elf_writer *writer = kc_elf_writer_new();
	uint8_t code[6] = { 0xb8, (uint8_t)value, 0, 0, 0, 0xc3 };
	struct kc_elf_symbol replacement = { .name = "replacement" };
	struct kc_payload_fragment fragment;
	uint64_t returns[64];
	struct kc_payload_function function = {
		.replacement = &replacement, .fragments = &fragment, .n_fragments = 1, .returns = returns
	};
	kc_autobuf struct kc_buf notes = { 0 };
	const struct kc_elf_symbol *symbol;
	const uint8_t *bytes;
	kc_section_id text;

	assert_null(kc_elf_open(ctx, "/proc/self/exe", &self));
	symbol = kc_elf_symbol_find(self, name);
	assert_non_null(symbol);
	bytes = kc_elf_read(self, symbol->value, symbol->size);
	assert_non_null(bytes);
	fragment = (struct kc_payload_fragment){ symbol->value, symbol->size };
	function.addr = symbol->value;
	function.size = symbol->size;
	for (size_t at = 5; at <= symbol->size && function.n_returns < KC_ARRAY_SIZE(returns); at++)
		if (bytes[at - 5] == 0xe8)
			returns[function.n_returns++] = symbol->value + at;
	kc_sha256(bytes, symbol->size, function.hash);
	kc_payload_encode_target(&notes, self->build_id, self->build_id_size, 0);
	kc_payload_encode_function(&notes, &function);
	text = kc_elf_writer_add_section(writer, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 16, 0, code,
					 sizeof(code));
	kc_elf_writer_add_symbol(writer, "replacement", STB_GLOBAL, STT_FUNC, text, 0, sizeof(code));
	kc_elf_writer_add_section(writer, KC_PAYLOAD_NOTE_SECTION, SHT_NOTE, 0, 4, 0, notes.data, notes.size);
	memset(made, 0, sizeof(*made));
	assert_null(kc_elf_writer_finish(writer, &made->object));
	kc_elf_writer_free(writer);
	kc_hex_encode(self->build_id, self->build_id_size, made->target);
	made->payload = (struct kc_patch_payload){ KC_PAYLOAD_NAME, made->object.data, made->object.size };
	made->patch.manifest = (struct kc_manifest){
		.kind = KC_PATCH_USER,
		.target = made->target,
		.level = level,
		.patchset = (char *)(level == 1 ? "U20261123_01" : "U20261123_02"),
	};
	made->patch.payloads = &made->payload;
	made->patch.n_payloads = 1;
	kc_sha256_text(made->object.data, made->object.size, made->patch.hash);
}

static enum kc_error_code apply(struct kc_ctx *ctx, pid_t pid, struct made *made, unsigned wait_ms)
{
	struct kc_user_options options = { .wait_ms = wait_ms };
	struct kc_patch *patch = &made->patch;
	struct kc_user_result result;
	kc_autoerror struct kc_error *err = kc_user_patch(ctx, pid, &patch, 1, &options, &result);

	if (err)
		print_message("# %s\n", kc_error_message(err));
	return err ? kc_error_code(err) : KC_ERR_COUNT;
}

static enum kc_error_code undo(struct kc_ctx *ctx, pid_t pid, const char *patchset)
{
	struct kc_user_options options = { .wait_ms = 5000 };
	struct kc_user_result result;
	kc_autoerror struct kc_error *err = kc_user_unpatch(ctx, pid, patchset, &options, &result);

	return err ? kc_error_code(err) : KC_ERR_COUNT;
}

static size_t count_records(struct kc_ctx *ctx, pid_t pid)
{
	kc_autoprocess struct kc_process_view *view = NULL;
	kc_autofree struct kc_user_applied *applied = NULL;
	size_t n;

	assert_null(kc_process_view_open(ctx, pid, &view));
	assert_null(kc_user_list(ctx, view, &applied, &n));
	for (size_t i = 0; i < n; i++) {
		assert_true(applied[i].active);
		assert_true(applied[i].verified);
	}
	return n;
}

static void patch_level_and_unpatch(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct child child = start_child();
	struct made first, second;

	(void)state;
	make_patch(ctx, "victim_value", 77, 1, &first);
	make_patch(ctx, "victim_value", 88, 2, &second);
	assert_int_equal(ask(&child, 'v'), 11);
	assert_int_equal(apply(ctx, child.pid, &first, 5000), KC_ERR_COUNT);
	assert_int_equal(ask(&child, 'v'), 77);
	assert_int_equal(count_records(ctx, child.pid), 1);
	assert_int_equal(apply(ctx, child.pid, &first, 5000), KC_ERR_NOTHING);
	assert_int_equal(apply(ctx, child.pid, &second, 5000), KC_ERR_COUNT);
	assert_int_equal(ask(&child, 'v'), 88);
	assert_int_equal(count_records(ctx, child.pid), 1);
	assert_int_equal(undo(ctx, child.pid, "U20261123_01"), KC_ERR_NOTHING);
	assert_int_equal(undo(ctx, child.pid, "U20261123_02"), KC_ERR_COUNT);
	assert_int_equal(ask(&child, 'v'), 11);
	assert_int_equal(count_records(ctx, child.pid), 0);
	assert_int_equal(undo(ctx, child.pid, NULL), KC_ERR_NOTHING);
	end_child(&child);
	kc_buf_free(&first.object);
	kc_buf_free(&second.object);
}

static void function_on_the_stack_is_busy(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct child child = start_child();
	struct timespec moment = { 0, 50000000 };
	struct made made;

	(void)state;
	make_patch(ctx, "victim_sleep", 1, 1, &made);
	assert_int_equal(ask(&child, 's'), 11);
	nanosleep(&moment, NULL);
	assert_int_equal(apply(ctx, child.pid, &made, 0), KC_ERR_BUSY);
	assert_int_equal(apply(ctx, child.pid, &made, 100), KC_ERR_BUSY);
	assert_int_equal(count_records(ctx, child.pid), 0);
	end_child(&child);
	kc_buf_free(&made.object);
}

static void other_code_in_memory_is_refused(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct child child = start_child();
	struct made made;
	const char *hash;

	(void)state;
	make_patch(ctx, "victim_value", 77, 1, &made);
	/* the hash follows address, size and four numbers in the note */
	hash = memmem(made.object.data, made.object.size, "replacement", 11);
	assert_non_null(hash);
	for (size_t i = 0; i + 8 < made.object.size; i++) {
		uint32_t head[3];

		memcpy(head, made.object.data + i, sizeof(head));
		if (head[0] == sizeof(KC_PAYLOAD_NOTE_OWNER) && head[2] == KC_NOTE_FUNCTION) {
			made.object.data[i + 12 + 8 + 32 + 3] ^= 1;
			break;
		}
	}
	assert_int_equal(apply(ctx, child.pid, &made, 0), KC_ERR_BYTES_DIFFER);
	assert_int_equal(ask(&child, 'v'), 11);
	end_child(&child);
	kc_buf_free(&made.object);
}

static void ended_process_and_ourselves_are_refused(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	struct child child = start_child();
	struct made made;
	siginfo_t info;

	(void)state;
	make_patch(ctx, "victim_value", 77, 1, &made);
	assert_int_equal(apply(ctx, getpid(), &made, 0), KC_ERR_REFUSED);
	kill(child.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(kc_error_code_exit(apply(ctx, child.pid, &made, 1000)), KC_EXIT_NOTHING);
	end_child(&child);
	kc_buf_free(&made.object);
}

static void damaged_record_is_no_record(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autoprocess struct kc_process_view *view = NULL;
	struct kc_record_header header = { .magic = KC_RECORD_MAGIC,
					   .version = KC_RECORD_VERSION,
					   .size = 4096,
					   .text_size = 4096,
					   .n_entries = 1 << 20 };
	struct kc_record *records = NULL;
	struct child child;
	size_t n;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	memcpy(page, &header, sizeof(header));
	assert_int_equal(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);
	child = start_child();
	assert_null(kc_process_view_open(ctx, child.pid, &view));
	assert_null(kc_records_read(ctx, view, &records, &n));
	assert_int_equal(n, 0);
	kc_records_free(records, n);
	end_child(&child);
	munmap(page, 4096);
}

static void hole_keeps_away_from_what_grows(void **state)
{
	struct kc_map maps[] = {
		{ .start = 0x400000, .end = 0x500000, .path = "/bin/x", .exec = true },
		{ .start = 0x500000, .end = 0x600000, .path = "[heap]" },
		{ .start = 0x70000000, .end = 0x70100000, .path = "[stack]" },
	};
	struct kc_process_view view = { .maps = maps, .n_maps = 3 };
	struct kc_object object = { .name = "x", .start = 0x400000, .end = 0x500000 };
	uint64_t hole;

	(void)state;
	assert_null(kc_find_hole(NULL, &view, &object, 0x2000, NULL, 0, &hole));
	assert_int_equal(hole, 0x400000 - 0x1000 - 0x2000);
	/* too large for below: above the heap with room for it, below the stack with room for it */
	assert_null(kc_find_hole(NULL, &view, &object, 0x1000000, NULL, 0, &hole));
	assert_true(hole >= 0x600000 + 0x10000000);
	assert_true(hole + 0x1000000 <= 0x70000000 - 0x4000000);
}

static void hole_out_of_reach_is_an_error(void **state)
{
	struct kc_map maps[] = { { .start = 0x10000, .end = 0x7fffffff0000, .path = "/all" } };
	struct kc_process_view view = { .maps = maps, .n_maps = 1 };
	struct kc_object object = { .name = "x", .start = 0x10000000, .end = 0x10100000 };
	kc_autoerror struct kc_error *err = NULL;
	uint64_t hole;

	(void)state;
	err = kc_find_hole(NULL, &view, &object, 0x1000, NULL, 0, &hole);
	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_NO_ROOM);
}

static void forbidden_code_has_exact_returns(void **state)
{
	struct kc_forbidden forbidden = { 0 };

	(void)state;
	assert_null(kc_forbidden_add_range(&forbidden, 0x1000, 0x10));
	assert_null(kc_forbidden_add_return(&forbidden, 0x1010)); /* behind a call that ends the function */
	assert_null(kc_forbidden_add_return(&forbidden, 0x1004));
	kc_forbidden_finish(&forbidden);
	assert_true(kc_forbidden_has_pc(&forbidden, 0x1000));
	assert_true(kc_forbidden_has_pc(&forbidden, 0x100f));
	assert_false(kc_forbidden_has_pc(&forbidden, 0x1010));
	assert_true(kc_forbidden_has_return(&forbidden, 0x1010));
	assert_true(kc_forbidden_has_return(&forbidden, 0x1004));
	assert_false(kc_forbidden_has_return(&forbidden, 0x1005));
	kc_forbidden_clear(&forbidden);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patch_level_and_unpatch),
		cmocka_unit_test(function_on_the_stack_is_busy),
		cmocka_unit_test(other_code_in_memory_is_refused),
		cmocka_unit_test(ended_process_and_ourselves_are_refused),
		cmocka_unit_test(damaged_record_is_no_record),
		cmocka_unit_test(hole_keeps_away_from_what_grows),
		cmocka_unit_test(hole_out_of_reach_is_an_error),
		cmocka_unit_test(forbidden_code_has_exact_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
