/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder for one test in which it compiles, links and strips small programs with the host's tools. Any failure of a
 * tool fails the test and shows what the tool said.
 */
#ifndef KC_TESTS_UNIT_WORKSHOP_H
#define KC_TESTS_UNIT_WORKSHOP_H

#include "elf/elf_file.h"

struct workshop {
	char dir[64];
	struct kc_elf *files[32]; /* opened, freed at the end */
	size_t n_files;
};

void workshop_open(struct workshop *shop);
void workshop_close(struct workshop *shop);
void workshop_write(const struct workshop *shop, const char *name, const char *text);
/* Runs a command line in the folder through the shell, as one writes it. */
void workshop_run(const struct workshop *shop, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct kc_elf *workshop_elf(struct workshop *shop, const char *name);

#endif
