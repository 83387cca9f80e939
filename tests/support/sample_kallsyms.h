/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kallsyms tables of a kernel image, as scripts/kallsyms.c of two series lays them out. */
#ifndef KC_TESTS_SAMPLE_KALLSYMS_H
#define KC_TESTS_SAMPLE_KALLSYMS_H

#include "base/buf.h"

struct sample_ksym {
	const char *name; /* with its type in front: "Tprintk" */
	uint64_t addr;	  /* sorted; below the kernel's addresses: absolute */
};

enum sample_layout {
	SAMPLE_LAYOUT_6_1,
	SAMPLE_LAYOUT_6_12,
};

/* Appends the tables; the caller aligns `buf` to 8 bytes before. */
void sample_kallsyms(enum sample_layout layout, const struct sample_ksym *symbols, size_t n, struct kc_buf *buf);

#endif
