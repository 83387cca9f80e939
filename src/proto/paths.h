/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where agents and scanners find things on a portal. Agents put the names below behind REGISTRATION_URL, which is
 * PATCH_SERVER KC_PROTO_BASE unless it is configured. All of them are POST with a JSON object, and answer with one.
 */
#ifndef KC_PROTO_PATHS_H
#define KC_PROTO_PATHS_H

#define KC_PROTO_BASE "/admin/api/kcare"

#define KC_PROTO_REGISTER "/register"	  /* kc_registration -> kc_registered */
#define KC_PROTO_UNREGISTER "/unregister" /* kc_credentials -> {} */
#define KC_PROTO_CHECKIN "/checkin"	  /* kc_checkin -> kc_checkin_answer */
#define KC_PROTO_LICENCE "/licence"	  /* kc_credentials -> kc_licence_info */
#define KC_PROTO_DOCTOR "/doctor"	  /* kc_doctor_report -> {"key": "…"} */

#endif
