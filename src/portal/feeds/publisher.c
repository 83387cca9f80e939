/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/feeds/publisher.h"

#include <string.h>

#include "base/file.h"
#include "portal/feeds/publisher_internal.h"

enum {
	REFRESH_MS = 3600 * 1000, /* timestamps are good for three days */
	RETRY_MS = 60 * 1000,	  /* when that failed */
};

/* ---- jobs ---- */

struct job {
	struct kc_worker_item item;
	struct kc_publisher *publisher;
	kc_publisher_fn *run;
	void (*done)(void *data, struct kc_error *err);
	void *data;
};

static struct kc_error *run_job(const struct job *job)
{
	struct kc_publisher *publisher = job->publisher;
	kc_autorepository struct kc_repository *repository = NULL;

	KC_TRY(kc_repository_open(publisher->ctx, publisher->repository, &repository));
	return job->run(publisher->ctx, publisher, repository, job->data);
}

static void do_job(struct kc_worker_item *item, bool is_cancelled)
{
	kc_autofree struct job *job = (struct job *)item;
	struct kc_error *err = is_cancelled
				       ? kc_error_new(KC_ERR_BUSY, "the portal is being stopped: nothing was changed")
				       : run_job(job);

	if (job->done)
		job->done(job->data, err);
	else if (err)
		kc_warning(job->publisher->ctx, "%s: %s", kc_error_code_name(kc_error_code(err)),
			   kc_error_message(err));
	if (!job->done)
		kc_error_free(err);
}

void kc_publisher_do(struct kc_publisher *publisher, kc_publisher_fn *run,
		     void (*done)(void *data, struct kc_error *err), void *data)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job) {
		if (done)
			done(data, kc_error_no_memory());
		return;
	}
	*job = (struct job){ .item.run = do_job, .publisher = publisher, .run = run, .done = done, .data = data };
	kc_worker_add(publisher->jobs, &job->item);
}

/* ---- what is due by the clock ---- */

static struct kc_error *refresh(struct kc_publisher *publisher)
{
	kc_autorepository struct kc_repository *repository = NULL;

	KC_TRY(kc_repository_open(publisher->ctx, publisher->repository, &repository));
	return kc_repository_refresh(publisher->ctx, repository, false);
}

static int64_t refresh_due(void *data)
{
	struct kc_publisher *publisher = data;
	kc_autoerror struct kc_error *err = refresh(publisher);

	if (!err)
		return REFRESH_MS;
	kc_warning(publisher->ctx, "the repository could not be refreshed, and will be again in a minute: %s",
		   kc_error_message(err));
	return RETRY_MS;
}

/* ---- start and stop ---- */

static struct kc_error *make_paths(struct kc_publisher *publisher, const char *dir,
				   const struct kc_portal_config *config)
{
	publisher->dir = strdup(dir);
	publisher->repository = kc_path_join(dir, "repository");
	publisher->archives = kc_path_join(dir, "archives");
	publisher->mirror = kc_path_join(dir, "upstream");
	publisher->seen = kc_path_join(dir, "upstream/seen.json");
	publisher->upstream = strdup(config->upstream ? config->upstream : "");
	publisher->upstream_root = strdup(config->upstream_root ? config->upstream_root : "");
	publisher->proxy = strdup(config->http_proxy ? config->http_proxy : "");
	publisher->auto_update_ms = (int64_t)config->auto_update_s * 1000;
	return publisher->dir && publisher->repository && publisher->archives && publisher->mirror && publisher->seen &&
			       publisher->upstream && publisher->upstream_root && publisher->proxy
		       ? NULL
		       : kc_error_no_memory();
}

/* A portal without its repository does not start; one that kcare-repo is at work on does. */
static struct kc_error *look_at_repository(struct kc_publisher *publisher)
{
	kc_autorepository struct kc_repository *repository = NULL;
	KC_CLEANUP_KNOWN struct kc_known known = { 0 };
	KC_CLEANUP_SEEN struct kc_seen seen = { 0 };
	struct kc_error *err = kc_repository_open(publisher->ctx, publisher->repository, &repository);

	if (err && kc_error_code(err) == KC_ERR_LOCKED) {
		kc_warning(publisher->ctx, "%s", kc_error_message(err));
		kc_error_free(err);
		return NULL;
	}
	KC_TRY(err);
	err = kc_seen_read(publisher->seen, &seen);
	if (err)
		kc_warning(publisher->ctx, "%s", kc_error_message(err));
	kc_error_free(err);
	return kc_known_settle(publisher->ctx, publisher, repository, &seen, &known);
}

static struct kc_error *start(struct kc_publisher *publisher)
{
	int err = kc_dir_make(publisher->archives, 0755);

	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", publisher->archives);
	KC_TRY(look_at_repository(publisher));
	KC_TRY(kc_upstream_open(publisher));
	KC_TRY(kc_offers_new(publisher, &publisher->offers));
	KC_TRY(kc_worker_start(refresh_due, 0, publisher, &publisher->jobs));
	return kc_worker_start(kc_update_due, publisher->auto_update_ms ? publisher->auto_update_ms : KC_WORKER_NEVER,
			       publisher, &publisher->copies);
}

struct kc_error *kc_publisher_start(struct kc_ctx *ctx, const char *dir, const struct kc_portal_config *config,
				    struct kc_db *db, struct kc_publisher **publisher)
{
	struct kc_publisher *started = calloc(1, sizeof(*started));
	struct kc_error *err;

	if (!started)
		return kc_error_no_memory();
	started->ctx = ctx;
	started->db = db;
	err = make_paths(started, dir, config);
	if (!err)
		err = start(started);
	if (err) {
		kc_publisher_stop(started);
		kc_publisher_free(started);
	} else {
		*publisher = started;
	}
	return err;
}

void kc_publisher_stop(struct kc_publisher *publisher)
{
	if (!publisher)
		return;
	kc_upstream_stop(publisher);
	/* a copy of the upstream ends in a job */
	if (publisher->copies)
		kc_worker_stop(publisher->copies);
	if (publisher->jobs)
		kc_worker_stop(publisher->jobs);
}

void kc_publisher_free(struct kc_publisher *publisher)
{
	if (!publisher)
		return;
	kc_worker_free(publisher->copies);
	kc_worker_free(publisher->jobs);
	kc_offers_free(publisher->offers);
	free(publisher->dir);
	free(publisher->repository);
	free(publisher->archives);
	free(publisher->mirror);
	free(publisher->seen);
	if (publisher->stop_fd > 0)
		close(publisher->stop_fd);
	free(publisher->upstream);
	free(publisher->upstream_root);
	free(publisher->proxy);
	free(publisher);
}
