/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Randomness from the kernel, for names and secrets. 0 or -errno. */
#ifndef KC_BASE_RANDOM_H
#define KC_BASE_RANDOM_H

#include <stddef.h>

int kc_random_bytes(void *data, size_t size);
/* `length` of A-Z a-z 0-9, a letter first, and '\0'; all of them equally likely. */
int kc_random_name(char *name, size_t length);

#endif
