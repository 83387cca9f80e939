/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/words.h"

#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/file.h"

struct splitter {
	const char *p;
	const char *dir;
	struct kc_words *words;
	struct kc_buf word;
	bool in_word; /* '' is a word, too */
};

static struct kc_error *words_add(struct kc_words *words, char *word)
{
	char **slot = kc_array_add(&words->items, &words->n_items);

	if (!slot) {
		free(word);
		return kc_error_no_memory();
	}
	*slot = word;
	return NULL;
}

static struct kc_error *word_end(struct splitter *s)
{
	char *word;

	if (!s->in_word)
		return NULL;
	s->in_word = false;
	word = kc_buf_take(&s->word);
	return word ? words_add(s->words, word) : kc_error_no_memory();
}

/* Between two commands: at most one separator, none in front. */
static struct kc_error *command_end(struct splitter *s)
{
	KC_TRY(word_end(s));
	if (!s->words->n_items || !s->words->items[s->words->n_items - 1])
		return NULL;
	return words_add(s->words, NULL);
}

/* At an opening quote; ends behind the closing one, or at the end of the text. */
static void take_quoted(struct splitter *s)
{
	char quote = *s->p++;

	s->in_word = true;
	while (*s->p && *s->p != quote) {
		if (quote == '"' && *s->p == '\\' && s->p[1] && strchr("\"\\$`\n", s->p[1]))
			s->p++;
		kc_buf_append(&s->word, s->p++, 1);
	}
	s->p += *s->p == quote;
}

/* `test -f 'x.c' || echo '../src/'` gives "../src/" unless x.c exists. */
static struct kc_error *take_backquoted(struct splitter *s)
{
	const char *end = strchr(s->p + 1, '`');
	kc_autofree char *text = end ? strndup(s->p + 1, (size_t)(end - s->p - 1)) : NULL, *path = NULL;
	kc_autowords struct kc_words words = { 0 };
	char **w;

	s->in_word = true;
	if (!end) {
		kc_buf_append(&s->word, s->p++, 1);
		return NULL;
	}
	if (!text)
		return kc_error_no_memory();
	KC_TRY(kc_words_split(text, s->dir, &words));
	w = words.items;
	if (words.n_items != 6 || !w[0] || strcmp(w[0], "test") || !w[1] || strcmp(w[1], "-f") || !w[2] || w[3] ||
	    !w[4] || strcmp(w[4], "echo") || !w[5]) {
		kc_buf_append(&s->word, s->p, (size_t)(end + 1 - s->p));
	} else {
		path = *w[2] == '/' ? strdup(w[2]) : kc_path_join(s->dir, w[2]);
		if (!path)
			return kc_error_no_memory();
		if (access(path, F_OK))
			kc_buf_append_str(&s->word, w[5]);
	}
	s->p = end + 1;
	return NULL;
}

static struct kc_error *take(struct splitter *s)
{
	char c = *s->p;

	if (c == '\'' || c == '"') {
		take_quoted(s);
	} else if (c == '`') {
		return take_backquoted(s);
	} else if (c == '\\' && s->p[1]) {
		if (s->p[1] != '\n') {
			kc_buf_append(&s->word, s->p + 1, 1);
			s->in_word = true;
		}
		s->p += 2;
	} else if (strchr(";&|\n()", c)) {
		s->p++;
		return command_end(s);
	} else if (c == ' ' || c == '\t' || c == '\r') {
		s->p++;
		return word_end(s);
	} else if (c == '#' && !s->in_word) {
		s->p += strcspn(s->p, "\n");
	} else {
		kc_buf_append(&s->word, s->p++, 1);
		s->in_word = true;
	}
	return NULL;
}

struct kc_error *kc_words_split(const char *text, const char *dir, struct kc_words *words)
{
	struct splitter s = { .p = text, .dir = dir, .words = words };
	struct kc_error *err = NULL;

	while (*s.p && !err)
		err = take(&s);
	if (!err)
		err = word_end(&s);
	kc_buf_free(&s.word);
	return err;
}

void kc_words_clear(struct kc_words *words)
{
	for (size_t i = 0; i < words->n_items; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct kc_words){ 0 };
}
