/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes many signed patch files at once, for tests and benches of what carries patches and never applies them
 * (patchsets, repositories, the agent's choice): their payloads are well-formed, and are nobody's code.
 *
 *	sample_patches KEY [OBJECT_SIZE] <LIST
 *
 * Each line of LIST, words between blanks:
 *
 *	OUT kernel KERNELID TYPE LEVEL PATCHSET RELEASE EFFECTIVE [CVE…]
 *	OUT user BUILDID TYPE LEVEL PATCHSET PACKAGE=VERSION SONAME [CVE…]
 *
 * OBJECT_SIZE: so many bytes that do not compress are added to each.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sample.h"

enum { N_FIELDS = 8, N_CVES_MAX = 32, OBJECT_SIZE_MAX = 16 << 20 };

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		sample_must(kc_error_no_memory());
	return copied;
}

static void set(char **member, const char *value)
{
	free(*member);
	*member = copy(value);
}

static struct kc_error *bad_line(unsigned number)
{
	return kc_error_new(KC_ERR_INPUT, "line %u: see the beginning of tests/tools/sample_patches.c", number);
}

static void set_fixes(struct kc_manifest *manifest, char **cves, size_t n_cves)
{
	struct kc_fix_info *fix = &manifest->fixes[0];

	for (size_t i = 0; i < fix->n_cves; i++)
		free(fix->cves[i]);
	free(fix->cves);
	fix->cves = calloc(n_cves + 1, sizeof(*fix->cves));
	if (!fix->cves)
		sample_must(kc_error_no_memory());
	for (fix->n_cves = 0; fix->n_cves < n_cves; fix->n_cves++)
		fix->cves[fix->n_cves] = copy(cves[fix->n_cves]);
}

static void make_manifest(char **fields, struct kc_manifest *manifest)
{
	char *module, *version;

	if (!strcmp(fields[1], "kernel")) {
		sample_kernel_manifest(manifest);
		set(&manifest->kernel.release, fields[6]);
		set(&manifest->kernel.effective_version, fields[7]);
		if (asprintf(&module, "kcare_livepatch_%s", fields[4]) < 0)
			sample_must(kc_error_no_memory());
		free(manifest->kernel.module);
		manifest->kernel.module = module;
	} else {
		sample_manifest(manifest);
		version = strchr(fields[6], '=');
		if (version)
			*version++ = '\0';
		set(&manifest->package, fields[6]);
		set(&manifest->version, version ? version : "1");
		set(&manifest->object, fields[7]);
	}
	set(&manifest->target, fields[2]);
	set(&manifest->type, fields[3]);
	manifest->level = (uint32_t)strtoul(fields[4], NULL, 10);
	set(&manifest->patchset, fields[5]);
}

/* Different for each file, the same for the same line. */
static void make_noise(const char *line, size_t size, struct kc_buf *noise)
{
	uint64_t state = 88172645463325252u;

	for (; *line; line++)
		state = (state ^ (uint8_t)*line) * 1099511628211u;
	for (size_t i = 0; i < size; i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		kc_buf_append_u64(noise, state);
	}
}

/* Nothing that must outlive a power cut. */
static struct kc_error *write_file(const char *path, const struct kc_buf *content)
{
	kc_autofclose FILE *file = fopen(path, "w");

	if (!file || fwrite(content->data, 1, content->size, file) != content->size || fflush(file))
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot write %s", path);
	return NULL;
}

static struct kc_error *write_patch(struct kc_ctx *ctx, const struct kc_key *key, char **fields,
				    const struct kc_manifest *manifest, const struct kc_buf *noise)
{
	kc_autobuf struct kc_buf object = { 0 }, out = { 0 };

	if (manifest->kind == KC_PATCH_KERNEL) {
		sample_kernel_patch(ctx, key, manifest, noise, noise, &out);
	} else {
		sample_payload(&object);
		kc_buf_append(&object, noise->data, noise->size);
		KC_TRY(kc_patch_encode(
			ctx, manifest,
			&(struct kc_patch_payload){ .name = KC_PAYLOAD_NAME, .data = object.data, .size = object.size },
			1, key, &out));
	}
	return write_file(fields[0], &out);
}

static struct kc_error *run_line(struct kc_ctx *ctx, const struct kc_key *key, size_t object_size, unsigned number,
				 char *line)
{
	kc_autobuf struct kc_buf noise = { 0 };
	char *words[N_FIELDS + N_CVES_MAX], *rest = NULL;
	struct kc_manifest manifest = { 0 };
	struct kc_error *err;
	size_t n = 0;

	kc_buf_append_str(&noise, "sample");
	make_noise(line, object_size, &noise);
	for (char *word = strtok_r(line, " \t\n", &rest); word; word = strtok_r(NULL, " \t\n", &rest)) {
		if (n == N_FIELDS + N_CVES_MAX)
			return bad_line(number);
		words[n++] = word;
	}
	if (n == 0)
		return NULL;
	if (n < N_FIELDS || (strcmp(words[1], "kernel") && strcmp(words[1], "user")))
		return bad_line(number);
	make_manifest(words, &manifest);
	set_fixes(&manifest, words + N_FIELDS, n - N_FIELDS);
	err = write_patch(ctx, key, words, &manifest, &noise);
	kc_manifest_clear(&manifest);
	return err ? kc_error_prefix(err, "line %u", number) : NULL;
}

static struct kc_error *run(struct kc_ctx *ctx, const char *key_path, size_t object_size)
{
	kc_autokey struct kc_key *key = NULL;
	kc_autofree char *line = NULL;
	size_t capacity = 0;

	KC_TRY(kc_key_load(ctx, key_path, &key));
	for (unsigned number = 1; getline(&line, &capacity, stdin) > 0; number++)
		KC_TRY(run_line(ctx, key, object_size, number, line));
	return NULL;
}

int main(int argc, char **argv)
{
	kc_autoctx struct kc_ctx *ctx = kc_ctx_new();
	size_t object_size = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	kc_autoerror struct kc_error *err = NULL;

	if (argc < 2 || object_size > OBJECT_SIZE_MAX || !ctx) {
		fprintf(stderr, "usage: sample_patches KEY [OBJECT_SIZE] <LIST\n");
		return 2;
	}
	err = run(ctx, argv[1], object_size);
	if (err)
		fprintf(stderr, "sample_patches: %s\n", kc_error_message(err));
	return err ? 1 : 0;
}
