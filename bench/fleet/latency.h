/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long things took: every single one is kept, so that a percentile is one of them. */
#ifndef KC_BENCH_FLEET_LATENCY_H
#define KC_BENCH_FLEET_LATENCY_H

#include <stddef.h>
#include <stdint.h>

struct latency {
	uint32_t *us; /* microseconds */
	size_t n;
};

int64_t now_us(void); /* CLOCK_MONOTONIC */
/* Ends the program when it is out of memory: half a measurement is none. */
void latency_add(struct latency *latency, int64_t us);
/* The smallest one that `share` per cent of all do not exceed; 0: there is none. Sorts them. */
uint32_t latency_percentile(struct latency *latency, unsigned share);
void latency_clear(struct latency *latency);

#endif
