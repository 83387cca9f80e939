/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame of a page, and text that is safe in it. Pages need nothing but themselves. */
#include "repo/public_internal.h"

void kc_html_text(struct kc_buf *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			kc_buf_append_str(out, "&amp;");
			break;
		case '<':
			kc_buf_append_str(out, "&lt;");
			break;
		case '>':
			kc_buf_append_str(out, "&gt;");
			break;
		case '"':
			kc_buf_append_str(out, "&quot;");
			break;
		case '\'':
			kc_buf_append_str(out, "&#39;");
			break;
		default:
			kc_buf_append(out, text, 1);
		}
	}
}

static const char head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<style>\n"
	":root { color-scheme: light dark; --ink: #1b1f24; --paper: #fdfdfb; --line: #d8dbe0; --soft: #5b6470; --link: "
	"#0b57a4; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"  :root { --ink: #e6e8eb; --paper: #16181b; --line: #363b42; --soft: #9aa3ae; --link: #7ab4f5; }\n"
	"}\n"
	"body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--ink); background: var(--paper);\n"
	"  font: 1rem/1.5 system-ui, sans-serif; }\n"
	"h1 { font-size: 1.5rem; line-height: 1.2; }\n"
	"h2 { font-size: 1.15rem; margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 1rem; }\n"
	"a { color: var(--link); }\n"
	"table { border-collapse: collapse; width: 100%; }\n"
	"th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0;\n"
	"  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }\n"
	"th { color: var(--soft); font-weight: 600; }\n"
	"code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }\n"
	".soft { color: var(--soft); }\n"
	".number { text-align: right; font-variant-numeric: tabular-nums; }\n"
	"</style>\n";

void kc_html_begin(struct kc_buf *out, const char *title, const char *up, const char *up_title)
{
	kc_buf_append_str(out, head);
	kc_buf_append_str(out, "<title>");
	kc_html_text(out, title);
	kc_buf_append_str(out, "</title>\n</head>\n<body>\n");
	if (up) {
		kc_buf_append_str(out, "<p><a href=\"");
		kc_html_text(out, up);
		kc_buf_append_str(out, "\">");
		kc_html_text(out, up_title);
		kc_buf_append_str(out, "</a></p>\n");
	}
	kc_buf_append_str(out, "<h1>");
	kc_html_text(out, title);
	kc_buf_append_str(out, "</h1>\n");
}

void kc_html_end(struct kc_buf *out)
{
	kc_buf_append_str(out, "</body>\n</html>\n");
}
