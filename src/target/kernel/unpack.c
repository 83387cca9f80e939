/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See unpack.h. The header of a bzImage is described in the kernel's Documentation/arch/x86/boot.rst. */
#include "target/kernel/unpack.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "base/array.h"
#include "base/file.h"
#include "base/process.h"

struct format {
	const char *magic;
	size_t magic_size;
	const char *program; /* NULL: zstd, by its library */
	bool has_size;	     /* the kernel's build appends the size of the unpacked image, 4 bytes */
};

static const struct format FORMATS[] = {
	{ "\3757zXZ", 6, "xz", true },		 { "\x28\xb5\x2f\xfd", 4, NULL, true },
	{ "\x1f\x8b", 2, "gzip", false },	 { "\x02\x21\x4c\x18", 4, "lz4", true }, /* as `lz4 -l` writes it */
	{ "\x04\x22\x4d\x18", 4, "lz4", false },
};

static const struct format *find_format(const void *data, size_t size)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(FORMATS); i++) {
		if (size >= FORMATS[i].magic_size && !memcmp(data, FORMATS[i].magic, FORMATS[i].magic_size))
			return &FORMATS[i];
	}
	return NULL;
}

/* A pipe would need a second process to fill it: the program reads from a file in memory. */
static struct kc_error *run_program(const char *name, const char *program, const void *data, size_t size,
				    struct kc_buf *out)
{
	const char *argv[] = { program, "-dc", NULL };
	kc_autoclose int fd = memfd_create("kcare-unpack", MFD_CLOEXEC);
	kc_autobuf struct kc_buf errors = { 0 };
	char path[32];
	struct kc_process process = {
		.argv = argv, .input_path = path, .output = out, .errors = &errors, .output_limit = KC_UNPACK_LIMIT
	};
	int err, exit_code;

	err = fd < 0 ? -errno : kc_fd_write(fd, data, size);
	if (!err) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		err = kc_process_run(&process, &exit_code);
	}
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot unpack %s with %s", name, program);
	if (out->failed)
		return kc_error_no_memory();
	if (exit_code == 127)
		return kc_error_new(KC_ERR_SYSTEM, "%s is compressed: install %s", name, program);
	if (exit_code)
		return kc_error_new(KC_ERR_INPUT, "%s: %s cannot unpack it: %.*s", name, program,
				    (int)strcspn(errors.data ? errors.data : "", "\n"), errors.data ? errors.data : "");
	return NULL;
}

static struct kc_error *unzstd(const char *name, const void *data, size_t size, struct kc_buf *out)
{
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	ZSTD_inBuffer input = { data, size, 0 };
	kc_autofree char *chunk = malloc(1 << 20);
	size_t left = 1;

	while (zstd && chunk && left && out->size <= KC_UNPACK_LIMIT) {
		ZSTD_outBuffer output = { chunk, 1 << 20, 0 };

		left = ZSTD_decompressStream(zstd, &output, &input);
		if (ZSTD_isError(left) || (input.pos == input.size && output.pos == 0))
			break;
		kc_buf_append(out, chunk, output.pos);
	}
	ZSTD_freeDCtx(zstd);
	if (!zstd || !chunk || out->failed)
		return kc_error_no_memory();
	if (left)
		return kc_error_new(KC_ERR_INPUT, "%s: zstd cannot unpack it: %s", name,
				    ZSTD_isError(left) ? ZSTD_getErrorName(left) : "it is cut short");
	return NULL;
}

static struct kc_error *unpack_format(const char *name, const struct format *format, const void *data, size_t size,
				      struct kc_buf *out)
{
	if (format->program)
		return run_program(name, format->program, data, size, out);
	return unzstd(name, data, size, out);
}

struct kc_error *kc_unpack(struct kc_ctx *ctx, const char *name, const void *data, size_t size, struct kc_buf *out)
{
	const struct format *format = find_format(data, size);

	(void)ctx;
	if (format)
		return unpack_format(name, format, data, size, out);
	if (size < SELFMAG || memcmp(data, ELFMAG, SELFMAG) != 0)
		return kc_error_new(KC_ERR_INPUT, "%s: neither an ELF file nor one compressed by xz, zstd, gzip or lz4",
				    name);
	kc_buf_append(out, data, size);
	return out->failed ? kc_error_no_memory() : NULL;
}

static uint32_t read_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

enum {
	SETUP_SECTS = 0x1f1,
	MAGIC = 0x202,
	PROTOCOL = 0x206, /* payload fields: since 2.08 */
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	HEADER_END = 0x250,
	SECTOR = 512,
};

struct kc_error *kc_unpack_bzimage(struct kc_ctx *ctx, const char *name, const uint8_t *data, size_t size,
				   struct kc_buf *out)
{
	const struct format *format;
	uint64_t start, length;

	(void)ctx;
	if (size < HEADER_END || memcmp(data + MAGIC, "HdrS", 4) != 0)
		return kc_error_new(KC_ERR_INPUT, "%s: not a kernel image (neither a vmlinuz for x86 nor a vmlinux)",
				    name);
	if (data[PROTOCOL + 1] < 2 || (data[PROTOCOL + 1] == 2 && data[PROTOCOL] < 8))
		return kc_error_new(KC_ERR_INPUT, "%s: its boot protocol is older than 2.08", name);
	start = ((data[SETUP_SECTS] ? data[SETUP_SECTS] : 4) + 1) * SECTOR + (uint64_t)read_u32(data + PAYLOAD_OFFSET);
	length = read_u32(data + PAYLOAD_LENGTH);
	if (start > size || length > size - start)
		return kc_error_new(KC_ERR_TRUNCATED, "%s: its payload lies outside the file", name);
	format = find_format(data + start, length);
	if (!format)
		return kc_error_new(KC_ERR_INPUT, "%s: compressed by none of xz, zstd, gzip, lz4; give the vmlinux",
				    name);
	if (format->has_size && length > sizeof(uint32_t))
		length -= sizeof(uint32_t);
	return unpack_format(name, format, data + start, length, out);
}
