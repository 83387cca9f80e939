/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `info` prints, and what counts as fixed: on reports that are made here, and on the report of this very process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "apply/user_cvelist.h"
#include "base/array.h"
#include "base/file.h"
#include "base/hex.h"
#include "sample.h"

#define CRYPTO "aa11223344556677889900112233445566778899"
#define SSL "bb11223344556677889900112233445566778899"

/* Only what the report looks at. */
static struct kc_patch make_patch(const char *build_id, uint32_t level, char **cves, size_t n_cves,
				  struct kc_fix_info *fix)
{
	*fix = (struct kc_fix_info){ .cves = cves, .n_cves = n_cves };
	return (struct kc_patch){
		.manifest = { .target = (char *)build_id, .level = level, .fixes = fix, .n_fixes = 1 },
	};
}

struct world {
	struct kc_fix_info fixes[3];
	struct kc_patch crypto1, crypto2, ssl1;
	const struct kc_patch *known[3];
	struct kc_report_object objects[4];
	struct kc_report_process processes[3];
	struct kc_user_report report;
};

static char *first_cve[] = { (char *)"CVE-2026-9", (char *)"CVE-2026-9" };
static char *both_cves[] = { (char *)"CVE-2026-9", (char *)"CVE-2026-10" };

/* Level 1 for libcrypto and libssl fixes CVE-2026-9, level 2 for libcrypto also CVE-2026-10. */
static void make_world(struct world *world)
{
	*world = (struct world){ 0 };
	world->crypto1 = make_patch(CRYPTO, 1, first_cve, 2, &world->fixes[0]);
	world->crypto2 = make_patch(CRYPTO, 2, both_cves, 2, &world->fixes[1]);
	world->ssl1 = make_patch(SSL, 1, first_cve, 1, &world->fixes[2]);
	world->known[0] = &world->crypto1;
	world->known[1] = &world->crypto2;
	world->known[2] = &world->ssl1;
	world->report = (struct kc_user_report){ .processes = world->processes, .known = world->known, .n_known = 3 };
}

static void add_process(struct world *world, pid_t pid, size_t first_object, size_t n_objects)
{
	struct kc_report_process *process = &world->processes[world->report.n_processes++];

	process->pid = pid;
	strcpy(process->comm, "nginx");
	process->objects = &world->objects[first_object];
	process->n_objects = n_objects;
}

static struct kc_report_object mapped(const char *name, const char *build_id, const struct kc_patch *patch,
				      const struct kc_patch *available)
{
	return (struct kc_report_object){
		.name = (char *)name,
		.build_id = (char *)build_id,
		.patchset = patch ? (char *)"U20261123_01" : NULL,
		.level = patch ? patch->manifest.level : 0,
		.patch = patch,
		.available = available,
	};
}

static void assert_list(const struct kc_user_report *report, const char *expected)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autobuf struct kc_buf out = { 0 };

	assert_null(kc_user_cvelist_compute(ctx, report, &out));
	assert_string_equal(out.data ? out.data : "", expected);
}

static void cve_is_listed_when_everybody_has_the_fix(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	assert_list(&world.report, "");
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, &world.crypto2);
	add_process(&world, 10, 0, 1);
	/* In the order of their numbers. */
	assert_list(&world.report, "CVE-2026-9\nCVE-2026-10\n");
	world.objects[1] = mapped("libcrypto.so.3", CRYPTO, &world.crypto1, &world.crypto2);
	add_process(&world, 11, 1, 1);
	assert_list(&world.report, "CVE-2026-9\n");
	/* The same CVE needs a fix in another library, too. */
	world.objects[2] = mapped("libssl.so.3", SSL, NULL, &world.ssl1);
	add_process(&world, 12, 2, 1);
	assert_list(&world.report, "");
	world.objects[2] = mapped("libssl.so.3", SSL, &world.ssl1, &world.ssl1);
	assert_list(&world.report, "CVE-2026-9\n");
}

static void what_does_not_count_keeps_a_cve_off(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, &world.crypto2);
	world.objects[1] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, &world.crypto2);
	add_process(&world, 10, 0, 1);
	add_process(&world, 11, 1, 1);
	assert_list(&world.report, "CVE-2026-9\nCVE-2026-10\n");
	world.objects[1].problem = (char *)"the code in memory is not what the record in the process says";
	assert_list(&world.report, "");
	world.objects[1].problem = NULL;
	world.processes[1].unreadable = (char *)"permission: no";
	assert_list(&world.report, "");
	world.processes[1].unreadable = NULL;
	/* A line break in a name would forge another line. */
	both_cves[1] = (char *)"CVE-2026-10\nCVE-2000-1";
	assert_list(&world.report, "CVE-2026-9\n");
	both_cves[1] = (char *)"CVE-2026-10";
}

static void assert_totals(const struct world *world, uint32_t n_processes, uint32_t n_patched)
{
	struct kc_report_totals totals;

	kc_user_report_totals(&world->report, &totals);
	assert_int_equal(totals.n_processes, n_processes);
	assert_int_equal(totals.n_patched, n_patched);
}

static void a_process_counts_when_it_has_all_that_is_known(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	assert_totals(&world, 0, 0);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, &world.crypto2);
	world.objects[1] = mapped("libssl.so.3", SSL, &world.ssl1, &world.ssl1);
	add_process(&world, 10, 0, 2);
	assert_totals(&world, 1, 1);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto1, &world.crypto2); /* a lower level */
	assert_totals(&world, 1, 0);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, NULL); /* of a patch that left the store */
	assert_totals(&world, 1, 1);
	world.objects[0].is_withdrawn = true;
	assert_totals(&world, 1, 0);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, NULL, NULL); /* code that was left over */
	assert_totals(&world, 1, 1);
	world.objects[2] = mapped("libssl.so.3", SSL, NULL, &world.ssl1);
	add_process(&world, 11, 2, 1);
	assert_totals(&world, 2, 1);
	world.processes[1].blacklisted = (char *)"filename:nginx"; /* nobody wants it patched */
	assert_totals(&world, 1, 1);
}

static json_t *print_json(const struct kc_user_report *report)
{
	kc_autobuf struct kc_buf out = { 0 };
	json_t *line;

	assert_null(kc_user_report_json(report, &out));
	assert_int_equal(strcspn(out.data, "\n"), out.size - 1);
	line = json_loads(out.data, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(line);
	return line;
}

static void json_of_a_patched_process_is_that_of_the_reference(void **state)
{
	struct world world;
	kc_autobuf struct kc_buf out = { 0 };

	(void)state;
	make_world(&world);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto1, &world.crypto1);
	add_process(&world, 10, 0, 1);
	assert_null(kc_user_report_json(&world.report, &out));
	assert_string_equal(out.data, "{\"pid\":10,\"comm\":\"nginx\",\"libcrypto.so.3\":{\"buildid\":\"" CRYPTO
				      "\",\"patchlvl\":1,\"cve\":[\"CVE-2026-9\"],\"patchset\":\"U20261123_01\"}}\n");
}

static void json_tells_what_is_missing_left_over_and_wrong(void **state)
{
	struct world world;
	uint32_t leftover[] = { 1, 4 };
	json_t *line, *object;

	(void)state;
	make_world(&world);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto1, &world.crypto2);
	world.objects[1] = mapped("libcrypto.so.3", SSL, NULL, &world.ssl1);
	world.objects[1].leftover = leftover;
	world.objects[1].n_leftover = 2;
	world.objects[2] = mapped("pid", "cc", &world.crypto1, NULL);
	world.objects[2].problem = (char *)"lost";
	add_process(&world, 10, 0, 3);
	memcpy(world.processes[0].comm, "x\xff\x1b[2J", 7);
	line = print_json(&world.report);
	assert_string_equal(json_string_value(json_object_get(line, "comm")), "x??[2J");
	object = json_object_get(line, "libcrypto.so.3");
	assert_int_equal(json_integer_value(json_object_get(object, "patchlvl")), 1);
	assert_int_equal(json_integer_value(json_object_get(object, "available")), 2);
	assert_int_equal(json_array_size(json_object_get(object, "missing")), 1);
	object = json_object_get(line, "libcrypto.so.3#2");
	assert_int_equal(json_integer_value(json_object_get(object, "patchlvl")), 0);
	assert_int_equal(json_array_size(json_object_get(object, "cve")), 0);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(object, "leftover"), 1)), 4);
	assert_int_equal(json_integer_value(json_object_get(line, "pid")), 10);
	object = json_object_get(line, "pid#2");
	assert_string_equal(json_string_value(json_object_get(object, "problem")), "lost");
	assert_int_equal(json_array_size(json_object_get(object, "cve")), 0);
	json_decref(line);
}

static void text_says_who_is_not_patched_and_counts(void **state)
{
	struct world world;
	kc_autobuf struct kc_buf out = { 0 };

	(void)state;
	make_world(&world);
	world.objects[0] = mapped("libcrypto.so.3", CRYPTO, &world.crypto2, &world.crypto2);
	world.objects[1] = mapped("libssl.so.3", SSL, NULL, &world.ssl1);
	add_process(&world, 10, 0, 1);
	add_process(&world, 11, 1, 1);
	add_process(&world, 12, 2, 0);
	world.processes[1].blacklisted = (char *)"filename:nginx (list:1)";
	world.processes[2].unreadable = (char *)"permission: no";
	kc_user_report_text(&world.report, &out);
	assert_non_null(strstr(out.data, "patched: level 2 of U20261123_01; fixed: CVE-2026-9 CVE-2026-10\n"));
	assert_non_null(strstr(out.data, "NOT PATCHED: level 1 is known; missing: CVE-2026-9\n"));
	assert_non_null(strstr(out.data, "never patched: blacklisted by filename:nginx (list:1)\n"));
	assert_non_null(strstr(out.data, "cannot be read: permission: no\n"));
	assert_non_null(strstr(out.data, "processes fixed: 1, not fixed: 1, not readable: 1\n"));
}

/* The store has a patch for the program that runs this test. */
static void put_patch_for(struct kc_ctx *ctx, struct kc_user_store *store, const struct kc_key *key)
{
	kc_autobuf struct kc_buf object = { 0 }, file = { 0 };
	struct kc_patch_payload payload = { .name = KC_PAYLOAD_NAME };
	kc_autoelf struct kc_elf *elf = NULL;
	struct kc_manifest manifest;

	assert_null(kc_elf_open(ctx, "/proc/self/exe", &elf));
	assert_true(elf->build_id_size);
	sample_payload(&object);
	payload.data = object.data;
	payload.size = object.size;
	sample_manifest(&manifest);
	free(manifest.target);
	manifest.target = kc_elf_build_id_text(elf);
	sample_must(kc_patch_encode(ctx, &manifest, &payload, 1, key, &file));
	kc_manifest_clear(&manifest);
	assert_null(kc_user_store_put(ctx, store, file.data, file.size));
}

static void process_that_lacks_a_stored_patch_is_named(void **state)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	kc_autouserblacklist struct kc_user_blacklist *blacklist = NULL;
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autouserstore struct kc_user_store *store = NULL;
	kc_autouserreport struct kc_user_report *report = NULL;
	kc_autokey struct kc_key *key = NULL;
	char dir[] = "/tmp/kcare-report-XXXXXX";
	const pid_t pids[] = { getpid(), 0x3fffffff };

	(void)state;
	assert_non_null(mkdtemp(dir));
	sample_keys(ctx, &key, &keyring);
	assert_null(kc_user_blacklist_parse("list", "filename:test_report", 20, &blacklist));
	assert_null(kc_user_store_open(ctx, dir, keyring, &store));
	assert_null(kc_user_report_collect(ctx, store, blacklist, pids, 2, false, &report));
	assert_int_equal(report->n_processes, 0);
	kc_user_report_free(kc_steal(report));
	put_patch_for(ctx, store, key);
	assert_null(kc_user_report_collect(ctx, store, blacklist, pids, 2, false, &report));
	assert_int_equal(report->n_processes, 1);
	assert_int_equal(report->processes[0].n_objects, 1);
	assert_int_equal(report->processes[0].objects[0].level, 0);
	assert_int_equal(report->processes[0].objects[0].available->manifest.level, 3);
	assert_string_equal(report->processes[0].blacklisted, "filename:test_report (list:1)");
	assert_list(report, "");
	assert_int_equal(kc_tree_remove(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cve_is_listed_when_everybody_has_the_fix),
		cmocka_unit_test(what_does_not_count_keeps_a_cve_off),
		cmocka_unit_test(json_of_a_patched_process_is_that_of_the_reference),
		cmocka_unit_test(json_tells_what_is_missing_left_over_and_wrong),
		cmocka_unit_test(a_process_counts_when_it_has_all_that_is_known),
		cmocka_unit_test(text_says_who_is_not_patched_and_counts),
		cmocka_unit_test(process_that_lacks_a_stored_patch_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
