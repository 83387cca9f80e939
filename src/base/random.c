/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/random.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/types.h>

int kc_random_bytes(void *data, size_t size)
{
	char *p = data;

	while (size) {
		ssize_t n = getrandom(p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int kc_random_name(char *name, size_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	enum { N_ALL = sizeof(letters) - 1, N_FIRST = 52 };
	size_t done = 0;

	while (done < length) {
		unsigned n = done ? N_ALL : N_FIRST;
		uint8_t byte;
		int err = kc_random_bytes(&byte, sizeof(byte));

		if (err)
			return err;
		/* what is above the last multiple would make the first letters likelier */
		if (byte < 256 / n * n)
			name[done++] = letters[byte % n];
	}
	name[length] = '\0';
	return 0;
}
