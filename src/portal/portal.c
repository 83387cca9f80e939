/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "portal/portal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "base/array.h"
#include "base/file.h"
#include "portal/api/api.h"
#include "portal/api/lookup.h"
#include "portal/backup.h"
#include "portal/upkeep.h"

/* ---- requests ---- */

static void admit(void *data, struct kc_http_request *request, enum kc_http_role role)
{
	kc_http_auth_admit(((struct kc_portal *)data)->auth, request, role);
}

static void serve_file(void *data, struct kc_http_request *request)
{
	kc_http_static_handle(((struct kc_portal *)data)->files, request);
}

static void answered(void *data, const struct kc_http_request *request, unsigned status, uint64_t duration_us,
		     uint64_t n_bytes)
{
	struct kc_portal *portal = data;
	const char *user = kc_http_user(request);

	kc_metrics_request(&portal->metrics, status, duration_us, n_bytes);
	if (status == 401)
		portal->metrics.auth_failures++;
	/* what hosts fetch, they fetch in thousands: a web server's log would be larger than what it serves */
	kc_log(portal->ctx, kc_http_route_of(request) ? KC_LOG_INFO : KC_LOG_DEBUG,
	       "%s %s %s %u %llu bytes %llu us%s%s", kc_http_address(request), kc_http_method(request),
	       kc_http_path_to_log(request), status, (unsigned long long)n_bytes, (unsigned long long)duration_us,
	       *user ? " " : "", user);
}

/* ---- start ---- */

/* Two portals at one folder would both think that they are the only one. */
static struct kc_error *lock_dir(struct kc_portal *portal)
{
	kc_autofree char *path = kc_path_join(portal->dir, "lock");

	if (!path)
		return kc_error_no_memory();
	portal->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (portal->lock < 0 && (errno == ENOENT || errno == ENOTDIR))
		return kc_error_new(KC_ERR_INPUT, "there is no portal at %s; 'kc.eportal init %s' makes one",
				    portal->dir, portal->dir);
	if (portal->lock < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open %s", path);
	if (flock(portal->lock, LOCK_EX | LOCK_NB) < 0)
		return kc_error_new(KC_ERR_LOCKED, "another eportald is at work in %s", portal->dir);
	return NULL;
}

static struct kc_error *make_private_dir(const char *dir, const char *name)
{
	kc_autofree char *path = kc_path_join(dir, name);
	int err;

	if (!path)
		return kc_error_no_memory();
	err = kc_dir_make(path, 0700);
	return err ? kc_error_errno(KC_ERR_SYSTEM, -err, "cannot make the folder %s", path) : NULL;
}

/* What was on its way when the portal ended is of no use. */
static struct kc_error *make_folders(const struct kc_portal *portal)
{
	kc_autofree char *upload = kc_path_join(portal->dir, "upload");

	if (!upload)
		return kc_error_no_memory();
	kc_tree_remove(upload);
	KC_TRY(make_private_dir(portal->dir, "upload"));
	return make_private_dir(portal->dir, "reports");
}

static struct kc_error *open_database(struct kc_portal *portal)
{
	kc_autofree char *path = kc_path_join(portal->dir, "portal.db");

	if (!path)
		return kc_error_no_memory();
	/* only `init` makes one: a folder that is not mounted must not become an empty portal */
	if (access(path, F_OK) < 0)
		return kc_error_new(KC_ERR_INPUT, "there is no portal at %s; 'kc.eportal init %s' makes one",
				    portal->dir, portal->dir);
	return kc_db_open(portal->ctx, path, &portal->db);
}

static struct kc_error *listen_to_all(struct kc_portal *portal)
{
	const struct kc_portal_config *config = &portal->config;
	kc_autofree char *socket = *config->socket ? strdup(config->socket) : kc_path_join(portal->dir, "socket");
	kc_autofree char *spool = kc_path_join(portal->dir, "upload");
	struct kc_http_options options = {
		.listen = config->listen,
		.socket = socket,
		.tls_certificate = config->tls_certificate,
		.tls_key = config->tls_key,
		.trusted_proxies = config->trusted_proxies,
		.spool_dir = spool,
		.threads = config->threads,
		.connections = config->connections,
		.connections_per_address = config->connections_per_address,
		.fallback = config->serves_repository ? serve_file : NULL,
		.admit = admit,
		.answered = answered,
		.data = portal,
	};

	if (!socket || !spool)
		return kc_error_no_memory();
	options.routes = kc_api_routes(&options.n_routes);
	KC_TRY(kc_http_server_start(portal->ctx, &options, &portal->server));
	kc_info(portal->ctx, "listening at %s", socket);
	if (*config->listen)
		kc_info(portal->ctx, "listening at %s, port %u", config->listen, kc_http_server_port(portal->server));
	return NULL;
}

static struct kc_error *start(struct kc_portal *portal)
{
	kc_autofree char *public = kc_path_join(portal->dir, "repository/public");

	if (!public)
		return kc_error_no_memory();
	if (kc_portal_is_unfinished(portal->dir))
		return kc_error_new(KC_ERR_INPUT,
				    "'kc.eportal init %s' was cut off: it begins anew when it is repeated",
				    portal->dir);
	KC_TRY(lock_dir(portal));
	KC_TRY(open_database(portal));
	KC_TRY(make_folders(portal));
	KC_TRY(kc_backup_recover(portal));
	KC_TRY(kc_http_static_new(public, &portal->files));
	KC_TRY(kc_http_auth_new(portal->db, &portal->auth));
	KC_TRY(kc_lookups_new(&portal->lookups));
	KC_TRY(kc_publisher_start(portal->ctx, portal->dir, &portal->config, portal->db, &portal->publisher));
	KC_TRY(kc_worker_start(kc_upkeep_due, 0, portal, &portal->upkeep));
	return listen_to_all(portal);
}

static struct kc_error *copy_config(struct kc_portal_config *to, struct kc_portal_config *from)
{
	*to = *from;
	return kc_portal_config_init(from);
}

struct kc_error *kc_portal_start(struct kc_ctx *ctx, const char *dir, struct kc_portal_config *config,
				 struct kc_portal **portal)
{
	struct kc_portal *made = calloc(1, sizeof(*made));
	struct kc_error *err;

	if (!made)
		return kc_error_no_memory();
	made->ctx = ctx;
	made->lock = -1;
	made->metrics.started = time(NULL);
	made->dir = strdup(dir);
	err = made->dir ? copy_config(&made->config, config) : kc_error_no_memory();
	if (!err)
		err = start(made);
	if (err)
		kc_portal_free(made);
	else
		*portal = made;
	return err;
}

/* ---- run ---- */

static void block_signals(sigset_t *signals)
{
	static const int all[] = { SIGTERM, SIGINT, SIGHUP };

	sigemptyset(signals);
	for (size_t i = 0; i < KC_ARRAY_SIZE(all); i++)
		sigaddset(signals, all[i]);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
}

void kc_portal_prepare_signals(void)
{
	sigset_t signals;

	block_signals(&signals);
	signal(SIGPIPE, SIG_IGN);
}

static void reload(struct kc_portal *portal)
{
	kc_autoerror struct kc_error *err = kc_http_server_reload(portal->server);

	if (err)
		kc_warning(portal->ctx, "the certificate stays as it was: %s", kc_error_message(err));
	else
		kc_info(portal->ctx, "the certificate was read anew");
}

struct kc_error *kc_portal_run(struct kc_portal *portal)
{
	kc_autoclose int fd = -1;
	struct signalfd_siginfo info;
	sigset_t signals;
	ssize_t n;

	block_signals(&signals);
	fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot wait for signals");
	for (;;) {
		n = read(fd, &info, sizeof(info));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(info))
			return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot wait for signals");
		if (info.ssi_signo != SIGHUP)
			break;
		reload(portal);
	}
	kc_info(portal->ctx, "ending: requests that are under way are finished");
	return NULL;
}

/* First nobody comes any more; then what requests wait for ends, so that all are answered; then the rest. */
void kc_portal_free(struct kc_portal *portal)
{
	if (!portal)
		return;
	if (portal->server)
		kc_http_server_close(portal->server);
	kc_http_auth_stop(portal->auth);
	kc_lookups_stop(portal->lookups);
	kc_publisher_stop(portal->publisher);
	kc_http_server_stop(portal->server);
	if (portal->upkeep)
		kc_worker_stop(portal->upkeep);
	kc_worker_free(portal->upkeep);
	kc_publisher_free(portal->publisher);
	kc_lookups_free(portal->lookups);
	kc_http_auth_free(portal->auth);
	kc_http_static_free(portal->files);
	if (portal->db)
		kc_db_close(portal->db);
	if (portal->lock >= 0)
		close(portal->lock);
	kc_portal_config_clear(&portal->config);
	free(portal->dir);
	free(portal);
}
