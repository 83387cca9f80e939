/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/upkeep.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "portal/db/audit.h"
#include "portal/db/servers.h"

enum { DAY_S = 86400, PERIOD_MS = 3600 * 1000 };

struct forgetting {
	int64_t before;
	bool is_more;
};

static struct kc_error *forget_checkins(struct kc_db_conn *conn, void *data)
{
	struct forgetting *forgetting = data;

	return kc_checkins_forget(conn, forgetting->before, &forgetting->is_more);
}

static struct kc_error *forget_audit(struct kc_db_conn *conn, void *data)
{
	struct forgetting *forgetting = data;

	return kc_audit_forget(conn, forgetting->before, &forgetting->is_more);
}

static struct kc_error *forget_reports(const struct kc_portal *portal, int64_t before)
{
	kc_autofree char *path = kc_path_join(portal->dir, "reports");
	kc_autoclosedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	struct stat st;

	if (!path)
		return kc_error_no_memory();
	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.' && !fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISREG(st.st_mode) && st.st_mtime < before && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot remove %s/%s", path, entry->d_name);
	return NULL;
}

static struct kc_error *forget(struct kc_portal *portal, int64_t now)
{
	const struct kc_portal_config *config = &portal->config;
	struct forgetting checkins = { .before = now - (int64_t)config->checkin_days * DAY_S };
	struct forgetting audit = { .before = now - (int64_t)config->audit_days * DAY_S };

	do {
		KC_TRY(kc_db_write_wait(portal->db, forget_checkins, &checkins));
	} while (checkins.is_more);
	do {
		KC_TRY(kc_db_write_wait(portal->db, forget_audit, &audit));
	} while (audit.is_more);
	return forget_reports(portal, now - (int64_t)config->report_days * DAY_S);
}

int64_t kc_upkeep_due(void *data)
{
	struct kc_portal *portal = data;
	kc_autoerror struct kc_error *err = forget(portal, time(NULL));

	if (err)
		kc_warning(portal->ctx, "what is too old could not be forgotten: %s", kc_error_message(err));
	return PERIOD_MS;
}
