/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kc_module_sign() appends is taken apart as the kernel does, and the message given to openssl to verify.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "sample.h"
#include "sign/module_signature.h"

#define MARKER "~Module signature appended~\n"
#define MARKER_SIZE (sizeof(MARKER) - 1)
#define MODULE_SIZE 5000
#define PASSPHRASE "correct horse"

struct fixture {
	struct kc_ctx *ctx;
	char dir[32];
	struct kc_buf module;
};

/* Runs `command` by the shell in the fixture's folder; its exit code. */
static int run(const struct fixture *f, const char *command)
{
	const char *const argv[] = { "sh", "-ec", command, NULL };
	struct kc_process process = { .argv = argv, .dir = f->dir };
	int exit_code;

	assert_int_equal(kc_process_run(&process, &exit_code), 0);
	return exit_code;
}

#define MAKE_KEY "openssl req -x509 -batch -subj /CN=kcare-test -days 2 -out cert.pem -keyout private.pem "

static void make_key(const struct fixture *f, const char *options)
{
	char command[256];

	snprintf(command, sizeof(command), MAKE_KEY "%s 2>/dev/null; cat private.pem cert.pem > key.pem; chmod 600 *",
		 options);
	assert_int_equal(run(f, command), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kcare-test-XXXXXX");
	f->ctx = kc_ctx_new();
	*state = f;
	for (int i = 0; i < MODULE_SIZE; i++)
		kc_buf_append(&f->module, &i, 1);
	return f->ctx && !f->module.failed && mkdtemp(f->dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int err = kc_tree_remove(f->dir);

	kc_ctx_free(f->ctx);
	kc_buf_free(&f->module);
	free(f);
	return err;
}

static struct kc_error *load(struct fixture *f, struct kc_module_key **key)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/key.pem", f->dir);
	return kc_module_key_load(f->ctx, path, key);
}

static void assert_key_error(struct kc_error *err, const char *message)
{
	kc_autoerror struct kc_error *owned = err;

	assert_non_null(err);
	assert_int_equal(kc_error_code(err), KC_ERR_KEY);
	if (!strstr(kc_error_message(err), message))
		fail_msg("'%s' does not say '%s'", kc_error_message(err), message);
}

static void write_part(const struct fixture *f, const char *name, const void *data, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(kc_file_write_atomic(path, data, size, 0600), 0);
}

#define VERIFY \
	"openssl cms -verify -noverify -binary -inform DER -in message -certfile cert.pem -content module -out out"

/* Writes the files "module" and "message". */
static void take_apart(const struct fixture *f)
{
	const unsigned char *end = (unsigned char *)f->module.data + f->module.size - MARKER_SIZE;
	const unsigned char *trailer = end - 12;
	static const unsigned char head[8] = { 0, 0, 2 }; /* PKEY_ID_PKCS7 */
	size_t size = (size_t)trailer[8] << 24 | trailer[9] << 16 | trailer[10] << 8 | trailer[11];

	assert_memory_equal(end, MARKER, MARKER_SIZE);
	assert_memory_equal(trailer, head, sizeof(head));
	assert_int_equal(size, f->module.size - MARKER_SIZE - 12 - MODULE_SIZE);
	write_part(f, "message", trailer - size, size);
	write_part(f, "module", f->module.data, MODULE_SIZE);
}

static void assert_signed(struct fixture *f)
{
	kc_automodulekey struct kc_module_key *key = NULL;

	sample_must(load(f, &key));
	assert_false(kc_module_is_signed(f->module.data, f->module.size));
	sample_must(kc_module_sign(key, &f->module));
	assert_true(kc_module_is_signed(f->module.data, f->module.size));
	take_apart(f);
	assert_int_equal(run(f, VERIFY " && cmp module out"), 0);
}

static void signature_is_what_kernels_take(void **state)
{
	struct fixture *f = *state;

	make_key(f, "-newkey rsa:2048 -nodes");
	assert_signed(f);
	/* as sign-file: the kernel compares the digest of the module itself */
	assert_int_equal(run(f, "openssl cms -cmsout -print -inform DER -in message > text;"
				"grep -q 'algorithm: sha256' text; grep -A1 signedAttrs: text | grep -q ABSENT;"
				"grep -A1 certificates: text | grep -q ABSENT"),
			 0);
	f->module.data[MODULE_SIZE / 2] ^= 1;
	write_part(f, "module", f->module.data, MODULE_SIZE);
	assert_int_not_equal(run(f, VERIFY " 2>/dev/null"), 0);
}

static void elliptic_curve_signs_too(void **state)
{
	struct fixture *f = *state;

	make_key(f, "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes");
	assert_signed(f);
}

static void signed_twice_is_refused(void **state)
{
	struct fixture *f = *state;
	kc_automodulekey struct kc_module_key *key = NULL;
	kc_autoerror struct kc_error *err = NULL;
	size_t size;

	make_key(f, "-newkey rsa:2048 -nodes");
	assert_signed(f);
	sample_must(load(f, &key));
	size = f->module.size;
	err = kc_module_sign(key, &f->module);
	assert_int_equal(kc_error_code(err), KC_ERR_INPUT);
	assert_int_equal(f->module.size, size);
}

static struct kc_error *answer(void *data, const char *question, struct kc_buf *secret)
{
	assert_non_null(strstr(question, "key.pem"));
	kc_buf_append_str(secret, data);
	return NULL;
}

static void passphrase_is_asked_for(void **state)
{
	struct fixture *f = *state;
	kc_automodulekey struct kc_module_key *key = NULL;
	char right[] = PASSPHRASE, wrong[] = "wrong horse";

	make_key(f, "-newkey rsa:2048 -passout 'pass:" PASSPHRASE "'");
	assert_key_error(load(f, &key), "passphrase");
	kc_ctx_set_ask(f->ctx, answer, wrong);
	assert_key_error(load(f, &key), "passphrase is wrong");
	kc_ctx_set_ask(f->ctx, answer, right);
	assert_signed(f);
}

static void keys_that_cannot_sign_say_why(void **state)
{
	struct fixture *f = *state;
	struct kc_module_key *key = NULL;

	assert_key_error(load(f, &key), "cannot open");
	make_key(f, "-newkey rsa:2048 -nodes");
	assert_int_equal(run(f, "cp private.pem key.pem"), 0);
	assert_key_error(load(f, &key), "has no certificate");
	assert_int_equal(run(f, "cp cert.pem key.pem; chmod 600 key.pem"), 0);
	assert_key_error(load(f, &key), "not a private key");
	assert_int_equal(run(f, "openssl genrsa -out other.pem 2048 2>/dev/null; cat other.pem cert.pem > key.pem"), 0);
	assert_key_error(load(f, &key), "not of this private key");
	make_key(f, "-newkey ed25519 -nodes");
	assert_key_error(load(f, &key), "RSA");
}

static void short_files_are_not_signed(void **state)
{
	(void)state;
	assert_false(kc_module_is_signed("", 0));
	assert_false(kc_module_is_signed(MARKER, MARKER_SIZE));
	assert_false(kc_module_is_signed("\x7f"
					 "ELF",
					 4));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(signature_is_what_kernels_take), WITH_FOLDER(elliptic_curve_signs_too),
		WITH_FOLDER(signed_twice_is_refused),	     WITH_FOLDER(passphrase_is_asked_for),
		WITH_FOLDER(keys_that_cannot_sign_say_why),  cmocka_unit_test(short_files_are_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
