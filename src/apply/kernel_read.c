// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which kernel is running, and is it ours to patch? Read only; needs no privileges (but without them a lockdown is only
 * seen where securityfs is mounted).
 */
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "apply/kernel_read.h"
#include "base/array.h"
#include "base/file.h"
#include "base/hex.h"

#define NOTES_PATH "/sys/kernel/notes"
#define SMALL_FILE_MAX ((size_t)1 << 20)
/* fs/proc/generic.c and include/linux/proc_ns.h: fixed since Linux 3.8 */
#define INITIAL_USER_NS 0xEFFFFFFDu
#define INITIAL_PID_NS 0xEFFFFFFCu

#define ALIGN4(n) (((size_t)(n) + 3) & ~(size_t)3)

char *kc_notes_build_id(const void *notes, size_t size)
{
	const char *at = notes;

	while (size >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) note;
		size_t name, all;

		memcpy(&note, at, sizeof(note));
		if (note.n_namesz > size || note.n_descsz > size)
			return NULL;
		name = sizeof(note) + ALIGN4(note.n_namesz);
		all = name + ALIGN4(note.n_descsz);
		if (name + note.n_descsz > size)
			return NULL;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(at + sizeof(note), "GNU", 4)) {
			char *text = malloc(2 * (size_t)note.n_descsz + 1);

			if (text)
				kc_hex_encode((const uint8_t *)at + name, note.n_descsz, text);
			return text;
		}
		if (all > size)
			return NULL;
		at += all;
		size -= all;
	}
	return NULL;
}

bool kc_lockdown_is_on(const char *text)
{
	const char *chosen = strchr(text, '['); /* "none [integrity] confidentiality" */

	return chosen && strncmp(chosen, "[none]", 6) != 0;
}

bool kc_environ_names_container(const char *environ, size_t size)
{
	for (const char *at = environ; at < environ + size; at += strlen(at) + 1) {
		if (strncmp(at, "container=", 10) == 0 && at[10])
			return true;
	}
	return false;
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool is_other_namespace(const char *path, ino_t initial)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_ino != initial;
}

/* What container managers leave, as systemd-detect-virt knows it, and whether the namespaces are the first ones. */
static bool is_container(void)
{
	static const char *const marks[] = { "/run/systemd/container", "/run/host/container-manager", "/.dockerenv",
					     "/run/.containerenv" };
	kc_autobuf struct kc_buf environ = { 0 };

	for (size_t i = 0; i < KC_ARRAY_SIZE(marks); i++) {
		if (exists(marks[i]))
			return true;
	}
	if (exists("/proc/vz") && !exists("/proc/bc"))
		return true;
	if (!kc_file_read("/proc/1/environ", SMALL_FILE_MAX, &environ) && environ.data &&
	    kc_environ_names_container(environ.data, environ.size))
		return true;
	return is_other_namespace("/proc/self/ns/pid", INITIAL_PID_NS) ||
	       is_other_namespace("/proc/self/ns/user", INITIAL_USER_NS);
}

static bool is_locked_down(void)
{
	kc_autobuf struct kc_buf text = { 0 };

	return !kc_pseudo_read("securityfs", "/sys/kernel/security", "lockdown", &text) && text.data &&
	       kc_lockdown_is_on(text.data);
}

struct kc_error *kc_kernel_read(struct kc_ctx *ctx, struct kc_kernel *kernel)
{
	kc_autobuf struct kc_buf version = { 0 }, notes = { 0 };
	struct utsname name;
	int ret = kc_file_read("/proc/version", SMALL_FILE_MAX, &version);

	(void)ctx;
	memset(kernel, 0, sizeof(*kernel));
	if (ret || !version.size)
		return kc_error_errno(KC_ERR_SYSTEM, ret ? -ret : EIO, "cannot read /proc/version");
	if (uname(&name))
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot ask for the kernel's name");
	kc_kernel_id(version.data, version.size, kernel->kernel_id);
	if (!kc_file_read(NOTES_PATH, SMALL_FILE_MAX, &notes) && notes.data)
		kernel->build_id = kc_notes_build_id(notes.data, notes.size);
	if (!kernel->build_id)
		kernel->build_id = strdup("");
	kernel->release = strdup(name.release);
	kernel->version = kc_buf_take(&version);
	kernel->is_container = is_container();
	kernel->is_locked_down = is_locked_down();
	if (!kernel->build_id || !kernel->release || !kernel->version) {
		kc_kernel_clear(kernel);
		return kc_error_no_memory();
	}
	return NULL;
}
