/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kbuild prints a recipe in one line, and three kinds of them matter (spaces are single there):
 *
 *	"…; gcc-12 … -c -o net/qrtr/af_qrtr.o /src/net/qrtr/af_qrtr.c ; ./tools/objtool/objtool …"
 *
 *	"…; printf '%s' af_qrtr.o ns.o | awk '… { print("net/qrtr/"$0) }' > net/qrtr/qrtr.mod; …"
 *
 *	"…; printf "init/%s " main.o version.o | xargs ar cDPrST init/built-in.a; …", and lib.a, whose paths are whole
 */
#include "build/kernel_units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/words.h"

enum { UNITS_LIMIT = 64 << 20, COMMAND_MAX = 1 << 20 };

/* What an archive or a .mod file says of one object. */
struct member {
	char *object;
	enum kc_kernel_place place;
	char *module;
};

struct compiled {
	char *object, *source;
	uint64_t offset, size;
};

struct parser {
	const char *obj_dir;
	struct kc_buf *commands;
	struct member *members;
	size_t n_members;
	struct compiled *compiled;
	size_t n_compiled;
};

static void parser_clear(struct parser *p)
{
	for (size_t i = 0; i < p->n_members; i++) {
		free(p->members[i].object);
		free(p->members[i].module);
	}
	for (size_t i = 0; i < p->n_compiled; i++) {
		free(p->compiled[i].object);
		free(p->compiled[i].source);
	}
	free(p->members);
	free(p->compiled);
}

/* ---- reading what make prints ---- */

/* The word at `p`, up to a space, a semicolon or the end. */
static size_t word_size(const char *p)
{
	return strcspn(p, " ;\t'\"");
}

static bool ends_with(const char *text, size_t size, const char *suffix)
{
	size_t n = strlen(suffix);

	return size > n && !memcmp(text + size - n, suffix, n);
}

/* Programs of the build itself: scripts/, and tools/, which has a build system of its own. */
static bool is_host_object(const char *object)
{
	return *object == '/' || !strncmp(object, "scripts/", 8) || !strncmp(object, "tools/", 6);
}

/* Where the command begins in which `at` lies. */
static const char *command_start(const char *line, const char *at)
{
	for (const char *p = at; p > line; p--)
		if (p[-1] == ' ' && p - 2 >= line && p[-2] == ';')
			return p;
	return line;
}

static struct kc_error *take_compilation(struct parser *p, const char *line)
{
	static const char output[] = " -c -o ";
	const char *option = strstr(line, output), *object, *source, *start;
	struct compiled *compiled;
	size_t object_size, source_size;

	if (!option)
		return NULL;
	object = option + strlen(output);
	object_size = word_size(object);
	source = object + object_size + strspn(object + object_size, " ");
	source_size = word_size(source);
	if (!ends_with(object, object_size, ".o") || is_host_object(object) ||
	    (!ends_with(source, source_size, ".c") && !ends_with(source, source_size, ".S")))
		return NULL;
	start = command_start(line, option);
	compiled = kc_array_add(&p->compiled, &p->n_compiled);
	if (!compiled)
		return kc_error_no_memory();
	compiled->object = strndup(object, object_size);
	kc_autofree char *relative = strndup(source, source_size);
	compiled->source = relative ? kc_path_resolve(p->obj_dir, relative) : NULL;
	compiled->offset = p->commands->size;
	compiled->size = (uint64_t)(source + source_size - start);
	kc_buf_append(p->commands, start, compiled->size);
	kc_buf_append(p->commands, "\n", 1);
	return compiled->object && compiled->source && !p->commands->failed ? NULL : kc_error_no_memory();
}

/* As Kbuild calls it, ".." and all. */
static char *member_path(const char *prefix, size_t prefix_size, const char *name, size_t size)
{
	kc_autofree char *joined = NULL;

	if (asprintf(&joined, "%.*s%.*s", (int)prefix_size, prefix, (int)size, name) < 0) {
		joined = NULL;
		return NULL;
	}
	return kc_steal(joined);
}

/* Every word in [text, end) that ends in ".o" becomes a member. */
static struct kc_error *take_members(struct parser *p, const char *text, const char *end, const char *prefix,
				     size_t prefix_size, enum kc_kernel_place place, const char *module,
				     size_t module_size)
{
	while (text < end) {
		size_t size = word_size(text);
		struct member *member;

		if (!ends_with(text, size, ".o") || memchr(text, '%', size)) {
			text += size ? size : 1;
			continue;
		}
		member = kc_array_add(&p->members, &p->n_members);
		if (!member)
			return kc_error_no_memory();
		member->object = member_path(prefix, prefix_size, text, size);
		member->place = place;
		member->module = module ? strndup(module, module_size) : NULL;
		if (!member->object || (module && !member->module))
			return kc_error_no_memory();
		text += size;
	}
	return NULL;
}

/* "… printf '%s\n' a.o b.o | awk '… print("DIR/"$0) …' > DIR/NAME.mod; …"; before 5.17: "{ echo DIR/a.o; } > …" */
static struct kc_error *take_module(struct parser *p, const char *line)
{
	const char *redirect = line, *prefix, *prefix_end = NULL, *start, *end;

	while ((redirect = strstr(redirect, " > "))) {
		size_t size = word_size(redirect + 3);

		if (ends_with(redirect + 3, size, ".mod"))
			break;
		redirect += 3;
	}
	if (!redirect)
		return NULL;
	start = command_start(line, redirect);
	if (memmem(start, (size_t)(redirect - start), "{ echo", 6) == NULL && strncmp(start, "printf", 6)) {
		start = strstr(line, "{ echo");
		if (!start || start > redirect)
			return NULL;
	}
	prefix = memmem(start, (size_t)(redirect - start), "print(\"", 7);
	prefix = prefix ? prefix + 7 : NULL;
	prefix_end = prefix ? strchr(prefix, '"') : NULL;
	end = prefix ? memchr(start, '|', (size_t)(redirect - start)) : redirect;
	return take_members(p, start, end ? end : redirect, prefix ? prefix : "",
			    prefix_end ? (size_t)(prefix_end - prefix) : 0, KC_KERNEL_MODULE, redirect + 3,
			    word_size(redirect + 3) - strlen(".mod"));
}

/* "rm -f X; printf "DIR/%s " a.o b.o | xargs ar cDPrST DIR/built-in.a"; "rm -f X; ar cDPrsT lib/lib.a lib/a.o …" */
static struct kc_error *take_archive(struct parser *p, const char *line)
{
	static const char listed[] = "printf \"";
	bool is_library = strstr(line, "lib.a;") != NULL;
	const char *ar = strstr(line, " ar cD"), *start = strstr(line, listed), *end, *prefix_end = NULL;

	if (!ar || (!is_library && !strstr(line, "built-in.a;")))
		return NULL;
	if (start && start < ar) {
		start += strlen(listed);
		prefix_end = strstr(start, "%s ");
		end = strchr(start, '|');
	} else {
		start = ar;
		end = ar + strcspn(ar, ";'");
	}
	if (!end)
		return NULL;
	return take_members(p, prefix_end ? prefix_end : start, end, start,
			    prefix_end ? (size_t)(prefix_end - start) : 0,
			    is_library ? KC_KERNEL_LIBRARY : KC_KERNEL_IMAGE, NULL, 0);
}

static struct kc_error *take_line(struct parser *p, const char *line)
{
	KC_TRY(take_compilation(p, line));
	if (strstr(line, ".mod"))
		KC_TRY(take_module(p, line));
	return strstr(line, ".a;") ? take_archive(p, line) : NULL;
}

/* ---- joining ---- */

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->object, y->object);

	if (!order)
		order = (int)x->place - (int)y->place;
	return order || !x->module ? order : strcmp(x->module, y->module);
}

static int compare_compiled(const void *a, const void *b)
{
	const struct compiled *x = a, *y = b;

	return strcmp(x->object, y->object);
}

static int compare_object(const void *object, const void *member)
{
	return strcmp(object, ((const struct member *)member)->object);
}

/* One line of the file "units". */
static void write_unit(const struct parser *p, const struct compiled *compiled, struct kc_buf *text)
{
	const struct member *end = p->members + p->n_members, *member;
	enum kc_kernel_place place = KC_KERNEL_OTHER;
	kc_autobuf struct kc_buf modules = { 0 };

	member = p->n_members ? bsearch(compiled->object, p->members, p->n_members, sizeof(*member), compare_object)
			      : NULL;
	while (member && member > p->members && !strcmp(member[-1].object, compiled->object))
		member--;
	if (member)
		place = member->place;
	for (; member && member < end && !strcmp(member->object, compiled->object); member++) {
		bool again = member > p->members && !compare_members(member, member - 1);

		if (member->module && !again)
			kc_buf_printf(&modules, "%s%s", modules.size ? ":" : "", member->module);
	}
	kc_buf_printf(text, "%d\t%s\t%s\t%s\t%ju\t%ju\n", (int)place, compiled->object, compiled->source,
		      modules.data ? modules.data : "", (uintmax_t)compiled->offset, (uintmax_t)compiled->size);
	text->failed |= modules.failed;
}

static struct kc_error *join(struct parser *p, struct kc_kernel_units *units)
{
	if (p->n_members)
		qsort(p->members, p->n_members, sizeof(*p->members), compare_members);
	if (p->n_compiled)
		qsort(p->compiled, p->n_compiled, sizeof(*p->compiled), compare_compiled);
	for (size_t i = 0; i < p->n_compiled; i++)
		/* make names an object twice when two makefiles lead to it; the commands are equal */
		if (!i || strcmp(p->compiled[i].object, p->compiled[i - 1].object))
			write_unit(p, &p->compiled[i], &units->text);
	return units->text.failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_kernel_units_parse(const char *obj_dir, char *text, struct kc_kernel_units *units,
				       struct kc_buf *commands)
{
	struct parser p = { .obj_dir = obj_dir, .commands = commands };
	struct kc_error *err = NULL;

	while (*text && !err) {
		char *end = text + strcspn(text, "\n");
		bool last = !*end;

		*end = '\0';
		err = take_line(&p, text);
		text = last ? end : end + 1;
	}
	if (!err)
		err = join(&p, units);
	parser_clear(&p);
	return err;
}

/* ---- the files ---- */

struct kc_error *kc_kernel_units_write(const struct kc_kernel_units *units, const char *path)
{
	int err = kc_file_write_atomic(path, units->text.data ? units->text.data : "", units->text.size, 0644);

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", path) : NULL;
}

/* Takes the next field out of a line; NULL: there is none. */
static char *take_field(char **line)
{
	char *field = *line, *tab = field ? strchr(field, '\t') : NULL;

	if (tab)
		*tab = '\0';
	*line = tab ? tab + 1 : NULL;
	return field;
}

static bool parse_unit(char *line, struct kc_kernel_unit *unit)
{
	const char *place = take_field(&line), *offset, *size;

	unit->object = take_field(&line);
	unit->source = take_field(&line);
	unit->modules = take_field(&line);
	offset = take_field(&line);
	size = take_field(&line);
	if (!place || !size || line || *place < '0' || *place > '0' + KC_KERNEL_OTHER)
		return false;
	unit->place = (enum kc_kernel_place)(*place - '0');
	unit->command_offset = strtoull(offset, NULL, 10);
	unit->command_size = strtoull(size, NULL, 10);
	return unit->command_size && unit->command_size <= COMMAND_MAX;
}

static struct kc_error *index_text(struct kc_kernel_units *units)
{
	char *line = units->text.data, *end;

	for (; line && *line; line = end + 1) {
		struct kc_kernel_unit *unit = kc_array_add(&units->items, &units->n_items);

		end = strchr(line, '\n');
		if (!unit)
			return kc_error_no_memory();
		if (!end)
			return kc_error_new(KC_ERR_INPUT, "the list of objects is cut short");
		*end = '\0';
		if (!parse_unit(line, unit))
			return kc_error_new(KC_ERR_INPUT, "the list of objects is damaged");
	}
	return NULL;
}

struct kc_error *kc_kernel_units_read(const char *path, struct kc_kernel_units *units)
{
	struct kc_error *err;
	int errnum = kc_file_read(path, UNITS_LIMIT, &units->text);

	if (errnum)
		return kc_error_errno(KC_ERR_SYSTEM, -errnum, "cannot read %s", path);
	err = index_text(units);
	return err ? kc_error_prefix(err, "%s", path) : NULL;
}

void kc_kernel_units_clear(struct kc_kernel_units *units)
{
	free(units->items);
	kc_buf_free(&units->text);
	*units = (struct kc_kernel_units){ 0 };
}

bool kc_kernel_units_have_module(const struct kc_kernel_units *units, const char *module)
{
	size_t size = strlen(module);

	for (size_t i = 0; i < units->n_items; i++) {
		const char *p = units->items[i].modules;

		for (; *p; p += strcspn(p, ":"), p += *p == ':')
			if (!strncmp(p, module, size) && (!p[size] || p[size] == ':'))
				return true;
	}
	return false;
}

struct kc_error *kc_kernel_unit_command_text(const struct kc_kernel_unit *unit, const char *path, struct kc_buf *text)
{
	kc_autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	kc_autofree char *command = malloc(unit->command_size);

	if (!command)
		return kc_error_no_memory();
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	if (pread(fd, command, unit->command_size, (off_t)unit->command_offset) != (ssize_t)unit->command_size)
		return kc_error_new(KC_ERR_INPUT, "%s is cut short; remove its folder and prepare the kernel again",
				    path);
	kc_buf_append(text, command, unit->command_size);
	return text->failed ? kc_error_no_memory() : NULL;
}

struct kc_error *kc_kernel_unit_command(const struct kc_kernel_unit *unit, const char *obj_dir, const char *path,
					const char *include_dir, struct kc_commands *commands)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autowords struct kc_words words = { 0 };
	size_t n = commands->n_items;

	KC_TRY(kc_kernel_unit_command_text(unit, path, &text));
	if (kc_buf_printf(&text, " -idirafter %s", include_dir), text.failed)
		return kc_error_no_memory();
	KC_TRY(kc_words_split(text.data, obj_dir, &words));
	for (size_t i = 0; i < words.n_items; i++)
		if (!words.items[i])
			return kc_error_new(KC_ERR_INPUT, "%s: its command is more than one", unit->object);
	KC_TRY(kc_commands_add(commands, obj_dir, NULL, unit->object, words.items, words.n_items));
	if (commands->n_items == n)
		return kc_error_new(KC_ERR_INPUT, "%s: its command is no compilation", unit->object);
	return NULL;
}
