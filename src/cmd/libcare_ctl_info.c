/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl info: who is patched, and who is not although a patch is known. */
#include "cmd/libcare_common.h"

static struct kc_error *print_report(struct kc_ctx *ctx, const struct libcare_targets *targets, bool json)
{
	KC_CLEANUP_LIBCARE_HOST struct libcare_host host = { 0 };
	kc_autouserreport struct kc_user_report *report = NULL;
	kc_autobuf struct kc_buf out = { 0 };

	KC_TRY(libcare_host_load(ctx, NULL, &host));
	KC_TRY(libcare_report_collect(ctx, &host, targets, &report));
	if (!targets->all && !report->n_processes)
		return kc_error_new(KC_ERR_NO_PROCESS, "pid %d: there is no such process, or it is a kernel thread",
				    targets->pids[0]);
	if (json)
		KC_TRY(kc_user_report_json(report, &out));
	else
		kc_user_report_text(report, &out);
	if (out.failed)
		return kc_error_no_memory();
	if (out.size)
		fwrite(out.data, 1, out.size, stdout);
	return NULL;
}

struct kc_error *libcare_info_run(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	KC_CLEANUP_LIBCARE_TARGETS struct libcare_targets targets = { 0 };
	const char *pid = "all";
	bool json = false;
	int option;

	(void)terminal;
	while ((option = getopt_long(argc, argv, ":p:j", options, NULL)) != -1) {
		if (option == 'p')
			pid = optarg;
		else if (option == 'j')
			json = true;
		else
			return kc_command_bad_option(option, argv);
	}
	KC_TRY(kc_command_need_arguments(argc, 0, "no more than options"));
	KC_TRY(libcare_targets_parse(ctx, pid, &targets));
	return print_report(ctx, &targets, json);
}
