/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of the blacklist. Repetition counts are left out: glibc's regcomp() multiplies them, and the list is
 * written by root, who may use his own memory.
 */
#include <stdint.h>
#include <string.h>

#include "apply/user_blacklist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const programs[] = { "", "/", "/usr/bin/vim", "/opt/Symantec/autoprotect/rtvscand" };
	kc_autouserblacklist struct kc_user_blacklist *blacklist = NULL;
	struct kc_error *err;

	if (!size || memchr(data, '{', size) || memchr(data, '\\', size))
		return 0;
	err = kc_user_blacklist_parse("fuzz", (const char *)data, size, &blacklist);
	if (err) {
		kc_error_free(err);
		return 0;
	}
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		kc_user_blacklist_match(blacklist, programs[i]);
	return 0;
}
