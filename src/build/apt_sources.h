/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a list of archives for the private apt: the host's entries for this release (sources.list and *.sources) with
 * source packages switched on, or the public mirrors when the host has none.
 */
#ifndef KC_BUILD_APT_SOURCES_H
#define KC_BUILD_APT_SOURCES_H

#include "base/buf.h"
#include "base/error.h"

/* One-line entries: "deb [options] URI SUITE COMPONENT…" and the same as deb-src. */
void kc_apt_convert_list(const char *text, const char *codename, struct kc_buf *out);
/* Stanzas of "Types:", "URIs:", … */
void kc_apt_convert_deb822(const char *text, const char *codename, struct kc_buf *out);

/* Writes `dir`/kcare.list and `dir`/kcare.sources. */
struct kc_error *kc_apt_sources_write(const char *dir);
/*
 * Writes backports.list or backports.sources beside them: the host's mirrors of this release, for its backports.
 * `*added` is false when there are backports already.
 */
struct kc_error *kc_apt_backports_write(const char *dir, bool *added);
void kc_apt_backports_remove(const char *dir);
/* The entries of the release itself (not of its pockets), in the form of kcare.list, turned into its backports. */
void kc_apt_backports_list(const char *text, const char *codename, struct kc_buf *out);
/* The same for kcare.sources. */
void kc_apt_backports_deb822(const char *text, const char *codename, struct kc_buf *out);

#endif
