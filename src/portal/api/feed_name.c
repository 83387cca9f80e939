/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which feeds hosts can see: looked at from outside, which needs no lock and never waits for a job of the publisher. */
#include "portal/api/handlers.h"

#include <sys/stat.h>

struct kc_error *kc_api_need_feed(const struct kc_portal *portal, const char *feed)
{
	kc_autofree char *path = NULL;
	struct stat st;

	if (kc_feed_name_is_valid(feed)) {
		if (asprintf(&path, "%s/repository/public/feeds/%s", portal->dir, feed) < 0) {
			path = NULL;
			return kc_error_no_memory();
		}
		if (!stat(path, &st))
			return NULL;
	}
	return kc_error_new(KC_ERR_NOT_FOUND, "there is no feed %s", feed);
}
