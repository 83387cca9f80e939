/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcare-uname: uname(1), with the release whose fixes the kernel has in memory as its release. Same options, same
 * output, same errors as that of GNU coreutils; no other program of ours behaves like this.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "agent/info.h"

#define PROGRAM "kcare-uname"

enum part {
	PART_NAME = 1 << 0,
	PART_NODE = 1 << 1,
	PART_RELEASE = 1 << 2,
	PART_VERSION = 1 << 3,
	PART_MACHINE = 1 << 4,
	PART_PROCESSOR = 1 << 5,
	PART_PLATFORM = 1 << 6,
	PART_SYSTEM = 1 << 7,
	PART_ALL = 1 << 8, /* -a: leave out what is not known */
};

enum { OPTION_HELP = 256, OPTION_VERSION };

static const struct option options[] = {
	{ "all", no_argument, NULL, 'a' },
	{ "kernel-name", no_argument, NULL, 's' },
	{ "sysname", no_argument, NULL, 's' },
	{ "nodename", no_argument, NULL, 'n' },
	{ "kernel-release", no_argument, NULL, 'r' },
	{ "release", no_argument, NULL, 'r' },
	{ "kernel-version", no_argument, NULL, 'v' },
	{ "machine", no_argument, NULL, 'm' },
	{ "processor", no_argument, NULL, 'p' },
	{ "hardware-platform", no_argument, NULL, 'i' },
	{ "operating-system", no_argument, NULL, 'o' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void print_help(void)
{
	fputs("Usage: " PROGRAM " [OPTION]...\n"
	      "Print certain system information.  With no OPTION, same as -s.\n\n"
	      "  -a, --all                print all information, in the following order,\n"
	      "                             except omit -p and -i if unknown:\n"
	      "  -s, --kernel-name        print the kernel name\n"
	      "  -n, --nodename           print the network node hostname\n"
	      "  -r, --kernel-release     print the kernel release whose fixes are in memory\n"
	      "  -v, --kernel-version     print the kernel version\n"
	      "  -m, --machine            print the machine hardware name\n"
	      "  -p, --processor          print the processor type or \"unknown\"\n"
	      "  -i, --hardware-platform  print the hardware platform or \"unknown\"\n"
	      "  -o, --operating-system   print the operating system\n"
	      "      --help               display this help and exit\n"
	      "      --version            output version information and exit\n",
	      stdout);
}

static unsigned part_of_option(int option)
{
	static const char letters[] = "snrvmpio";

	return option == 'a' ? (unsigned)PART_ALL | (PART_ALL - 1) : 1u << (strchr(letters, option) - letters);
}

static void print_part(unsigned parts, enum part part, const char *text, bool *is_first)
{
	bool is_unknown = !text;

	if (!(parts & part) || (is_unknown && parts & PART_ALL))
		return;
	printf("%s%s", *is_first ? "" : " ", is_unknown ? "unknown" : text);
	*is_first = false;
}

static int print_parts(unsigned parts)
{
	kc_autofree char *release = NULL;
	kc_autoerror struct kc_error *err = kc_effective_version_read(&release);
	struct utsname name;
	bool is_first = true;

	if (err || uname(&name) < 0) {
		fprintf(stderr, PROGRAM ": cannot get system name\n");
		return 1;
	}
	print_part(parts, PART_NAME, name.sysname, &is_first);
	print_part(parts, PART_NODE, name.nodename, &is_first);
	print_part(parts, PART_RELEASE, release, &is_first);
	print_part(parts, PART_VERSION, name.version, &is_first);
	print_part(parts, PART_MACHINE, name.machine, &is_first);
	print_part(parts, PART_PROCESSOR, NULL, &is_first); /* Linux does not tell */
	print_part(parts, PART_PLATFORM, NULL, &is_first);
	print_part(parts, PART_SYSTEM, "GNU/Linux", &is_first);
	putchar('\n');
	return 0;
}

static int try_help(void)
{
	fprintf(stderr, "Try '" PROGRAM " --help' for more information.\n");
	return 1;
}

static int run(int argc, char **argv)
{
	unsigned parts = 0;
	int option;

	while ((option = getopt_long(argc, argv, "asnrvmpio", options, NULL)) != -1) {
		switch (option) {
		case '?':
			return try_help();
		case OPTION_HELP:
			print_help();
			return 0;
		case OPTION_VERSION:
			puts(PROGRAM " (kcare) " KC_VERSION);
			return 0;
		default:
			parts |= part_of_option(option);
		}
	}
	if (optind < argc) {
		fprintf(stderr, PROGRAM ": extra operand '%s'\n", argv[optind]);
		return try_help();
	}
	return print_parts(parts ? parts : PART_NAME);
}

int main(int argc, char **argv)
{
	static char name[] = PROGRAM;
	int status;

	argv[0] = name; /* getopt's messages begin with it */
	status = run(argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, PROGRAM ": write error: %s\n", strerror(errno));
		return 1;
	}
	return status;
}
