/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcare-cron and kcare-cron: one program with two names. Turns automatic updates of processes, or of the kernel, on
 * and off: a systemd timer where systemd runs, else a file in /etc/cron.d. It updates nothing itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "agent/paths.h"
#include "agent/root_file.h"
#include "base/array.h"
#include "base/file.h"
#include "cmd/command.h"
#include "cmd/systemd.h"

#define PATH_CRON "/etc/cron.d"
#define PATH_MACHINE_ID "/etc/machine-id"

enum {
	PERIOD_MINUTES = 4 * 60,
	MACHINE_ID_MAX = 64,
	MAILTO_MAX = 250,
};

static const struct schedule {
	const char *program;
	const char *cron_file; /* its name may have no dot: cron would pass over it */
	const char *timer;
	const char *options; /* of kcarectl */
	const char *what;
} schedules[] = {
	{ "libcare-cron", PATH_CRON "/libcare-cron", "libcare-update.timer", "--userspace-update --auto", "processes" },
	{ "kcare-cron", PATH_CRON "/kcare-cron", "kcare-update.timer", "--auto-update", "the kernel" },
};

/* By the name that we were called by; a link of another name is libcare-cron. */
static const struct schedule *our_schedule(void)
{
	for (size_t i = 0; i < KC_ARRAY_SIZE(schedules); i++)
		if (!strcmp(program_invocation_short_name, schedules[i].program))
			return &schedules[i];
	return &schedules[0];
}

/* ---- cron ---- */

/* One of the minutes of the period, the same each time on this host; another one for each of our two names. */
static struct kc_error *choose_minute(const char *program, unsigned *minute)
{
	kc_autofree char *path = kc_user_path(PATH_MACHINE_ID);
	kc_autobuf struct kc_buf id = { 0 };
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */

	if (!path)
		return kc_error_no_memory();
	/* a host that has no id yet: any minute, which the file then keeps */
	if (kc_file_read_now(path, MACHINE_ID_MAX, &id) < 0 || strspn(id.data, "0123456789abcdef") != 32)
		if (getrandom(&hash, sizeof(hash), 0) < 0)
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot choose a random minute");
	kc_buf_append_str(&id, program);
	if (id.failed)
		return kc_error_no_memory();
	for (size_t i = 0; i < id.size; i++)
		hash = (hash ^ (unsigned char)id.data[i]) * 0x100000001b3ULL;
	*minute = (unsigned)((hash >> 32) % PERIOD_MINUTES);
	return NULL;
}

/* The value becomes a line of a file that root's cron obeys. */
static struct kc_error *read_mailto(const char **mailto)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.,_+-";

	*mailto = secure_getenv("KCARE_MAILTO");
	if (!*mailto || (**mailto != '-' && strlen(*mailto) <= MAILTO_MAX && !(*mailto)[strspn(*mailto, allowed)]))
		return NULL;
	return kc_error_new(KC_ERR_INPUT,
			    "KCARE_MAILTO: '%.80s' is not a mail address, nor several with commas between them",
			    *mailto);
}

static struct kc_error *write_cron_file(const struct schedule *schedule)
{
	kc_autofree char *folder = kc_user_path(PATH_CRON);
	kc_autobuf struct kc_buf text = { 0 };
	const char *mailto;
	unsigned minute;

	if (!folder)
		return kc_error_no_memory();
	if (access(folder, F_OK) < 0)
		return kc_error_new(KC_ERR_SYSTEM,
				    "there is neither systemd nor %s: install cron, or run 'kcarectl %s' every few "
				    "hours in another way",
				    folder, schedule->options);
	KC_TRY(read_mailto(&mailto));
	KC_TRY(choose_minute(schedule->program, &minute));
	kc_buf_printf(&text,
		      "# Made by '%s init', which replaces it; '%s disable' removes it.\n"
		      "SHELL=/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
		      schedule->program, schedule->program);
	if (mailto)
		kc_buf_printf(&text, "MAILTO=\"%s\"\n", mailto);
	kc_buf_printf(&text, "%u %u-23/4 * * * root test -x /usr/bin/kcarectl && kcarectl --quiet %s >/dev/null\n",
		      minute % 60, minute / 60, schedule->options);
	if (text.failed)
		return kc_error_no_memory();
	KC_TRY(kc_root_file_write(schedule->cron_file, text.data, text.size));
	printf("Updates of %s: every 4 hours from %02u:%02u on, by %s\n", schedule->what, minute / 60, minute % 60,
	       schedule->cron_file);
	return NULL;
}

/* `*was_there`: it had to be removed. */
static struct kc_error *remove_cron_file(const struct schedule *schedule, bool *was_there)
{
	kc_autofree char *path = kc_user_path(schedule->cron_file);

	if (!path)
		return kc_error_no_memory();
	*was_there = !access(path, F_OK);
	return *was_there ? kc_root_file_remove(schedule->cron_file) : NULL;
}

/* ---- the two commands ---- */

static struct kc_error *take_no_arguments(int argc, char **argv)
{
	return argc > 1 ? kc_error_new(KC_ERR_USAGE, "%s takes no arguments, so not '%s'", argv[0], argv[1]) : NULL;
}

static struct kc_error *init(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	const struct schedule *schedule = our_schedule();
	bool is_systemd, was_there;

	(void)ctx;
	(void)terminal;
	KC_TRY(take_no_arguments(argc, argv));
	KC_TRY(systemd_is_here(&is_systemd));
	if (!is_systemd)
		return write_cron_file(schedule);
	KC_TRY(systemd_set("enable", schedule->timer));
	printf("Updates of %s: every 4 hours, by %s\n", schedule->what, schedule->timer);
	/* from the time before systemd: it would be done twice */
	KC_TRY(remove_cron_file(schedule, &was_there));
	if (was_there)
		printf("%s is removed: the timer takes its place\n", schedule->cron_file);
	return NULL;
}

static struct kc_error *disable(struct kc_ctx *ctx, struct kc_terminal *terminal, int argc, char **argv)
{
	const struct schedule *schedule = our_schedule();
	bool is_systemd, was_there;

	(void)ctx;
	(void)terminal;
	KC_TRY(take_no_arguments(argc, argv));
	KC_TRY(systemd_is_here(&is_systemd));
	if (is_systemd)
		KC_TRY(systemd_set("disable", schedule->timer));
	KC_TRY(remove_cron_file(schedule, &was_there));
	printf("No automatic updates of %s\n", schedule->what);
	return NULL;
}

static const struct kc_command commands[] = {
	{ "init", "", "Updates every 4 hours, at a minute of this host's own.", init },
	{ "disable", "", "Ends that.", disable },
};

int main(int argc, char **argv)
{
	const struct kc_program program = {
		our_schedule()->program,
		"turns automatic updates on and off",
		commands,
		KC_ARRAY_SIZE(commands),
	};

	return kc_program_main(&program, argc, argv);
}
