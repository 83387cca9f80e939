/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/host_facts.h"

#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "base/os_release.h"
#include "proto/proto.h"

enum { FILE_MAX = 1 << 20 };

void kc_host_facts_clear(struct kc_host_facts *facts)
{
	free(facts->hostname);
	free(facts->virtualization);
	free(facts->distro);
	free(facts->distro_version);
	free(facts->machine);
	free(facts->processor);
	memset(facts, 0, sizeof(*facts));
}

/* The content of a file (caller frees); NULL: it cannot be read. */
static char *read_text(const char *root, const char *path)
{
	kc_autobuf struct kc_buf text = { 0 };
	kc_autofree char *whole = NULL;

	if (asprintf(&whole, "%s%s", root, path) < 0) {
		whole = NULL;
		return NULL;
	}
	return kc_file_read_now(whole, FILE_MAX, &text) ? NULL : kc_buf_take(&text);
}

static bool exists(const char *root, const char *path)
{
	kc_autofree char *whole = NULL;

	if (asprintf(&whole, "%s%s", root, path) < 0)
		whole = NULL;
	return whole && !access(whole, F_OK);
}

/* NULL becomes "". */
static struct kc_error *set_plain(const char *text, char **plain)
{
	*plain = kc_plain_text(text ? text : "", KC_PROTO_TEXT_MAX);
	return *plain ? NULL : kc_error_no_memory();
}

/* ---- virtualization ---- */

struct name_of {
	const char *text, *name;
};

static const char *look_up(const struct name_of *names, size_t n, const char *text, bool as_prefix)
{
	for (size_t i = 0; text && i < n; i++)
		if (as_prefix ? !strncasecmp(text, names[i].text, strlen(names[i].text))
			      : strcasestr(text, names[i].text) != NULL)
			return names[i].name;
	return NULL;
}

static const char *container_kind(const char *root)
{
	static const struct name_of kinds[] = {
		{ "docker", "docker" }, { "podman", "podman" },
		{ "lxc", "lxc" },	{ "systemd-nspawn", "systemd-nspawn" },
		{ "rkt", "rkt" },	{ "wsl", "wsl" },
	};
	kc_autofree char *told = read_text(root, "/run/systemd/container"), *cgroup = NULL;
	const char *kind = look_up(kinds, KC_ARRAY_SIZE(kinds), told, true);

	if (kind)
		return kind;
	if (exists(root, "/run/.containerenv"))
		return "podman";
	if (exists(root, "/.dockerenv"))
		return "docker";
	if (exists(root, "/proc/vz") && !exists(root, "/proc/bc"))
		return "openvz";
	cgroup = read_text(root, "/proc/1/cgroup");
	kind = look_up(kinds, KC_ARRAY_SIZE(kinds), cgroup, false);
	return kind ? kind : "container";
}

/* What the firmware says of the machine. */
static const char *firmware_kind(const char *root)
{
	static const char *const files[] = { "/sys/class/dmi/id/product_name", "/sys/class/dmi/id/sys_vendor",
					     "/sys/class/dmi/id/board_vendor", "/sys/class/dmi/id/bios_vendor" };
	static const struct name_of kinds[] = {
		{ "KVM", "kvm" },
		{ "QEMU", "qemu" },
		{ "VMware", "vmware" },
		{ "VMW", "vmware" },
		{ "innotek GmbH", "oracle" },
		{ "VirtualBox", "oracle" },
		{ "Xen", "xen" },
		{ "Bochs", "bochs" },
		{ "Parallels", "parallels" },
		{ "BHYVE", "bhyve" },
		{ "Virtual Machine", "microsoft" },
		{ "Hyper-V", "microsoft" },
		{ "Amazon EC2", "amazon" },
		{ "Google Compute Engine", "google" },
		{ "OpenStack", "kvm" },
	};

	for (size_t i = 0; i < KC_ARRAY_SIZE(files); i++) {
		kc_autofree char *text = read_text(root, files[i]);
		const char *kind = look_up(kinds, KC_ARRAY_SIZE(kinds), text, true);

		if (kind)
			return kind;
	}
	return NULL;
}

static bool has_hypervisor_flag(const char *cpuinfo)
{
	const char *flags = cpuinfo ? strstr(cpuinfo, "\nflags") : NULL;
	const char *found = flags ? strstr(flags, " hypervisor") : NULL;

	return found && found < flags + 1 + strcspn(flags + 1, "\n");
}

/* Cloud machines of bare metal have the names of their clouds: so the processor is asked, too. */
static const char *machine_kind(const char *root, const char *cpuinfo)
{
	const char *kind = firmware_kind(root);

	if (kind && (!cpuinfo || !strstr(cpuinfo, "\nflags") || has_hypervisor_flag(cpuinfo)))
		return kind;
	if (exists(root, "/proc/xen") || exists(root, "/sys/hypervisor/type"))
		return "xen";
	return has_hypervisor_flag(cpuinfo) ? "vm" : "none";
}

/* ---- names ---- */

static bool is_word(const char *at, size_t size, const char *word)
{
	return strlen(word) == size && !strncasecmp(at, word, size);
}

static char *fqdn_of_line(const char *line, size_t size, const char *name)
{
	static const char blanks[] = " \t\r";
	const char *end = line + size, *with_dot = NULL;
	size_t with_dot_size = 0, n = 0;
	bool has_name = false;

	for (const char *at = line; at < end; n++) {
		size_t skipped = strspn(at, blanks), length;

		at += skipped;
		length = at < end ? strcspn(at, " \t\r\n#") : 0;
		if (!length)
			break;
		if (n && !with_dot && memchr(at, '.', length)) { /* the first word is the address */
			with_dot = at;
			with_dot_size = length;
		}
		has_name |= n && is_word(at, length, name);
		at += length;
	}
	return has_name && with_dot ? strndup(with_dot, with_dot_size) : NULL;
}

char *kc_fqdn_of_hosts(const char *text, const char *name)
{
	while (*text) {
		size_t size = strcspn(text, "\n");
		char *found = fqdn_of_line(text, size, name);

		if (found)
			return found;
		text += size + (text[size] == '\n');
	}
	return NULL;
}

static struct kc_error *read_hostname(const char *root, bool wants_fqdn, char **hostname)
{
	char name[256] = "unknown";
	kc_autofree char *hosts = NULL, *fqdn = NULL;

	if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
		strcpy(name, "unknown");
	if (!wants_fqdn) {
		if (*name != '.')
			name[strcspn(name, ".")] = '\0';
		return set_plain(name, hostname);
	}
	hosts = strchr(name, '.') ? NULL : read_text(root, "/etc/hosts");
	fqdn = hosts ? kc_fqdn_of_hosts(hosts, name) : NULL;
	return set_plain(fqdn ? fqdn : name, hostname);
}

/* "model name	: AMD EPYC" */
static struct kc_error *read_processor(const char *cpuinfo, char **processor)
{
	static const char key[] = "model name";
	const char *found = cpuinfo ? strstr(cpuinfo, key) : NULL;
	kc_autofree char *value = NULL;

	if (found) {
		found += strlen(key);
		found += strspn(found, " \t:");
		value = strndup(found, strcspn(found, "\n"));
		if (!value)
			return kc_error_no_memory();
	}
	return set_plain(value ? value : "unknown", processor);
}

static struct kc_error *read_distro(const char *root, struct kc_host_facts *facts)
{
	kc_autofree char *text = read_text(root, KC_OS_RELEASE_PATH);
	kc_autofree char *id = text ? kc_os_release_value(text, "ID") : NULL;
	kc_autofree char *version = text ? kc_os_release_value(text, "VERSION_ID") : NULL;

	KC_TRY(set_plain(id, &facts->distro));
	return set_plain(version, &facts->distro_version);
}

struct kc_error *kc_host_facts_read(const char *root, bool is_container, bool wants_fqdn, struct kc_host_facts *facts)
{
	kc_autofree char *cpuinfo = read_text(root, "/proc/cpuinfo");
	struct timespec up;
	struct utsname name;

	*facts = (struct kc_host_facts){ 0 };
	KC_TRY(read_hostname(root, wants_fqdn, &facts->hostname));
	KC_TRY(set_plain(is_container ? container_kind(root) : machine_kind(root, cpuinfo), &facts->virtualization));
	KC_TRY(read_distro(root, facts));
	KC_TRY(set_plain(uname(&name) < 0 ? "unknown" : name.machine, &facts->machine));
	KC_TRY(read_processor(cpuinfo, &facts->processor));
	if (clock_gettime(CLOCK_BOOTTIME, &up) == 0)
		facts->uptime_s = up.tv_sec;
	return NULL;
}
