/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kcarectl's views. Nothing here may need libcrypto: it alone takes more memory than the rest of the program. */
#include "agent/config.h"
#include "agent/info.h"
#include "cmd/kcarectl.h"

static void print(const struct kc_buf *out)
{
	fwrite(out->data, 1, out->size, stdout);
}

static struct kc_error *look_at_host(struct kc_ctx *ctx, const struct kcarectl_request *request,
				     const struct kc_kernel *kernel, int *status)
{
	KC_CLEANUP_AGENT_INFO struct kc_agent_info info = { 0 };
	KC_CLEANUP_CONFIG struct kc_config config = { 0 };
	kc_autobuf struct kc_buf out = { 0 };

	KC_TRY(kc_config_load(ctx, &config));
	KC_TRY(kc_agent_info_read(ctx, kernel, &config, &info));
	if (request->action == KCARECTL_STATUS) {
		KC_TRY(kc_agent_info_status(&info, &out));
		*status = (int)info.status;
	} else if (request->json) {
		KC_TRY(kc_agent_info_json(&info, &out));
	} else {
		KC_TRY(kc_agent_info_text(&info, &out));
	}
	print(&out);
	return NULL;
}

static struct kc_error *print_uname(void)
{
	kc_autofree char *version = NULL;

	KC_TRY(kc_effective_version_read(&version));
	puts(version);
	return NULL;
}

static struct kc_error *print_patch_info(void)
{
	kc_autobuf struct kc_buf out = { 0 };
	kc_autoerror struct kc_error *err = kc_patch_info_read(&out);

	if (err && kc_error_code(err) == KC_ERR_NOT_FOUND) {
		puts("No patches applied");
		return NULL;
	}
	if (!err)
		print(&out);
	return kc_steal(err);
}

struct kc_error *kcarectl_look(struct kc_ctx *ctx, const struct kcarectl_request *request,
			       const struct kc_kernel *kernel, int *status)
{
	switch (request->action) {
	case KCARECTL_UNAME:
		return print_uname();
	case KCARECTL_PATCH_INFO:
		return print_patch_info();
	case KCARECTL_VERSION:
		puts(KC_VERSION);
		return NULL;
	case KCARECTL_HELP:
		kcarectl_print_help();
		return NULL;
	default:
		return look_at_host(ctx, request, kernel, status);
	}
}
