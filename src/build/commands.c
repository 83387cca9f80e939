/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of compile commands, and which arguments of one matter for recompiling its object. */
#include "build/commands.h"

#include <jansson.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/apply_fix.h"
#include "build/words.h"

enum { JSON_SIZE_LIMIT = 256 << 20 };

char *kc_path_resolve(const char *dir, const char *path)
{
	kc_autobuf struct kc_buf whole = { 0 };
	char *state = NULL, *result, *out, *text;

	if (*path != '/')
		kc_buf_printf(&whole, "%s/", dir);
	kc_buf_append_str(&whole, path);
	text = kc_buf_take(&whole);
	result = text ? malloc(strlen(text) + 2) : NULL;
	if (!result) {
		free(text);
		return NULL;
	}
	out = result;
	for (char *part = strtok_r(text, "/", &state); part; part = strtok_r(NULL, "/", &state)) {
		if (!strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			while (out > result && *--out != '/')
				;
			continue;
		}
		*out++ = '/';
		out = stpcpy(out, part);
	}
	if (out == result)
		*out++ = '/';
	*out = '\0';
	free(text);
	return result;
}

void kc_compile_command_clear(struct kc_compile_command *command)
{
	for (size_t i = 0; i < command->n_arguments; i++)
		free(command->arguments[i]);
	free(command->arguments);
	free(command->dir);
	free(command->file);
	free(command->output);
	*command = (struct kc_compile_command){ 0 };
}

void kc_commands_free(struct kc_commands *commands)
{
	if (!commands)
		return;
	for (size_t i = 0; i < commands->n_items; i++)
		kc_compile_command_clear(&commands->items[i]);
	free(commands->items);
	free(commands);
}

static bool is_any_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

static bool starts_with(const char *word, const char *prefix)
{
	return !strncmp(word, prefix, strlen(prefix));
}

/* Options whose value is the next word. */
static bool takes_value(const char *word)
{
	static const char *const options[] = { "-I",
					       "-D",
					       "-U",
					       "-include",
					       "-imacros",
					       "-isystem",
					       "-iquote",
					       "-idirafter",
					       "-iprefix",
					       "-iwithprefix",
					       "-isysroot",
					       "-x",
					       "--param",
					       "-B",
					       "-L",
					       "-T",
					       "-u",
					       "-z",
					       "-A",
					       "-Xlinker",
					       "-Xassembler",
					       "-Xpreprocessor",
					       "-MF",
					       "-MT",
					       "-MQ",
					       "-o",
					       "-arch",
					       "-target",
					       "-aux-info",
					       "-dumpbase",
					       "-iwithprefixbefore",
					       NULL };

	return is_any_of(word, options);
}

/* What only says where by-products go. Their value is dropped, too. */
static bool is_output_option(const char *word)
{
	static const char *const options[] = { "-c",  "-o",  "-MD", "-MMD",	     "-MP",	    "-MG",
					       "-MF", "-MT", "-MQ", "-gsplit-dwarf", "-save-temps", NULL };

	return is_any_of(word, options) || starts_with(word, "-Wp,-MD,") || starts_with(word, "-Wp,-MMD,") ||
	       starts_with(word, "-save-temps=") || (starts_with(word, "-MF") && word[3]) ||
	       (starts_with(word, "-MT") && word[3]) || (starts_with(word, "-MQ") && word[3]);
}

/* Which word is the source: `file` when given, else the last one that looks like it. 0: none. */
static size_t find_source(const char *dir, const char *file, char *const *words, size_t n)
{
	size_t found = 0;

	for (size_t i = 1; i < n; i++) {
		kc_autofree char *path = NULL;

		if (takes_value(words[i])) {
			i++;
			continue;
		}
		if (*words[i] == '-')
			continue;
		path = file ? kc_path_resolve(dir, words[i]) : NULL;
		if (path ? !strcmp(path, file) : kc_path_is_compiled(words[i]))
			found = i;
	}
	return found;
}

static struct kc_error *argument_add(struct kc_compile_command *command, const char *argument)
{
	char **slot = kc_array_add(&command->arguments, &command->n_arguments);

	if (slot && argument)
		*slot = strdup(argument);
	return slot && (!argument || *slot) ? NULL : kc_error_no_memory();
}

/* Copies the arguments that shape the object's content. */
static struct kc_error *arguments_copy(struct kc_compile_command *command, char *const *words, size_t n,
				       bool *to_object)
{
	for (size_t i = 0; i < n; i++) {
		bool value = i && takes_value(words[i]) && i + 1 < n;

		*to_object |= !strcmp(words[i], "-c");
		if (i && !strcmp(words[i], "-o") && value && !command->output) {
			command->output = strdup(words[i + 1]);
			if (!command->output)
				return kc_error_no_memory();
		}
		if (!i || !is_output_option(words[i])) {
			KC_TRY(argument_add(command, words[i]));
			if (value)
				KC_TRY(argument_add(command, words[i + 1]));
		}
		i += value;
	}
	KC_TRY(argument_add(command, NULL));
	command->n_arguments--;
	return NULL;
}

static struct kc_error *command_fill(struct kc_compile_command *command, const char *dir, const char *file,
				     const char *output, char *const *words, size_t n_words, bool *usable)
{
	kc_autofree char *resolved = file ? kc_path_resolve(dir, file) : NULL;
	size_t source = find_source(dir, resolved, words, n_words);
	bool to_object = false;

	*usable = false;
	if (!source)
		return NULL;
	command->dir = kc_path_resolve(dir, ".");
	command->file = kc_path_resolve(dir, words[source]);
	command->output = output ? strdup(output) : NULL;
	if (!command->dir || !command->file || (output && !command->output))
		return kc_error_no_memory();
	KC_TRY(arguments_copy(command, words, n_words, &to_object));
	*usable = to_object;
	return NULL;
}

struct kc_error *kc_commands_add(struct kc_commands *commands, const char *dir, const char *file, const char *output,
				 char *const *words, size_t n_words)
{
	struct kc_compile_command *command = kc_array_add(&commands->items, &commands->n_items);
	bool usable = false;
	struct kc_error *err;

	if (!command)
		return kc_error_no_memory();
	err = n_words ? command_fill(command, dir, file, output, words, n_words, &usable) : NULL;
	if (err || !usable) {
		kc_compile_command_clear(command);
		commands->n_items--;
	}
	return err;
}

static struct kc_error *add_json_words(struct kc_commands *commands, const char *dir, const char *file,
				       const char *output, const json_t *arguments)
{
	size_t n = json_array_size(arguments);
	kc_autofree char **words = calloc(n + 1, sizeof(*words));

	if (!words)
		return kc_error_no_memory();
	for (size_t i = 0; i < n; i++) {
		words[i] = (char *)json_string_value(json_array_get(arguments, i));
		if (!words[i])
			return kc_error_new(KC_ERR_INPUT, "an argument for %s is not a string", file);
	}
	return kc_commands_add(commands, dir, file, output, words, n);
}

static struct kc_error *add_json_entry(struct kc_commands *commands, const json_t *entry)
{
	const char *dir = json_string_value(json_object_get(entry, "directory"));
	const char *file = json_string_value(json_object_get(entry, "file"));
	const char *command = json_string_value(json_object_get(entry, "command"));
	const char *output = json_string_value(json_object_get(entry, "output"));
	const json_t *arguments = json_object_get(entry, "arguments");
	kc_autowords struct kc_words words = { 0 };

	if (!dir || *dir != '/' || !file || (!command && !json_is_array(arguments)))
		return kc_error_new(KC_ERR_INPUT, "an entry lacks \"directory\" (absolute), \"file\" or \"command\"");
	if (arguments)
		return add_json_words(commands, dir, file, output, arguments);
	KC_TRY(kc_words_split(command, dir, &words));
	for (size_t i = 0; i < words.n_items; i++)
		if (!words.items[i])
			return kc_error_new(KC_ERR_INPUT, "the command for %s is more than one command", file);
	return kc_commands_add(commands, dir, file, output, words.items, words.n_items);
}

struct kc_error *kc_commands_parse_json(struct kc_ctx *ctx, const char *name, const void *text, size_t size,
					struct kc_commands **commands)
{
	kc_autocommands struct kc_commands *new = calloc(1, sizeof(*new));
	struct kc_error *err = NULL;
	json_error_t json_err;
	json_t *root;

	(void)ctx;
	if (!new)
		return kc_error_no_memory();
	root = json_loadb(text, size, 0, &json_err);
	if (!root)
		return kc_error_new(KC_ERR_INPUT, "%s:%d: %s", name, json_err.line, json_err.text);
	if (!json_is_array(root))
		err = kc_error_new(KC_ERR_INPUT, "%s: not a list of compile commands", name);
	for (size_t i = 0; !err && i < json_array_size(root); i++) {
		err = add_json_entry(new, json_array_get(root, i));
		if (err)
			err = kc_error_prefix(err, "%s: entry %zu", name, i + 1);
	}
	json_decref(root);
	if (!err)
		*commands = kc_steal(new);
	return err;
}

struct kc_error *kc_commands_load(struct kc_ctx *ctx, const char *path, struct kc_commands **commands)
{
	kc_autobuf struct kc_buf text = { 0 };
	int err = kc_file_read(path, JSON_SIZE_LIMIT, &text);

	if (err)
		return kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s", path);
	return kc_commands_parse_json(ctx, path, text.data, text.size, commands);
}

static json_t *command_to_json(const struct kc_compile_command *command)
{
	json_t *entry = json_pack("{s:s, s:s, s:[]}", "directory", command->dir, "file", command->file, "arguments");
	json_t *arguments = json_object_get(entry, "arguments");

	if (command->output)
		json_object_set_new(entry, "output", json_string(command->output));
	for (size_t i = 0; i < command->n_arguments; i++)
		json_array_append_new(arguments, json_string(command->arguments[i]));
	json_array_append_new(arguments, json_string("-c"));
	return entry;
}

struct kc_error *kc_commands_save(const struct kc_commands *commands, const char *path)
{
	json_t *root = json_array();
	char *text;
	int err;

	for (size_t i = 0; i < commands->n_items; i++)
		json_array_append_new(root, command_to_json(&commands->items[i]));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return kc_error_no_memory();
	err = kc_file_write_atomic(path, text, strlen(text), 0644);
	free(text);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}
