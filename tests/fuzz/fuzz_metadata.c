/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of what a host downloads and root reads: root, timestamp, snapshot, targets, target lists and the
 * userspace index. What is accepted can be written again, and is then accepted as the same. The first byte chooses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/metadata.h"
#include "repo/target_list.h"
#include "sample_feed.h"

#define KERNEL "kernel/d6a9ac615d000000000000000000000000000047"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const json_t *first, const json_t *second)
{
	if (!json_equal(first, second))
		abort();
}

static void fuzz_root(const json_t *json)
{
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 }, again = { 0 };
	kc_autoerror struct kc_error *err = kc_repo_root_decode(json, &root);
	kc_autojson json_t *first = NULL, *second = NULL;

	if (err)
		return;
	if (kc_repo_root_encode(&root, &first) || kc_repo_root_decode(first, &again) ||
	    kc_repo_root_encode(&again, &second))
		abort();
	expect_same(first, second);
}

static void fuzz_document(const json_t *json, enum kc_repo_role role)
{
	KC_CLEANUP_REPO_DOCUMENT struct kc_repo_document document = { 0 }, again = { 0 };
	KC_CLEANUP_REPO_ROOT struct kc_repo_root root = { 0 };
	kc_autojson json_t *first = NULL, *second = NULL;
	kc_autoerror struct kc_error *err = NULL;

	sample_root(&root);
	err = kc_repo_document_decode(json, role, &root, &document);
	if (err)
		return;
	for (size_t i = 0; i < document.n_files; i++)
		if (kc_repo_document_find(&document, document.files[i].name) != &document.files[i] ||
		    strstr(document.files[i].name, "..") == document.files[i].name || *document.files[i].name == '/')
			abort();
	if (kc_repo_document_encode(&document, role, &root, &first) ||
	    kc_repo_document_decode(first, role, &root, &again) ||
	    kc_repo_document_encode(&again, role, &root, &second))
		abort();
	expect_same(first, second);
}

static void fuzz_list(const char *text, size_t size, const char *path)
{
	KC_CLEANUP_TARGET_LIST struct kc_target_list list = { 0 };
	kc_autoerror struct kc_error *err = kc_target_list_decode(text, size, "main", path, &list);
	kc_autobuf struct kc_buf again = { 0 };

	if (!err && (kc_target_list_encode(&list, &again) || again.size != size || memcmp(again.data, text, size)))
		abort();
}

static void fuzz_index(const char *text, size_t size)
{
	KC_CLEANUP_USER_PACKAGE_INDEX struct kc_user_package_index index = { 0 };
	kc_autoerror struct kc_error *err = kc_user_package_index_decode(text, size, "main", &index);
	kc_autobuf struct kc_buf again = { 0 };

	if (!err && (kc_user_package_index_encode(&index, "main", &again) || again.size != size ||
		     memcmp(again.data, text, size)))
		abort();
}

static void fuzz_signed_part(char kind, const char *text, size_t size)
{
	kc_autojson json_t *json = NULL;
	kc_autoerror struct kc_error *err = kc_canonical_parse(text, size, &json);

	if (err)
		return;
	if (kind == 'r')
		fuzz_root(json);
	else if (kind == 't')
		fuzz_document(json, KC_ROLE_TIMESTAMP);
	else if (kind == 's')
		fuzz_document(json, KC_ROLE_SNAPSHOT);
	else if (kind == 'g')
		fuzz_document(json, KC_ROLE_TARGETS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (!size)
		return 0;
	if (*data == 'u')
		fuzz_list(text, size - 1, "user/debian12/libssl3");
	else if (*data == 'k')
		fuzz_list(text, size - 1, KERNEL);
	else if (*data == 'i')
		fuzz_index(text, size - 1);
	else
		fuzz_signed_part((char)*data, text, size - 1);
	return 0;
}
