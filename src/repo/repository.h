/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The repository as a folder, and every change to it. What the web server shows is DIR/public; what it is made of is
 * DIR/private: feeds and their order of patchsets, the authors' lists, the online keys. public/ is made from private/:
 * every change writes private/ first and then publishes, and timestamp.json, renamed last, makes it visible at once. A
 * run that was cut off is completed by the next one. New files of public/ are made for the web server to read; with
 * folders, the umask of the process has a say.
 *
 *   private/lock
 *   private/repository.json    distribution names, since when, options
 *   private/authors/X.pub      whose patchsets are taken
 *   private/keys/ROLE.key      online keys: targets, snapshot, timestamp (root.key is elsewhere)
 *   private/patchsets/NAME.json    PATCHSET.json as its author signed it
 *   private/feeds/FEED.json    patchsets in order, each with state (enabled, disabled, blocked), rollout, times
 *   public/feeds/FEED/…        repo/metadata.h
 *   public/blobs/01/0123….kpatch   all patch files, by their SHA-256
 *   public/patchsets/NAME.json     PATCHSET.json of those that a feed shows: for other repositories that follow this
 *   public/…                   what older tools fetch: repo/public_files.h
 *
 * Nothing here prints; nothing here is run by agents.
 */
#ifndef KC_REPO_REPOSITORY_H
#define KC_REPO_REPOSITORY_H

#include "patchset/patchset.h"
#include "repo/metadata.h"
#include "repo/target_list.h"

struct kc_repository;

enum { /* validity of new metadata, seconds */
       KC_REPO_TIMESTAMP_VALID_S = 3 * 86400,
       KC_REPO_SNAPSHOT_VALID_S = 14 * 86400,
       KC_REPO_TARGETS_VALID_S = 14 * 86400,
       KC_REPO_ROOT_VALID_S = 365 * 86400,
       /* a refresh after a longer gap may follow a restored backup: everything gets a new version */
       KC_REPO_GAP_S = 3 * 3600,
};

enum kc_patchset_state {
	KC_PATCHSET_DISABLED, /* known to the feed; hosts do not see it */
	KC_PATCHSET_ENABLED,
	KC_PATCHSET_BLOCKED, /* hosts take it out */
};

const char *kc_patchset_state_name(enum kc_patchset_state state); /* "enabled", … */

struct kc_repository_options {
	const char *keys_dir;		/* where root.key and the root's public part go */
	const char *apart_from;		/* keys_dir must not be inside of it; NULL: of the repository */
	const char *passphrase;		/* for root.key; NULL: none */
	char *const *authors;		/* public key files, NULL-terminated, or NULL */
	const char *module_certificate; /* DER, served as kernelcare_pub.der; NULL: none */
};
/* A new repository with the feed `main`. KC_ERR_REFUSED when `dir` is not empty. */
struct kc_error *kc_repository_init(struct kc_ctx *ctx, const char *dir, const struct kc_repository_options *options);
/* For a run that changes what is in DIR/private; KC_ERR_LOCKED after 30 s. Closing `*fd` gives it back. */
struct kc_error *kc_repository_lock(struct kc_ctx *ctx, const char *dir, int *fd);
/* Opens and locks it. */
struct kc_error *kc_repository_open(struct kc_ctx *ctx, const char *dir, struct kc_repository **repository);
void kc_repository_close(struct kc_repository *repository);
/* More authors, or another module certificate. */
struct kc_error *kc_repository_trust(struct kc_ctx *ctx, struct kc_repository *repository, char *const *authors,
				     const char *module_certificate);

struct kc_repository_change {
	size_t n_targets; /* whose lists changed */
	size_t n_blobs;	  /* new patch files, or damaged ones that were replaced */
};
/*
 * Verifies an archive and adds it to a feed as the newest patchset. One that the feed has already brings back what was
 * lost of it, whatever state it has there; KC_ERR_NOTHING: nothing was.
 */
struct kc_error *kc_repository_deploy(struct kc_ctx *ctx, struct kc_repository *repository, const char *archive,
				      const char *feed, enum kc_patchset_state state, unsigned rollout,
				      struct kc_repository_change *change);
/*
 * The same from a folder that is laid out as public/, such as a mirror's: patchsets/NAME.json, and the blobs that it
 * names, as hard links where that is possible. KC_ERR_NOT_FOUND: something of it is missing.
 */
struct kc_error *kc_repository_deploy_files(struct kc_ctx *ctx, struct kc_repository *repository, const char *folder,
					    const char *patchset, const char *feed, enum kc_patchset_state state,
					    unsigned rollout, struct kc_repository_change *change);
/* Puts a patchset of the store into such a folder: it can be deployed again from there. */
struct kc_error *kc_repository_keep_files(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					  const char *folder);
/* A patchset that the repository has, into another feed, in any state. KC_ERR_NOTHING: the feed has it already. */
struct kc_error *kc_repository_add(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
				   const char *feed, enum kc_patchset_state state, unsigned rollout,
				   struct kc_repository_change *change);
/* A patchset that the repository has but the feed does not is added: that is how one is promoted. */
struct kc_error *kc_repository_set_state(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					 const char *feed, enum kc_patchset_state state, unsigned rollout,
					 struct kc_repository_change *change);
/* Takes it out of the feed; out of the store, too, when no feed has it. Hosts keep what they run. */
struct kc_error *kc_repository_undeploy(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					const char *feed, struct kc_repository_change *change);

/* Removes what the store has of a patchset that no feed has. */
struct kc_error *kc_repository_discard(struct kc_repository *repository, const char *patchset);
/* As undeployed, also when the feed never had it: automatic updates leave it so. KC_ERR_NOTHING: the feed has it. */
struct kc_error *kc_repository_leave_out(struct kc_ctx *ctx, struct kc_repository *repository, const char *patchset,
					 const char *feed);

struct kc_feed_info {
	char *name;
	char *note;
	bool auto_update;	 /* for the portal: follows its source by itself … */
	unsigned deploy_after_h; /* … after so many hours */
	char *channel;		 /* "default", "test", "unstable" */
	struct kc_feed_patchset {
		char *name;
		enum kc_patchset_state state;
		unsigned rollout;
		int64_t deployed; /* Unix seconds */
	} * patchsets;		  /* oldest first */
	size_t n_patchsets;
	char **undeployed; /* patchsets that somebody took out: automatic updates leave them so */
	size_t n_undeployed;
};
struct kc_error *kc_repository_feeds(struct kc_ctx *ctx, struct kc_repository *repository, struct kc_feed_info **feeds,
				     size_t *n_feeds);
/* As JSON text: an array of what the feeds are (caller frees). */
struct kc_error *kc_feed_infos_to_json(const struct kc_feed_info *feeds, size_t n_feeds, char **text);
void kc_feed_infos_free(struct kc_feed_info *feeds, size_t n_feeds);
/* NULL: the feed does not have it. */
struct kc_feed_patchset *kc_feed_patchset_find(const struct kc_feed_info *feed, const char *patchset);
bool kc_feed_was_undeployed(const struct kc_feed_info *feed, const char *patchset);
/* A new feed (patchsets of `info` are ignored; `from` copies those of another feed, NULL: empty), or other settings. */
struct kc_error *kc_repository_feed_add(struct kc_ctx *ctx, struct kc_repository *repository,
					const struct kc_feed_info *info, const char *from);
struct kc_error *kc_repository_feed_change(struct kc_ctx *ctx, struct kc_repository *repository,
					   const struct kc_feed_info *info);
struct kc_error *kc_repository_feed_remove(struct kc_ctx *ctx, struct kc_repository *repository, const char *name);

/*
 * What cron calls each hour: publishes what a killed run left; new timestamps; new snapshots and targets when half of
 * their time is over; all of it with new versions after a gap, or with `all`. Removes what nothing refers to for a day.
 * A feed with a problem does not keep the others from it; the first problem is the error.
 */
struct kc_error *kc_repository_refresh(struct kc_ctx *ctx, struct kc_repository *repository, bool all);

/*
 * What an operator should know, NULL-terminated (the caller frees each and the array; NULL when out of memory): private
 * keys of the root or of authors that lie on this machine, a root that expires soon.
 */
char **kc_repository_warnings(const struct kc_repository *repository);

KC_DEFINE_CLEANUP(kc_cleanup_repository, struct kc_repository *, kc_repository_close)
#define kc_autorepository KC_CLEANUP(kc_cleanup_repository)

#endif
