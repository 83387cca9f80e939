/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints eportald's own table of routes, a line for each: METHOD PATH ROLE BODY_MAX. For tests/api/. */
#include <stdio.h>

#include "portal/api/api.h"

static const char *role_name(enum kc_http_role role)
{
	switch (role) {
	case KC_HTTP_EVERYBODY:
		return "everybody";
	case KC_HTTP_AGENT:
		return "agent";
	case KC_HTTP_READONLY:
		return "readonly";
	case KC_HTTP_ADMIN:
		return "admin";
	case KC_HTTP_LOCAL:
		return "local";
	}
	return "nobody";
}

int main(void)
{
	size_t n;
	const struct kc_http_route *routes = kc_api_routes(&n);

	for (size_t i = 0; i < n; i++)
		printf("%s %s %s %llu\n", routes[i].method, routes[i].path, role_name(routes[i].role),
		       (unsigned long long)routes[i].body_max);
	return 0;
}
