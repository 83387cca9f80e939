/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host tells of its kernel: for `kcarectl --info`, `--status`, `--uname` and `--patch-info`. Read only, cheap
 * (no hash, no signature: the cache has only what was verified), and needs no privileges.
 */
#ifndef KC_AGENT_INFO_H
#define KC_AGENT_INFO_H

#include "agent/config.h"
#include "agent/guard.h"
#include "agent/loaded.h"

enum kc_agent_status { /* the exit codes of kcarectl --status */
		       KC_STATUS_LATEST = 0,
		       KC_STATUS_NO_PATCHES = 1,
		       KC_STATUS_NEW_PATCHES = 2,
		       KC_STATUS_UNSUPPORTED = 3,
};

struct kc_agent_info {
	char *release; /* uname -r */
	char *version; /* /proc/version, without its newline */
	char kernel_id[KC_KERNEL_ID_SIZE];
	char *effective_version; /* the release whose fixes the kernel has; the running one without a patch */

	struct kc_loaded loaded;
	char *patchset;		     /* of what is loaded; NULL: not known */
	int64_t created, applied_at; /* Unix seconds, 0: not known */
	bool is_container;

	struct kc_level newest;		/* that this kernel may have; number 0: none is known */
	bool is_known;			/* number 0, but the feed has some, which this host may not have now */
	char wanted_type[KC_TYPE_SIZE]; /* the configured one */
	bool is_cached;			/* and it is in the cache */
	bool has_server;		/* a patch server is configured … */
	int64_t checked_at, now;	/* … and this is when it was asked last, by the present rules; 0: never */
	bool is_outdated;		/* it was asked, but by other rules than the present ones */
	bool is_blocked;		/* what is loaded must go */
	char *feed;
	struct kc_crash *crashes; /* of this kernel, and those that no later boot has recorded yet */
	size_t n_crashes;
	enum kc_agent_status status;
};

/*
 * Is the running kernel out of reach? With KCARE_ROOT the agent works on the files of some host: whose kernel it is
 * shows only when a patch is loaded.
 */
bool kc_agent_is_in_container(const struct kc_kernel *kernel);

/* `kernel` NULL: the state must know the id of the running kernel, else KC_ERR_NOT_FOUND. */
struct kc_error *kc_agent_info_read(struct kc_ctx *ctx, const struct kc_kernel *kernel, const struct kc_config *config,
				    struct kc_agent_info *info);
void kc_agent_info_clear(struct kc_agent_info *info);

/* For --info, one line each; --info --json; one line for --status. */
struct kc_error *kc_agent_info_text(const struct kc_agent_info *info, struct kc_buf *out);
struct kc_error *kc_agent_info_json(const struct kc_agent_info *info, struct kc_buf *out);
struct kc_error *kc_agent_info_status(const struct kc_agent_info *info, struct kc_buf *out);

/* The effective version, or the running release. `*version` is the caller's. */
struct kc_error *kc_effective_version_read(char **version);
/* What is in memory, as /proc/kcare/patch_info has it; KC_ERR_NOT_FOUND when no patch is in. */
struct kc_error *kc_patch_info_read(struct kc_buf *out);

/* What follows from the facts that are filled in; exposed for its tests. */
enum kc_agent_status kc_agent_status_of(const struct kc_agent_info *info);

#define KC_CLEANUP_AGENT_INFO KC_CLEANUP(kc_agent_info_clear)

#endif
