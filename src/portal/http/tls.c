/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Certificate and key of our own TLS: read from PEM files, and anew while connections are open. */
#include <gnutls/abstract.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "portal/http/http_internal.h"

enum {
	FILE_MAX = 1 << 20,
	CHAIN_MAX = 16,
	/* A handshake that began with a certificate has long ended, or was cut off. */
	RETIRED_S = 600,
};

struct certificate {
	struct certificate *next;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n_chain;
	gnutls_privkey_t key;
	time_t retired;
};

struct kc_http_tls {
	pthread_mutex_t lock;
	struct certificate *current;
	struct certificate *retired; /* handshakes may have them still */
};

static void free_certificate(struct certificate *certificate)
{
	if (!certificate)
		return;
	for (unsigned i = 0; i < certificate->n_chain; i++)
		gnutls_pcert_deinit(&certificate->chain[i]);
	if (certificate->key)
		gnutls_privkey_deinit(certificate->key);
	free(certificate);
}

KC_DEFINE_CLEANUP(cleanup_certificate, struct certificate *, free_certificate)

static struct kc_error *read_pem(const char *path, struct kc_buf *text)
{
	int err = kc_file_read(path, FILE_MAX, text);

	if (err)
		return kc_error_errno(KC_ERR_CONFIG, -err, "cannot read %s", path);
	return text->size ? NULL : kc_error_new(KC_ERR_CONFIG, "%s is empty", path);
}

static struct kc_error *load_key(const char *path, gnutls_privkey_t *key)
{
	kc_autobuf struct kc_buf text = { 0 };
	struct kc_error *err = read_pem(path, &text);
	gnutls_datum_t datum = { (unsigned char *)text.data, (unsigned)text.size };
	int code = GNUTLS_E_MEMORY_ERROR;

	if (!err && !gnutls_privkey_init(key))
		code = gnutls_privkey_import_x509_raw(*key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (text.data)
		explicit_bzero(text.data, text.size);
	if (!err && code)
		err = kc_error_new(KC_ERR_CONFIG, "%s has no private key without a passphrase: %s", path,
				   gnutls_strerror(code));
	return err;
}

/* Would a client accept that the key signs for the certificate? */
static struct kc_error *check_pair(const struct certificate *certificate, const char *certificate_path,
				   const char *key_path)
{
	unsigned char ids[2][64];
	size_t sizes[2] = { sizeof(ids[0]), sizeof(ids[1]) };
	gnutls_pubkey_t public;
	bool fits;

	if (gnutls_pubkey_init(&public))
		return kc_error_no_memory();
	fits = !gnutls_pubkey_import_privkey(public, certificate->key, 0, 0) &&
	       !gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, ids[0], &sizes[0]) &&
	       !gnutls_pubkey_get_key_id(certificate->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, ids[1], &sizes[1]) &&
	       sizes[0] == sizes[1] && !memcmp(ids[0], ids[1], sizes[0]);
	gnutls_pubkey_deinit(public);
	if (fits)
		return NULL;
	return kc_error_new(KC_ERR_CONFIG, "the key in %s is not that of the certificate in %s", key_path,
			    certificate_path);
}

static struct kc_error *load(const char *certificate_path, const char *key_path, struct certificate **certificate)
{
	KC_CLEANUP(cleanup_certificate) struct certificate *loaded = calloc(1, sizeof(*loaded));
	kc_autobuf struct kc_buf text = { 0 };
	gnutls_datum_t datum;
	unsigned n = CHAIN_MAX;
	int code;

	if (!loaded)
		return kc_error_no_memory();
	KC_TRY(read_pem(certificate_path, &text));
	datum = (gnutls_datum_t){ (unsigned char *)text.data, (unsigned)text.size };
	code = gnutls_pcert_list_import_x509_raw(loaded->chain, &n, &datum, GNUTLS_X509_FMT_PEM, 0);
	if (code < 0)
		return kc_error_new(KC_ERR_CONFIG, "%s has no certificates: %s", certificate_path,
				    gnutls_strerror(code));
	loaded->n_chain = n;
	KC_TRY(load_key(key_path, &loaded->key));
	KC_TRY(check_pair(loaded, certificate_path, key_path));
	*certificate = kc_steal(loaded);
	return NULL;
}

/* Moves the current one to the retired ones, and frees those that nobody can have any more. The lock is held. */
static void retire(struct kc_http_tls *tls)
{
	struct certificate **at = &tls->retired, *old;
	time_t now = time(NULL);

	while (*at) {
		old = *at;
		if (now - old->retired > RETIRED_S) {
			*at = old->next;
			free_certificate(old);
		} else {
			at = &old->next;
		}
	}
	if (!tls->current)
		return;
	tls->current->retired = now;
	tls->current->next = tls->retired;
	tls->retired = kc_steal(tls->current);
}

struct kc_error *kc_http_tls_load(struct kc_http_tls *tls, const char *certificate, const char *key)
{
	struct certificate *loaded;

	KC_TRY(load(certificate, key, &loaded));
	pthread_mutex_lock(&tls->lock);
	retire(tls);
	tls->current = loaded;
	pthread_mutex_unlock(&tls->lock);
	return NULL;
}

struct kc_error *kc_http_tls_new(const char *certificate, const char *key, struct kc_http_tls **tls)
{
	struct kc_http_tls *made = calloc(1, sizeof(*made));
	struct kc_error *err;

	if (!made)
		return kc_error_no_memory();
	pthread_mutex_init(&made->lock, NULL);
	err = kc_http_tls_load(made, certificate, key);
	if (err)
		kc_http_tls_free(made);
	else
		*tls = made;
	return err;
}

void kc_http_tls_free(struct kc_http_tls *tls)
{
	struct certificate *old;

	if (!tls)
		return;
	while ((old = tls->retired)) {
		tls->retired = old->next;
		free_certificate(old);
	}
	free_certificate(tls->current);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

int kc_http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *names, int n_names,
			 const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **chain,
			 unsigned *n_chain, gnutls_privkey_t *key)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(gnutls_session_get_ptr(session), MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct kc_http_connection *connection = info ? info->socket_context : NULL;
	struct kc_http_tls *tls;

	(void)names;
	(void)n_names;
	(void)algorithms;
	(void)n_algorithms;
	if (!connection)
		return -1;
	tls = ((struct kc_http_server *)connection->owner)->tls;
	pthread_mutex_lock(&tls->lock);
	*chain = tls->current->chain;
	*n_chain = tls->current->n_chain;
	*key = tls->current->key;
	pthread_mutex_unlock(&tls->lock);
	return 0;
}
