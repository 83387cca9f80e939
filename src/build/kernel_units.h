/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every object of a configured kernel: what it is made from, how, and what it is linked into. Kbuild itself says so:
 *one `make -n` over the whole tree when a kernel is prepared (11 s), boiled down to two files that later runs read:
 *	units      a line for each object, see kc_kernel_units_write()
 *	commands   the compiler's command lines, into which `units` points
 */
#ifndef KC_BUILD_KERNEL_UNITS_H
#define KC_BUILD_KERNEL_UNITS_H

#include "build/commands.h"

enum kc_kernel_place {
	KC_KERNEL_IMAGE,   /* in a built-in.a: part of vmlinux */
	KC_KERNEL_MODULE,  /* in one or more modules */
	KC_KERNEL_LIBRARY, /* in a lib.a: part of vmlinux when something there uses it */
	KC_KERNEL_OTHER,   /* in none of them: vdso, realmode, start-up code */
};

struct kc_kernel_unit {
	enum kc_kernel_place place;
	const char *object;  /* "net/qrtr/af_qrtr.o", relative to the folder of objects */
	const char *source;  /* absolute, without "." and ".." */
	const char *modules; /* "net/qrtr/qrtr", several are separated by ':' */
	uint64_t command_offset, command_size;
};

struct kc_kernel_units {
	struct kc_kernel_unit *items; /* by object; their strings are in `text` */
	size_t n_items;
	struct kc_buf text;
};

/* Takes from `text`, which make -n has printed, what it says of objects below `obj_dir`. `text` is changed. */
struct kc_error *kc_kernel_units_parse(const char *obj_dir, char *text, struct kc_kernel_units *units,
				       struct kc_buf *commands);
struct kc_error *kc_kernel_units_write(const struct kc_kernel_units *units, const char *path);
struct kc_error *kc_kernel_units_read(const char *path, struct kc_kernel_units *units);
void kc_kernel_units_clear(struct kc_kernel_units *units);

/* Is this module ("net/qrtr/qrtr") made from any unit? */
bool kc_kernel_units_have_module(const struct kc_kernel_units *units, const char *module);
/*
 * Appends the command of a unit; `path` is the file "commands". Its #include also finds headers in `include_dir`.
 */
struct kc_error *kc_kernel_unit_command(const struct kc_kernel_unit *unit, const char *obj_dir, const char *path,
					const char *include_dir, struct kc_commands *commands);
/* The same as text, as make prints it. */
struct kc_error *kc_kernel_unit_command_text(const struct kc_kernel_unit *unit, const char *path, struct kc_buf *text);

#endif
