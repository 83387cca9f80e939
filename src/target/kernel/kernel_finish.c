/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last steps to the module: objtool on the emitted object, the link with the template, and the rewriting of the
 * result: livepatch symbols and their relocation sections, versions of exported symbols, the module's name, and nothing
 * that only a compiler or debugger needs.
 *
 * Livepatch symbols of the image: the kernel stores the address that it found into the symbol itself, and applies
 * relocation sections in their order. One entry for each symbol, of type NONE, in a section before all others, makes
 * them good for all ordinary relocations; each entry more would cost another search of kallsyms. Symbols of modules
 * are not known until the module comes: each use of them is an entry in a section that waits for it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/file.h"
#include "base/process.h"
#include "target/kernel/kernel_emitter.h"

#ifndef SHN_LIVEPATCH
#define SHN_LIVEPATCH 0xff20
#endif
#define SHF_RELA_LIVEPATCH 0x00100000
#define FIELDS "kcare_klp_fields"

enum {
	FIELD_SIZE = 24, /* struct kcare_klp_field of kmod/kcare_template.h */
	FIELD_PLACE = 8,
	FIELD_LENGTH = 16,
};

/* A field that is filled in when a module comes. */
struct module_field {
	const char *module;
	uint32_t section; /* of the linked object */
	uint64_t offset;
	uint32_t size;
};

/* One .klp.rela.MODULE.SECTION. */
struct module_relas {
	const struct kc_elf_section *section;
	const char *module;
	kc_section_id id;
};

struct finisher {
	struct kernel_emitter *emitter;
	struct kc_elf *linked;
	struct kc_elf_writer *writer;
	kc_section_id *sections; /* per section of `linked`; 0: dropped */
	kc_symbol_id *symbols;	 /* per symbol of `linked`; 0: not needed so far */
	kc_symbol_id *places;	 /* per section of `linked`: a symbol for its start; 0: not needed so far */
	kc_section_id klp;	 /* .klp.rela.vmlinux.… */
	struct module_field *fields;
	size_t n_fields;
	struct module_relas *relas;
	size_t n_relas;
	const char **versioned; /* names that need a version */
	size_t n_versioned;
};

static void finisher_clear(struct finisher *finisher)
{
	kc_elf_free(finisher->linked);
	kc_elf_writer_free(finisher->writer);
	free(finisher->sections);
	free(finisher->symbols);
	free(finisher->places);
	free(finisher->fields);
	free(finisher->relas);
	free(finisher->versioned);
}

/*
 * Warnings of objtool mean that its picture of the code may be wrong. One is expected: klp_func points to functions
 * without endbr64, which livepatch does not enter by an indirect branch.
 */
static void log_output(struct kernel_emitter *emitter, const char *program, char *output)
{
	char *line;

	while ((line = strsep(&output, "\n"))) {
		bool is_warning = strstr(line, "warning: ") && !strstr(line, "data relocation to !ENDBR");

		if (*line)
			kc_log(emitter->ctx, is_warning ? KC_LOG_WARNING : KC_LOG_DEBUG, "%s: %s", program, line);
	}
}

static struct kc_error *run(struct kernel_emitter *emitter, const char *const *argv)
{
	kc_autobuf struct kc_buf output = { 0 };
	struct kc_process process = { .argv = argv, .output = &output };
	int exit_code, status = kc_process_run(&process, &exit_code);

	if (status < 0)
		return kc_error_errno(KC_ERR_SYSTEM, -status, "%s", argv[0]);
	if (output.failed)
		return kc_error_no_memory();
	if (exit_code != 0)
		return kc_error_new(KC_ERR_COMPILE, "%s failed on the patch: %s", kc_path_name(argv[0]),
				    output.size ? output.data : "it says nothing");
	log_output(emitter, kc_path_name(argv[0]), output.size ? output.data : (char[]){ "" });
	return NULL;
}

static struct kc_error *run_objtool(struct kernel_emitter *emitter, const char *path)
{
	const char *const *objtool = emitter->options->objtool;
	kc_autofree const char **argv = NULL;
	size_t n = 0;

	if (!objtool)
		return NULL;
	while (objtool[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return kc_error_no_memory();
	memcpy(argv, objtool, n * sizeof(*argv));
	argv[n] = path;
	return run(emitter, argv);
}

/* Leaves work_dir/linked.o. */
static struct kc_error *link_with_template(struct kernel_emitter *emitter, const struct kc_buf *object, char **linked)
{
	kc_autofree char *path = kc_path_join(emitter->options->work_dir, "patch.o");
	int status;

	*linked = kc_path_join(emitter->options->work_dir, "linked.o");
	if (!path || !*linked)
		return kc_error_no_memory();
	status = kc_file_write_atomic(path, object->data, object->size, 0644);
	if (status < 0)
		return kc_error_errno(KC_ERR_SYSTEM, -status, "%s", path);
	KC_TRY(run_objtool(emitter, path));
	return run(emitter, (const char *const[]){ "ld", "-r", "-m", "elf_x86_64", "-z", "noexecstack", "-o", *linked,
						   path, emitter->options->template_path, NULL });
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static bool is_kept(const struct kc_elf_section *section)
{
	static const char *const dropped[] = {
		".comment", ".note.GNU-stack", ".note.gnu.build-id", ".kcare.layout", ".BTF", "__versions", ".modinfo"
	};

	if (section->type != SHT_PROGBITS && section->type != SHT_NOBITS && section->type != SHT_NOTE)
		return false;
	for (size_t i = 0; i < KC_ARRAY_SIZE(dropped); i++)
		if (!strcmp(section->name, dropped[i]))
			return false;
	return !starts_with(section->name, ".discard.") && !starts_with(section->name, ".debug") &&
	       !starts_with(section->name, ".stab");
}

static bool is_call_sites(const struct kc_elf_section *section)
{
	return !strcmp(section->name, ".call_sites");
}

static struct kc_error *copy_sections(struct finisher *finisher)
{
	for (size_t i = 1; i < finisher->linked->n_sections; i++) {
		const struct kc_elf_section *section = &finisher->linked->sections[i];

		if (!is_kept(section))
			continue;
		finisher->sections[i] =
			kc_elf_writer_add_section(finisher->writer, section->name, section->type,
						  section->flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR),
						  section->align, 0, section->data,
						  is_call_sites(section) ? 0 : section->size);
		if (!finisher->sections[i])
			return kc_error_no_memory();
	}
	return NULL;
}

/* The new name, so that many levels can be told apart. */
static struct kc_error *set_module_name(struct finisher *finisher)
{
	const struct kc_kernel_layout *layout = &finisher->emitter->layout;
	const char *name = finisher->emitter->options->module_name;
	const struct kc_elf_section *section = kc_elf_section_find(finisher->linked, ".gnu.linkonce.this_module");
	char field[56] = { 0 };

	if (strlen(name) >= sizeof(field))
		return kc_error_new(KC_ERR_INPUT, "%s: too long for the name of a module", name);
	if (!section || layout->module_name + sizeof(field) > section->size)
		return kc_error_new(KC_ERR_INPUT, "%s: not a module's template",
				    finisher->emitter->options->template_path);
	memcpy(field, name, strlen(name));
	kc_elf_writer_set(finisher->writer, finisher->sections[section->index], layout->module_name, field,
			  sizeof(field));
	return NULL;
}

static bool is_namespace_listed(const struct finisher *finisher, size_t n, const char *name_space)
{
	for (size_t i = 0; i < n; i++) {
		const struct kc_kernel_export *export =
			kc_kernel_symvers_find(&finisher->emitter->symvers, finisher->versioned[i]);

		if (export && !strcmp(export->name_space, name_space))
			return true;
	}
	return false;
}

/* The template's, but for the name; and the namespaces that are used. */
static struct kc_error *write_modinfo(struct finisher *finisher)
{
	const struct kc_elf_section *old = kc_elf_section_find(finisher->linked, ".modinfo");
	kc_autobuf struct kc_buf info = { 0 };

	kc_buf_printf(&info, "name=%s", finisher->emitter->options->module_name);
	kc_buf_append_zeros(&info, 1);
	for (uint64_t at = 0; old && old->data && at < old->size;) {
		const char *text = (const char *)old->data + at;
		size_t length = strnlen(text, old->size - at);

		if (length && !starts_with(text, "name=")) {
			kc_buf_append(&info, text, length);
			kc_buf_append_zeros(&info, 1);
		}
		at += length + 1;
	}
	for (size_t i = 0; i < finisher->n_versioned; i++) {
		const struct kc_kernel_export *export =
			kc_kernel_symvers_find(&finisher->emitter->symvers, finisher->versioned[i]);

		if (!export || !*export->name_space || is_namespace_listed(finisher, i, export->name_space))
			continue;
		kc_buf_printf(&info, "import_ns=%s", export->name_space);
		kc_buf_append_zeros(&info, 1);
	}
	if (info.failed || !kc_elf_writer_add_section(finisher->writer, ".modinfo", SHT_PROGBITS, SHF_ALLOC, 1, 0,
						      info.data, info.size))
		return kc_error_no_memory();
	return NULL;
}

static bool has_version(const struct finisher *finisher, const struct kc_elf_section *old, const char *name)
{
	const struct kc_kernel_layout *layout = &finisher->emitter->layout;

	for (uint64_t at = 0; old && old->data && at + layout->modversion_size <= old->size;
	     at += layout->modversion_size)
		if (!strncmp((const char *)old->data + at + layout->modversion_name, name,
			     layout->modversion_size - layout->modversion_name))
			return true;
	return false;
}

/* The template's versions, and those of what else is used. */
static struct kc_error *write_versions(struct finisher *finisher)
{
	const struct kc_kernel_layout *layout = &finisher->emitter->layout;
	const struct kc_elf_section *old = kc_elf_section_find(finisher->linked, "__versions");
	kc_autofree uint8_t *entry = calloc(1, layout->modversion_size);
	kc_autobuf struct kc_buf versions = { 0 };

	if (!old)
		return NULL; /* a kernel without CONFIG_MODVERSIONS */
	if (!entry)
		return kc_error_no_memory();
	if (old->data)
		kc_buf_append(&versions, old->data, old->size);
	for (size_t i = 0; i < finisher->n_versioned; i++) {
		const char *name = finisher->versioned[i];
		const struct kc_kernel_export *export = kc_kernel_symvers_find(&finisher->emitter->symvers, name);

		if (!export || has_version(finisher, old, name))
			continue;
		memset(entry, 0, layout->modversion_size);
		memcpy(entry + layout->modversion_crc, &export->crc, sizeof(export->crc));
		strncpy((char *)entry + layout->modversion_name, name,
			layout->modversion_size - layout->modversion_name - 1);
		kc_buf_append(&versions, entry, layout->modversion_size);
	}
	if (versions.failed || !kc_elf_writer_add_section(finisher->writer, "__versions", SHT_PROGBITS, SHF_ALLOC, 64,
							  0, versions.data, versions.size))
		return kc_error_no_memory();
	return NULL;
}

/* What the template refers to and no module may use: by its only name in the image. */
static struct kc_error *find_template_symbol(struct finisher *finisher, const char *name, struct kernel_import *import)
{
	const struct kc_kernel_object *image = finisher->emitter->options->image;
	const struct kc_kernel_symbol *symbol = kc_kernel_find_only(image, name, true);

	if (!symbol)
		return kc_error_new(KC_ERR_INPUT, "%s refers to %s, which this kernel does not have",
				    finisher->emitter->options->template_path, name);
	*import = (struct kernel_import){ .object = image->name, .symbol = symbol->name, .sympos = symbol->sympos };
	return NULL;
}

static struct kc_error *add_klp_symbol(struct finisher *finisher, const struct kernel_import *import, kc_symbol_id *id)
{
	kc_autobuf struct kc_buf name = { 0 };

	kc_buf_printf(&name, ".klp.sym.%s.%s,%u", import->object, import->symbol, import->sympos);
	if (name.failed)
		return kc_error_no_memory();
	*id = kc_elf_writer_add_symbol(finisher->writer, name.data, STB_GLOBAL, STT_NOTYPE, SHN_LIVEPATCH, 0, 0);
	if (!*id)
		return kc_error_no_memory();
	finisher->emitter->emitted->n_klp_symbols++;
	if (import->module)
		return NULL;
	return kc_elf_writer_add_rela(finisher->writer, finisher->klp, 0, R_X86_64_NONE, *id, 0) ? NULL
												 : kc_error_no_memory();
}

/* Only then the template needs what it refers to by weak symbols, to clear the fields of a module that goes. */
static bool patches_modules(const struct kernel_emitter *emitter)
{
	for (size_t i = 0; i < emitter->n_units; i++)
		if (emitter->units[i].target->is_module)
			return true;
	return false;
}

static struct kc_error *add_undefined(struct finisher *finisher, const struct kc_elf_symbol *symbol, kc_symbol_id *id)
{
	const struct kernel_import *import = kc_kernel_import_find(finisher->emitter, symbol->name);
	const struct kc_kernel_export *export = kc_kernel_symvers_find(&finisher->emitter->symvers, symbol->name);
	struct kernel_import other;
	const char **name;

	if (import && import->object)
		return add_klp_symbol(finisher, import, id);
	if (!symbol->name[0]) {
		*id = 0;
		return NULL;
	}
	if (!(export && kc_kernel_is_plain_export(export)) &&
	    (symbol->bind != STB_WEAK || (!import && patches_modules(finisher->emitter)))) {
		KC_TRY(find_template_symbol(finisher, symbol->name, &other));
		return add_klp_symbol(finisher, &other, id);
	}
	name = kc_array_add(&finisher->versioned, &finisher->n_versioned);
	if (!name)
		return kc_error_no_memory();
	*name = symbol->name;
	*id = kc_elf_writer_add_symbol(finisher->writer, symbol->name, symbol->bind, STT_NOTYPE, 0, 0, 0);
	return *id ? NULL : kc_error_no_memory();
}

static struct kc_error *get_symbol(struct finisher *finisher, const struct kc_elf_symbol *symbol, kc_symbol_id *id)
{
	kc_symbol_id *known = &finisher->symbols[symbol->index];
	kc_section_id section = symbol->section ? finisher->sections[symbol->section->index] : 0;

	if (!*known && symbol->section) {
		if (!section)
			return kc_error_new(KC_ERR_INPUT,
					    "the linked patch refers to its section %s, which is no part "
					    "of modules",
					    symbol->section->name);
		*known = kc_elf_writer_add_symbol(finisher->writer, symbol->type == STT_SECTION ? "" : symbol->name,
						  symbol->bind, symbol->type, section, symbol->value, symbol->size);
		if (!*known)
			return kc_error_no_memory();
	} else if (!*known) {
		KC_TRY(add_undefined(finisher, symbol, known));
	}
	*id = *known;
	return NULL;
}

/* The relocation section of that module for that section. */
static struct kc_error *get_module_relas(struct finisher *finisher, const struct kc_elf_section *section,
					 const char *module, kc_section_id *id)
{
	kc_autobuf struct kc_buf name = { 0 };
	struct module_relas *relas;

	for (size_t i = 0; i < finisher->n_relas; i++) {
		if (finisher->relas[i].section == section && !strcmp(finisher->relas[i].module, module)) {
			*id = finisher->relas[i].id;
			return NULL;
		}
	}
	kc_buf_printf(&name, ".klp.rela.%s.%s", module, section->name);
	relas = kc_array_add(&finisher->relas, &finisher->n_relas);
	if (name.failed || !relas)
		return kc_error_no_memory();
	*relas = (struct module_relas){ section, module, 0 };
	relas->id = *id = kc_elf_writer_add_rela_section(finisher->writer, name.data, SHF_ALLOC | SHF_RELA_LIVEPATCH,
							 finisher->sections[section->index]);
	return *id ? NULL : kc_error_no_memory();
}

/* Tables that the kernel reads when the patch is loaded. */
static bool is_read_at_load(const struct kc_elf_section *section)
{
	static const char *const tables[] = { "__jump_table",	       ".static_call_sites", ".altinstructions",
					      ".altinstr_replacement", ".parainstructions",  ".retpoline_sites",
					      ".return_sites" };

	for (size_t i = 0; i < KC_ARRAY_SIZE(tables); i++)
		if (!strcmp(section->name, tables[i]))
			return true;
	return false;
}

/* Is the field part of an instruction that an alternative replaces when the patch is loaded? */
static bool is_in_alternative(const struct finisher *finisher, const struct kc_elf_section *section, uint64_t field)
{
	const struct kc_elf_section *table = kc_elf_section_find(finisher->linked, ".altinstructions");
	uint32_t size = finisher->emitter->layout.alt_instr_size;

	for (size_t i = 0; table && table->data && i < table->n_relas; i++) {
		const struct kc_elf_rela *rela = &table->relas[i];
		uint64_t start = rela->symbol->value + rela->addend;

		/* its first field is the place; its last two bytes are the lengths of the code and of the replacement
		 */
		if (rela->offset % size == 0 && rela->offset + size <= table->size &&
		    rela->symbol->section == section && field >= start &&
		    field < start + table->data[rela->offset + size - 2])
			return true;
	}
	return false;
}

static struct kc_error *add_module_rela(struct finisher *finisher, const struct kc_elf_section *section,
					const struct kc_elf_rela *rela, const struct kernel_import *import)
{
	struct module_field *field = kc_array_add(&finisher->fields, &finisher->n_fields);
	kc_section_id relas;
	kc_symbol_id symbol;

	if (!field)
		return kc_error_no_memory();
	if (is_read_at_load(section) || is_in_alternative(finisher, section, rela->offset))
		return kc_error_rule(
			"module-special",
			"a patched function of module %s refers to its %s in a way that must be known when "
			"the patch is loaded (%s), but the module may come later; let the fix refer to it by "
			"a pointer",
			import->module, import->symbol, section->name);
	*field = (struct module_field){ import->module, section->index, rela->offset, kc_elf_rela_size(rela->type) };
	KC_TRY(get_symbol(finisher, rela->symbol, &symbol));
	KC_TRY(get_module_relas(finisher, section, import->module, &relas));
	return kc_elf_writer_add_rela(finisher->writer, relas, rela->offset, rela->type, symbol, rela->addend)
		       ? NULL
		       : kc_error_no_memory();
}

static struct kc_error *copy_rela(struct finisher *finisher, const struct kc_elf_section *section,
				  const struct kc_elf_rela *rela)
{
	const struct kernel_import *import =
		rela->symbol->shndx == SHN_UNDEF ? kc_kernel_import_find(finisher->emitter, rela->symbol->name) : NULL;
	kc_symbol_id symbol;

	if (rela->type == R_X86_64_NONE)
		return NULL;
	if (import && import->module)
		return add_module_rela(finisher, section, rela, import);
	KC_TRY(get_symbol(finisher, rela->symbol, &symbol));
	return kc_elf_writer_add_rela(finisher->writer, finisher->sections[section->index], rela->offset, rela->type,
				      symbol, rela->addend)
		       ? NULL
		       : kc_error_no_memory();
}

/* A call into a module that comes later: when the patch is loaded, there is nothing to account such a call to. */
static bool is_module_call(const struct finisher *finisher, const struct kc_elf_section *section, uint64_t call)
{
	for (size_t i = 0; i < section->n_relas; i++) {
		const struct kc_elf_rela *rela = &section->relas[i];
		const struct kernel_import *import;

		if (rela->offset != call + 1 || rela->symbol->shndx != SHN_UNDEF)
			continue;
		import = kc_kernel_import_find(finisher->emitter, rela->symbol->name);
		return import && import->module;
	}
	return false;
}

/* Call depth tracking (6.2 and later) changes the calls that .call_sites lists. */
static struct kc_error *copy_call_sites(struct finisher *finisher, const struct kc_elf_section *section)
{
	kc_section_id id = finisher->sections[section->index];

	for (size_t i = 0; i < section->n_relas; i++) {
		const struct kc_elf_rela *rela = &section->relas[i];
		uint64_t call = rela->symbol->value + rela->addend,
			 at = kc_elf_writer_section_size(finisher->writer, id);
		kc_symbol_id symbol;

		if (rela->symbol->section && is_module_call(finisher, rela->symbol->section, call))
			continue;
		kc_elf_writer_append(finisher->writer, id, section->align, NULL, kc_elf_rela_size(rela->type));
		KC_TRY(get_symbol(finisher, rela->symbol, &symbol));
		if (!kc_elf_writer_add_rela(finisher->writer, id, at, rela->type, symbol, rela->addend))
			return kc_error_no_memory();
	}
	return NULL;
}

static struct kc_error *copy_relas(struct finisher *finisher)
{
	for (size_t i = 1; i < finisher->linked->n_sections; i++) {
		const struct kc_elf_section *section = &finisher->linked->sections[i];

		if (is_call_sites(section))
			KC_TRY(copy_call_sites(finisher, section));
		else
			for (size_t j = 0; finisher->sections[i] && j < section->n_relas; j++)
				KC_TRY(copy_rela(finisher, section, &section->relas[j]));
	}
	return NULL;
}

/* Names for stack traces and for tools; the relocations have brought theirs already. */
static struct kc_error *copy_names(struct finisher *finisher)
{
	for (size_t i = 1; i < finisher->linked->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &finisher->linked->symbols[i];
		kc_symbol_id unused;

		if (symbol->section && finisher->sections[symbol->section->index] &&
		    (symbol->type == STT_FUNC || (symbol->type == STT_OBJECT && symbol->bind != STB_LOCAL)))
			KC_TRY(get_symbol(finisher, symbol, &unused));
	}
	return NULL;
}

/* For kernels that do not clear a module's fields when it goes: the template does (kcare_post_unpatch). */
static struct kc_error *define_fields(struct finisher *finisher, kc_section_id *section)
{
	*section = kc_elf_writer_add_section(finisher->writer, ".rodata.kcare_klp_fields", SHT_PROGBITS, SHF_ALLOC, 8,
					     0, NULL, 0);
	if (!*section)
		return kc_error_no_memory();
	for (size_t i = 1; i < finisher->linked->n_symbols; i++) {
		const struct kc_elf_symbol *symbol = &finisher->linked->symbols[i];

		if (symbol->shndx != SHN_UNDEF || strcmp(symbol->name, FIELDS) != 0)
			continue;
		finisher->symbols[i] =
			kc_elf_writer_add_symbol(finisher->writer, FIELDS, STB_GLOBAL, STT_OBJECT, *section, 0, 0);
		if (!finisher->symbols[i])
			return kc_error_no_memory();
	}
	return NULL;
}

static kc_symbol_id get_place(struct finisher *finisher, uint32_t section)
{
	kc_symbol_id *place = &finisher->places[section];

	if (!*place)
		*place = kc_elf_writer_add_symbol(finisher->writer, "", STB_LOCAL, STT_SECTION,
						  finisher->sections[section], 0, 0);
	return *place;
}

/* One struct kcare_klp_field at the end of `table`; `name` is its module's, in the section of `names`. */
static bool write_field(struct finisher *finisher, kc_section_id table, const struct module_field *field,
			kc_symbol_id names, uint64_t name)
{
	struct kc_elf_writer *writer = finisher->writer;
	uint64_t at = kc_elf_writer_section_size(writer, table);
	kc_symbol_id place = get_place(finisher, field->section);

	kc_elf_writer_append(writer, table, 8, NULL, FIELD_SIZE);
	kc_elf_writer_set(writer, table, at + FIELD_LENGTH, &field->size, sizeof(field->size));
	return place && kc_elf_writer_add_rela(writer, table, at, R_X86_64_64, names, (int64_t)name) &&
	       kc_elf_writer_add_rela(writer, table, at + FIELD_PLACE, R_X86_64_64, place, (int64_t)field->offset);
}

/* An array of struct kcare_klp_field, ended by an empty one. */
static struct kc_error *write_fields(struct finisher *finisher, kc_section_id table)
{
	struct kc_elf_writer *writer = finisher->writer;
	kc_section_id names =
		kc_elf_writer_add_section(writer, ".rodata.kcare_names", SHT_PROGBITS, SHF_ALLOC, 1, 0, NULL, 0);
	kc_symbol_id names_symbol = kc_elf_writer_add_symbol(writer, "", STB_LOCAL, STT_SECTION, names, 0, 0);
	const char *last = "";
	uint64_t name = 0;

	if (!names || !names_symbol)
		return kc_error_no_memory();
	for (size_t i = 0; i < finisher->n_fields; i++) {
		const struct module_field *field = &finisher->fields[i];

		if (strcmp(field->module, last) != 0) {
			name = kc_elf_writer_section_size(writer, names);
			kc_elf_writer_append(writer, names, 1, field->module, strlen(field->module) + 1);
		}
		last = field->module;
		if (!write_field(finisher, table, field, names_symbol, name))
			return kc_error_no_memory();
	}
	kc_elf_writer_append(writer, table, 8, NULL, FIELD_SIZE);
	return NULL;
}

static struct kc_error *finisher_init(struct finisher *finisher, struct kernel_emitter *emitter, const char *linked)
{
	finisher->emitter = emitter;
	KC_TRY(kc_elf_open(emitter->ctx, linked, &finisher->linked));
	finisher->writer = kc_elf_writer_new();
	finisher->sections = calloc(finisher->linked->n_sections + 1, sizeof(*finisher->sections));
	finisher->symbols = calloc(finisher->linked->n_symbols + 1, sizeof(*finisher->symbols));
	finisher->places = calloc(finisher->linked->n_sections + 1, sizeof(*finisher->places));
	if (!finisher->writer || !finisher->sections || !finisher->symbols || !finisher->places)
		return kc_error_no_memory();
	return NULL;
}

/* Before all other relocation sections. It relocates nothing, but must name a section that is loaded. */
static struct kc_error *add_klp_section(struct finisher *finisher)
{
	const struct kc_elf_section *text = kc_elf_section_find(finisher->linked, ".text");

	if (!text)
		return kc_error_new(KC_ERR_INPUT, "%s: it has no code", finisher->emitter->options->template_path);
	finisher->klp = kc_elf_writer_add_rela_section(finisher->writer, ".klp.rela.vmlinux..text",
						       SHF_ALLOC | SHF_RELA_LIVEPATCH, finisher->sections[text->index]);
	return finisher->klp ? NULL : kc_error_no_memory();
}

struct kc_error *kc_kernel_finish(struct kernel_emitter *emitter, const struct kc_buf *object, struct kc_buf *out)
{
	KC_CLEANUP(finisher_clear) struct finisher finisher = { 0 };
	kc_autofree char *linked = NULL;
	kc_section_id fields;

	KC_TRY(link_with_template(emitter, object, &linked));
	KC_TRY(finisher_init(&finisher, emitter, linked));
	KC_TRY(copy_sections(&finisher));
	KC_TRY(add_klp_section(&finisher));
	KC_TRY(define_fields(&finisher, &fields));
	KC_TRY(copy_relas(&finisher));
	KC_TRY(copy_names(&finisher));
	KC_TRY(write_fields(&finisher, fields));
	KC_TRY(set_module_name(&finisher));
	KC_TRY(write_modinfo(&finisher));
	KC_TRY(write_versions(&finisher));
	return kc_elf_writer_finish(finisher.writer, out);
}
