/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See kallsyms.h. scripts/kallsyms.c writes these tables, each aligned to 8 bytes:
 *
 *	up to 6.1:  offsets, relative base, number of symbols, names, markers, [order by name,] tokens, token index
 *	since 6.2:  number of symbols, names, markers, tokens, token index, offsets, relative base, order by name
 *
 * A name is a length (one or two bytes) and that many tokens; the first character of the whole is the symbol's type.
 * Markers are the offsets of each 256th name. The tokens for the ten digits are the digits: that is where to begin.
 */
#include "target/kernel/kallsyms.h"

#include <stdlib.h>
#include <string.h>

enum {
	N_TOKENS = 256,
	NAMES_PER_MARKER = 256,
	MAX_SYMBOLS = 1 << 24,
	MAX_TOKEN_SIZE = 1024,
};

#define TABLE_ALIGN 8UL
#define LOWEST_KERNEL_ADDR 0xffff800000000000UL

/* Offsets in `data`. */
struct tables {
	const uint8_t *data;
	size_t size;
	const char *tokens[N_TOKENS];
	size_t token_sizes[N_TOKENS];
	size_t token_table, token_index;
	size_t names, n_symbols;
	size_t offsets;
	uint64_t base;
	bool has_absolute; /* offsets >= 0 are absolute values, the others count down from base - 1 */
};

static uint32_t read_u32(const struct tables *t, size_t at)
{
	uint32_t value;

	memcpy(&value, t->data + at, sizeof(value));
	return value;
}

static size_t align(size_t at)
{
	return (at + TABLE_ALIGN - 1) & ~(TABLE_ALIGN - 1);
}

static bool is_inside(const struct tables *t, size_t at, size_t size)
{
	return at <= t->size && size <= t->size - at;
}

/* Reads the index of tokens at `at`, and checks that each token lies where it says. */
static bool read_tokens(struct tables *t, size_t table, size_t index)
{
	size_t expected = 0;

	if (!is_inside(t, index, N_TOKENS * sizeof(uint16_t)))
		return false;
	for (size_t i = 0; i < N_TOKENS; i++) {
		uint16_t offset;

		memcpy(&offset, t->data + index + i * sizeof(offset), sizeof(offset));
		if (offset != expected || table + offset >= index)
			return false;
		t->tokens[i] = (const char *)t->data + table + offset;
		t->token_sizes[i] = strnlen(t->tokens[i], index - table - offset);
		if (t->token_sizes[i] > MAX_TOKEN_SIZE)
			return false;
		expected += t->token_sizes[i] + 1;
	}
	t->token_table = table;
	t->token_index = index;
	return align(table + expected) == index;
}

/* `digit` is where the token "0" may be: number 0x30. */
static bool try_tokens(struct tables *t, size_t digit)
{
	size_t end = digit;
	uint16_t offset;

	for (size_t i = '0'; i < N_TOKENS; i++) {
		const uint8_t *zero = memchr(t->data + end, '\0', t->size - end);

		if (!zero || zero - t->data - end > MAX_TOKEN_SIZE)
			return false;
		end = (size_t)(zero - t->data) + 1;
	}
	end = align(end);
	if (!is_inside(t, end, N_TOKENS * sizeof(uint16_t)))
		return false;
	memcpy(&offset, t->data + end + '0' * sizeof(offset), sizeof(offset));
	return offset <= digit && read_tokens(t, digit - offset, end);
}

static bool find_tokens(struct tables *t)
{
	static const char DIGITS[20] = {
		'0', 0, '1', 0, '2', 0, '3', 0, '4', 0, '5', 0, '6', 0, '7', 0, '8', 0, '9', 0
	};
	const uint8_t *at = t->data, *end = t->data + t->size;

	while ((at = memmem(at, (size_t)(end - at), DIGITS, sizeof(DIGITS)))) {
		if (try_tokens(t, (size_t)(at - t->data)))
			return true;
		at++;
	}
	return false;
}

/* The size of the name at `*at`, in tokens, and `*at` behind its length; 0: none can be there. */
static size_t read_length(const struct tables *t, size_t *at, size_t end)
{
	size_t length;

	if (*at >= end)
		return 0;
	length = t->data[(*at)++];
	if (length & 0x80) {
		if (*at >= end)
			return 0;
		length = (length & 0x7f) | (size_t)t->data[(*at)++] << 7;
	}
	return length <= end - *at ? length : 0;
}

/* True when `n` names at `names` end before the tokens and the markers behind them agree. */
static bool check_names(const struct tables *t, size_t names, size_t n)
{
	size_t at = names, markers;

	for (size_t i = 0; i < n; i++) {
		size_t length = read_length(t, &at, t->token_table);

		if (!length)
			return false;
		at += length;
	}
	markers = align(at);
	at = names;
	for (size_t i = 0; i < n; i++) {
		if (i % NAMES_PER_MARKER == 0) {
			if (markers + sizeof(uint32_t) > t->token_table || read_u32(t, markers) != at - names)
				return false;
			markers += sizeof(uint32_t);
		}
		at += read_length(t, &at, t->token_table);
	}
	return true;
}

static bool find_names(struct tables *t)
{
	/* Behind the count: a name and a marker at least, in 8 bytes each. */
	for (size_t at = t->token_table & ~(TABLE_ALIGN - 1); at >= TABLE_ALIGN; at -= TABLE_ALIGN) {
		size_t count = at - TABLE_ALIGN, n = read_u32(t, count);

		if (n == 0 || n > MAX_SYMBOLS || read_u32(t, count + 4) != 0 || n > (t->token_table - at) / 2 ||
		    !check_names(t, at, n))
			continue;
		t->names = at;
		t->n_symbols = n;
		return true;
	}
	return false;
}

static uint64_t address(const struct tables *t, size_t i, bool *is_absolute)
{
	int32_t offset = (int32_t)read_u32(t, t->offsets + i * sizeof(offset));

	*is_absolute = t->has_absolute && offset >= 0;
	if (!t->has_absolute)
		return t->base + (uint32_t)offset;
	return offset >= 0 ? (uint64_t)offset : t->base - 1 - (uint64_t)(int64_t)offset;
}

/* The tables are sorted by address: nothing else looks like that. */
static bool try_offsets(struct tables *t, size_t offsets, size_t base)
{
	uint64_t last = 0;
	bool is_absolute;

	if (!is_inside(t, offsets, t->n_symbols * sizeof(uint32_t)) || !is_inside(t, base, sizeof(t->base)))
		return false;
	memcpy(&t->base, t->data + base, sizeof(t->base));
	if (t->base < LOWEST_KERNEL_ADDR)
		return false;
	t->offsets = offsets;
	t->has_absolute = false;
	for (size_t i = 0; i < t->n_symbols; i++)
		t->has_absolute |= (int32_t)read_u32(t, offsets + i * sizeof(uint32_t)) < 0;
	for (size_t i = 0; i < t->n_symbols; i++) {
		uint64_t addr = address(t, i, &is_absolute);

		if (addr < last)
			return false;
		last = addr;
	}
	return true;
}

static bool find_offsets(struct tables *t)
{
	size_t table_size = align(t->n_symbols * sizeof(uint32_t)), count = t->names - TABLE_ALIGN;
	size_t behind = align(t->token_index + N_TOKENS * sizeof(uint16_t));

	if (count >= table_size + sizeof(t->base) &&
	    try_offsets(t, count - sizeof(t->base) - table_size, count - sizeof(t->base)))
		return true;
	return try_offsets(t, behind, behind + table_size);
}

static struct kc_error *read_symbols(const struct tables *t, struct kc_buf *names, struct kc_kernel_symbol *symbols)
{
	size_t at = t->names;

	for (size_t i = 0; i < t->n_symbols; i++) {
		size_t length = read_length(t, &at, t->token_table), start = names->size;
		char type;

		for (size_t j = 0; j < length; j++)
			kc_buf_append(names, t->tokens[t->data[at + j]], t->token_sizes[t->data[at + j]]);
		kc_buf_append(names, "", 1);
		if (names->failed)
			return kc_error_no_memory();
		at += length;
		type = names->data[start];
		symbols[i].addr = address(t, i, &symbols[i].is_absolute);
		symbols[i].is_global = type >= 'A' && type <= 'Z';
		symbols[i].is_function = type && strchr("tTwW", type);
	}
	return NULL;
}

/* Only now does the buffer stay where it is. */
static void set_names(struct kc_kernel_symbol *symbols, size_t n, const struct kc_buf *names, size_t start)
{
	const char *name = names->data + start;

	for (size_t i = 0; i < n; i++) {
		symbols[i].name = *name ? name + 1 : name;
		name += strlen(name) + 1;
	}
}

struct kc_error *kc_kallsyms_read(const char *name, const uint8_t *data, size_t size, struct kc_buf *names,
				  struct kc_kernel_symbol **symbols, size_t *n_symbols)
{
	struct tables t = { .data = data, .size = size };
	kc_autofree struct kc_kernel_symbol *new = NULL;
	size_t start = names->size;

	if (!find_tokens(&t) || !find_names(&t) || !find_offsets(&t))
		return kc_error_new(KC_ERR_INPUT,
				    "%s: no kallsyms tables; live patching needs a kernel with CONFIG_KALLSYMS_ALL",
				    name);
	new = calloc(t.n_symbols, sizeof(*new));
	if (!new)
		return kc_error_no_memory();
	KC_TRY(read_symbols(&t, names, new));
	set_names(new, t.n_symbols, names, start);
	*symbols = kc_steal(new);
	*n_symbols = t.n_symbols;
	return NULL;
}
