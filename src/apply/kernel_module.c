// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Modules into the kernel and out of it, straight from verified memory: no file that somebody could exchange. What the
 * kernel says when it refuses one becomes an error that says what to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "apply/kernel_internal.h"
#include "apply/user_tracee.h"
#include "base/file.h"

#define KMSG_RECORD_MAX 8192
#define KMSG_TEXT_MAX ((size_t)1 << 20)
#define RETRY_US 10000
#define ENROLL                                                                                                  \
	"enrol its key and reboot: mokutil --import /usr/libexec/kcare/kernelcare_pub.der, or build the patch " \
	"with --module-key and a key that this machine trusts"

bool kc_module_is_loaded(const char *name)
{
	kc_autofree char *path = kc_path_join(KC_MODULE_DIR "/", name);
	kc_autofree char *state = path ? kc_path_join(path, "initstate") : NULL; /* built-in code has none */

	return state && access(state, F_OK) == 0;
}

bool kc_module_kcare_is_ours(void)
{
	return access("/proc/kcare/level", F_OK) == 0;
}

/* A position behind all messages; -1 when they may not be read. */
static int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* One record for each read(). */
static void kmsg_read(int fd, struct kc_buf *text)
{
	char record[KMSG_RECORD_MAX];

	while (fd >= 0 && text->size < KMSG_TEXT_MAX) {
		ssize_t n = read(fd, record, sizeof(record));

		if (n < 0 && (errno == EPIPE || errno == EINTR)) /* EPIPE: some were overwritten */
			continue;
		if (n <= 0)
			break;
		kc_buf_append(text, record, (size_t)n);
	}
}

/* Says livepatch, the module loader or lockdown something about it? */
static bool is_about(const char *line, const char *end, const char *module)
{
	static const char *const words[] = { "livepatch: ", "Lockdown: ", "Loading of ",   "module: ",
					     "kcare: ",	    "BPF:",	  "Unknown symbol" };
	size_t size = (size_t)(end - line);

	if (memmem(line, size, module, strlen(module)))
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (memmem(line, size, words[i], strlen(words[i])))
			return true;
	}
	return false;
}

/* livepatch's last words only repeat that it failed; what failed is said before them. */
static bool is_summary(const char *line, const char *end)
{
	return memmem(line, (size_t)(end - line), "failed to enable patch", 22) ||
	       memmem(line, (size_t)(end - line), "failed to patch object", 22) ||
	       memmem(line, (size_t)(end - line), "unpatching complete", 19) ||
	       memmem(line, (size_t)(end - line), "enabling patch", 14);
}

char *kc_kmsg_pick(const char *text, const char *module)
{
	const char *best = NULL, *best_end = NULL, *end;

	for (const char *line = text; *line; line = *end ? end + 1 : end) {
		const char *message;

		end = strchrnul(line, '\n');
		message = memchr(line, ';', (size_t)(end - line)); /* "6,339,5140900,-;message" */
		if (line[0] == ' ' || !message || !is_about(message + 1, end, module))
			continue;
		if (best && is_summary(message + 1, end))
			continue;
		best = message + 1;
		best_end = end;
	}
	return best ? strndup(best, (size_t)(best_end - best)) : NULL;
}

static bool modules_are_disabled(void)
{
	kc_autobuf struct kc_buf text = { 0 };

	return !kc_file_read("/proc/sys/kernel/modules_disabled", 16, &text) && text.size && text.data[0] == '1';
}

static struct kc_error *permission_error(const struct kc_kernel *kernel, const char *name)
{
	if (modules_are_disabled())
		return kc_error_new(KC_ERR_MODULE,
				    "%s: this kernel loads no more modules (kernel.modules_disabled is 1) until it is "
				    "booted again",
				    name);
	if (kernel->is_locked_down)
		return kc_error_new(KC_ERR_LOCKDOWN,
				    "%s: the kernel is locked down and trusts no key that signed this module; " ENROLL,
				    name);
	return kc_error_new(KC_ERR_PERMISSION, "%s: not permitted to load modules; run this as root", name);
}

static struct kc_error *load_error(const struct kc_kernel *kernel, const char *name, int errnum, const char *said)
{
	const char *by = said ? "; the kernel said: " : "";

	said = said ? said : "";
	switch (errnum) {
	case EPERM:
		return permission_error(kernel, name);
	case ENOKEY:
	case EKEYREJECTED:
	case ENODATA:
	case ENOPKG:
	case EBADMSG:
		return kc_error_errno(KC_ERR_LOCKDOWN, errnum, "%s: the kernel rejects its signature%s%s; " ENROLL,
				      name, by, said);
	case ENOMEM:
		return kc_error_new(KC_ERR_SYSTEM, "%s: the kernel has no memory for it%s%s", name, by, said);
	case EBUSY:
		return kc_error_new(KC_ERR_CONFLICT,
				    "%s: something else holds a function that it replaces, or another livepatch is in "
				    "transition%s%s",
				    name, by, said);
	case EEXIST:
		return kc_error_new(KC_ERR_MODULE, "%s: a module of that name is in the kernel already", name);
	case EINVAL:
		return kc_error_new(KC_ERR_MODULE,
				    "%s: the kernel does not accept it: it does not take over what the loaded patch "
				    "owns, or one of its functions is not in this kernel%s%s",
				    name, by, said);
	case ENOEXEC:
	case ENOENT:
		return kc_error_new(KC_ERR_MODULE, "%s: it does not fit this kernel: build it again for it%s%s", name,
				    by, said);
	default:
		return kc_error_errno(KC_ERR_MODULE, errnum, "%s: the kernel refused it%s%s", name, by, said);
	}
}

struct kc_error *kc_module_load(struct kc_ctx *ctx, const struct kc_kernel *kernel, const char *name,
				const struct kc_patch_payload *payload)
{
	kc_autoclose int kmsg = kmsg_open();
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *said = NULL;
	int errnum;

	kc_debug(ctx, "loading %s, %zu bytes", name, payload->size);
	if (syscall(SYS_init_module, payload->data, payload->size, "") == 0)
		return NULL;
	errnum = errno;
	kmsg_read(kmsg, &text);
	if (text.data && !text.failed)
		said = kc_kmsg_pick(text.data, name);
	return load_error(kernel, name, errnum, said);
}

int kc_module_remove(const char *name, uint64_t end_ns)
{
	for (;;) {
		if (syscall(SYS_delete_module, name, O_NONBLOCK) == 0 || errno == ENOENT)
			return 0;
		if ((errno != EWOULDBLOCK && errno != EINTR && errno != EBUSY) || kc_now_ns() >= end_ns)
			return -errno;
		kc_nap(RETRY_US);
	}
}
