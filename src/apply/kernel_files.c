// SPDX-License-Identifier: GPL-2.0-or-later
/* Small files of the kernel that livepatch, the tracers and we ourselves leave for others to read. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "apply/kernel_internal.h"
#include "base/array.h"
#include "base/file.h"

#define LIST_SIZE_MAX ((size_t)64 << 20) /* enabled_functions while a tracer traces every function */
#define FORCED_DIR "/run/kcare"
#define FORCED_PATH FORCED_DIR "/forced"
#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

/* A file of a file system that is mounted nowhere: it goes when the descriptor is closed. */
static int open_unmounted(const char *type, const char *name)
{
	kc_autoclose int fs = fsopen(type, FSOPEN_CLOEXEC), mount = -1;
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		return -errno;
	fd = openat(mount, name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int kc_pseudo_read(const char *type, const char *mount_point, const char *name, struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(mount_point, name);
	kc_autoclose int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = open_unmounted(type, name);
	else if (fd < 0)
		fd = -errno;
	return fd < 0 ? fd : kc_fd_read(fd, LIST_SIZE_MAX, text);
}

static int livepatch_open(const char *name, const char *attribute, int flags)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), KC_LIVEPATCH_DIR "/%s/%s", name, attribute);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int kc_livepatch_get(const char *name, const char *attribute)
{
	kc_autoclose int fd = livepatch_open(name, attribute, O_RDONLY);
	char value;
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read(fd, &value, 1);
	if (n < 0) /* sysfs says so when the patch goes between open and read */
		return errno == ENODEV ? -ENOENT : -errno;
	return n == 1 && value == '1';
}

int kc_livepatch_set(const char *name, const char *attribute, bool value)
{
	kc_autoclose int fd = livepatch_open(name, attribute, O_WRONLY);
	int ret = fd < 0 ? fd : kc_fd_write(fd, value ? "1" : "0", 1);

	return ret == -ENODEV ? -ENOENT : ret;
}

bool kc_forced_is_noted(void)
{
	kc_autobuf struct kc_buf noted = { 0 }, boot = { 0 };

	return !kc_file_read_now(FORCED_PATH, 256, &noted) && !kc_file_read(BOOT_ID_PATH, 256, &boot) && boot.size &&
	       noted.size == boot.size && memcmp(noted.data, boot.data, boot.size) == 0;
}

struct kc_error *kc_forced_note(void)
{
	kc_autobuf struct kc_buf boot = { 0 };
	int ret = kc_file_read(BOOT_ID_PATH, 256, &boot);

	if (!ret)
		ret = kc_dir_make(FORCED_DIR, 0755);
	if (!ret)
		ret = kc_file_write_atomic(FORCED_PATH, boot.data, boot.size, 0644);
	return ret ? kc_error_errno(KC_ERR_SYSTEM, -ret, "not forced: cannot note it in %s", FORCED_PATH) : NULL;
}

bool kc_module_is_ours(const char *name)
{
	return strncmp(name, KC_MODULE_PREFIX, strlen(KC_MODULE_PREFIX)) == 0;
}

/* Livepatch takes its folder away a little after the end of a transition, and gives the module back even later. */
static bool is_out_of_use(const char *name)
{
	int enabled = kc_livepatch_get(name, "enabled"), transition = kc_livepatch_get(name, "transition");

	return enabled == -ENOENT || transition == -ENOENT || (enabled == 0 && transition == 0);
}

struct kc_error *kc_module_list_idle(char ***names, size_t *n)
{
	kc_autoclosedir DIR *dir = opendir(KC_MODULE_DIR);
	struct dirent *entry;

	*names = NULL;
	*n = 0;
	while (dir && (entry = readdir(dir))) {
		char **name;

		if (!kc_module_is_ours(entry->d_name) || !is_out_of_use(entry->d_name))
			continue;
		name = kc_array_add(names, n);
		if (name)
			*name = strdup(entry->d_name);
		if (!name || !*name)
			return kc_error_no_memory();
	}
	return NULL;
}
