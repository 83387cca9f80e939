/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target of what is read from a kernel image or module: the kallsyms tables in any bytes, and a placement of the
 * input in itself, as an object file in a module.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "target/kernel/kallsyms.h"
#include "target/kernel/kernel_object_internal.h"
#include "target/kernel/kernel_placement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void read_kallsyms(const uint8_t *data, size_t size)
{
	kc_autofree struct kc_kernel_symbol *symbols = NULL;
	kc_autobuf struct kc_buf names = { 0 };
	size_t n = 0;

	kc_error_free(kc_kallsyms_read("fuzz", data, size, &names, &symbols, &n));
	for (size_t i = 0; i < n; i++)
		sink += strlen(symbols[i].name) + symbols[i].addr;
}

static void place(const uint8_t *data, size_t size)
{
	kc_autokernelplacement struct kc_kernel_placement *placement = NULL;
	kc_autokernelobject struct kc_kernel_object *module = NULL;
	kc_autobuf struct kc_buf copy = { 0 };

	kc_buf_append(&copy, data, size);
	kc_error_free(kc_kernel_module_parse(NULL, "fuzz", &copy, &module));
	if (!module)
		return;
	kc_error_free(kc_kernel_placement_find(NULL, module, module->elf, &placement));
	for (size_t i = 0; placement && i < module->elf->n_symbols; i++)
		sink += placement->symbols[i].addr + (placement->symbols[i].symbol ? 1 : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_kallsyms(data, size);
	place(data, size);
	return 0;
}
