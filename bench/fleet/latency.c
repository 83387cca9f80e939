/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "latency.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/array.h"

int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void latency_add(struct latency *latency, int64_t us)
{
	uint32_t *one = kc_array_add(&latency->us, &latency->n);

	if (!one) {
		fputs("fleet: out of memory\n", stderr);
		exit(1);
	}
	*one = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return (one > other) - (one < other);
}

uint32_t latency_percentile(struct latency *latency, unsigned share)
{
	size_t rank = (latency->n * share + 99) / 100;

	if (!latency->n)
		return 0;
	qsort(latency->us, latency->n, sizeof(latency->us[0]), compare);
	return latency->us[rank ? rank - 1 : 0];
}

void latency_clear(struct latency *latency)
{
	free(latency->us);
	*latency = (struct latency){ 0 };
}
