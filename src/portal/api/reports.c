/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What doctors of hosts send: a file in DATA/reports for each, named by the key that the host shows its administrator.
 * A host that cannot register may send one, too; so there are limits for each host and address, and for all of them, of
 * which strangers have half.
 */
#include "portal/api/handlers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/random.h"
#include "portal/api/work.h"
#include "portal/licences/licences.h"

enum {
	REPORTS_MAX = 2000, /* at once; what is old is removed by the portal's upkeep */
	REPORTS_MIB_MAX = 1024,
	KEY_SIZE = 64,
};

struct report_work {
	struct kc_doctor_report report;
};

static void clear(void *data)
{
	struct report_work *work = data;

	kc_doctor_report_clear(&work->report);
}

static bool has_credentials(const struct kc_doctor_report *report)
{
	return *report->credentials.server_id;
}

static struct kc_error *verify(struct kc_db_conn *conn, void *data)
{
	const struct report_work *work = data;

	return kc_licence_verify(conn, &work->report.credentials);
}

/* Each report counts like a wrong password: the eleventh within minutes is one too many. */
static struct kc_error *admit(struct kc_work *work)
{
	struct report_work *own = work->data;
	struct kc_http_auth *auth = work->portal->auth;
	char name[KC_ADDRESS_TEXT_SIZE];

	if (has_credentials(&own->report)) {
		KC_TRY(kc_db_read(work->portal->db, verify, own));
		snprintf(name, sizeof(name), "%s", own->report.credentials.server_id);
	} else {
		kc_http_auth_address(work->request, name);
	}
	KC_TRY(kc_http_auth_check_limit(auth, KC_LIMIT_REPORTS, name));
	kc_http_auth_count(auth, KC_LIMIT_REPORTS, name);
	return NULL;
}

static struct kc_error *check_room(const char *dir, bool is_stranger)
{
	kc_autoclosedir DIR *folder = opendir(dir);
	size_t n = 0, share = is_stranger ? 2 : 1;
	const struct dirent *entry;
	uint64_t n_bytes = 0;
	struct stat st;

	while (folder && (entry = readdir(folder)))
		if (*entry->d_name != '.' && !fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
			n_bytes += (uint64_t)st.st_size;
			n++;
		}
	if (n < REPORTS_MAX / share && n_bytes < ((uint64_t)REPORTS_MIB_MAX << 20) / share)
		return NULL;
	return kc_error_new(
		KC_ERR_TOO_MANY,
		"the portal has %zu reports already, of %llu MiB; its operator can remove some from DATA/reports", n,
		(unsigned long long)n_bytes >> 20);
}

/* "SERVERID.01234567-89ab-4cde-8f01-23456789abcd" */
static struct kc_error *make_key(const struct kc_doctor_report *report, char key[KEY_SIZE])
{
	char name[KC_SERVER_ID_SIZE];
	uint8_t r[16];

	if (kc_random_bytes(r, sizeof(r)) || kc_random_name(name, sizeof(name) - 1))
		return kc_error_new(KC_ERR_SYSTEM, "there is no randomness");
	r[6] = (r[6] & 0x0f) | 0x40;
	r[8] = (r[8] & 0x3f) | 0x80;
	snprintf(key, KEY_SIZE, "%s.%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 has_credentials(report) ? report->credentials.server_id : name, r[0], r[1], r[2], r[3], r[4], r[5],
		 r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
	return NULL;
}

static struct kc_error *keep(struct kc_work *work, const char *dir, const char *key)
{
	struct report_work *own = work->data;
	kc_autofree char *path = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	KC_TRY(kc_work_set(&path, "%s/%s.txt", dir, key));
	kc_buf_printf(&text, "host     %s\naddress  %s\n\n", own->report.hostname, kc_http_address(work->request));
	kc_buf_append_str(&text, own->report.report);
	if (text.failed)
		return kc_error_no_memory();
	err = kc_dir_make(dir, 0700);
	if (!err)
		err = kc_file_replace(path, text.data, text.size, 0600);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot keep a report in %s", dir) : NULL;
}

static struct kc_error *prepare(struct kc_work *work)
{
	struct report_work *own = work->data;
	kc_autofree char *dir = NULL;
	char key[KEY_SIZE];
	size_t size;
	const char *text = kc_http_body(work->request, &size);

	KC_TRY(kc_doctor_report_decode(text, size, &own->report));
	KC_TRY(admit(work));
	KC_TRY(kc_work_set(&dir, "%s/reports", work->portal->dir));
	KC_TRY(check_room(dir, !has_credentials(&own->report)));
	KC_TRY(make_key(&own->report, key));
	KC_TRY(keep(work, dir, key));
	snprintf(work->who, sizeof(work->who), "server:%s", own->report.credentials.server_id);
	KC_TRY(kc_work_set(&work->object, "%s", key));
	work->answer = json_pack("{s:s}", "key", key);
	return work->answer ? NULL : kc_error_no_memory();
}

void kc_api_agent_doctor(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.action = "doctor report",
		.is_of_agents = true,
		.has_own_body = true,
		.data_size = sizeof(struct report_work),
		.clear = clear,
		.prepare = prepare,
	};

	kc_work_run(data, request, &kind);
}
