/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a fuzz target without libFuzzer, so that `make check` fuzzes with gcc too: replays each seed, then calls the
 * target with `--runs N` random mutations of them. The same seeds and N give the same inputs on every run.
 *
 *	fuzz_NAME [--runs N] SEED-FILE|FOLDER…
 *
 * When the sanitizer ends the program, the input is left as crash-NAME; `fuzz_NAME crash-NAME` replays it.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of the sanitizer's runtime; absent in a build without it. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { SEED_MAX = 1 << 20, GROWTH_MAX = 4096, MUTATIONS_MAX = 8 };

struct seed {
	struct kc_buf content;
};

/* The program's only globals: what the death callback, which has no argument, needs. */
static const char *crash_path;
static const uint8_t *current_data;
static size_t current_size;

static void save_crash(void)
{
	if (crash_path && kc_file_write_atomic(crash_path, current_data, current_size, 0644) == 0)
		fprintf(stderr, "the input is in %s\n", crash_path);
}

static void die(const char *what, const char *path)
{
	fprintf(stderr, "fuzz: %s: %s\n", path, what);
	exit(2);
}

static void add_file(struct seed **seeds, size_t *n, const char *path)
{
	struct seed *seed = kc_array_add(seeds, n);

	if (!seed || kc_file_read(path, SEED_MAX, &seed->content))
		die("cannot read the seed", path);
}

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void add_path(struct seed **seeds, size_t *n, const char *path)
{
	struct dirent **names;
	struct stat st;
	int count;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		add_file(seeds, n, path);
		return;
	}
	count = scandir(path, &names, is_visible, alphasort);
	if (count < 0)
		die("cannot read the seeds", path);
	for (int i = 0; i < count; i++) {
		kc_autofree char *file = kc_path_join(path, names[i]->d_name);

		add_file(seeds, n, file);
		free(names[i]);
	}
	free(names);
}

/* xorshift64*: random enough to mutate, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static size_t below(uint64_t *state, size_t limit)
{
	return limit ? (size_t)(next_random(state) % limit) : 0;
}

static void write_integer(uint8_t *data, size_t size, uint64_t *state)
{
	static const uint64_t values[] = { 0,	       1,	  0x7f,	      0x80,	  0xff,
					   0x7fff,     0xffff,	  0x7fffffff, 0x80000000, 0xffffffff,
					   1ULL << 40, INT64_MAX, 1ULL << 63, UINT64_MAX, UINT64_MAX - 7 };
	size_t width = 1UL << below(state, 4), offset;
	uint64_t value = values[below(state, KC_ARRAY_SIZE(values))];

	if (size < width)
		return;
	offset = below(state, size - width + 1);
	memcpy(data + offset, &value, width);
}

/* Takes a piece of `from` and puts it somewhere in `data`, over what is there or between it. */
static void splice(uint8_t *data, size_t *size, size_t capacity, const uint8_t *from, size_t from_size, uint64_t *state)
{
	size_t start = below(state, from_size), length = 1 + below(state, 64), offset = below(state, *size + 1);
	bool insert = below(state, 2);

	if (length > from_size - start)
		length = from_size - start;
	if (length > capacity - *size)
		length = capacity - *size;
	if (insert) {
		memmove(data + offset + length, data + offset, *size - offset);
		*size += length;
	} else if (length > *size - offset) {
		length = *size - offset;
	}
	memmove(data + offset, from + start, length);
}

static void remove_piece(uint8_t *data, size_t *size, uint64_t *state)
{
	size_t offset = below(state, *size), length = 1 + below(state, 64);

	if (length > *size - offset)
		length = *size - offset;
	memmove(data + offset, data + offset + length, *size - offset - length);
	*size -= length;
}

static void mutate(uint8_t *data, size_t *size, size_t capacity, const struct seed *other, uint64_t *state)
{
	switch (*size ? below(state, 8) : 7) {
	case 0:
	case 1:
		data[below(state, *size)] ^= (uint8_t)(1 << below(state, 8));
		break;
	case 2:
		data[below(state, *size)] = (uint8_t)next_random(state);
		break;
	case 3:
	case 4:
		write_integer(data, *size, state);
		break;
	case 5:
		remove_piece(data, size, state);
		break;
	case 6:
		if (below(state, 8) == 0)
			*size = below(state, *size);
		else
			data[below(state, *size)]++;
		break;
	default:
		splice(data, size, capacity, (const uint8_t *)other->content.data, other->content.size, state);
		break;
	}
}

/* In memory of exactly this size, so that the sanitizer sees a read behind the end. */
static void run_once(const uint8_t *data, size_t size)
{
	kc_autofree uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		die("out of memory", "input");
	memcpy(copy, data, size);
	current_data = copy;
	current_size = size;
	LLVMFuzzerTestOneInput(copy, size);
	current_size = 0;
}

static void run_mutations(const struct seed *seeds, size_t n_seeds, unsigned long runs)
{
	uint64_t state = 0x9e3779b97f4a7c15ULL;
	size_t capacity = SEED_MAX + GROWTH_MAX;
	kc_autofree uint8_t *data = malloc(capacity);

	if (!data)
		die("out of memory", "input");
	for (unsigned long i = 0; i < runs; i++) {
		const struct seed *seed = &seeds[below(&state, n_seeds)];
		size_t size = seed->content.size, n = 1 + below(&state, MUTATIONS_MAX);

		if (size)
			memcpy(data, seed->content.data, size);
		while (n--)
			mutate(data, &size, seed->content.size + GROWTH_MAX, &seeds[below(&state, n_seeds)], &state);
		run_once(data, size);
	}
}

int main(int argc, char **argv)
{
	kc_autofree char *crash = NULL;
	struct seed *seeds = NULL;
	unsigned long runs = 0;
	size_t n_seeds = 0;
	int first = 1;

	if (argc > 2 && !strcmp(argv[1], "--runs")) {
		runs = strtoul(argv[2], NULL, 10);
		first = 3;
	}
	for (int i = first; i < argc; i++)
		add_path(&seeds, &n_seeds, argv[i]);
	if (n_seeds == 0)
		die("no seed", argc > first ? argv[first] : argv[0]);
	if (__sanitizer_set_death_callback && asprintf(&crash, "crash-%s", kc_path_name(argv[0])) > 0) {
		crash_path = crash;
		__sanitizer_set_death_callback(save_crash);
	}
	for (size_t i = 0; i < n_seeds; i++)
		run_once((const uint8_t *)seeds[i].content.data, seeds[i].content.size);
	run_mutations(seeds, n_seeds, runs);
	printf("%zu seeds, %lu mutations\n", n_seeds, runs);
	for (size_t i = 0; i < n_seeds; i++)
		kc_buf_free(&seeds[i].content);
	free(seeds);
	return 0;
}
