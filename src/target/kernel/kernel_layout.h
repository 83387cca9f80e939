/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes and offsets of the kernel's own structures for one target. kmod/template.c is compiled with the target's
 * headers when a kernel is prepared; its section .kcare.layout holds these numbers in this order, as u32.
 */
#ifndef KC_TARGET_KERNEL_KERNEL_LAYOUT_H
#define KC_TARGET_KERNEL_KERNEL_LAYOUT_H

#include "elf/elf_file.h"

/* kmod/template.c has the same list: keep the order. Absent in a kernel: 0xffffffff. */
#define KC_KERNEL_LAYOUT_LIST(X)                                                                                      \
	X(magic) /* 0x6b636c31 */                                                                                     \
	X(klp_func_size)                                                                                              \
	X(klp_func_old_name)                                                                                          \
	X(klp_func_new_func) X(klp_func_old_sympos) X(klp_object_size) X(klp_object_name) X(klp_object_funcs)         \
		X(klp_object_pre_patch) X(klp_object_post_patch) X(klp_object_pre_unpatch) X(klp_object_post_unpatch) \
			X(klp_patch_size) X(klp_patch_mod) X(klp_patch_objs) X(klp_patch_states) X(klp_patch_replace) \
				X(klp_state_size) X(klp_state_id) X(klp_state_version) X(module_size) X(module_name)  \
					X(module_init) X(module_exit) X(modversion_size) X(modversion_crc)            \
						X(modversion_name) X(alt_instr_size) X(paravirt_site_size)            \
							X(bug_entry_size) X(bug_entry_line) X(bug_entry_flags)        \
								X(extable_size) X(jump_entry_size) X(jump_entry_code) \
									X(jump_entry_target) X(jump_entry_key)        \
										X(static_call_site_size)              \
											X(orc_entry_size)             \
												X(pi_entry_size)

struct kc_kernel_layout {
#define X(name) uint32_t name;
	KC_KERNEL_LAYOUT_LIST(X)
#undef X
};

/* Reads it from the compiled template. KC_ERR_INPUT when the section is missing or of another size or magic. */
struct kc_error *kc_kernel_layout_read(const struct kc_elf *template_elf, struct kc_kernel_layout *layout);

#endif
