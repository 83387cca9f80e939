/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a host tells a portal about itself beside its patches. Read from files; no program is run and nobody is asked.
 */
#ifndef KC_AGENT_HOST_FACTS_H
#define KC_AGENT_HOST_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct kc_host_facts {
	char *hostname;
	char *virtualization; /* "none", "kvm", "vmware", "docker", …; "vm" and "container": of a kind that we do not
				 know */
	char *distro, *distro_version; /* ID and VERSION_ID of os-release */
	char *machine, *processor;     /* "x86_64", and the model's name */
	int64_t uptime_s;
};

/*
 * All texts can be sent as they are. `wants_fqdn`: the name with its domain, as far as the host's own files know it; no
 * name server is asked. `root` is put before all paths, "" in earnest.
 */
struct kc_error *kc_host_facts_read(const char *root, bool is_container, bool wants_fqdn, struct kc_host_facts *facts);
void kc_host_facts_clear(struct kc_host_facts *facts);
/* From the text of /etc/hosts: the first name with a dot of the line that has `name` (caller frees), or NULL. */
char *kc_fqdn_of_hosts(const char *text, const char *name);

#define KC_CLEANUP_HOST_FACTS KC_CLEANUP(kc_host_facts_clear)

#endif
