/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kernel_read.c makes of the kernel's texts: for its tests and for the plan. */
#ifndef KC_APPLY_KERNEL_READ_H
#define KC_APPLY_KERNEL_READ_H

#include "apply/kernel_internal.h"

/* The GNU build-id of ELF notes as lower-case hex (caller frees), or NULL. The notes may be damaged. */
char *kc_notes_build_id(const void *notes, size_t size);
/* Of securityfs' `lockdown`: "none [integrity] confidentiality". */
bool kc_lockdown_is_on(const char *text);
/* A process environment (strings with '\0' between them, zero-terminated as a whole): is container= set? */
bool kc_environ_names_container(const char *environ, size_t size);
/* The number at the end of the name of a module of ours; 0: not ours. */
uint32_t kc_module_level(const char *name);

#endif
