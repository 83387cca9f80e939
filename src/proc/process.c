/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A view of a process: identity, maps, memory. The ELF objects in the maps are found in proc/object.c, threads in
 * proc/thread.c. Nothing here stops or changes the process.
 */
#include "proc/process.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/file.h"
#include "proc/internal.h"
#include "proc/thread.h"

#define MAPS_SIZE_MAX ((size_t)64 << 20)

static void maps_clear(struct kc_process_view *view)
{
	for (size_t i = 0; i < view->n_maps; i++)
		free((char *)view->maps[i].path);
	free(view->maps);
	view->maps = NULL;
	view->n_maps = 0;
}

void kc_process_view_free(struct kc_process_view *view)
{
	if (!view)
		return;
	maps_clear(view);
	kc_objects_clear(view);
	free(view->exe);
	if (view->mem_fd >= 0)
		close(view->mem_fd);
	free(view);
}

/* An errno from a file under /proc/PID as the error that it means. */
static struct kc_error *proc_error(pid_t pid, int errnum, const char *what)
{
	if (errnum == ENOENT || errnum == ESRCH)
		return kc_error_new(KC_ERR_NO_PROCESS, "there is no process %d", pid);
	if (errnum == EACCES || errnum == EPERM)
		return kc_error_errno(KC_ERR_PERMISSION, errnum, "cannot read %s of process %d", what, pid);
	return kc_error_errno(KC_ERR_SYSTEM, errnum, "cannot read %s of process %d", what, pid);
}

static struct kc_error *read_proc_file(pid_t pid, const char *name, size_t limit, struct kc_buf *buf)
{
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	ret = kc_file_read(path, limit, buf);
	return ret ? proc_error(pid, -ret, name) : NULL;
}

/* `stat` is "PID (COMM) STATE …"; COMM may contain anything, so its end is the last parenthesis. */
static struct kc_error *read_identity(struct kc_process_view *view)
{
	kc_autobuf struct kc_buf stat = { 0 };
	const char *open, *close, *field;
	size_t size;
	char *end;

	KC_TRY(read_proc_file(view->pid, "stat", 65536, &stat));
	open = strchr(stat.data, '(');
	close = strrchr(stat.data, ')');
	if (!open || !close || close < open || close[1] != ' ')
		return kc_error_new(KC_ERR_SYSTEM, "process %d: /proc/%d/stat is not understood", view->pid, view->pid);
	size = (size_t)(close - open) - 1;
	if (size > sizeof(view->comm) - 1)
		size = sizeof(view->comm) - 1;
	memcpy(view->comm, open + 1, size);
	view->comm[size] = '\0';
	if (close[2] == 'Z' || close[2] == 'X')
		return kc_error_new(KC_ERR_NOTHING, "process %d (%s) has ended", view->pid, view->comm);
	field = close + 2;
	for (int i = 3; i < 22; i++) {
		field = strchr(field, ' ');
		if (!field)
			return kc_error_new(KC_ERR_SYSTEM, "process %d: /proc/%d/stat is too short", view->pid,
					    view->pid);
		field++;
	}
	view->start_time = strtoull(field, &end, 10);
	return NULL;
}

static struct kc_error *read_exe(struct kc_process_view *view)
{
	char path[64], target[PATH_MAX];
	static const char deleted[] = " (deleted)";
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/exe", view->pid);
	size = readlink(path, target, sizeof(target) - 1);
	if (size < 0 && errno == ENOENT && access(path, F_OK) != 0) {
		/* a kernel thread has no program; a vanished process has no folder */
		snprintf(path, sizeof(path), "/proc/%d/maps", view->pid);
		if (access(path, F_OK) != 0)
			return kc_error_new(KC_ERR_NO_PROCESS, "there is no process %d", view->pid);
		return kc_error_new(KC_ERR_NOTHING, "process %d (%s) is a kernel thread", view->pid, view->comm);
	}
	if (size < 0)
		return proc_error(view->pid, errno, "exe");
	target[size] = '\0';
	if ((size_t)size >= sizeof(deleted) && strcmp(target + size - (sizeof(deleted) - 1), deleted) == 0)
		target[size - (ssize_t)(sizeof(deleted) - 1)] = '\0';
	view->exe = strdup(target);
	return view->exe ? NULL : kc_error_no_memory();
}

static struct kc_error *open_mem(struct kc_process_view *view)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", view->pid);
	view->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
	return view->mem_fd < 0 ? proc_error(view->pid, errno, "mem") : NULL;
}

/* In maps the kernel writes a newline inside a path as "\012". */
static char *unescape_path(const char *text, size_t size)
{
	char *path = malloc(size + 1);
	size_t n = 0;

	if (!path)
		return NULL;
	for (size_t i = 0; i < size; i++) {
		if (size - i >= 4 && memcmp(text + i, "\\012", 4) == 0) {
			path[n++] = '\n';
			i += 3;
		} else {
			path[n++] = text[i];
		}
	}
	path[n] = '\0';
	return path;
}

/* "55d-56e r-xp 00001000 fe:01 1234      /usr/bin/x" */
static bool parse_map(const char *line, size_t size, struct kc_map *map)
{
	char mode[5];
	int path_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32 " %" SCNu64 " %n", &map->start,
		   &map->end, mode, &map->offset, &map->dev_major, &map->dev_minor, &map->inode, &path_at) < 7 ||
	    !path_at || (size_t)path_at > size + 1)
		return false;
	map->read = mode[0] == 'r';
	map->write = mode[1] == 'w';
	map->exec = mode[2] == 'x';
	map->shared = mode[3] == 's';
	map->path = unescape_path(line + path_at, (size_t)path_at > size ? 0 : size - (size_t)path_at);
	return map->path && map->start < map->end;
}

static struct kc_error *read_maps(struct kc_process_view *view)
{
	kc_autobuf struct kc_buf text = { 0 };
	char *line, *end;

	KC_TRY(read_proc_file(view->pid, "maps", MAPS_SIZE_MAX, &text));
	for (line = text.data; line && *line; line = end + 1) {
		struct kc_map *map;

		end = strchr(line, '\n');
		if (!end)
			break;
		*end = '\0';
		map = kc_array_add(&view->maps, &view->n_maps);
		if (!map)
			return kc_error_no_memory();
		if (!parse_map(line, (size_t)(end - line), map))
			return kc_error_new(KC_ERR_SYSTEM, "process %d: cannot read its maps: %s", view->pid, line);
	}
	if (!view->n_maps)
		return kc_error_new(KC_ERR_NOTHING, "process %d (%s) has no memory", view->pid, view->comm);
	return NULL;
}

struct kc_error *kc_process_view_refresh(struct kc_ctx *ctx, struct kc_process_view *view)
{
	maps_clear(view);
	kc_objects_clear(view);
	KC_TRY(read_maps(view));
	return kc_objects_find(ctx, view);
}

struct kc_error *kc_process_view_open(struct kc_ctx *ctx, pid_t pid, struct kc_process_view **view)
{
	kc_autoprocess struct kc_process_view *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return kc_error_no_memory();
	opened->pid = pid;
	opened->mem_fd = -1;
	KC_TRY(read_identity(opened));
	KC_TRY(read_exe(opened));
	KC_TRY(open_mem(opened));
	KC_TRY(kc_process_view_refresh(ctx, opened));
	*view = kc_steal(opened);
	return NULL;
}

int kc_process_read(const struct kc_process_view *view, uint64_t addr, void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(view->mem_fd, (char *)data + done, size - done, (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESRCH; /* its memory is gone: it ended or runs another program */
		done += (size_t)n;
	}
	return 0;
}

const struct kc_map *kc_process_map_at(const struct kc_process_view *view, uint64_t addr)
{
	size_t low = 0, high = view->n_maps;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct kc_map *map = &view->maps[middle];

		if (addr < map->start)
			high = middle;
		else if (addr >= map->end)
			low = middle + 1;
		else
			return map;
	}
	return NULL;
}

struct kc_error *kc_process_list(struct kc_ctx *ctx, pid_t **pids, size_t *n)
{
	int ret;

	(void)ctx;
	ret = kc_pid_dir_list("/proc", pids, n);
	return ret ? kc_error_errno(KC_ERR_SYSTEM, -ret, "cannot list /proc") : NULL;
}
