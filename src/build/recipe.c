/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "build/recipe.h"

#include <errno.h>
#include <glob.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "build/kernel_tree.h"
#include "build/tool.h"

/*
 * Fields that are NULL mean the general way: configure as debhelper's sequence does up to dh_auto_configure, look for
 * the build folder, take the commands of everything.
 */
struct kc_recipe {
	const char *source;
	const char *configure; /* target of debian/rules */
	const char *depends;   /* packages that are enough, where Build-Depends asks for more */
	const char *build_dir; /* the one of several that the shipped files come from */
	const char *generate;  /* make target for generated headers */
	const char *list;      /* make targets whose commands count */
	const char *object;    /* make arguments for one object, up to the path of the build folder */
};

static const struct kc_recipe recipes[] = {
	{ .source = "openssl",
	  .build_dir = "build_shared",
	  .generate = "build_generated",
	  .list = "build_libs build_modules build_programs" },
	/* Build-Depends has what the manual, 32-bit libraries and tests need; SELinux is for nscd's configuration. */
	{ .source = "glibc",
	  .configure = "configure_libc",
	  .depends = "bison gawk gcc-12 g++-12 python3 debhelper quilt libselinux1-dev linux-libc-dev",
	  .build_dir = "build-tree/amd64-libc",
	  .list = "lib",
	  .object = "..=../ objdir=" },
	{ .list = "all" },
};

const struct kc_recipe *kc_recipe_find(const char *source_name)
{
	const struct kc_recipe *recipe = recipes;

	while (recipe->source && strcmp(recipe->source, source_name))
		recipe++;
	return recipe;
}

/* Which of the space-separated `packages` dpkg does not have. */
static struct kc_error *find_missing(const char *packages, struct kc_buf *missing)
{
	kc_autofree char *copy = strdup(packages);
	char *state = NULL;

	for (char *name = copy ? strtok_r(copy, " ", &state) : NULL; name; name = strtok_r(NULL, " ", &state)) {
		const char *const argv[] = { "dpkg-query", "-W", "-f", "${Status}", name, NULL };
		kc_autobuf struct kc_buf output = { 0 }, errors = { 0 };
		int exit_code;

		KC_TRY(kc_tool_try(argv, NULL, NULL, &output, &errors, &exit_code));
		if (exit_code || !output.data || !strstr(output.data, "ok installed"))
			kc_buf_printf(missing, " %s", name);
	}
	return copy && !missing->failed ? NULL : kc_error_no_memory();
}

/* dpkg-checkbuilddeps: "… Unmet build dependencies: a (>= 1) b | c": words without versions, first alternatives. */
static void take_unmet(const char *text, struct kc_buf *missing)
{
	bool skip = false;

	while (*text && *text != '\n') {
		size_t size = strcspn(text, " \n");

		if (*text == '(') {
			size = strcspn(text, ")\n");
			size += text[size] == ')';
		} else if (*text == '|') {
			skip = true;
		} else if (size && !skip) {
			kc_buf_printf(missing, " %.*s", (int)size, text);
		} else if (size) {
			skip = false;
		}
		text += size;
		text += *text == ' ';
	}
}

struct kc_error *kc_recipe_find_missing(const struct kc_recipe *recipe, const char *source_dir, struct kc_buf *missing)
{
	static const char unmet[] = "Unmet build dependencies: ";
	const char *const argv[] = { "dpkg-checkbuilddeps", NULL };
	kc_autobuf struct kc_buf output = { 0 };
	const char *found;
	int exit_code;

	if (recipe->depends)
		return find_missing(recipe->depends, missing);
	KC_TRY(kc_tool_try(argv, source_dir, NULL, &output, NULL, &exit_code));
	found = strstr(output.data, unmet);
	if (exit_code && !found)
		return kc_error_new(KC_ERR_BUILD_DEPENDS, "cannot check the build dependencies: %s", output.data);
	if (found)
		take_unmet(found + strlen(unmet), missing);
	return missing->failed ? kc_error_no_memory() : NULL;
}

/* Is `debian/rules build` nothing but a call of dh? Asked with -n: other packages would start to build. */
static struct kc_error *check_debhelper(const struct kc_tree *tree)
{
	const char *const argv[] = { "make", "-ns", "-f", "debian/rules", "build", NULL };
	kc_autobuf struct kc_buf output = { 0 };

	KC_TRY(kc_tool_run(KC_ERR_SYSTEM, "cannot read debian/rules", argv, tree->source_dir, NULL, &output));
	if (!strncmp(output.data, "dh ", 3) || strstr(output.data, "\ndh "))
		return NULL;
	return kc_error_new(KC_ERR_INPUT,
			    "debian/rules does not use dh; configure and compile the source by hand, then use "
			    "--elf, --source and --commands");
}

/*
 * debhelper shows the steps of a build with DH_NO_ACT. The steps before dh_auto_build, with the flags that dh would
 * export, are what configures the package.
 */
static struct kc_error *debhelper_steps(struct kc_tree *tree, struct kc_buf *script)
{
	const char *const argv[] = { "make", "-s", "-f", "debian/rules", "build", NULL };
	const char *const env[] = { "DH_NO_ACT=1", NULL };
	kc_autobuf struct kc_buf output = { 0 };
	bool configures = false;
	char *state = NULL;

	KC_TRY(check_debhelper(tree));
	KC_TRY(kc_tool_run(KC_ERR_SYSTEM, "cannot read debian/rules", argv, tree->source_dir, env, &output));
	kc_buf_append_str(script, "set -ex\neval \"$(dpkg-buildflags --export=sh)\"\n");
	for (char *line = strtok_r(output.data, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		if (strstr(line, "dh_auto_build"))
			break;
		if (*line != ' ')
			continue;
		configures |= strstr(line, "dh_auto_configure") != NULL;
		kc_buf_printf(script, "%s\n", line);
	}
	if (!configures)
		return kc_error_new(
			KC_ERR_INPUT,
			"dh has no step that configures; configure and compile the source by hand, then use "
			"--elf, --source and --commands");
	return script->failed ? kc_error_no_memory() : NULL;
}

/* A makefile beside debian/rules: what that one exports (DEB_BUILD_MAINT_OPTIONS, …) reaches the script. */
static struct kc_error *configure_with_debhelper(struct kc_tree *tree)
{
	kc_autofree char *script_path = kc_path_join(tree->cache_dir, "configure.sh");
	kc_autofree char *makefile_path = kc_path_join(tree->cache_dir, "configure.mk");
	kc_autobuf struct kc_buf script = { 0 }, makefile = { 0 };
	int err;

	if (!script_path || !makefile_path)
		return kc_error_no_memory();
	KC_TRY(debhelper_steps(tree, &script));
	kc_buf_printf(&makefile, "kcare-configure:\n\tsh '%s'\n", script_path);
	if (makefile.failed)
		return kc_error_no_memory();
	err = kc_file_write_atomic(script_path, script.data, script.size, 0644);
	if (!err)
		err = kc_file_write_atomic(makefile_path, makefile.data, makefile.size, 0644);
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot write %s", makefile_path);
	const char *const argv[] = { "make", "-f", "debian/rules", "-f", makefile_path, "kcare-configure", NULL };
	return kc_tool_run(KC_ERR_SYSTEM, "cannot configure", argv, tree->source_dir, (const char *const *)tree->env,
			   NULL);
}

static struct kc_error *run_configure(struct kc_tree *tree)
{
	const char *const argv[] = { "make", "-f", "debian/rules", tree->recipe->configure, NULL };

	if (!tree->recipe->configure)
		return configure_with_debhelper(tree);
	return kc_tool_run(KC_ERR_SYSTEM, "cannot configure", argv, tree->source_dir, (const char *const *)tree->env,
			   NULL);
}

enum { MOST_MAKE_WORDS = 16 };

/* "make -w FLAG WORDS…", the words of `arguments` split at spaces, which `copy` owns. NULL when out of memory. */
static const char **make_argv(const char *flag, const char *arguments, char **copy)
{
	const char **argv = calloc(MOST_MAKE_WORDS + 1, sizeof(*argv));
	char *state = NULL;
	size_t n = 0;

	*copy = strdup(arguments);
	if (!argv || !*copy) {
		free(argv);
		return NULL;
	}
	argv[n++] = "make";
	argv[n++] = "-w";
	argv[n++] = flag;
	for (char *word = strtok_r(*copy, " ", &state); word && n < MOST_MAKE_WORDS; word = strtok_r(NULL, " ", &state))
		argv[n++] = word;
	return argv;
}

static struct kc_error *run_make(const struct kc_tree *tree, const char *what, const char *dir, const char *arguments)
{
	kc_autofree char *copy = NULL;
	kc_autofree const char **argv = make_argv("-s", arguments, &copy);

	if (!argv)
		return kc_error_no_memory();
	return kc_tool_run(KC_ERR_SYSTEM, what, argv, dir, (const char *const *)tree->env, NULL);
}

/* The first of the usual places that has what tells the commands. `*name` is the file's. */
static struct kc_error *find_build_dir(const struct kc_tree *tree, char **dir, const char **name)
{
	static const char *const names[] = { "compile_commands.json", "build.ninja", "Makefile" };
	static const char *const places[] = { "obj-*", "build*", "_build", "debian/build*", "." };

	for (size_t i = 0; i < KC_ARRAY_SIZE(names); i++) {
		for (size_t j = 0; j < KC_ARRAY_SIZE(places); j++) {
			kc_autofree char *pattern = NULL;
			glob_t found;

			if (asprintf(&pattern, "%s/%s/%s", tree->source_dir,
				     tree->recipe->build_dir ? tree->recipe->build_dir : places[j], names[i]) < 0)
				return kc_error_no_memory();
			if (glob(pattern, 0, NULL, &found))
				continue;
			*dir = strndup(found.gl_pathv[0], strlen(found.gl_pathv[0]) - strlen(names[i]) - 1);
			*name = names[i];
			globfree(&found);
			return *dir ? NULL : kc_error_no_memory();
		}
	}
	return kc_error_new(KC_ERR_SYSTEM, "no Makefile, build.ninja or compile_commands.json in %s after configuring",
			    tree->source_dir);
}

/*
 * -n prints what make would do. It goes on behind errors (-k): makefiles that look at files which they would have made
 * by then fail, after their commands were printed.
 */
static struct kc_error *list_with_make(const struct kc_tree *tree, const char *dir)
{
	kc_autobuf struct kc_buf output = { 0 }, errors = { 0 };
	kc_autofree char *copy = NULL;
	kc_autofree const char **argv = make_argv("-nk", tree->recipe->list, &copy);
	int exit_code;

	if (!argv)
		return kc_error_no_memory();
	KC_TRY(kc_tool_try(argv, dir, (const char *const *)tree->env, &output, &errors, &exit_code));
	if (output.data)
		KC_TRY(kc_commands_add_make(tree->commands, dir, output.data));
	if (exit_code && !tree->commands->n_items)
		return kc_error_new(KC_ERR_SYSTEM, "cannot list the compile commands: make failed:\n%s",
				    errors.data ? errors.data : "");
	return NULL;
}

static struct kc_error *list_with_ninja(struct kc_ctx *ctx, struct kc_tree *tree, const char *dir)
{
	const char *const argv[] = { "ninja", "-t", "compdb", NULL };
	kc_autobuf struct kc_buf output = { 0 };

	kc_commands_free(kc_steal(tree->commands));
	KC_TRY(kc_tool_run(KC_ERR_SYSTEM, "cannot list the compile commands", argv, dir, NULL, &output));
	return kc_commands_parse_json(ctx, dir, output.data, output.size, &tree->commands);
}

struct kc_error *kc_recipe_configure(struct kc_ctx *ctx, struct kc_tree *tree, unsigned parallel)
{
	kc_autofree char *dir = NULL, *commands_path = NULL;
	const char *name = NULL;

	(void)parallel;
	kc_progress(ctx, "configuring", 0, 0);
	KC_TRY(run_configure(tree));
	KC_TRY(find_build_dir(tree, &dir, &name));
	if (tree->recipe->generate)
		KC_TRY(run_make(tree, "cannot make the generated headers", dir, tree->recipe->generate));
	commands_path = kc_path_join(dir, name);
	tree->commands = calloc(1, sizeof(*tree->commands));
	if (!tree->commands || !commands_path || !name)
		return kc_error_no_memory();
	kc_progress(ctx, "configuring", 1, 1);
	if (!strcmp(name, "Makefile"))
		return list_with_make(tree, dir);
	if (!strcmp(name, "build.ninja"))
		return list_with_ninja(ctx, tree, dir);
	kc_commands_free(kc_steal(tree->commands));
	return kc_commands_load(ctx, commands_path, &tree->commands);
}

/* "make -C posix subdir=posix ..=../ objdir=… …/posix/wordexp.os", "make crypto/cms/x.o", "ninja x.o" */
struct kc_error *kc_tree_make_object(struct kc_ctx *ctx, const struct kc_tree *tree,
				     const struct kc_compile_command *command)
{
	kc_autofree char *ninja = kc_path_join(command->dir, "build.ninja"), *arguments = NULL;
	const char *const argv[] = { "ninja", command->output, NULL };

	if (tree->kernel)
		return kc_kernel_make(ctx, tree->kernel, (const char *const *)&command->output, 1, 1);
	if (!tree->recipe || !command->output)
		return kc_error_not_found();
	kc_progress(ctx, "making generated headers", 0, 0);
	if (ninja && !access(ninja, F_OK))
		return kc_tool_run(KC_ERR_COMPILE, command->output, argv, command->dir, (const char *const *)tree->env,
				   NULL);
	if (!tree->recipe->object)
		return run_make(tree, command->output, command->dir, command->output);
	if (asprintf(&arguments, "subdir=%s %s%s/%s %s", kc_path_name(command->dir), tree->recipe->object,
		     tree->source_dir, tree->recipe->build_dir, command->output) < 0)
		return kc_error_no_memory();
	return run_make(tree, command->output, command->dir, arguments);
}
