/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors. Every room but base/ returns `struct kc_error *`; NULL means that all went well. The caller owns what it
 * gets and either returns it, adds context once with kc_error_prefix(), or frees it. Two static singletons exist, for
 * "out of memory" and "not found"; kc_error_free() knows them.
 *
 * KC_ERROR_LIST gives each kind of error its name (shown to the user and used in tests), its exit code, its HTTP
 * status and its text. The message of an error says what happened to what, and what to do about it.
 */
#ifndef KC_BASE_ERROR_H
#define KC_BASE_ERROR_H

#include "base/cleanup.h"

/* Exit codes of all programs; also in the man pages. */
enum kc_exit {
	KC_EXIT_DONE = 0,
	KC_EXIT_FAILED = 1,  /* a system call or a tool failed */
	KC_EXIT_USAGE = 2,   /* wrong arguments */
	KC_EXIT_NOTHING = 3, /* nothing to do */
	KC_EXIT_BUSY = 4,    /* it would be unsafe now; nothing was changed; try again */
	KC_EXIT_REFUSED = 5, /* it would be unsafe ever, or it is not allowed; nothing was changed */
	KC_EXIT_INPUT = 6,   /* a file or another input is bad */
	KC_EXIT_LOCKED = 7,  /* another run of kcarectl is at work */
	KC_EXIT_NETWORK = 8, /* the server cannot be reached, or it does not answer as it should; try again */
};

/*        symbol            name                 exit code         HTTP  text */
#define KC_ERROR_LIST(X)                                                                                           \
	X(KC_ERR_NO_MEMORY, "no-memory", KC_EXIT_FAILED, 500, "out of memory")                                     \
	X(KC_ERR_NOT_FOUND, "not-found", KC_EXIT_FAILED, 404, "not found")                                         \
	X(KC_ERR_SYSTEM, "system", KC_EXIT_FAILED, 500, "a system call failed")                                    \
	X(KC_ERR_NO_SPACE, "no-space", KC_EXIT_FAILED, 507, "there is no space left on a disk")                    \
	X(KC_ERR_USAGE, "usage", KC_EXIT_USAGE, 400, "wrong arguments")                                            \
	X(KC_ERR_NOTHING, "nothing-to-do", KC_EXIT_NOTHING, 200, "nothing to do")                                  \
	X(KC_ERR_BUSY, "busy", KC_EXIT_BUSY, 503, "it would be unsafe now")                                        \
	X(KC_ERR_REFUSED, "refused", KC_EXIT_REFUSED, 403, "refused")                                              \
	X(KC_ERR_INPUT, "bad-input", KC_EXIT_INPUT, 400, "bad input")                                              \
	/* patch files and envelopes */                                                                            \
	X(KC_ERR_NOT_A_PATCH, "not-a-patch", KC_EXIT_INPUT, 400, "not a patch file")                               \
	X(KC_ERR_VERSION, "unknown-version", KC_EXIT_INPUT, 400, "written by a newer kcare")                       \
	X(KC_ERR_TRUNCATED, "truncated", KC_EXIT_INPUT, 400, "the file is cut short")                              \
	X(KC_ERR_CORRUPT, "corrupt", KC_EXIT_INPUT, 400, "the content does not match its hash")                    \
	X(KC_ERR_LIMIT, "over-limit", KC_EXIT_INPUT, 413, "larger than its limit")                                 \
	X(KC_ERR_UNSIGNED, "unsigned", KC_EXIT_REFUSED, 403, "there is no signature")                              \
	X(KC_ERR_UNKNOWN_KEY, "unknown-key", KC_EXIT_REFUSED, 403, "signed by a key that is not trusted")          \
	X(KC_ERR_BAD_SIGNATURE, "bad-signature", KC_EXIT_REFUSED, 403, "the signature is wrong")                   \
	X(KC_ERR_WRONG_TARGET, "wrong-target", KC_EXIT_REFUSED, 409, "made for another target")                    \
	X(KC_ERR_KEY, "bad-key", KC_EXIT_INPUT, 400, "the key cannot be used")                                     \
	/* building */                                                                                             \
	X(KC_ERR_PACKAGE_GONE, "package-gone", KC_EXIT_INPUT, 404, "the archive has no such package version")      \
	X(KC_ERR_SOURCE_MISSING, "source-missing", KC_EXIT_INPUT, 404, "the source cannot be had")                 \
	X(KC_ERR_BUILD_DEPENDS, "build-depends", KC_EXIT_FAILED, 500, "the package needs others to be built")      \
	X(KC_ERR_FIX, "bad-fix", KC_EXIT_INPUT, 400, "the fix cannot be read")                                     \
	X(KC_ERR_FIX_DOES_NOT_APPLY, "fix-does-not-apply", KC_EXIT_INPUT, 409, "the fix does not apply")           \
	X(KC_ERR_COMPILE, "compile", KC_EXIT_FAILED, 500, "the compiler failed")                                   \
	X(KC_ERR_NO_CHANGE, "no-change", KC_EXIT_NOTHING, 200, "the fix changes no code")                          \
	X(KC_ERR_PROOF, "no-proof", KC_EXIT_REFUSED, 409, "the rebuilt code differs from the shipped code")        \
	X(KC_ERR_RULE, "rule", KC_EXIT_REFUSED, 409, "a safety rule forbids it")                                   \
	/* processes */                                                                                            \
	X(KC_ERR_NO_PROCESS, "no-process", KC_EXIT_INPUT, 404, "there is no such process")                         \
	X(KC_ERR_EXITED, "exited", KC_EXIT_NOTHING, 410, "the process has ended")                                  \
	X(KC_ERR_TRACED, "traced", KC_EXIT_REFUSED, 409, "another program is tracing the process")                 \
	X(KC_ERR_PERMISSION, "permission", KC_EXIT_REFUSED, 403, "not permitted")                                  \
	X(KC_ERR_BLACKLISTED, "blacklisted", KC_EXIT_REFUSED, 403, "the blacklist names this program")             \
	X(KC_ERR_BYTES_DIFFER, "bytes-differ", KC_EXIT_REFUSED, 409, "the code in memory is not the expected one") \
	X(KC_ERR_IMPORT, "import", KC_EXIT_REFUSED, 409, "a needed symbol is not in the process")                  \
	X(KC_ERR_NO_ROOM, "no-room", KC_EXIT_REFUSED, 507, "no address space within reach")                        \
	/* kernels */                                                                                              \
	X(KC_ERR_CONTAINER, "container", KC_EXIT_REFUSED, 403, "a container does not patch its host's kernel")     \
	X(KC_ERR_CONFLICT, "conflict", KC_EXIT_REFUSED, 409, "another program has changed the same code")          \
	X(KC_ERR_FORCED, "forced", KC_EXIT_REFUSED, 409, "a forced patch stays until the next boot")               \
	X(KC_ERR_NOT_SETTLED, "not-settled", KC_EXIT_BUSY, 503, "the kernel did not switch in time")               \
	X(KC_ERR_MODULE, "module", KC_EXIT_REFUSED, 409, "the kernel refused the module")                          \
	X(KC_ERR_LOCKDOWN, "unsigned-module", KC_EXIT_REFUSED, 403, "the kernel trusts no key of this module")     \
	X(KC_ERR_CONFIG, "bad-config", KC_EXIT_INPUT, 400, "the configuration cannot be read")                     \
	X(KC_ERR_LOCKED, "locked", KC_EXIT_LOCKED, 503, "another run is at work")                                  \
	/* downloads */                                                                                            \
	X(KC_ERR_NETWORK, "network", KC_EXIT_NETWORK, 502, "the server cannot be reached")                         \
	X(KC_ERR_SERVER, "server", KC_EXIT_NETWORK, 502, "the server does not answer as it should")                \
	X(KC_ERR_STALLED, "stalled", KC_EXIT_NETWORK, 504, "the download came to a standstill")                    \
	X(KC_ERR_REDIRECT, "redirect", KC_EXIT_REFUSED, 502, "the server sends us elsewhere")                      \
	/* the signed repository */                                                                                \
	X(KC_ERR_ROLLBACK, "rollback", KC_EXIT_REFUSED, 409, "older than what was accepted before")                \
	X(KC_ERR_EXPIRED, "expired", KC_EXIT_REFUSED, 409, "the signed choice has expired")                        \
	X(KC_ERR_CLOCK, "clock", KC_EXIT_REFUSED, 409, "the clock of this host is wrong")                          \
	X(KC_ERR_MIXED, "mixed", KC_EXIT_REFUSED, 409, "files of different states of the repository")              \
	X(KC_ERR_WRONG_FEED, "wrong-feed", KC_EXIT_REFUSED, 409, "signed for another feed")                        \
	X(KC_ERR_FAST_FORWARD, "fast-forward", KC_EXIT_REFUSED, 409, "a version number from the far future")       \
	X(KC_ERR_REVOKED_KEY, "revoked-key", KC_EXIT_REFUSED, 403, "signed by a key that was replaced")            \
	X(KC_ERR_ROOT_CHAIN, "root-chain", KC_EXIT_REFUSED, 409, "a root that the one before did not sign")        \
	X(KC_ERR_ARCHIVE, "bad-archive", KC_EXIT_REFUSED, 400, "an archive that is not what a patchset is")        \
	/* the portal */                                                                                           \
	X(KC_ERR_INVALID_KEY, "invalid-key", KC_EXIT_REFUSED, 400, "there is no such key")                         \
	X(KC_ERR_KEY_LIMIT, "key-limit-reached", KC_EXIT_REFUSED, 400, "the key has no place left")                \
	X(KC_ERR_KEY_LOCKED, "key-locked", KC_EXIT_REFUSED, 403, "the key is locked")                              \
	X(KC_ERR_KEY_ENDED, "key-ended", KC_EXIT_REFUSED, 403, "the time of the key is over")                      \
	X(KC_ERR_ADDRESS, "address-not-allowed", KC_EXIT_REFUSED, 403, "the key is not for this address")          \
	X(KC_ERR_UNKNOWN_SERVER, "unknown-server", KC_EXIT_REFUSED, 403, "the portal does not know this server")   \
	X(KC_ERR_CLONED, "cloned-server", KC_EXIT_REFUSED, 409, "another host speaks with this server's id")       \
	X(KC_ERR_NOT_REGISTERED, "not-registered", KC_EXIT_NOTHING, 401, "this host is not registered")            \
	X(KC_ERR_UNAUTHORIZED, "unauthorized", KC_EXIT_REFUSED, 401, "name or password is wrong")                  \
	X(KC_ERR_FORBIDDEN, "forbidden", KC_EXIT_REFUSED, 403, "this user may not do that")                        \
	X(KC_ERR_TOO_MANY, "too-many-requests", KC_EXIT_NETWORK, 429, "too many requests; try again later")        \
	X(KC_ERR_METHOD, "method-not-allowed", KC_EXIT_INPUT, 405, "not with this method")                         \
	X(KC_ERR_EXISTS, "exists", KC_EXIT_REFUSED, 409, "it exists already")                                      \
	X(KC_ERR_DATABASE, "database", KC_EXIT_FAILED, 500, "the database failed")

enum kc_error_code {
#define X(symbol, name, exit_code, http, text) symbol,
	KC_ERROR_LIST(X)
#undef X
		KC_ERR_COUNT
};

struct kc_error;

/* A new error; `format` describes what happened to what. Never returns NULL. */
struct kc_error *kc_error_new(enum kc_error_code code, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));
/*
 * The same, followed by ": " and the text of `errnum` (a positive errno value). KC_ERR_SYSTEM becomes KC_ERR_NO_SPACE
 * where that says so.
 */
struct kc_error *kc_error_errno(enum kc_error_code code, int errnum, const char *format, ...)
	__attribute__((format(printf, 3, 4), returns_nonnull));
/* A broken safety rule of the builder, by its name for `--allow`. */
struct kc_error *kc_error_rule(const char *rule, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

/* Singletons: need no memory, can be freed without harm. */
struct kc_error *kc_error_no_memory(void) __attribute__((returns_nonnull));
struct kc_error *kc_error_not_found(void) __attribute__((returns_nonnull));

/* Puts "context: " before the message and returns the error (which may be a singleton: then a new one). */
struct kc_error *kc_error_prefix(struct kc_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

enum kc_error_code kc_error_code(const struct kc_error *err);
const char *kc_error_message(const struct kc_error *err);
const char *kc_error_rule_name(const struct kc_error *err); /* NULL unless made by kc_error_rule() */
void kc_error_free(struct kc_error *err);		    /* NULL is fine */

const char *kc_error_code_name(enum kc_error_code code);
int kc_error_code_exit(enum kc_error_code code);
int kc_error_code_http(enum kc_error_code code);
const char *kc_error_code_text(enum kc_error_code code);

KC_DEFINE_CLEANUP(kc_cleanup_error, struct kc_error *, kc_error_free)
#define kc_autoerror KC_CLEANUP(kc_cleanup_error)

/* Returns the error of `call` from the current function, if there is one. */
#define KC_TRY(call)                                \
	do {                                        \
		struct kc_error *try_err_ = (call); \
		if (try_err_)                       \
			return try_err_;            \
	} while (0)

#endif
