/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent without a kernel to patch: what it remembers, its crash guard, the cache and what comes into it, and what
 * it says. Everything lies below KCARE_ROOT. With a kernel: tests/vm/guest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/cache.h"
#include "agent/info.h"
#include "agent/keys.h"
#include "agent/lock.h"
#include "agent/paths.h"
#include "agent/update.h"
#include "agent_host.h"
#include "base/file.h"
#include "sample.h"

#define OTHER_BOOT "00000000-1111-2222-3333-444444444444"
#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct fixture {
	struct agent_host host;
	struct kc_ctx *ctx;
	struct kc_key *key, *other_key;
	struct kc_level level; /* of this kernel */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	kc_autokeyring struct kc_keyring *one = NULL, *two = NULL;

	agent_host_open(&f->host);
	f->ctx = f->host.ctx;
	sample_keys(f->ctx, &f->key, &one);
	sample_keys(f->ctx, &f->other_key, &two);
	sample_must(kc_kernel_read(f->ctx, &kernel));
	f->level = (struct kc_level){ .type = "default", .hash = HASH, .number = 3 };
	strcpy(f->level.kernel_id, kernel.kernel_id);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	kc_key_free(f->key);
	kc_key_free(f->other_key);
	agent_host_close(&f->host);
	free(f);
	return 0;
}

/* ---- what is remembered ---- */

static void what_was_written_is_read(void **state)
{
	KC_CLEANUP_STATE struct kc_state written = { 0 }, read = { 0 };
	struct fixture *f = *state;
	struct kc_level other = f->level;

	assert_null(kc_state_read(&read));
	assert_int_equal(read.applied.level.number, 0);
	other.number = 4;
	written.kernel_version = strdup("Linux version 6.1 (\"x\")\n");
	strcpy(written.kernel_id, f->level.kernel_id);
	written.applied = (struct kc_applied){ .level = f->level,
					       .effective_version = strdup("6.1.0-56-amd64"),
					       .patchset = strdup("K20261123_01"),
					       .created = 1795467600,
					       .applied_at = 1795467700,
					       .boot_id = OTHER_BOOT };
	assert_null(kc_state_add_crash(&written, &f->level, 5));
	assert_null(kc_state_add_crash(&written, &other, 6));
	assert_null(kc_state_add_crash(&written, &other, 7));
	assert_null(kc_state_write(&written));
	assert_null(kc_state_read(&read));
	assert_string_equal(read.kernel_version, written.kernel_version);
	assert_string_equal(read.kernel_id, written.kernel_id);
	assert_memory_equal(&read.applied.level, &written.applied.level, sizeof(f->level));
	assert_string_equal(read.applied.effective_version, "6.1.0-56-amd64");
	assert_string_equal(read.applied.patchset, "K20261123_01");
	assert_string_equal(read.applied.boot_id, OTHER_BOOT);
	assert_int_equal(read.applied.created, 1795467600);
	assert_int_equal(read.applied.applied_at, 1795467700);
	assert_int_equal(read.n_crashes, 2);
	assert_int_equal(kc_state_find_crash(&read, &f->level)->loaded_at, 5);
	assert_int_equal(kc_state_find_crash(&read, &other)->loaded_at, 7);
	kc_state_drop_crash(&read, &f->level);
	assert_null(kc_state_find_crash(&read, &f->level));
	assert_int_equal(read.n_crashes, 1);
}

static void a_damaged_state_is_named(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"document\":\"kcare-state-2\",\"kernel_id\":\"\"}",
		"{\"document\":\"kcare-state-1\"}",
		"{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"crashes\":{}}",
		"{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"crashes\":[{\"level\":1}]}",
		"{\"document\":\"kcare-state-1\",\"kernel_id\":\"\",\"applied\":[]}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		KC_CLEANUP_STATE struct kc_state read = { 0 };

		agent_host_put_text(&f->host, KC_PATH_STATE, texts[i]);
		assert_kc_error(kc_state_read(&read), KC_ERR_CORRUPT, "state.json is damaged");
	}
}

/* ---- the crash guard ---- */

static void put_marker(const struct fixture *f, const char *boot_id, int64_t up_s)
{
	kc_autobuf struct kc_buf text = { 0 };

	kc_buf_printf(
		&text,
		"{\"document\":\"kcare-loading-1\",\"kernel_id\":\"%s\",\"type\":\"%s\",\"level\":%u,\"hash\":\"%s\","
		"\"boot_id\":\"%s\",\"at\":1795467600,\"up_s\":%lld}",
		f->level.kernel_id, f->level.type, f->level.number, f->level.hash, boot_id, (long long)up_s);
	agent_host_put_text(&f->host, KC_PATH_LOADING, text.data);
}

static void a_marker_is_watched_until_proved(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	char boot_id[KC_BOOT_ID_SIZE];
	struct fixture *f = *state;
	struct kc_loading loading;
	int64_t wait_s = -1;

	assert_null(kc_guard_settle(f->ctx, &remembered, false, &wait_s));
	assert_int_equal(wait_s, 0);
	assert_null(kc_guard_begin(&f->level));
	assert_null(kc_guard_read(&loading));
	assert_null(kc_boot_id_read(boot_id));
	assert_true(kc_level_is_same(&loading.level, &f->level));
	assert_string_equal(loading.boot_id, boot_id);
	assert_null(kc_guard_settle(f->ctx, &remembered, false, &wait_s));
	assert_in_range(wait_s, KC_GUARD_PROVED_S - 5, KC_GUARD_PROVED_S);
	assert_true(agent_host_has(&f->host, KC_PATH_LOADING));
	put_marker(f, boot_id, kc_up_seconds() - KC_GUARD_PROVED_S);
	assert_null(kc_guard_settle(f->ctx, &remembered, false, &wait_s));
	assert_int_equal(wait_s, 0);
	assert_false(agent_host_has(&f->host, KC_PATH_LOADING));
	assert_int_equal(remembered.n_crashes, 0);
	assert_null(kc_guard_begin(&f->level));
	assert_null(kc_guard_cancel());
	assert_null(kc_guard_cancel());
	assert_false(agent_host_has(&f->host, KC_PATH_LOADING));
}

static void a_marker_of_another_boot_is_a_crash(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 }, read = { 0 };
	struct fixture *f = *state;

	put_marker(f, OTHER_BOOT, kc_up_seconds());
	assert_null(kc_guard_settle(f->ctx, &remembered, false, NULL));
	assert_false(agent_host_has(&f->host, KC_PATH_LOADING));
	assert_non_null(strstr(f->host.log.data, "went down"));
	assert_null(kc_state_read(&read));
	assert_int_equal(kc_state_find_crash(&read, &f->level)->loaded_at, 1795467600);
}

static void a_proved_level_is_no_crash_any_more(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct fixture *f = *state;

	assert_null(kc_state_add_crash(&remembered, &f->level, 1));
	/* loaded, but never recorded as applied: it proves nothing */
	assert_null(kc_guard_begin(&f->level));
	assert_null(kc_guard_settle(f->ctx, &remembered, true, NULL));
	assert_int_equal(remembered.n_crashes, 1);
	remembered.applied.level = f->level;
	assert_null(kc_boot_id_read(remembered.applied.boot_id));
	assert_null(kc_guard_begin(&f->level));
	assert_null(kc_guard_settle(f->ctx, &remembered, true, NULL));
	assert_int_equal(remembered.n_crashes, 0);
	assert_false(agent_host_has(&f->host, KC_PATH_LOADING));
}

static void a_damaged_marker_is_named(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct fixture *f = *state;

	agent_host_put_text(&f->host, KC_PATH_LOADING, "{\"document\":\"kcare-loading-1\",\"level\":0}");
	assert_kc_error(kc_guard_settle(f->ctx, &remembered, false, NULL), KC_ERR_CORRUPT, "loading is damaged");
}

/* ---- the cache ---- */

static void put_level(const struct fixture *f, const char *type, uint32_t number)
{
	struct kc_level level = f->level;

	strcpy(level.type, type);
	level.number = number;
	sample_must(kc_cache_put(&level, "x", 1));
}

static void assert_newest(const struct fixture *f, const char *type, const struct kc_state *crashes,
			  const char *expected_type, uint32_t number, size_t n_left_out)
{
	struct kc_level level;
	size_t n;

	assert_null(kc_cache_newest(&(struct kc_cache_query){ .kernel_id = f->level.kernel_id,
							      .type = type,
							      .state = crashes,
							      .leaves_out_crashes = crashes != NULL },
				    &level, &n));
	assert_string_equal(level.type, expected_type);
	assert_int_equal(level.number, number);
	assert_int_equal(n, n_left_out);
}

static void the_newest_level_is_found(void **state)
{
	KC_CLEANUP_STATE struct kc_state crashes = { 0 };
	struct fixture *f = *state;
	struct kc_level bad = f->level;

	assert_newest(f, "default", NULL, "default", 0, 0);
	put_level(f, "default", 9);
	put_level(f, "default", 10);
	put_level(f, "default", 2);
	assert_newest(f, "default", NULL, "default", 10, 0);
	assert_newest(f, "extra", NULL, "default", 10, 0); /* there is no extra patch for this kernel */
	put_level(f, "extra", 1);
	assert_newest(f, "extra", NULL, "extra", 1, 0);
	bad.number = 10;
	assert_null(kc_state_add_crash(&crashes, &bad, 0));
	assert_newest(f, "default", &crashes, "default", 9, 1);
	assert_newest(f, "default", NULL, "default", 10, 0);
	/* a crash of one type says nothing about another */
	bad.number = 1;
	assert_null(kc_state_add_crash(&crashes, &bad, 0));
	assert_newest(f, "extra", &crashes, "extra", 1, 0);
	/* when all extra levels are out, the host does not silently get another type */
	strcpy(bad.type, "extra");
	assert_null(kc_state_add_crash(&crashes, &bad, 0));
	assert_newest(f, "extra", &crashes, "extra", 0, 1);
}

static void other_names_are_no_levels(void **state)
{
	static const char *const names[] = { "03.kpatch", "0.kpatch", "3.kpatch.XXXXXX",  "a.kpatch",
					     ".kpatch",	  "3",	      "4294967297.kpatch" };
	struct fixture *f = *state;

	put_level(f, "default", 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char fixed[200];

		snprintf(fixed, sizeof(fixed), "%s/%s/default/%s", KC_PATH_KERNEL_CACHE, f->level.kernel_id, names[i]);
		agent_host_put_text(&f->host, fixed, "x");
	}
	assert_newest(f, "default", NULL, "default", 1, 0);
}

/* ---- what comes from elsewhere ---- */

/* A patch file for this kernel, or for another one; the folder IN is below the root. */
static void write_patch(const struct fixture *f, const char *name, const struct kc_key *key, bool is_for_this_kernel,
			uint32_t level)
{
	kc_autobuf struct kc_buf module = { 0 }, file = { 0 };
	struct kc_manifest manifest;
	char fixed[200];

	sample_payload(&module);
	sample_kernel_manifest(&manifest);
	if (is_for_this_kernel)
		strcpy(manifest.target, f->level.kernel_id);
	manifest.level = level;
	free(manifest.kernel.module);
	if (asprintf(&manifest.kernel.module, "kcare_livepatch_%u", level) < 0)
		fail();
	sample_kernel_patch(f->ctx, key, &manifest, &module, &module, &file);
	kc_manifest_clear(&manifest);
	snprintf(fixed, sizeof(fixed), "/in/%s", name);
	agent_host_put(&f->host, fixed, file.data, file.size);
}

static void trust(struct fixture *f)
{
	kc_autofree char *dir = agent_host_path(&f->host, "/keys"), *pub = agent_host_path(&f->host, "/keys/a.pub"),
			 *path = NULL;
	char made[KC_KEYID_SIZE], keyid[KC_KEYID_SIZE];

	kc_key_free(f->key);
	f->key = NULL;
	sample_must(kc_key_generate(f->ctx, dir, "a", NULL, made));
	assert_null(kc_agent_import_key(f->ctx, pub, keyid, &path));
	assert_string_equal(keyid, made);
	free(dir);
	dir = agent_host_path(&f->host, "/keys/a.key");
	sample_must(kc_key_load(f->ctx, dir, &f->key));
}

static struct kc_error *import(struct fixture *f, const char *fixed, struct kc_imported **imported, size_t *n)
{
	kc_autofree char *path = agent_host_path(&f->host, fixed);

	*imported = NULL;
	*n = 0;
	return kc_agent_import_patch(f->ctx, path, imported, n);
}

static void assert_not_imported(struct fixture *f, const char *fixed, enum kc_error_code code, const char *text)
{
	struct kc_imported *imported;
	size_t n;

	assert_kc_error(import(f, fixed, &imported, &n), code, text);
	assert_int_equal(n, 0);
	kc_imported_free(imported, n);
	assert_newest(f, "default", NULL, "default", 0, 0);
}

static void a_folder_is_imported(void **state)
{
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct fixture *f = *state;
	struct kc_imported *imported;
	size_t n;

	trust(f);
	write_patch(f, "a.kpatch", f->key, true, 3);
	write_patch(f, "b.kpatch", f->key, false, 7);
	agent_host_put_text(&f->host, "/in/README", "not a patch");
	assert_null(import(f, "/in", &imported, &n));
	assert_int_equal(n, 2);
	assert_true(imported[0].is_for_this_kernel);
	assert_false(imported[0].was_there);
	assert_int_equal(imported[0].level.number, 3);
	assert_false(imported[1].is_for_this_kernel);
	assert_string_equal(imported[1].release, "6.1.0-47-amd64");
	kc_imported_free(imported, n);
	assert_newest(f, "default", NULL, "default", 3, 0);
	assert_true(agent_host_has(&f->host, KC_PATH_KERNEL_CACHE "/" SAMPLE_KERNEL_ID "/default/7.kpatch"));
	/* the same again, then another build of that level */
	assert_null(import(f, "/in/a.kpatch", &imported, &n));
	assert_true(imported[0].was_there);
	kc_imported_free(imported, n);
	put_level(f, "default", 3);
	put_marker(f, OTHER_BOOT, 1); /* with a file of another hash */
	assert_null(import(f, "/in/a.kpatch", &imported, &n));
	assert_false(imported[0].was_there);
	assert_non_null(strstr(f->host.log.data, "another build of level 3"));
	assert_null(kc_state_read(&remembered));
	assert_int_equal(remembered.n_crashes, 0);
	kc_imported_free(imported, n);
}

static void what_is_not_trusted_stays_out(void **state)
{
	struct fixture *f = *state;

	write_patch(f, "a.kpatch", f->key, true, 3);
	assert_not_imported(f, "/in/a.kpatch", KC_ERR_UNKNOWN_KEY, "--import-key");
	trust(f);
	assert_not_imported(f, "/in/a.kpatch", KC_ERR_UNKNOWN_KEY, "a.kpatch");
	write_patch(f, "a.kpatch", f->key, true, 3);
	write_patch(f, "z.kpatch", f->other_key, true, 4);
	assert_not_imported(f, "/in", KC_ERR_UNKNOWN_KEY, "z.kpatch"); /* all or nothing */
	agent_host_put_text(&f->host, "/in/z.kpatch", "nonsense");
	assert_not_imported(f, "/in", KC_ERR_NOT_A_PATCH, "z.kpatch");
	assert_not_imported(f, "/in/none.kpatch", KC_ERR_INPUT, "none.kpatch");
	assert_not_imported(f, "/keys", KC_ERR_INPUT, "there is no *.kpatch file");
}

static void a_patch_of_a_library_is_refused(void **state)
{
	kc_autobuf struct kc_buf file = { 0 };
	struct fixture *f = *state;

	trust(f);
	sample_patch(f->ctx, f->key, &file);
	agent_host_put(&f->host, "/in/u.kpatch", file.data, file.size);
	assert_not_imported(f, "/in/u.kpatch", KC_ERR_WRONG_TARGET, "libcare-ctl");
}

static void keys_are_imported_once(void **state)
{
	kc_autofree char *pub = NULL, *private = NULL, *again = NULL, *other = NULL;
	kc_autokeyring struct kc_keyring *keyring = NULL;
	char keyid[KC_KEYID_SIZE];
	struct fixture *f = *state;

	trust(f);
	pub = agent_host_path(&f->host, "/keys/a.pub");
	private = agent_host_path(&f->host, "/keys/a.key");
	assert_kc_error(kc_agent_import_key(f->ctx, pub, keyid, &again), KC_ERR_NOTHING, keyid);
	assert_null(kc_agent_keyring_load(f->ctx, &keyring));
	assert_int_equal(kc_keyring_size(keyring), 1);
	assert_kc_error(kc_agent_import_key(f->ctx, private, keyid, &other), KC_ERR_KEY, "not a public key");
	agent_host_put_text(&f->host, "/keys/pgp", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQEN\n");
	free(pub);
	pub = agent_host_path(&f->host, "/keys/pgp");
	assert_kc_error(kc_agent_import_key(f->ctx, pub, keyid, &other), KC_ERR_KEY, "OpenPGP");
	free(pub);
	pub = agent_host_path(&f->host, "/keys/none");
	assert_kc_error(kc_agent_import_key(f->ctx, pub, keyid, &other), KC_ERR_KEY, "No such file");
}

static void one_run_at_a_time(void **state)
{
	kc_autoclose int first = -1, second = -1;

	(void)state;
	assert_null(kc_agent_lock(0, &first));
	assert_kc_error(kc_agent_lock(200, &second), KC_ERR_LOCKED, "another kcarectl");
	kc_cleanup_fd(&first);
	first = -1;
	assert_null(kc_agent_lock(0, &second));
}

/* ---- what it says ---- */

static struct kc_agent_info sample_info(const struct fixture *f, uint32_t level, uint32_t newest)
{
	struct kc_agent_info info = {
		.release = strdup("6.1.0-47-amd64"),
		.version = strdup("Linux version 6.1.0-47-amd64 (gcc-12) #1 SMP"),
		.effective_version = strdup(level ? "6.1.0-56-amd64" : "6.1.0-47-amd64"),
		.loaded.level = level,
		.created = level ? 1795467600 : 0,
		.newest = f->level,
		.is_cached = newest != 0,
	};

	strcpy(info.kernel_id, f->level.kernel_id);
	strcpy(info.loaded.type, level ? "default" : "");
	info.newest.number = newest;
	info.status = kc_agent_status_of(&info);
	return info;
}

static void the_status_follows_from_the_facts(void **state)
{
	static const struct {
		uint32_t level, newest;
		enum kc_agent_status status;
		const char *text;
	} cases[] = {
		{ 0, 0, KC_STATUS_UNSUPPORTED, "The kernel is unsupported: no patch for it is known.\n" },
		{ 0, 3, KC_STATUS_NO_PATCHES, "No patches applied. Patch level 3 is available.\n" },
		{ 3, 3, KC_STATUS_LATEST, "Patch level 3 is applied. It is the latest for this kernel.\n" },
		{ 3, 0, KC_STATUS_LATEST, "Patch level 3 is applied. It is the latest for this kernel.\n" },
		{ 3, 2, KC_STATUS_LATEST, "Patch level 3 is applied. It is the latest for this kernel.\n" },
		{ 3, 4, KC_STATUS_NEW_PATCHES, "Patch level 3 is applied. Patch level 4 (default) is available.\n" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		KC_CLEANUP_AGENT_INFO struct kc_agent_info info = sample_info(f, cases[i].level, cases[i].newest);
		kc_autobuf struct kc_buf out = { 0 };

		assert_int_equal(info.status, cases[i].status);
		assert_null(kc_agent_info_status(&info, &out));
		assert_string_equal(out.data, cases[i].text);
		strcpy(info.newest.type, "extra"); /* another choice of fixes was configured */
		if (cases[i].level && cases[i].newest)
			assert_int_equal(kc_agent_status_of(&info), KC_STATUS_NEW_PATCHES);
		info.is_container = true;
		assert_int_equal(kc_agent_status_of(&info), KC_STATUS_UNSUPPORTED);
	}
}

static void info_is_as_control_panels_parse_it(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = sample_info(f, 3, 3);
	kc_autobuf struct kc_buf plain = { 0 }, extra = { 0 }, none = { 0 };

	assert_null(kc_agent_info_text(&info, &plain));
	assert_string_equal(plain.data, "kpatch-state: patch is applied\n"
					"kpatch-for: Linux version 6.1.0-47-amd64 (gcc-12) #1 SMP\n"
					"kpatch-build-time: Mon Nov 23 21:00:00 2026\n"
					"kpatch-description: 3-:1795467600;6.1.0-56-amd64\n");
	strcpy(info.loaded.type, "extra");
	strcpy(info.newest.type, "extra");
	info.loaded.is_forced = true;
	assert_null(kc_agent_info_text(&info, &extra));
	assert_non_null(strstr(extra.data, "\nkpatch-description: 3-extra:1795467600;6.1.0-56-amd64\n"));
	assert_non_null(strstr(extra.data, "\nkpatch-note: the patch was forced"));
	kc_agent_info_clear(&info);
	info = sample_info(f, 0, 3);
	info.crashes = calloc(1, sizeof(*info.crashes));
	info.crashes[0] = (struct kc_crash){ f->level, 1795467600 };
	info.n_crashes = 1;
	assert_null(kc_agent_info_text(&info, &none));
	assert_string_equal(none.data,
			    "No patches applied\n"
			    "kpatch-note: patch level 3 (default) is in the cache; 'kcarectl --update' applies it\n"
			    "kpatch-note: the host went down after patch level 3 (default) was loaded on 2026-11-23 "
			    "21:00:00 UTC; it is not loaded at boot; 'kcarectl --update' tries it again\n");
}

static void info_is_json(void **state)
{
	struct fixture *f = *state;
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = sample_info(f, 3, 4);
	kc_autobuf struct kc_buf out = { 0 }, none = { 0 };

	assert_null(kc_agent_info_json(&info, &out));
	assert_non_null(strstr(out.data, "\"patch-type\":\"default\",\"patch-level\":3,"));
	assert_non_null(strstr(out.data, "\"available-level\":4,"));
	assert_non_null(strstr(out.data, "\"status\":\"new-patches\","));
	assert_int_equal(out.data[out.size - 1], '\n');
	kc_agent_info_clear(&info);
	info = sample_info(f, 0, 0);
	assert_null(kc_agent_info_json(&info, &none));
	assert_non_null(strstr(none.data, "\"patch-state\":\"none\",\"patch-type\":\"unset\",\"patch-level\":null,"));
}

static void types_are_in_module_names(void **state)
{
	char type[KC_TYPE_SIZE];

	(void)state;
	kc_loaded_type("kcare_livepatch_12", type);
	assert_string_equal(type, "default");
	kc_loaded_type("kcare_livepatch_extra_12", type);
	assert_string_equal(type, "extra");
	kc_loaded_type("kcare_livepatch_anameofmanyletters_1", type);
	assert_string_equal(type, "default");
	kc_loaded_type("other", type);
	assert_string_equal(type, "default");
}

/* The id of a kernel that the state does not know must be hashed by the caller. */
static void an_unknown_kernel_is_not_guessed(void **state)
{
	KC_CLEANUP_AGENT_INFO struct kc_agent_info unknown = { 0 }, known = { 0 };
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	KC_CLEANUP_KERNEL struct kc_kernel kernel = { 0 };
	KC_CLEANUP_STATE struct kc_state remembered = { 0 };
	struct fixture *f = *state;

	assert_null(kc_config_load(f->ctx, &config));
	assert_kc_error(kc_agent_info_read(f->ctx, NULL, &config, &unknown), KC_ERR_NOT_FOUND, "");
	assert_null(kc_kernel_read(f->ctx, &kernel));
	put_level(f, "default", 5);
	put_marker(f, OTHER_BOOT, 1);
	remembered.kernel_version = strdup(kernel.version);
	strcpy(remembered.kernel_id, kernel.kernel_id);
	assert_null(kc_state_write(&remembered));
	assert_null(kc_agent_info_read(f->ctx, NULL, &config, &known));
	assert_string_equal(known.kernel_id, f->level.kernel_id);
	assert_int_equal(known.newest.number, 5);
	assert_string_equal(known.release, kernel.release);
	assert_string_equal(known.effective_version, kernel.release);
	assert_int_equal(known.n_crashes, 1); /* nobody has recorded it yet, but it is told already */
	assert_true(agent_host_has(&f->host, KC_PATH_LOADING));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read),
		TEST(a_damaged_state_is_named),
		TEST(a_marker_is_watched_until_proved),
		TEST(a_marker_of_another_boot_is_a_crash),
		TEST(a_proved_level_is_no_crash_any_more),
		TEST(a_damaged_marker_is_named),
		TEST(the_newest_level_is_found),
		TEST(other_names_are_no_levels),
		TEST(a_folder_is_imported),
		TEST(what_is_not_trusted_stays_out),
		TEST(a_patch_of_a_library_is_refused),
		TEST(keys_are_imported_once),
		TEST(one_run_at_a_time),
		TEST(the_status_follows_from_the_facts),
		TEST(info_is_as_control_panels_parse_it),
		TEST(info_is_json),
		TEST(types_are_in_module_names),
		TEST(an_unknown_kernel_is_not_guessed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
