/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The signed list of a patchset. */
#include "patchset/patchset.h"

void kc_patchset_free(struct kc_patchset *patchset)
{
	if (!patchset)
		return;
	for (size_t i = 0; i < patchset->n_files; i++) {
		struct kc_patchset_file *file = &patchset->files[i];

		free(file->name);
		free(file->target);
		free(file->type);
		free(file->release);
		free(file->package);
		free(file->object);
	}
	free(patchset->files);
	free(patchset->name);
	free(patchset->distro);
	free(patchset);
}
