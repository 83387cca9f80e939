/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of patchsets: what a feed does with each, and those that are known and not in it. */
#include "portal/api/handlers.h"

#include <string.h>

#include "base/array.h"
#include "portal/api/answer.h"
#include "portal/api/product.h"
#include "portal/api/work.h"
#include "portal/db/arrivals.h"

struct kc_error *kc_args_product(struct kc_args *args, char *product)
{
	static const struct {
		const char *name;
		char letter;
	} products[] = { { "kernel", 'K' }, { "user", 'U' }, { "libcare", 'U' }, { "qemu", 'Q' } };
	const char *text;

	KC_TRY(kc_args_text(args, "product", KC_ARGS_TEXT_MAX, &text));
	if (!text)
		return NULL;
	for (size_t i = 0; i < KC_ARRAY_SIZE(products); i++)
		if (!strcmp(text, products[i].name)) {
			*product = products[i].letter;
			return NULL;
		}
	return kc_error_new(KC_ERR_INPUT, "product is kernel, user (or libcare) or qemu, not %s", text);
}

struct kc_error *kc_args_patchset(struct kc_args *args, const char **patchset)
{
	KC_TRY(kc_args_need_text(args, "patchset", KC_ARGS_TEXT_MAX, patchset));
	if (!kc_patchset_product(*patchset))
		return kc_error_new(KC_ERR_INPUT,
				    "patchset is a name as in K20261123_01, U20261123_01 or "
				    "U20261123_01-qemu, not %s",
				    *patchset);
	return NULL;
}

struct kc_error *kc_args_feed(struct kc_args *args, const struct kc_portal *portal, const char **feed)
{
	KC_TRY(kc_args_text(args, "feed", KC_ARGS_TEXT_MAX, feed));
	if (!*feed || !**feed)
		*feed = "main";
	return kc_api_need_feed(portal, *feed);
}

/* ---- list ---- */

struct row {
	char *name, *distro, *channel, *source;
	int64_t released, arrived;
	unsigned rollout; /* 0: not in the feed */
	enum kc_patchset_state state;
	bool is_here;
};

struct listing {
	const char *feed;
	char product;
	json_t *distros;
	struct row *rows;
	size_t n_rows;
};

static void clear(void *data)
{
	struct listing *listing = data;

	for (size_t i = 0; i < listing->n_rows; i++) {
		free(listing->rows[i].name);
		free(listing->rows[i].distro);
		free(listing->rows[i].channel);
		free(listing->rows[i].source);
	}
	free(listing->rows);
}

static struct kc_error *prepare(struct kc_work *work)
{
	struct listing *listing = work->data;

	listing->product = 'K';
	KC_TRY(kc_args_product(&work->args, &listing->product));
	KC_TRY(kc_args_texts(&work->args, "distro", KC_ARGS_TEXT_MAX, &listing->distros));
	return kc_args_feed(&work->args, work->portal, &listing->feed);
}

/* NULL: out of memory. */
static struct row *find_or_add(struct listing *listing, const char *name)
{
	struct row *row;

	for (size_t i = 0; i < listing->n_rows; i++)
		if (!strcmp(listing->rows[i].name, name))
			return &listing->rows[i];
	row = kc_array_add(&listing->rows, &listing->n_rows);
	if (!row)
		return NULL;
	row->name = strdup(name);
	if (!row->name)
		listing->n_rows--;
	return row->name ? row : NULL;
}

/* What any feed has is here; what this one does with it counts. */
static struct kc_error *add_feed(struct listing *listing, const struct kc_feed_info *feed)
{
	for (size_t i = 0; i < feed->n_patchsets; i++) {
		const struct kc_feed_patchset *patchset = &feed->patchsets[i];
		struct row *row;

		if (kc_patchset_product(patchset->name) != listing->product)
			continue;
		row = find_or_add(listing, patchset->name);
		if (!row)
			return kc_error_no_memory();
		row->is_here = true;
		if (strcmp(feed->name, listing->feed))
			continue;
		row->state = patchset->state;
		row->rollout = patchset->rollout;
	}
	return NULL;
}

static struct kc_error *add_arrival(void *data, const struct kc_arrival *arrival)
{
	struct listing *listing = data;
	struct row *row;

	if (kc_patchset_product(arrival->patchset) != listing->product)
		return NULL;
	row = find_or_add(listing, arrival->patchset);
	if (!row)
		return kc_error_no_memory();
	row->is_here |= arrival->is_here;
	row->released = arrival->released;
	row->arrived = arrival->arrived;
	KC_TRY(kc_work_set(&row->distro, "%s", arrival->distro));
	KC_TRY(kc_work_set(&row->channel, "%s", arrival->channel));
	return kc_work_set(&row->source, "%s", arrival->source);
}

static struct kc_error *read_arrivals(struct kc_db_conn *conn, void *data)
{
	return kc_arrivals_each(conn, add_arrival, data);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static bool is_wanted(const struct listing *listing, const struct row *row)
{
	json_t *distro;
	size_t i;

	json_array_foreach(listing->distros, i,
			   distro) if (row->distro && !strcmp(row->distro, json_string_value(distro))) return true;
	return !listing->distros;
}

static json_t *row_json(const struct row *row)
{
	const char *status = row->rollout   ? kc_patchset_state_name(row->state)
			     : row->is_here ? "undeployed"
					    : "not-downloaded";

	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "patchset", row->name, "status", status, "distros",
			 row->distro && *row->distro ? json_pack("[s]", row->distro) : json_array(), "released",
			 kc_api_time(row->released), "arrived", kc_api_time(row->arrived), "rollout",
			 row->rollout ? json_integer(row->rollout) : json_null(), "channel", kc_api_text(row->channel),
			 "source", kc_api_text(row->source));
}

static struct kc_error *answer(const struct listing *listing, json_t **json)
{
	json_t *result = json_array();

	*json = json_pack("{s:o}", "result", result);
	for (size_t i = 0; *json && i < listing->n_rows; i++)
		if (is_wanted(listing, &listing->rows[i]) && json_array_append_new(result, row_json(&listing->rows[i])))
			return kc_error_no_memory();
	return *json ? NULL : kc_error_no_memory();
}

static struct kc_error *list(struct kc_ctx *ctx, struct kc_publisher *publisher, struct kc_repository *repository,
			     struct kc_work *work)
{
	struct listing *listing = work->data;
	struct kc_error *err = NULL;
	struct kc_feed_info *feeds;
	size_t n_feeds;

	(void)publisher;
	KC_TRY(kc_repository_feeds(ctx, repository, &feeds, &n_feeds));
	for (size_t i = 0; !err && i < n_feeds; i++)
		err = add_feed(listing, &feeds[i]);
	kc_feed_infos_free(feeds, n_feeds);
	if (!err)
		err = kc_db_read(work->portal->db, read_arrivals, listing);
	if (err)
		return err;
	/* the names begin with the day */
	if (listing->n_rows)
		qsort(listing->rows, listing->n_rows, sizeof(*listing->rows), compare);
	return answer(listing, &work->answer);
}

void kc_api_patchsets_get(void *data, struct kc_http_request *request)
{
	static const struct kc_work_kind kind = {
		.has_own_body = true,
		.data_size = sizeof(struct listing),
		.clear = clear,
		.prepare = prepare,
		.publish = list,
	};

	kc_work_run(data, request, &kind);
}
