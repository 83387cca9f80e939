/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The function that bench/ patches, and a twin that it does not. */
long gaps_call(long x);
long gaps_same(long x);

long gaps_call(long x)
{
	return x + 1;
}

long gaps_same(long x)
{
	return x + 3;
}
