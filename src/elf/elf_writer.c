/* SPDX-License-Identifier: GPL-2.0-or-later */
typedef int kc_not_yet_written;
