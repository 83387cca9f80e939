/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

void notify_systemd(struct kc_ctx *ctx, const char *state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	kc_autoclose int fd = -1;
	socklen_t size;

	if (!path || !*path)
		return;
	if ((*path != '/' && *path != '@') || strlen(path) >= sizeof(address.sun_path)) {
		kc_warning(ctx, "NOTIFY_SOCKET is not usable");
		return;
	}
	memcpy(address.sun_path, path, strlen(path));
	size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path == '/'));
	if (*path == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
		kc_warning(ctx, "cannot tell the service manager: %s", strerror(errno));
}
