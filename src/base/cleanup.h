/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cleanup attributes: what a function owns is released when it leaves its scope, on every path.
 * A value that outlives the function is handed out with kc_steal(). `goto` stays for undoing side effects.
 */
#ifndef KC_BASE_CLEANUP_H
#define KC_BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KC_CLEANUP(function) __attribute__((cleanup(function)))

/* Defines `name(type *p)` that calls `release(*p)` when *p is set. For use with KC_CLEANUP. */
#define KC_DEFINE_CLEANUP(name, type, release) \
	static inline void name(type *p)       \
	{                                      \
		if (*p)                        \
			release(*p);           \
	}

static inline void kc_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void kc_cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

KC_DEFINE_CLEANUP(kc_cleanup_file, FILE *, fclose)
KC_DEFINE_CLEANUP(kc_cleanup_dir, DIR *, closedir)

#define kc_autofree KC_CLEANUP(kc_cleanup_free)
#define kc_autoclose KC_CLEANUP(kc_cleanup_fd)
#define kc_autofclose KC_CLEANUP(kc_cleanup_file)
#define kc_autoclosedir KC_CLEANUP(kc_cleanup_dir)

/* Takes the pointer out of `p`, so that its cleanup finds NULL. */
#define kc_steal(p)                          \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

/* The same for a file descriptor. */
static inline int kc_steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
