/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcare-ctl: patches running processes, lists what is patched, undoes it. One file per subcommand beside this one. */
#include "base/array.h"
#include "cmd/libcare_common.h"

/* The sanitizer's leak check would trace this program, which then could not trace others. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static const struct kc_command commands[] = {
	{ "patch", "-p PID|all FILE|DIR [--wait SECONDS]", "Patches a process, or all.", libcare_patch_run },
	{ "unpatch", "-p PID|all [PATCHSET] [--wait SECONDS]", "Restores the original code.", libcare_unpatch_run },
	{ "info", "[-p PID|all] [-j|--json]", "Shows what is patched, and which CVEs that fixes.", libcare_info_run },
	{ "server", "DIR", "Keeps all processes patched until SIGTERM.", libcare_server_run },
};

static const struct kc_program program = {
	"libcare-ctl",
	"patches running processes",
	commands,
	KC_ARRAY_SIZE(commands),
};

int main(int argc, char **argv)
{
	return kc_program_main(&program, argc, argv);
}
