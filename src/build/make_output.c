/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds compilations in what `make -n -w` prints: follows make's folders, `cd`, compiler wrappers and libtool. */
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/commands.h"
#include "build/words.h"

struct dirs {
	char **items; /* a stack: make enters and leaves folders */
	size_t n_items;
};

static void dirs_clear(struct dirs *dirs)
{
	for (size_t i = 0; i < dirs->n_items; i++)
		free(dirs->items[i]);
	free(dirs->items);
}

static struct kc_error *dirs_push(struct dirs *dirs, const char *dir, size_t size)
{
	char **slot = kc_array_add(&dirs->items, &dirs->n_items);

	if (slot)
		*slot = strndup(dir, size);
	return slot && *slot ? NULL : kc_error_no_memory();
}

/* "make[2]: Entering directory '/x/y'". true when the line was such a message. */
static bool follow_make(struct dirs *dirs, const char *line, struct kc_error **err)
{
	const char *entering = strstr(line, ": Entering directory '"), *end;

	if (strncmp(line, "make", 4) && strncmp(line, "gmake", 5))
		return false;
	if (strstr(line, ": Leaving directory '")) {
		if (dirs->n_items > 1)
			free(dirs->items[--dirs->n_items]);
		return true;
	}
	if (!entering)
		return false;
	entering += strlen(": Entering directory '");
	end = strrchr(entering, '\'');
	*err = end ? dirs_push(dirs, entering, (size_t)(end - entering)) : NULL;
	return true;
}

/* gcc, x86_64-linux-gnu-g++-12, /usr/bin/c++, clang-16 */
static bool is_compiler(const char *word)
{
	static const char *const names[] = { "gcc", "g++", "cc", "c++", "clang", "clang++" };
	const char *name = kc_path_name(word);
	size_t size = strlen(name);

	while (size && strchr("0123456789.", name[size - 1]))
		size--;
	if (size < strlen(name) && size && name[size - 1] == '-')
		size--;
	else
		size = strlen(name);
	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (size >= n && !strncmp(name + size - n, names[i], n) && (size == n || name[size - n - 1] == '-'))
			return true;
	}
	return false;
}

/* libtool compiles each source twice, with -fPIC into .libs/ and without. */
static struct kc_error *add_libtool(struct kc_commands *commands, const char *dir, char **words, size_t n)
{
	static const char *const own[] = { "-static", "-shared", "-prefer-pic", "-prefer-non-pic", "-no-suppress" };
	kc_autofree char **pic = calloc(n + 2, sizeof(*pic));
	size_t n_kept = 0;

	if (!pic)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		bool drop = false;

		for (size_t j = 0; j < KC_ARRAY_SIZE(own); j++)
			drop |= !strcmp(words[i], own[j]);
		if (!drop)
			pic[n_kept++] = words[i];
	}
	KC_TRY(kc_commands_add(commands, dir, NULL, NULL, pic, n_kept));
	pic[n_kept++] = (char *)"-fPIC";
	pic[n_kept++] = (char *)"-DPIC";
	return kc_commands_add(commands, dir, NULL, NULL, pic, n_kept);
}

/* One simple command; `*dir` changes with `cd`. */
static struct kc_error *add_command(struct kc_commands *commands, char **dir, char **words, size_t n)
{
	bool libtool = false;
	size_t first = 0;

	if (n >= 2 && !strcmp(words[0], "cd")) {
		char *next = kc_path_resolve(*dir, words[1]);

		free(*dir);
		*dir = next;
		return next ? NULL : kc_error_no_memory();
	}
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(words[i], "--mode=compile")) {
			libtool = true;
			first = i + 1;
		}
	}
	while (first < n && !is_compiler(words[first]))
		first++;
	/* In front of the compiler: VAR=value, ccache, env; a compiler's name further behind is someone's argument. */
	if (first == n || (!libtool && first > 3))
		return NULL;
	return libtool ? add_libtool(commands, *dir, words + first, n - first)
		       : kc_commands_add(commands, *dir, NULL, NULL, words + first, n - first);
}

static struct kc_error *add_line(struct kc_commands *commands, const char *dir, const char *line)
{
	kc_autofree char *current = strdup(dir);
	kc_autowords struct kc_words words = { 0 };
	size_t first = 0;

	if (!current)
		return kc_error_no_memory();
	KC_TRY(kc_words_split(line, dir, &words));
	for (size_t i = 0; i <= words.n_items; i++) {
		if (i < words.n_items && words.items[i])
			continue;
		if (i > first)
			KC_TRY(add_command(commands, &current, words.items + first, i - first));
		first = i + 1;
	}
	return NULL;
}

/* The end of the logical line that starts at `line`: the first newline without a backslash before it, or '\0'. */
static char *line_end(char *line)
{
	char *end = line + strcspn(line, "\n");

	while (*end && end > line && end[-1] == '\\')
		end += 1 + strcspn(end + 1, "\n");
	return end;
}

static int compare(const void *a, const void *b)
{
	const struct kc_compile_command *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	if (!order)
		order = strcmp(x->dir, y->dir);
	for (size_t i = 0; !order && (i < x->n_arguments || i < y->n_arguments); i++)
		order = strcmp(i < x->n_arguments ? x->arguments[i] : "", i < y->n_arguments ? y->arguments[i] : "");
	return order;
}

static void swap(struct kc_compile_command *a, struct kc_compile_command *b)
{
	struct kc_compile_command held = *a;

	*a = *b;
	*b = held;
}

/*
 * With -n nothing gets made, so that makefiles that call themselves print the same command several times; and some
 * builds make the same object twice under two names.
 */
static void drop_doubles(struct kc_commands *commands)
{
	size_t kept = 0;

	if (!commands->n_items)
		return;
	qsort(commands->items, commands->n_items, sizeof(*commands->items), compare);
	for (size_t i = 1; i < commands->n_items; i++) {
		if (compare(&commands->items[kept], &commands->items[i]))
			swap(&commands->items[++kept], &commands->items[i]);
	}
	while (commands->n_items > kept + 1)
		kc_compile_command_clear(&commands->items[--commands->n_items]);
}

struct kc_error *kc_commands_add_make(struct kc_commands *commands, const char *dir, char *text)
{
	struct dirs dirs = { 0 };
	struct kc_error *err = dirs_push(&dirs, dir, strlen(dir));

	while (*text && !err) {
		char *end = line_end(text);
		bool last = !*end;

		*end = '\0';
		/* A cheap test first: make prints megabytes, of which a tenth are compilations. */
		if (!follow_make(&dirs, text, &err) && strstr(text, " -c "))
			err = add_line(commands, dirs.items[dirs.n_items - 1], text);
		text = last ? end : end + 1;
	}
	dirs_clear(&dirs);
	drop_doubles(commands);
	return err;
}
