/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables of patchsets: what a signed list says, as lines that are quick to read. A feed of 20 patchsets over 2,000
 * targets is 40,000 lines, and each publication needs all of them. A table is only a copy: a missing one is made again.
 */
#include "repo/repository_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"

#define HEAD "kcare-patchset-table-1"
#define FOLDER "private/patchsets"

enum { TABLE_SIZE_MAX = 256 << 20, N_FIELDS = 7 };

void kc_patchset_table_free(struct kc_patchset_table *table)
{
	if (!table)
		return;
	free(table->name);
	free(table->rows);
	free(table->text);
	free(table);
}

KC_DEFINE_CLEANUP(cleanup_table, struct kc_patchset_table *, kc_patchset_table_free)

int kc_patchset_row_compare(const struct kc_patchset_row *a, const struct kc_patchset_row *b)
{
	int order = strcmp(a->path, b->path);

	order = order ? order : strcmp(a->target, b->target);
	order = order ? order : strcmp(a->type, b->type);
	return order ? order : (a->level > b->level) - (a->level < b->level);
}

static int compare_rows(const void *a, const void *b)
{
	return kc_patchset_row_compare(a, b);
}

static char *table_path(const struct kc_repository *repository, const char *name)
{
	return kc_repository_path(repository, FOLDER "/%s.table", name);
}

bool kc_repository_has_patchset(const struct kc_repository *repository, const char *name)
{
	kc_autofree char *path = kc_repository_path(repository, FOLDER "/%s.json", name);

	return path && kc_patchset_name_is_valid(name) && access(path, F_OK) == 0;
}

/* ---- writing ---- */

/* "6.1.0-47-amd64 (debian12)", "libssl3 (debian12)" */
static struct kc_error *append_row(const struct kc_patchset *patchset, const struct kc_patchset_file *file,
				   struct kc_buf *text)
{
	kc_autofree char *path = kc_patchset_target_path(patchset, file);

	if (!path)
		return kc_error_no_memory();
	if (!kc_repo_target_path_is_valid(path))
		return kc_error_new(KC_ERR_INPUT, "%s: %s cannot be a path in a repository", patchset->name, path);
	kc_buf_printf(text, "%s\t%s\t%s\t%u\t%s\t%ju\t%s (%s)\n", path, file->target, file->type, file->level,
		      file->hash, (uintmax_t)file->size, file->kind == KC_PATCH_KERNEL ? file->release : file->package,
		      patchset->distro);
	return NULL;
}

struct kc_error *kc_patchset_table_write(struct kc_repository *repository, const struct kc_patchset *patchset)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *name = NULL;

	kc_buf_printf(&text, HEAD "\t%s\t%jd\n", patchset->name, (intmax_t)patchset->released);
	for (size_t i = 0; i < patchset->n_files; i++)
		KC_TRY(append_row(patchset, &patchset->files[i], &text));
	if (text.failed || asprintf(&name, FOLDER "/%s.table", patchset->name) < 0) {
		name = NULL;
		return kc_error_no_memory();
	}
	return kc_repository_write(repository, name, text.data, text.size, 0600);
}

/* ---- reading ---- */

/* Cuts a line into its fields; false when it has another number of them. */
static bool split(char *line, char **fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fields[i] = strsep(&line, "\t");
		if (!fields[i])
			return false;
	}
	return !line;
}

static bool read_row(char *line, struct kc_patchset_row *row)
{
	char *fields[N_FIELDS];

	if (!split(line, fields, N_FIELDS))
		return false;
	row->path = fields[0];
	row->target = fields[1];
	row->type = fields[2];
	row->level = (uint32_t)strtoul(fields[3], NULL, 10);
	row->hash = fields[4];
	row->size = strtoull(fields[5], NULL, 10);
	row->title = fields[6];
	return strlen(row->hash) == KC_SHA256_TEXT_SIZE - 1;
}

static bool read_head(char *line, struct kc_patchset_table *table)
{
	char *fields[3];

	if (!line || !split(line, fields, 3) || strcmp(fields[0], HEAD) || strcmp(fields[1], table->name))
		return false;
	table->released = strtoll(fields[2], NULL, 10);
	return true;
}

/* KC_ERR_CORRUPT: not a whole table. */
static struct kc_error *parse(struct kc_patchset_table *table)
{
	char *rest = table->text, *line = strsep(&rest, "\n");
	size_t n_lines = 0;

	for (const char *p = rest; p && *p; p++)
		n_lines += *p == '\n';
	table->rows = calloc(n_lines + 1, sizeof(*table->rows));
	if (!table->rows)
		return kc_error_no_memory();
	if (!read_head(line, table))
		return kc_error_new(KC_ERR_CORRUPT, "the table of %s is damaged", table->name);
	while ((line = strsep(&rest, "\n")) && *line) {
		struct kc_patchset_row *row = &table->rows[table->n_rows++];

		row->table = table;
		if (!rest || !read_row(line, row))
			return kc_error_new(KC_ERR_CORRUPT, "the table of %s is damaged", table->name);
	}
	qsort(table->rows, table->n_rows, sizeof(*table->rows), compare_rows);
	return NULL;
}

static struct kc_error *read_table(const struct kc_repository *repository, const char *name,
				   struct kc_patchset_table **table)
{
	KC_CLEANUP(cleanup_table) struct kc_patchset_table *read = calloc(1, sizeof(*read));
	kc_autofree char *path = table_path(repository, name);
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!read || !path)
		return kc_error_no_memory();
	err = kc_file_read(path, TABLE_SIZE_MAX, &text);
	if (err)
		return kc_error_errno(err == -ENOENT ? KC_ERR_CORRUPT : KC_ERR_SYSTEM, -err, "cannot read %s", path);
	read->name = strdup(name);
	read->text = kc_buf_take(&text);
	if (!read->name || !read->text)
		return kc_error_no_memory();
	KC_TRY(parse(read));
	*table = kc_steal(read);
	return NULL;
}

/* From the list as its author signed it. */
static struct kc_error *make_table(struct kc_ctx *ctx, struct kc_repository *repository, const char *name,
				   struct kc_patchset_table **table)
{
	kc_autofree char *path = kc_repository_path(repository, FOLDER "/%s.json", name);
	kc_autopatchset struct kc_patchset *patchset = NULL;
	kc_autobuf struct kc_buf text = { 0 };
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_file_read(path, KC_PATCHSET_LIST_SIZE_MAX, &text);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err,
				      "cannot read %s, which a feed has: restore it from a backup, or deploy its "
				      "archive again",
				      path);
	kc_info(ctx, "%s: its table is made again", name);
	KC_TRY(kc_patchset_decode(path, text.data, text.size, repository->authors, &patchset));
	KC_TRY(kc_patchset_table_write(repository, patchset));
	return read_table(repository, name, table);
}

struct kc_error *kc_patchset_table_get(struct kc_ctx *ctx, struct kc_repository *repository, const char *name,
				       const struct kc_patchset_table **table)
{
	struct kc_patchset_table *read = NULL, **slot;
	struct kc_error *err;

	for (size_t i = 0; i < repository->n_tables; i++) {
		*table = repository->tables[i];
		if (!strcmp((*table)->name, name))
			return NULL;
	}
	err = read_table(repository, name, &read);
	if (err && kc_error_code(err) == KC_ERR_CORRUPT) {
		kc_error_free(err);
		err = make_table(ctx, repository, name, &read);
	}
	if (err)
		return err;
	slot = kc_array_add(&repository->tables, &repository->n_tables);
	if (!slot) {
		kc_patchset_table_free(read);
		return kc_error_no_memory();
	}
	*table = *slot = read;
	return NULL;
}
