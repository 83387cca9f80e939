/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configures a kernel's source exactly as the headers package says, lists its objects, and compiles kmod/ for it. What
 * the source generates must equal what the package brought: else it is another source, or another compiler.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/file.h"
#include "build/cache.h"
#include "build/kernel_tree.h"
#include "build/tool.h"
#include "sign/hash.h"

enum { CONFIG_LIMIT = 4 << 20, HEADER_LIMIT = 16 << 20, SYMVERS_LIMIT = 64 << 20, KMOD_LIMIT = 1 << 20 };

/* ---- files ---- */

static struct kc_error *read_file(const char *dir, const char *name, size_t limit, struct kc_buf *text)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err = path ? kc_file_read(path, limit, text) : -ENOMEM;

	kc_buf_append(text, "", 0);
	return err ? kc_error_errno(KC_ERR_INPUT, -err, "cannot read %s/%s", dir, name) : NULL;
}

static struct kc_error *write_file(const char *dir, const char *name, const struct kc_buf *text, mode_t mode)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err = path ? kc_file_write_atomic(path, text->data ? text->data : "", text->size, mode) : -ENOMEM;

	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s/%s", dir, name) : NULL;
}

static struct kc_error *copy_file(const char *from, const char *to, const char *name, size_t limit)
{
	kc_autobuf struct kc_buf text = { 0 };

	KC_TRY(read_file(from, name, limit, &text));
	return write_file(to, name, &text, 0644);
}

/* ---- the configuration ---- */

/* The value of CONFIG_NAME ("y", "124", "\"gcc-12 …\""), or NULL. */
static char *config_value(const char *config, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = config; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0)
		if (!strncmp(line, name, n) && line[n] == '=')
			return strndup(line + n + 1, strcspn(line + n + 1, "\n"));
	return NULL;
}

static struct kc_error *check_config(const struct kc_kernel_tree *tree, const char *config)
{
	kc_autofree char *livepatch = config_value(config, "CONFIG_LIVEPATCH");

	if (livepatch && !strcmp(livepatch, "y"))
		return NULL;
	return kc_error_new(KC_ERR_REFUSED,
			    "the kernel %s is configured without CONFIG_LIVEPATCH: it cannot be patched while it runs",
			    tree->release);
}

/* Answers the configuration's question for a version as pahole of the package's build did: "v1.24" for 124. */
static struct kc_error *write_pahole(const struct kc_kernel_tree *tree, const char *config)
{
	kc_autofree char *value = config_value(config, "CONFIG_PAHOLE_VERSION");
	unsigned version = value ? (unsigned)strtoul(value, NULL, 10) : 0;
	kc_autobuf struct kc_buf text = { 0 };

	if (!version)
		return NULL;
	kc_buf_printf(&text,
		      "#!/bin/sh\n# For the kernel's configuration: nothing here calls pahole for anything else.\n"
		      "echo v%u.%02u\n",
		      version / 100, version % 100);
	return write_file(tree->tree->cache_dir, "pahole", &text, 0755);
}

/* "x86_64-linux-gnu-gcc-12 (Debian 12.2.0-14) 12.2.0" names the compiler; else the image does. */
static struct kc_error *find_compiler(struct kc_kernel_tree *tree, const char *config)
{
	kc_autofree char *text = config_value(config, "CONFIG_CC_VERSION_TEXT");
	const char *name = text && *text == '"' ? text + 1 : tree->image->compiler;

	tree->compiler = strndup(name, strcspn(name, " \""));
	return tree->compiler ? NULL : kc_error_no_memory();
}

struct kc_error *kc_kernel_check_compiler(struct kc_ctx *ctx, const struct kc_kernel_tree *tree)
{
	static const char prefix[] = "x86_64-linux-gnu-";
	const char *const argv[] = { tree->compiler, "--version", NULL };
	const char *package = tree->compiler, *said;
	kc_autobuf struct kc_buf output = { 0 };
	kc_autofree char *version = NULL;
	int exit_code = 0;

	if (!strncmp(package, prefix, strlen(prefix)))
		package += strlen(prefix);
	KC_TRY(kc_tool_try(argv, NULL, NULL, &output, NULL, &exit_code));
	if (exit_code)
		return kc_error_new(
			KC_ERR_BUILD_DEPENDS,
			"the kernel %s was compiled with %s, which is not installed; run: apt-get install %s",
			tree->release, tree->compiler, package);
	if (!tree->image) /* checked when it was prepared */
		return NULL;
	/* Behind the name both say the same: "(Debian 12.2.0-14+deb12u1) 12.2.0". */
	said = strchr(output.data, ' ');
	version = said ? strndup(said, strcspn(said, "\n")) : NULL;
	if (!version || !strstr(tree->image->proc_version, version))
		kc_warning(ctx, "%s here is not the compiler that made the kernel; proofs may fail: %.*s",
			   tree->compiler, (int)strcspn(output.data, "\n"), output.data);
	return NULL;
}

/* Lines that may differ: comments, and versions of tools. */
static bool is_free(const char *line)
{
	static const char *const names[] = { "#", "\n",
					     "CONFIG_CC_VERSION_TEXT=", "CONFIG_AS_VERSION=", "CONFIG_LD_VERSION=" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (!strncmp(line, names[i], strlen(names[i])))
			return true;
	return false;
}

static const char *next_line(const char *line)
{
	while (*line && is_free(line)) {
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return line;
}

/* Another configuration would give other structures without any warning. */
static struct kc_error *compare_configs(const struct kc_kernel_tree *tree, const char *wanted)
{
	kc_autobuf struct kc_buf text = { 0 };
	const char *a = next_line(wanted), *b;

	KC_TRY(read_file(tree->obj_dir, ".config", CONFIG_LIMIT, &text));
	for (b = next_line(text.data); *a || *b;) {
		size_t size = strcspn(a, "\n"), size_b = strcspn(b, "\n");

		if (size != size_b || memcmp(a, b, size))
			return kc_error_new(KC_ERR_INPUT,
					    "the kernel's configuration comes out differently here: %.*s instead of "
					    "%.*s; is its source the right one?",
					    (int)size_b, b, (int)size, a);
		a = next_line(a + size + (a[size] == '\n'));
		b = next_line(b + size_b + (b[size_b] == '\n'));
	}
	return NULL;
}

/* ---- generated headers ---- */

/* They tell who built it, and when; autoconf.h is the configuration, which was compared already. */
static bool may_differ(const char *name)
{
	static const char *const names[] = { "package.h", "utsversion.h", "compile.h", "autoconf.h", "rustc_cfg" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return *name == '.' || fnmatch("*.h", name, 0);
}

static struct kc_error *compare_header(const char *wanted_dir, const char *made_dir, const char *name)
{
	kc_autobuf struct kc_buf wanted = { 0 }, made = { 0 };
	kc_autofree char *path = kc_path_join(made_dir, name);
	int err = path ? kc_file_read(path, HEADER_LIMIT, &made) : -ENOMEM;

	if (err == -ENOENT) /* the kernel's build makes it later than modules_prepare does */
		return NULL;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s/%s", made_dir, name);
	KC_TRY(read_file(wanted_dir, name, HEADER_LIMIT, &wanted));
	if (made.size == wanted.size && !memcmp(made.data, wanted.data, made.size))
		return NULL;
	return kc_error_new(KC_ERR_INPUT,
			    "the source generates another %s than the kernel's headers have (%s): it is "
			    "not this kernel's source",
			    name, wanted_dir);
}

static struct kc_error *compare_headers(const char *wanted_root, const char *made_root, const char *below)
{
	kc_autofree char *wanted = kc_path_join(wanted_root, below), *made = kc_path_join(made_root, below);
	kc_autoclosedir DIR *dir = wanted ? opendir(wanted) : NULL;
	struct dirent *entry;

	if (!wanted || !made)
		return kc_error_no_memory();
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && *entry->d_name != '.')
			KC_TRY(compare_headers(wanted, made, entry->d_name));
		else if (entry->d_type != DT_DIR && !may_differ(entry->d_name))
			KC_TRY(compare_header(wanted, made, entry->d_name));
	}
	return NULL;
}

/* ---- the list of objects ---- */

/* Every module that the kernel brings must be known: else a fix in it would look like one in nothing. */
static struct kc_error *check_modules(const struct kc_kernel_tree *tree, const struct kc_kernel_units *units)
{
	kc_autobuf struct kc_buf text = { 0 };
	char *rest = NULL;

	if (!tree->modules_dir)
		return NULL;
	KC_TRY(read_file(tree->modules_dir, "modules.order", CONFIG_LIMIT, &text));
	for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *suffix = strstr(line, ".ko");

		if (suffix)
			*suffix = '\0';
		if (!strncmp(line, "kernel/", strlen("kernel/")))
			line += strlen("kernel/");
		if (!kc_kernel_units_have_module(units, line))
			return kc_error_new(KC_ERR_SYSTEM, "Kbuild does not say how the module %s is made", line);
	}
	return NULL;
}

/*
 * -n prints what make would do. It goes on behind errors (-k): the key that signs the package's modules is missing, for
 * one. The list is checked, not the exit code. One job: lines of several would be mixed.
 */
static struct kc_error *list_units(struct kc_ctx *ctx, const struct kc_kernel_tree *tree)
{
	const char *const arguments[] = { "-n", "-k", "-j1", "vmlinux", "modules", NULL };
	kc_autobuf struct kc_buf output = { 0 }, commands = { 0 };
	struct kc_kernel_units units = { 0 }, read = { 0 };
	struct kc_error *err;
	int exit_code = 0;

	kc_progress(ctx, "listing the kernel's objects", 0, 0);
	KC_TRY(kc_kernel_make_run(tree, KC_ERR_SYSTEM, "", arguments, &output, &exit_code));
	err = kc_kernel_units_parse(tree->obj_dir, output.data, &units, &commands);
	if (!err && !units.text.size)
		err = kc_error_new(KC_ERR_SYSTEM, "Kbuild does not say how the kernel's objects are made");
	if (!err)
		err = write_file(tree->tree->cache_dir, "commands", &commands, 0644);
	if (!err)
		err = kc_kernel_units_write(&units, tree->units_path);
	if (!err)
		err = kc_kernel_units_read(tree->units_path, &read);
	if (!err)
		err = check_modules(tree, &read);
	kc_kernel_units_clear(&units);
	kc_kernel_units_clear(&read);
	kc_progress(ctx, "listing the kernel's objects", 1, 1);
	return err;
}

struct kc_error *kc_kernel_configure(struct kc_ctx *ctx, struct kc_kernel_tree *tree, unsigned jobs)
{
	static const char *const configure[] = { "olddefconfig", NULL };
	long n = jobs ? (long)jobs : sysconf(_SC_NPROCESSORS_ONLN);
	kc_autobuf struct kc_buf config = { 0 };
	char parallel[24];

	snprintf(parallel, sizeof(parallel), "-j%ld", n > 0 ? n : 1);
	const char *const prepare[] = { parallel, "modules_prepare", NULL };
	KC_TRY(read_file(tree->headers_dir, ".config", CONFIG_LIMIT, &config));
	KC_TRY(check_config(tree, config.data));
	KC_TRY(find_compiler(tree, config.data));
	KC_TRY(kc_kernel_check_compiler(ctx, tree));
	KC_TRY(kc_cache_make_dir(tree->obj_dir));
	KC_TRY(write_pahole(tree, config.data));
	KC_TRY(write_file(tree->obj_dir, ".config", &config, 0644));
	kc_progress(ctx, "configuring the kernel", 0, 0);
	KC_TRY(kc_kernel_make_run(tree, KC_ERR_SYSTEM, "configuring the kernel", configure, NULL, NULL));
	KC_TRY(compare_configs(tree, config.data));
	kc_progress(ctx, "configuring the kernel", 1, 1);
	kc_progress(ctx, "generating the kernel's headers", 0, 0);
	KC_TRY(kc_kernel_make_run(tree, KC_ERR_SYSTEM, "generating the kernel's headers", prepare, NULL, NULL));
	kc_progress(ctx, "generating the kernel's headers", 1, 1);
	KC_TRY(compare_headers(tree->headers_dir, tree->obj_dir, "include/generated"));
	KC_TRY(compare_headers(tree->headers_dir, tree->obj_dir, "arch/x86/include/generated"));
	KC_TRY(copy_file(tree->headers_dir, tree->obj_dir, "Module.symvers", SYMVERS_LIMIT));
	return list_units(ctx, tree);
}

/* ---- kmod/ ---- */

/* $KCARE_DATA/kmod, else where it was installed, else the tree that this program was built in. */
static struct kc_error *find_kmod(char **dir)
{
	const char *data = getenv("KCARE_DATA");
	const char *const places[] = { data && *data ? data : KC_DATADIR, data && *data ? data : KC_SOURCE_DIR };

	for (size_t i = 0; i < KC_ARRAY_SIZE(places); i++) {
		kc_autofree char *found = kc_path_join(places[i], "kmod"), *kbuild = NULL;

		kbuild = found ? kc_path_join(found, "Kbuild") : NULL;
		if (!kbuild)
			return kc_error_no_memory();
		if (access(kbuild, R_OK))
			continue;
		*dir = kc_steal(found);
		return NULL;
	}
	return kc_error_new(KC_ERR_SYSTEM, "the source of kcare.ko is not in %s/kmod; install kcare, or set KCARE_DATA",
			    places[0]);
}

static int is_kmod_source(const struct dirent *entry)
{
	return !strcmp(entry->d_name, "Kbuild") || !fnmatch("[!.]*.[ch]", entry->d_name, 0);
}

/* Copies the sources; `hash` names their content. */
static struct kc_error *copy_kmod(const char *from, const char *to, char hash[KC_SHA256_TEXT_SIZE])
{
	kc_autobuf struct kc_buf all = { 0 };
	struct dirent **entries;
	struct kc_error *err = NULL;
	int n = scandir(from, &entries, is_kmod_source, alphasort);

	if (n < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot read %s", from);
	for (int i = 0; i < n; i++) {
		kc_autobuf struct kc_buf text = { 0 };

		if (!err)
			err = read_file(from, entries[i]->d_name, KMOD_LIMIT, &text);
		kc_buf_printf(&all, "%s\n%zu\n", entries[i]->d_name, text.size);
		kc_buf_append(&all, text.data, text.size);
		if (!err && to)
			err = write_file(to, entries[i]->d_name, &text, 0644);
		free(entries[i]);
	}
	free(entries);
	if (!err && all.failed)
		err = kc_error_no_memory();
	kc_sha256_text(all.data ? all.data : "", all.size, hash);
	return err;
}

struct kc_error *kc_kernel_make_kmod(struct kc_ctx *ctx, const struct kc_kernel_tree *tree)
{
	kc_autofree char *source = NULL, *folder = NULL, *module = kc_path_join(tree->kmod_dir, "kcare.ko");
	kc_autobuf struct kc_buf hash = { 0 }, old = { 0 };
	char wanted[KC_SHA256_TEXT_SIZE];

	KC_TRY(find_kmod(&source));
	KC_TRY(copy_kmod(source, NULL, wanted));
	kc_error_free(read_file(tree->kmod_dir, "sources", KC_SHA256_TEXT_SIZE, &old));
	if (old.data && !strcmp(old.data, wanted))
		return NULL;
	if (!module || asprintf(&folder, "M=%s", tree->kmod_dir) < 0)
		return kc_error_no_memory();
	kc_progress(ctx, "compiling kcare.ko", 0, 0);
	kc_tree_remove(tree->kmod_dir);
	KC_TRY(kc_cache_make_dir(tree->kmod_dir));
	KC_TRY(copy_kmod(source, tree->kmod_dir, wanted));
	const char *const arguments[] = { folder, "modules", NULL };
	const char *const strip[] = { "strip", "-S", module, NULL };
	KC_TRY(kc_kernel_make_run(tree, KC_ERR_COMPILE, "kcare.ko", arguments, NULL, NULL));
	KC_TRY(kc_tool_run(KC_ERR_SYSTEM, "kcare.ko", strip, NULL, NULL, NULL));
	kc_buf_append_str(&hash, wanted);
	KC_TRY(write_file(tree->kmod_dir, "sources", &hash, 0644));
	kc_progress(ctx, "compiling kcare.ko", 1, 1);
	return NULL;
}
