/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blacklist: programs that are never patched. One rule per line:
 *
 *	path:/opt/Symantec/ *          (shell wildcard, without the blank) matches the whole path of the program;
 *	                               '*' also matches '/', so a folder's rule covers all below it
 *	filename:docker*               matches the last part of the path
 *	regex:/usr/bin/[[:alnum:]]+    POSIX extended, found anywhere in the path: anchor it with ^ and $
 *
 * Blanks around the line and behind the colon are ignored, '#' starts a comment line. A line that cannot be understood
 * makes the whole list bad input: it might have excluded what would then be patched.
 */
#ifndef KC_APPLY_USER_BLACKLIST_H
#define KC_APPLY_USER_BLACKLIST_H

#include "base/ctx.h"

struct kc_user_blacklist;

/*
 * Reads the override in /var/cache/kcare/userspace/blacklist when it exists, else the default in
 * /var/lib/libcare/blacklist; neither: an empty list. A file that exists but cannot be read is an error.
 */
struct kc_error *kc_user_blacklist_load(struct kc_ctx *ctx, struct kc_user_blacklist **blacklist);
/* Parses text; `name` is for messages. KC_ERR_INPUT "NAME:LINE: …". */
struct kc_error *kc_user_blacklist_parse(const char *name, const char *text, size_t size,
					 struct kc_user_blacklist **blacklist);
void kc_user_blacklist_free(struct kc_user_blacklist *blacklist);

/* The first rule that matches the program's path, as "path:/opt/x (FILE:LINE)", or NULL. Valid as long as the list. */
const char *kc_user_blacklist_match(const struct kc_user_blacklist *blacklist, const char *exe);

KC_DEFINE_CLEANUP(kc_cleanup_user_blacklist, struct kc_user_blacklist *, kc_user_blacklist_free)
#define kc_autouserblacklist KC_CLEANUP(kc_cleanup_user_blacklist)

#endif
