/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The build-id of the ELF reader. A file without one is fine, so damaged notes are only passed over. */
#include "elf/elf_internal.h"

/* Searches one run of notes. They are padded to 4 bytes, or to 8 in .note.gnu.property. */
static bool find_build_id(struct kc_elf *elf, const uint8_t *data, uint64_t size, uint64_t align)
{
	uint64_t pad = align == 8 ? 7 : 3;
	Elf64_Nhdr note;

	while (size >= sizeof(note)) {
		uint64_t name_size, desc_at, next;

		memcpy(&note, data, sizeof(note));
		name_size = note.n_namesz;
		desc_at = (sizeof(note) + name_size + pad) & ~pad;
		next = (desc_at + note.n_descsz + pad) & ~pad;
		if (desc_at > size || note.n_descsz > size - desc_at)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && name_size == sizeof(ELF_NOTE_GNU) &&
		    memcmp(data + sizeof(note), ELF_NOTE_GNU, name_size) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= sizeof(elf->build_id)) {
			memcpy(elf->build_id, data + desc_at, note.n_descsz);
			elf->build_id_size = note.n_descsz;
			return true;
		}
		if (next >= size)
			return false;
		data += next;
		size -= next;
	}
	return false;
}

void elf_read_build_id(struct kc_elf *elf)
{
	for (size_t i = 0; i < elf->n_segments; i++) {
		const Elf64_Phdr *segment = &elf->segments[i];
		const uint8_t *data = elf_at(elf, segment->p_offset, segment->p_filesz);

		if (segment->p_type == PT_NOTE && data && find_build_id(elf, data, segment->p_filesz, segment->p_align))
			return;
	}
	for (size_t i = 1; i < elf->n_sections; i++) {
		const struct kc_elf_section *section = &elf->sections[i];

		if (section->type == SHT_NOTE && section->data &&
		    find_build_id(elf, section->data, section->size, section->align))
			return;
	}
}
