/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "portal/http/http_internal.h"

/* The next part of a path, "keys" in "/keys/A"; false at the end. A '/' at the end begins no part. */
static bool next_part(const char **at, const char **part, size_t *size)
{
	if (**at != '/' || !(*at)[1])
		return false;
	*part = *at + 1;
	*size = strcspn(*part, "/");
	*at = *part + *size;
	return true;
}

static bool is_end(const char *path)
{
	return !*path || !strcmp(path, "/");
}

/* Are path and pattern the same, when '*' is any part that is not empty? Most differ in their first letters. */
static bool matches(const char *pattern, const char *path)
{
	size_t size;

	for (; *pattern && *path; pattern++, path += size) {
		size = *pattern == '*' ? strcspn(path, "/") : *pattern == *path;
		if (!size)
			return false;
	}
	return is_end(pattern) && is_end(path);
}

/* Who may GET may HEAD. */
static bool takes_method(const struct kc_http_route *route, const char *method)
{
	return !strcmp(route->method, method) || (!strcmp(method, "HEAD") && !strcmp(route->method, "GET"));
}

static struct kc_error *split_path(struct kc_http_request *request)
{
	const char *pattern = request->route->path, *want, *have, *path;
	size_t want_size, have_size;
	unsigned n = 0;

	if (!strchr(pattern, '*'))
		return NULL;
	request->split = strdup(request->path);
	if (!request->split)
		return kc_error_no_memory();
	path = request->split;
	while (next_part(&pattern, &want, &want_size) && next_part(&path, &have, &have_size))
		if (want_size == 1 && *want == '*' && n < KC_HTTP_PATH_PARTS)
			request->parts[n++] = have;
	for (char *c = request->split; *c; c++)
		if (*c == '/')
			*c = '\0';
	return NULL;
}

struct kc_error *kc_http_route_find(struct kc_http_request *request)
{
	const struct kc_http_options *options = &request->server->options;
	bool has_path = false;

	for (size_t i = 0; i < options->n_routes; i++) {
		if (!matches(options->routes[i].path, request->path))
			continue;
		has_path = true;
		if (!takes_method(&options->routes[i], request->method))
			continue;
		request->route = &options->routes[i];
		return split_path(request);
	}
	if (has_path)
		return kc_error_new(KC_ERR_METHOD, "%s cannot be asked with %.20s", request->path, request->method);
	return options->fallback ? NULL : kc_error_not_found();
}

char *kc_http_route_methods(const struct kc_http_request *request)
{
	const struct kc_http_options *options = &request->server->options;
	kc_autobuf struct kc_buf methods = { 0 };

	for (size_t i = 0; i < options->n_routes; i++) {
		const char *method = options->routes[i].method;

		if (matches(options->routes[i].path, request->path))
			kc_buf_printf(&methods, "%s%s", methods.size ? ", " : "",
				      strcmp(method, "GET") ? method : "GET, HEAD");
	}
	if (!methods.size)
		kc_buf_append_str(&methods, "GET, HEAD"); /* the fallback's */
	return kc_buf_take(&methods);
}
