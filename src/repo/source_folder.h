/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A feed in a local folder, as a source of repo/client.h: a repository's public/, or a mirror of it. */
#ifndef KC_REPO_SOURCE_FOLDER_H
#define KC_REPO_SOURCE_FOLDER_H

#include "repo/client.h"

/* `folder`: "…/public/feeds/main", borrowed by `source`. */
void kc_repo_source_folder(const char *folder, struct kc_repo_source *source);

#endif
