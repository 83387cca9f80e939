/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "agent/sticky.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DIGITS "0123456789"

enum { DAY_S = 86400 };

/* 'd', 'm' and 'y' stand for digits; everything else for itself. */
static bool read_day(const char *text, const char *form, struct tm *day)
{
	if (strlen(text) != strlen(form))
		return false;
	*day = (struct tm){ 0 };
	for (; *form; form++, text++) {
		int *part = *form == 'd' ? &day->tm_mday : *form == 'm' ? &day->tm_mon : &day->tm_year;

		if (*form == '-' ? *text != '-' : !strchr(DIGITS, *text))
			return false;
		if (*form != '-')
			*part = *part * 10 + *text - '0';
	}
	return true;
}

static bool read_any_form(const char *text, struct tm *day)
{
	if (read_day(text, "ddmmyyyy", day) || read_day(text, "yyyy-mm-dd", day))
		return true;
	if (!read_day(text, "ddmmyy", day))
		return false;
	day->tm_year += 2000;
	return true;
}

struct kc_error *kc_sticky_parse(const char *text, struct kc_sticky *sticky)
{
	struct tm day, real;
	time_t start;

	*sticky = (struct kc_sticky){ .is_key = !strcasecmp(text, "KEY") };
	if (!*text || sticky->is_key)
		return NULL;
	if (!read_any_form(text, &day))
		return kc_error_new(KC_ERR_CONFIG,
				    "'%.80s' is not a date (DDMMYY, DDMMYYYY or YYYY-MM-DD) and not the word KEY",
				    text);
	real = (struct tm){ .tm_year = day.tm_year - 1900, .tm_mon = day.tm_mon - 1, .tm_mday = day.tm_mday };
	start = timegm(&real); /* which makes the 1st of March of the 29th of February 2026 */
	if (real.tm_mon != day.tm_mon - 1 || real.tm_mday != day.tm_mday || day.tm_year < 2000)
		return kc_error_new(KC_ERR_CONFIG, "there is no day '%.80s' (day, month, year: DDMMYY)", text);
	sticky->before = start + DAY_S;
	return NULL;
}

bool kc_sticky_is_set(const struct kc_sticky *sticky)
{
	return sticky->is_key || sticky->before;
}

struct kc_error *kc_sticky_check(const struct kc_sticky *sticky, int64_t now)
{
	char text[16];

	if (sticky->before <= now)
		return NULL;
	kc_sticky_text(sticky, text);
	return kc_error_new(KC_ERR_REFUSED,
			    "the sticky date %s is %s: it must be over (yesterday at the latest, in UTC)", text,
			    sticky->before - DAY_S <= now ? "today" : "in the future");
}

bool kc_sticky_is_old(const struct kc_sticky *sticky, int64_t now, unsigned limit_days)
{
	int64_t today = now - now % DAY_S;

	return sticky->before && limit_days && sticky->before - DAY_S < today - (int64_t)limit_days * DAY_S;
}

void kc_sticky_text(const struct kc_sticky *sticky, char text[16])
{
	time_t start = sticky->before - DAY_S;
	struct tm day;

	*text = '\0';
	if (sticky->is_key)
		strcpy(text, "KEY");
	else if (sticky->before && gmtime_r(&start, &day))
		strftime(text, 16, "%Y-%m-%d", &day);
}
