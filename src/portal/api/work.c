/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hands a request from thread to thread, and answers it at the end of its way. See work.h. */
#include "portal/api/work.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "portal/api/answer.h"
#include "portal/db/audit.h"

struct kc_error *kc_work_set(char **text, const char *format, ...)
{
	va_list args;
	int size;

	free(*text);
	va_start(args, format);
	size = vasprintf(text, format, args);
	va_end(args);
	if (size >= 0)
		return NULL;
	*text = NULL;
	return kc_error_no_memory();
}

static void work_free(struct kc_work *work)
{
	if (work->data && work->kind->clear)
		work->kind->clear(work->data);
	free(work->data);
	kc_args_clear(&work->args);
	free(work->object);
	free(work->detail);
	free(work->message);
	json_decref(work->answer);
	kc_buf_free(&work->body);
	kc_error_free(work->failure);
	free(work);
}

/* ---- the answer ---- */

static void answer_error(struct kc_work *work, struct kc_error *err)
{
	if (work->kind->failed)
		work->kind->failed(work, err);
	kc_http_reply_error(work->request, err);
	work_free(work);
}

static struct kc_error *complete_answer(struct kc_work *work)
{
	if (!work->answer)
		work->answer = json_pack("{s:s}", "result", "ok");
	if (!work->answer)
		return kc_error_no_memory();
	if (work->has_changed &&
	    json_object_set_new(work->answer, "changed", json_integer((json_int_t)work->n_changed)))
		return kc_error_no_memory();
	if (work->message && json_object_set_new(work->answer, "message", json_string(work->message)))
		return kc_error_no_memory();
	return NULL;
}

static void answer(struct kc_work *work)
{
	struct kc_http_answer reply = { .status = 200 };
	struct kc_error *err = NULL;

	if (work->kind->succeeded)
		work->kind->succeeded(work);
	if (!work->body.size)
		err = complete_answer(work);
	if (err) {
		answer_error(work, err);
		return;
	}
	if (work->body.size) {
		reply.body = work->body;
		work->body = (struct kc_buf){ 0 };
		kc_http_reply(work->request, &reply);
	} else {
		kc_api_reply(work->request, kc_steal(work->answer));
	}
	work_free(work);
}

/* ---- the steps ---- */

static struct kc_error *add_line(struct kc_db_conn *conn, struct kc_work *work, const char *outcome)
{
	char empty[] = "";
	const struct kc_audit_line line = {
		.at = work->now,
		.who = work->who,
		.address = (char *)kc_http_address(work->request),
		.action = (char *)work->action,
		.object = work->object ? work->object : empty,
		.detail = work->detail ? work->detail : empty,
		.outcome = (char *)outcome,
	};

	return kc_audit_add(conn, &line);
}

static struct kc_error *write_failure(struct kc_db_conn *conn, void *data)
{
	struct kc_work *work = data;

	return add_line(conn, work, kc_error_code_name(kc_error_code(work->failure)));
}

static void failure_written(void *data, struct kc_error *err)
{
	struct kc_work *work = data;

	if (err)
		kc_warning(work->portal->ctx, "the audit log has no line of a change that failed: %s",
			   kc_error_message(err));
	kc_error_free(err);
	answer_error(work, kc_steal(work->failure));
}

static void end_with_error(struct kc_work *work, struct kc_error *err)
{
	if (!work->action || work->kind->is_of_agents) {
		answer_error(work, err);
		return;
	}
	work->failure = err;
	kc_db_write(work->portal->db, write_failure, failure_written, work);
}

static struct kc_error *write_change(struct kc_db_conn *conn, void *data)
{
	struct kc_work *work = data;

	if (work->kind->write)
		KC_TRY(work->kind->write(conn, work));
	if (!work->action || work->is_unchanged || (work->has_changed && !work->n_changed))
		return NULL;
	return add_line(conn, work, "ok");
}

static void change_written(void *data, struct kc_error *err)
{
	struct kc_work *work = data;

	if (err) {
		end_with_error(work, err);
		return;
	}
	if (work->message && work->n_changed)
		kc_info(work->portal->ctx, "%s", work->message);
	answer(work);
}

static void go_on_with_database(struct kc_work *work)
{
	if (work->kind->write || work->action)
		kc_db_write(work->portal->db, write_change, change_written, work);
	else
		answer(work);
}

static struct kc_error *publish(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
				void *data)
{
	struct kc_work *work = data;

	return work->kind->publish(ctx, publisher, repository, work);
}

void kc_work_go_on(struct kc_work *work, struct kc_error *err)
{
	if (err && kc_error_code(err) == KC_ERR_NOTHING && work->has_changed) {
		work->n_changed = 0;
		free(work->message);
		work->message = strdup(kc_error_message(err));
		kc_error_free(err);
		err = NULL;
	}
	if (err)
		end_with_error(work, err);
	else
		go_on_with_database(work);
}

static void published(void *data, struct kc_error *err)
{
	kc_work_go_on(data, err);
}

static struct kc_error *begin(struct kc_work *work)
{
	const struct kc_work_kind *kind = work->kind;

	if (kind->data_size) {
		work->data = calloc(1, kind->data_size);
		if (!work->data)
			return kc_error_no_memory();
	}
	if (!kind->is_of_agents) {
		if (kind->action)
			KC_TRY(kc_args_check_site(work->request));
		snprintf(work->who, sizeof(work->who), "%s", kc_http_user(work->request));
	}
	KC_TRY(kind->has_own_body ? kc_args_read_query(work->request, &work->args)
				  : kc_args_read(work->request, &work->args));
	return kind->prepare ? kind->prepare(work) : NULL;
}

void kc_work_run(struct kc_portal *portal, struct kc_http_request *request, const struct kc_work_kind *kind)
{
	struct kc_work *work = calloc(1, sizeof(*work));
	struct kc_error *err;

	if (!work) {
		kc_http_reply_error(request, kc_error_no_memory());
		return;
	}
	work->kind = kind;
	work->portal = portal;
	work->request = request;
	work->action = kind->action;
	work->now = time(NULL);
	err = begin(work);
	if (err)
		answer_error(work, err);
	else if (kind->publish)
		kc_publisher_do(portal->publisher, publish, published, work);
	else if (kind->hand_over)
		kind->hand_over(work);
	else
		go_on_with_database(work);
}

struct kc_error *kc_work_name_object(struct kc_work *work)
{
	return kc_work_set(&work->object, "%s", kc_http_path_part(work->request, 0));
}

/* What is gone already is no error. */
struct kc_error *kc_work_removed(struct kc_work *work, struct kc_error *err)
{
	enum kc_error_code code = err ? kc_error_code(err) : KC_ERR_COUNT;

	work->is_unchanged = code == KC_ERR_NOT_FOUND || code == KC_ERR_INVALID_KEY;
	if (work->is_unchanged) {
		kc_error_free(err);
		err = NULL;
	}
	if (err)
		return err;
	work->answer = kc_api_count(!work->is_unchanged);
	return work->answer ? NULL : kc_error_no_memory();
}
