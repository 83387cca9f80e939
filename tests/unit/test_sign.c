/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/file.h"
#include "sample.h"
#include "sign/envelope.h"
#include "sign/hash.h"

struct fixture {
	struct kc_ctx *ctx;
	char dir[32];
	char path[64]; /* of the last file that was named */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kcare-test-XXXXXX");
	f->ctx = kc_ctx_new();
	*state = f;
	return f->ctx && mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int err = kc_tree_remove(f->dir);

	kc_ctx_free(f->ctx);
	free(f);
	return err;
}

static const char *in_dir(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	return f->path;
}

static void write_text(struct fixture *f, const char *name, const char *text)
{
	assert_int_equal(kc_file_write_atomic(in_dir(f, name), text, strlen(text), 0644), 0);
}

static void assert_error(struct kc_error *err, enum kc_error_code code)
{
	kc_autoerror struct kc_error *owned = err;

	if (!err)
		fail_msg("no error, expected %s", kc_error_code_name(code));
	if (kc_error_code(err) != code)
		fail_msg("%s: %s, expected %s", kc_error_code_name(kc_error_code(err)), kc_error_message(err),
			 kc_error_code_name(code));
}

static void make_key(struct fixture *f, const char *name, struct kc_key **key)
{
	char file[32], keyid[KC_KEYID_SIZE];

	sample_must(kc_key_generate(f->ctx, f->dir, name, NULL, keyid));
	snprintf(file, sizeof(file), "%s.key", name);
	sample_must(kc_key_load(f->ctx, in_dir(f, file), key));
	assert_string_equal(kc_key_id(*key), keyid);
}

static void hashes_are_the_standard_ones(void **state)
{
	char text[KC_SHA256_TEXT_SIZE];

	(void)state;
	kc_sha256_text("abc", 3, text);
	assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	/* FIPS 180-4, "abc" */
	kc_kernel_id("abc", 3, text);
	assert_string_equal(text, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void hash_in_pieces_is_the_same(void **state)
{
	char whole[KC_SHA256_TEXT_SIZE], pieces[KC_SHA256_TEXT_SIZE], data[1000];
	kc_autohasher struct kc_hasher *hasher = kc_hasher_new();

	(void)state;
	memset(data, 'x', sizeof(data));
	for (size_t size = 0; size < sizeof(data); size += 37) {
		for (size_t at = 0; at < size; at += 7)
			kc_hasher_add(hasher, data + at, size - at < 7 ? size - at : 7);
		assert_null(kc_hasher_finish(hasher, pieces));
		kc_sha256_text(data, size, whole);
		assert_string_equal(pieces, whole);
	}
}

static void private_key_is_secret_and_never_overwritten(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	char keyid[KC_KEYID_SIZE];
	struct stat st;

	make_key(f, "author", &key);
	assert_int_equal(stat(in_dir(f, "author.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_error(kc_key_generate(f->ctx, f->dir, "author", NULL, keyid), KC_ERR_KEY);
	assert_int_equal(unlink(in_dir(f, "author.key")), 0);
	assert_error(kc_key_generate(f->ctx, f->dir, "author", NULL, keyid), KC_ERR_KEY);
	assert_int_equal(access(in_dir(f, "author.key"), F_OK), -1); /* no private key without its public one */
	assert_error(kc_key_generate(f->ctx, f->dir, "../author", NULL, keyid), KC_ERR_USAGE);
}

static struct kc_error *answer(void *data, const char *question, struct kc_buf *secret)
{
	assert_non_null(strstr(question, "author.key"));
	kc_buf_append_str(secret, data);
	return NULL;
}

static void passphrase_is_asked_for(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	kc_autobuf struct kc_buf pem = { 0 };
	char keyid[KC_KEYID_SIZE], right[] = "correct horse", wrong[] = "wrong horse";

	sample_must(kc_key_generate(f->ctx, f->dir, "author", right, keyid));
	assert_int_equal(kc_file_read(in_dir(f, "author.key"), 4096, &pem), 0);
	assert_non_null(strstr(pem.data, "BEGIN ENCRYPTED PRIVATE KEY"));
	assert_error(kc_key_load(f->ctx, in_dir(f, "author.key"), &key), KC_ERR_KEY); /* nobody to ask */
	kc_ctx_set_ask(f->ctx, answer, wrong);
	assert_error(kc_key_load(f->ctx, in_dir(f, "author.key"), &key), KC_ERR_KEY);
	kc_ctx_set_ask(f->ctx, answer, right);
	sample_must(kc_key_load(f->ctx, in_dir(f, "author.key"), &key));
	assert_string_equal(kc_key_id(key), keyid);
}

static void other_files_are_no_keys(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;

	make_key(f, "author", &key);
	kc_key_free(kc_steal(key));
	assert_error(kc_key_load(f->ctx, in_dir(f, "author.pub"), &key), KC_ERR_KEY);
	assert_error(kc_key_load(f->ctx, in_dir(f, "missing.key"), &key), KC_ERR_KEY);
	assert_error(kc_key_load(f->ctx, f->dir, &key), KC_ERR_KEY);
	write_text(f, "empty.key", "");
	assert_error(kc_key_load(f->ctx, in_dir(f, "empty.key"), &key), KC_ERR_KEY);
}

static void keyring_takes_a_file_or_a_folder(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *first = NULL, *second = NULL;
	kc_autokeyring struct kc_keyring *file = NULL, *folder = NULL, *empty = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%s/none", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	make_key(f, "a", &first);
	make_key(f, "b", &second);
	write_text(f, "README", "not a key");
	sample_must(kc_keyring_load(f->ctx, in_dir(f, "a.pub"), &file));
	sample_must(kc_keyring_load(f->ctx, f->dir, &folder));
	sample_must(kc_keyring_load(f->ctx, path, &empty));
	assert_int_equal(kc_keyring_size(file), 1);
	assert_int_equal(kc_keyring_size(folder), 2);
	assert_int_equal(kc_keyring_size(empty), 0);
}

/* An EC key on P-256; public, made for this test only. */
static const char p256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
			       "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJKqQsDfI1HIur8uJvkwIZGaaZDhM\n"
			       "/mUcsJffmuG4EojixPE1aWbHvI1fkg3b/xnm4k0JbzYbnZy41la51ill+A==\n"
			       "-----END PUBLIC KEY-----\n";

static void keyring_skips_nothing(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	kc_autobuf struct kc_buf pem = { 0 };
	struct kc_keyring *keyring = NULL;
	struct kc_error *err;

	make_key(f, "good", &key);
	assert_error(kc_keyring_load(f->ctx, in_dir(f, "missing"), &keyring), KC_ERR_KEY);
	write_text(f, "broken.pub", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
	err = kc_keyring_load(f->ctx, f->dir, &keyring);
	assert_non_null(err);
	assert_non_null(strstr(kc_error_message(err), "broken.pub"));
	kc_error_free(err);
	write_text(f, "broken.pub", "");
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_KEY);
	write_text(f, "broken.pub", p256_pem);
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_KEY);
	assert_int_equal(kc_file_read(in_dir(f, "good.pub"), 4096, &pem), 0);
	assert_int_equal(kc_file_read(in_dir(f, "good.pub"), 4096, &pem), 0);
	write_text(f, "broken.pub", pem.data); /* two keys in one file */
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_KEY);
	assert_int_equal(unlink(in_dir(f, "broken.pub")), 0);
	assert_int_equal(mkfifo(in_dir(f, "pipe.pub"), 0600), 0); /* must not wait for a writer */
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_KEY);
}

static void root_trusts_no_keyring_that_others_may_write(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	struct kc_keyring *keyring = NULL;

	if (geteuid() != 0)
		skip();
	make_key(f, "author", &key);
	assert_int_equal(chmod(in_dir(f, "author.pub"), 0664), 0);
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_PERMISSION);
	assert_error(kc_keyring_load(f->ctx, in_dir(f, "author.pub"), &keyring), KC_ERR_PERMISSION);
	assert_int_equal(chmod(in_dir(f, "author.pub"), 0644), 0);
	assert_int_equal(chown(in_dir(f, "author.pub"), 65534, 65534), 0);
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_PERMISSION);
	assert_int_equal(chown(in_dir(f, "author.pub"), 0, 0), 0);
	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_error(kc_keyring_load(f->ctx, f->dir, &keyring), KC_ERR_PERMISSION);
}

/* ---- canonical JSON ---- */

static void canonical_text_is_accepted_and_kept(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"null",
		"true",
		"0",
		"-1",
		"9007199254740991",
		"-9007199254740991",
		"\"\"",
		"\"a\\\"b\\\\c\\nd/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"{\"A\":1,\"B\":{\"a b\":[]},\"a\":[1,2,{}]}",
		"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++) {
		kc_autojson json_t *value = NULL;
		kc_autobuf struct kc_buf again = { 0 };
		struct kc_error *err = kc_canonical_parse(texts[i], strlen(texts[i]), &value);

		if (err)
			fail_msg("%s: %s", texts[i], kc_error_message(err));
		sample_must(kc_canonical_encode(value, &again));
		assert_string_equal(again.data, texts[i]);
	}
}

static void other_text_is_not_canonical(void **state)
{
	static const char *const texts[] = {
		"",
		" {}",
		"{} ",
		"{}\n",
		"{} {}",
		"{\"a\": 1}",
		"{\"b\":1,\"a\":2}",
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,}",
		"1.0",
		"1e3",
		"01",
		"-0",
		"+1",
		"9007199254740992",
		"-9007199254740992",
		"99999999999999999999",
		"\"\\u0061\"",
		"\"\\/\"",
		"\"\\t\"",
		"\"\t\"",
		"\"\x7f\"",
		"\"\xc2\x85\"",
		"\"\\u0000\"",
		"\"\xff\"",
		"\"\xed\xa0\x80\"",
		"\"\xc0\xaf\"",
		"{\"\":1}",
		"{\"\xc3\xa4\":1}",
		"{\"a\\nb\":1}",
		"{\"a\\\"b\":1}",
		"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
		"nan",
		"Infinity",
		"tru",
		"'a'",
		"{a:1}",
		"[1,]",
		"\xef\xbb\xbf{}",
	};

	(void)state;
	for (size_t i = 0; i < KC_ARRAY_SIZE(texts); i++) {
		json_t *value = NULL;
		kc_autoerror struct kc_error *err = kc_canonical_parse(texts[i], strlen(texts[i]), &value);

		if (!err)
			fail_msg("accepted: %s", texts[i]);
		assert_int_equal(kc_error_code(err), KC_ERR_CORRUPT);
	}
}

static void deep_nesting_is_refused_before_the_parser(void **state)
{
	kc_autobuf struct kc_buf text = { 0 };
	json_t *value = NULL;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		kc_buf_append(&text, "[", 1);
	assert_error(kc_canonical_parse(text.data, text.size, &value), KC_ERR_CORRUPT);
}

/* ---- envelopes ---- */

static void seal(const struct kc_key *const *keys, size_t n, struct kc_buf *out)
{
	kc_autojson json_t *signed_part = json_pack("{s:s, s:i}", "name", "main", "version", 7);

	sample_must(kc_envelope_encode(signed_part, keys, n, out));
}

static struct kc_error *verify(const struct kc_buf *text, const struct kc_keyring *keyring, unsigned threshold)
{
	kc_autoenvelope struct kc_envelope envelope = { 0 };

	KC_TRY(kc_envelope_verify(text->data, text->size, keyring, threshold, &envelope));
	assert_int_equal(json_integer_value(json_object_get(envelope.signed_part, "version")), 7);
	assert_true(envelope.n_keyids >= threshold);
	return NULL;
}

static void envelope_counts_keys_against_the_threshold(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *a = NULL, *b = NULL;
	kc_autokeyring struct kc_keyring *both = NULL, *only_b = NULL;
	kc_autobuf struct kc_buf none = { 0 }, by_a = { 0 }, by_both = { 0 }, twice = { 0 };

	make_key(f, "a", &a);
	make_key(f, "b", &b);
	sample_must(kc_keyring_load(f->ctx, f->dir, &both));
	sample_must(kc_keyring_load(f->ctx, in_dir(f, "b.pub"), &only_b));
	seal(NULL, 0, &none);
	seal((const struct kc_key *const[]){ a }, 1, &by_a);
	seal((const struct kc_key *const[]){ a, b }, 2, &by_both);
	seal((const struct kc_key *const[]){ a, a }, 2, &twice);
	assert_error(verify(&none, both, 1), KC_ERR_UNSIGNED);
	sample_must(verify(&by_a, both, 1));
	assert_error(verify(&by_a, both, 2), KC_ERR_UNSIGNED);
	assert_error(verify(&by_a, only_b, 1), KC_ERR_UNKNOWN_KEY);
	sample_must(verify(&by_both, both, 2));
	sample_must(verify(&by_both, only_b, 1)); /* that of an unknown key does not count, and does no harm */
	assert_error(verify(&by_both, only_b, 2), KC_ERR_UNSIGNED);
	assert_error(verify(&twice, both, 2), KC_ERR_CORRUPT); /* one key cannot be two */
}

static void every_flipped_bit_of_an_envelope_is_refused(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autobuf struct kc_buf text = { 0 };

	make_key(f, "a", &key);
	sample_must(kc_keyring_load(f->ctx, f->dir, &keyring));
	seal((const struct kc_key *const[]){ key }, 1, &text);
	for (size_t bit = 0; bit < text.size * 8; bit++) {
		struct kc_error *err;

		text.data[bit / 8] ^= (char)(1 << bit % 8);
		err = verify(&text, keyring, 1);
		if (!err)
			fail_msg("accepted with bit %zu flipped", bit);
		kc_error_free(err);
		text.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	sample_must(verify(&text, keyring, 1));
}

static void replace_once(struct kc_buf *text, const char *from, const char *to)
{
	char *at = strstr(text->data, from);

	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
}

static void changed_content_is_a_bad_signature(void **state)
{
	struct fixture *f = *state;
	kc_autokey struct kc_key *key = NULL;
	kc_autokeyring struct kc_keyring *keyring = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	kc_autoenvelope struct kc_envelope peeked = { 0 };

	make_key(f, "a", &key);
	sample_must(kc_keyring_load(f->ctx, f->dir, &keyring));
	seal((const struct kc_key *const[]){ key }, 1, &text);
	replace_once(&text, "main", "evil");
	assert_error(verify(&text, keyring, 1), KC_ERR_BAD_SIGNATURE);
	sample_must(kc_envelope_peek(text.data, text.size, &peeked)); /* which trusts nothing, and shows it */
	assert_string_equal(peeked.keyids[0], kc_key_id(key));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_the_standard_ones),
		cmocka_unit_test(hash_in_pieces_is_the_same),
		WITH_FOLDER(private_key_is_secret_and_never_overwritten),
		WITH_FOLDER(passphrase_is_asked_for),
		WITH_FOLDER(other_files_are_no_keys),
		WITH_FOLDER(keyring_takes_a_file_or_a_folder),
		WITH_FOLDER(keyring_skips_nothing),
		WITH_FOLDER(root_trusts_no_keyring_that_others_may_write),
		cmocka_unit_test(canonical_text_is_accepted_and_kept),
		cmocka_unit_test(other_text_is_not_canonical),
		cmocka_unit_test(deep_nesting_is_refused_before_the_parser),
		WITH_FOLDER(envelope_counts_keys_against_the_threshold),
		WITH_FOLDER(every_flipped_bit_of_an_envelope_is_refused),
		WITH_FOLDER(changed_content_is_a_bad_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
