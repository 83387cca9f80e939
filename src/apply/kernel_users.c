// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who else uses the functions that a patch replaces: kprobes, which would go on probing code that is not run any more;
 * tracers and BPF programs, which livepatch may or may not get along with. As far as the kernel's own lists tell; a
 * locked down kernel lets everybody read less of them, never more is asked for.
 */
#include <string.h>

#include "apply/kernel_internal.h"

#define DEBUGFS "/sys/kernel/debug"
#define TRACEFS "/sys/kernel/tracing"
#define FUNCTIONS_SHOWN 8

void kc_kernel_function_parse(const char *text, struct kc_kernel_function *function)
{
	const char *colon = strchr(text, ':');

	function->object = colon ? text : "vmlinux";
	function->object_size = colon ? (size_t)(colon - text) : strlen("vmlinux");
	function->name = colon ? colon + 1 : text;
}

static bool is_in_vmlinux(const struct kc_kernel_function *function)
{
	return function->object_size == 7 && memcmp(function->object, "vmlinux", 7) == 0;
}

/* Is the text up to `size` the function's object? No text stands for vmlinux. */
static bool is_object(const struct kc_kernel_function *function, const char *text, size_t size)
{
	if (!size)
		return is_in_vmlinux(function);
	return size == function->object_size && memcmp(text, function->object, size) == 0;
}

static bool is_name(const struct kc_kernel_function *function, const char *text, size_t size)
{
	return size == strlen(function->name) && memcmp(text, function->name, size) == 0;
}

static const char *next_line(const char *line)
{
	const char *end = strchrnul(line, '\n');

	return *end ? end + 1 : end;
}

/* A place of kprobe_events: "function", "function+4", "module:function+4". */
static bool is_event_place(const char *text, const struct kc_kernel_function *function, unsigned long *offset)
{
	size_t size = strcspn(text, " \n");
	const char *colon = memchr(text, ':', size);
	const char *name = colon ? colon + 1 : text;
	size_t name_size = size - (size_t)(name - text), symbol_size;
	const char *plus = memchr(name, '+', name_size);

	symbol_size = plus ? (size_t)(plus - name) : name_size;
	*offset = plus ? strtoul(plus + 1, NULL, 0) : 0;
	/* without a module it may be any module's */
	return is_name(function, name, symbol_size) && (!colon || is_object(function, text, (size_t)(colon - text)));
}

/* Events of kprobe_events ("p:group/name place …") at the function; `users` NULL: only whether one is at `offset`. */
static bool find_events(const char *events, const struct kc_kernel_function *function, unsigned long offset,
			struct kc_buf *users)
{
	bool found = false;

	for (const char *line = events; line && *line; line = next_line(line)) {
		const char *name = memchr(line, ':', strcspn(line, "\n"));
		size_t name_size = name ? strcspn(name + 1, " \n") : 0;
		unsigned long at;

		if (!name || name[1 + name_size] != ' ' || !is_event_place(name + name_size + 2, function, &at))
			continue;
		found |= at == offset;
		if (users)
			kc_buf_printf(users, "; kprobe event %.*s at +0x%lx", (int)name_size, name + 1, at);
	}
	return found;
}

/* A line of kprobes/list: "address  k  symbol+0xoffset  module [FTRACE]"; the module is missing for vmlinux. */
static bool is_probe_line(const char *line, const struct kc_kernel_function *function, unsigned long *offset)
{
	char symbol[512], rest[128] = "";
	size_t size, module;
	const char *plus;

	if (sscanf(line, "%*s %*s %511s%127[^\n]", symbol, rest) < 1)
		return false;
	plus = strchr(symbol, '+');
	size = plus ? (size_t)(plus - symbol) : strlen(symbol);
	*offset = plus ? strtoul(plus + 1, NULL, 16) : 0;
	module = strspn(rest, " ");
	if (strstr(rest, "[GONE]") || !is_name(function, symbol, size))
		return false;
	return is_object(function, rest + module, strcspn(rest + module, " ["));
}

void kc_kprobes_find(const char *list, const char *events, const struct kc_kernel_function *function,
		     struct kc_buf *users)
{
	find_events(events, function, 0, users);
	for (const char *line = list; line && *line; line = next_line(line)) {
		unsigned long offset;

		if (is_probe_line(line, function, &offset) && !find_events(events, function, offset, NULL))
			kc_buf_printf(users, "; a kprobe of perf, BPF or a module at +0x%lx", offset);
	}
}

/* "function (2) R I …" or "function [module] (2) …": how many use it, 0: another function. */
static unsigned long enabled_count(const char *line, const struct kc_kernel_function *function)
{
	size_t size = strcspn(line, " \n");
	const char *at = line + size, *module = NULL;
	size_t module_size = 0;

	if (!is_name(function, line, size))
		return 0;
	if (strncmp(at, " [", 2) == 0) {
		module = at + 2;
		module_size = strcspn(module, "]\n");
		at = module + module_size + (module[module_size] == ']');
	}
	if (strncmp(at, " (", 2) != 0 || !is_object(function, module ? module : "", module_size))
		return 0;
	return strtoul(at + 2, NULL, 10);
}

static const char *handler_name(const char *symbol, size_t size)
{
	static const struct {
		const char *symbol, *name;
	} names[] = {
		{ "function_trace_call", "the function tracer" },
		{ "function_stack_trace_call", "the function tracer" },
		{ "function_no_repeats_trace_call", "the function tracer" },
		{ "ftrace_graph_func", "the function graph tracer" },
		{ "trace_graph_entry", "the function graph tracer" },
		{ "perf_ftrace_function_call", "perf (ftrace:function)" },
		{ "kprobe_ftrace_handler", "a kprobe" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (size == strlen(names[i].symbol) && memcmp(symbol, names[i].symbol, size) == 0)
			return names[i].name;
	}
	return NULL;
}

static void name_direct(const char *symbol, size_t size, struct kc_buf *users)
{
	kc_autofree char *trampoline = strndup(symbol, size);
	kc_autofree char *programs = trampoline ? kc_bpf_trampoline_programs(trampoline) : NULL;

	if (programs)
		kc_buf_printf(users, "; BPF program %s", programs);
	else
		kc_buf_printf(users, "; a direct call to %.*s", (int)size, symbol);
}

/* Handlers in the text of one entry, "… tramp: 0x… (handler+0x0/0x2f0) …\n\tdirect-->symbol+0x0/0x1000". */
static bool name_handlers(const char *entry, const char *end, struct kc_buf *users)
{
	bool named = false;

	for (const char *at = entry; (at = memmem(at, (size_t)(end - at), " (", 2)); at += 2) {
		size_t size = strcspn(at + 2, "+)\n");
		const char *name = handler_name(at + 2, size);

		if (memcmp(at + 2, "klp_ftrace_handler", 18) == 0 || memcmp(at + 2, "call_direct_funcs", 17) == 0)
			continue;
		named = true;
		if (name)
			kc_buf_printf(users, "; %s", name);
		else
			kc_buf_printf(users, "; ftrace handler %.*s", (int)size, at + 2);
	}
	entry = memmem(entry, (size_t)(end - entry), "direct-->", 9);
	if (!entry)
		return named;
	name_direct(entry + 9, strcspn(entry + 9, "+ \n"), users);
	return true;
}

void kc_ftrace_find(const char *enabled, const struct kc_kernel_function *function, unsigned n_ours,
		    struct kc_buf *users)
{
	for (const char *line = enabled; line && *line; line = next_line(line)) {
		unsigned long count = enabled_count(line, function);
		const char *end, *flags;

		if (count <= n_ours)
			continue;
		end = next_line(line);
		if (*end == '\t') /* "\tdirect-->" belongs to it */
			end = next_line(end);
		flags = memchr(line, ')', (size_t)(end - line));
		if (!flags || !name_handlers(flags, end, users))
			kc_buf_printf(users, "; an ftrace user that the kernel does not name");
	}
}

struct lists {
	struct kc_buf kprobes, events, enabled, tracer;
};

static void lists_clear(struct lists *lists)
{
	kc_buf_free(&lists->kprobes);
	kc_buf_free(&lists->events);
	kc_buf_free(&lists->enabled);
	kc_buf_free(&lists->tracer);
}

static void read_list(struct kc_ctx *ctx, const char *type, const char *dir, const char *name, struct kc_buf *text)
{
	int ret = kc_pseudo_read(type, dir, name, text);

	if (ret)
		kc_warning(ctx, "cannot read %s of %s (%s): users of the functions that it would show are not seen",
			   name, type, strerror(-ret));
}

/* How many livepatches of ours hold the function: a folder "FUNCTION,POSITION" in sysfs each. */
static unsigned count_ours(const struct kc_kernel_loaded *loaded, size_t n, const struct kc_kernel_function *function)
{
	size_t size = strlen(function->name);
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		kc_autoclosedir DIR *dir = NULL;
		struct dirent *entry;
		char path[256];
		bool found = false;

		snprintf(path, sizeof(path), KC_LIVEPATCH_DIR "/%s/%.*s", loaded[i].name, (int)function->object_size,
			 function->object);
		dir = loaded[i].is_ours ? opendir(path) : NULL;
		while (dir && !found && (entry = readdir(dir)))
			found = strncmp(entry->d_name, function->name, size) == 0 && entry->d_name[size] == ',';
		count += found;
	}
	return count ? 1 : 0; /* livepatch has one ftrace user for a function, however many patches there are */
}

static struct kc_error *conflict(const struct kc_buf *text, size_t n, const struct lists *lists)
{
	const char *tracer = lists->tracer.data ? lists->tracer.data : "nop";

	return kc_error_new(KC_ERR_CONFLICT,
			    "%zu of the functions to replace %s in use by others; stop them and try again:%s%s%.*s", n,
			    n == 1 ? "is" : "are", text->data,
			    strncmp(tracer, "nop", 3) ? "\n  current_tracer is " : "",
			    strncmp(tracer, "nop", 3) ? (int)strcspn(tracer, "\n") : 0, tracer);
}

static struct kc_error *check(const struct kc_kernel_manifest *manifest, const struct lists *lists,
			      const struct kc_kernel_loaded *loaded, size_t n_loaded)
{
	kc_autobuf struct kc_buf text = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < manifest->n_functions; i++) {
		kc_autobuf struct kc_buf users = { 0 };
		struct kc_kernel_function function;

		kc_kernel_function_parse(manifest->functions[i], &function);
		kc_kprobes_find(lists->kprobes.data, lists->events.data, &function, &users);
		if (!users.size) /* a kprobe at the entry is an ftrace user, too */
			kc_ftrace_find(lists->enabled.data, &function, count_ours(loaded, n_loaded, &function), &users);
		if (users.failed)
			return kc_error_no_memory();
		if (users.size && ++n <= FUNCTIONS_SHOWN)
			kc_buf_printf(&text, "\n  %s: %s", manifest->functions[i], users.data + 2);
	}
	if (n > FUNCTIONS_SHOWN)
		kc_buf_printf(&text, "\n  and %zu more", n - FUNCTIONS_SHOWN);
	if (text.failed)
		return kc_error_no_memory();
	return n ? conflict(&text, n, lists) : NULL;
}

struct kc_error *kc_kernel_users_check(struct kc_ctx *ctx, const struct kc_patch *patch)
{
	KC_CLEANUP(lists_clear) struct lists lists = { 0 };
	kc_autofree struct kc_kernel_loaded *loaded = NULL;
	size_t n_loaded;

	KC_TRY(kc_kernel_list(ctx, &loaded, &n_loaded));
	read_list(ctx, "debugfs", DEBUGFS, "kprobes/list", &lists.kprobes);
	read_list(ctx, "tracefs", TRACEFS, "kprobe_events", &lists.events);
	read_list(ctx, "tracefs", TRACEFS, "enabled_functions", &lists.enabled);
	kc_pseudo_read("tracefs", TRACEFS, "current_tracer", &lists.tracer);
	return check(&patch->manifest.kernel, &lists, loaded, n_loaded);
}
