/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One copy of the text, cut into strings; the exports point into it. */
#include "target/kernel/kernel_symvers.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct kc_kernel_export *)a)->name, ((const struct kc_kernel_export *)b)->name);
}

/* "net/netfilter/nf-conntrack" is the module nf_conntrack. */
static const char *module_name(char *path)
{
	char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	return name;
}

static struct kc_error *parse_line(struct kc_kernel_symvers *symvers, char *line)
{
	struct kc_kernel_export *export = kc_array_add(&symvers->exports, &symvers->n_exports);
	char *rest = line, *crc = strsep(&rest, "\t"), *name = strsep(&rest, "\t"), *module = strsep(&rest, "\t"), *end;

	if (!export)
		return kc_error_no_memory();
	export->crc = strtoul(crc, &end, 16);
	if (!name || !module || !*name || !*module || strncmp(crc, "0x", 2) != 0 || *end)
		return kc_error_new(KC_ERR_INPUT, "Module.symvers: the line of \"%.60s\" cannot be read",
				    name ? name : crc);
	strsep(&rest, "\t"); /* EXPORT_SYMBOL, EXPORT_SYMBOL_GPL: the patch is GPL */
	export->name = name;
	export->module = module_name(module);
	export->name_space = rest ? rest : "";
	return NULL;
}

struct kc_error *kc_kernel_symvers_parse(const char *text, struct kc_kernel_symvers *symvers)
{
	char *rest, *line;

	*symvers = (struct kc_kernel_symvers){ .text = strdup(text) };
	if (!symvers->text)
		return kc_error_no_memory();
	rest = symvers->text;
	while ((line = strsep(&rest, "\n"))) {
		if (*line)
			KC_TRY(parse_line(symvers, line));
	}
	qsort(symvers->exports, symvers->n_exports, sizeof(*symvers->exports), by_name);
	return NULL;
}

void kc_kernel_symvers_clear(struct kc_kernel_symvers *symvers)
{
	free(symvers->exports);
	free(symvers->text);
	*symvers = (struct kc_kernel_symvers){ 0 };
}

const struct kc_kernel_export *kc_kernel_symvers_find(const struct kc_kernel_symvers *symvers, const char *name)
{
	struct kc_kernel_export key = { .name = name };

	if (!symvers->n_exports)
		return NULL;
	return bsearch(&key, symvers->exports, symvers->n_exports, sizeof(key), by_name);
}
