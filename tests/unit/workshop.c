/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/process.h"
#include "workshop.h"

void workshop_open(struct workshop *shop)
{
	*shop = (struct workshop){ .dir = "/tmp/kcare-workshop-XXXXXX" };
	assert_non_null(mkdtemp(shop->dir));
}

void workshop_close(struct workshop *shop)
{
	for (size_t i = 0; i < shop->n_files; i++)
		kc_elf_free(shop->files[i]);
	assert_int_equal(kc_tree_remove(shop->dir), 0);
}

void workshop_write(const struct workshop *shop, const char *name, const char *text)
{
	kc_autofree char *path = kc_path_join(shop->dir, name);

	assert_int_equal(kc_file_write_atomic(path, text, strlen(text), 0600), 0);
}

void workshop_run(const struct workshop *shop, const char *format, ...)
{
	kc_autobuf struct kc_buf output = { 0 };
	kc_autofree char *command = NULL;
	const char *argv[] = { "sh", "-ec", NULL, NULL };
	struct kc_process process = { .argv = argv, .dir = shop->dir, .output = &output };
	int exit_code;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&command, format, args) > 0);
	va_end(args);
	argv[2] = command;
	assert_int_equal(kc_process_run(&process, &exit_code), 0);
	if (exit_code)
		fail_msg("%s: exit code %d\n%s", command, exit_code, output.data ? output.data : "");
}

struct kc_elf *workshop_elf(struct workshop *shop, const char *name)
{
	kc_autofree char *path = kc_path_join(shop->dir, name);
	struct kc_elf *elf = NULL;
	struct kc_error *err = kc_elf_open(NULL, path, &elf);

	if (err)
		fail_msg("%s", kc_error_message(err));
	assert_true(shop->n_files < sizeof(shop->files) / sizeof(shop->files[0]));
	shop->files[shop->n_files++] = elf;
	return elf;
}
