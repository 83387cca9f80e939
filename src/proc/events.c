/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "proc/events.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/array.h"
#include "base/file.h"

#define ONLINE_PATH "/sys/devices/system/cpu/online"
#define CPU_MAX 65536
#define RECORD_SIZE_MAX 65536 /* the size field has 16 bits */
/* What the kernel writes for a path of PATH_MAX. */
#define LONGEST_RECORD (sizeof(struct mmap2_record) + 4096)

struct ring {
	unsigned cpu;
	int fd;
	struct perf_event_mmap_page *page; /* followed by the data */
};

struct kc_events {
	int epoll_fd;
	int uevent_fd; /* the kernel's announcements of devices, -1 when they cannot be had */
	size_t ring_pages;
	bool no_build_id;
	struct ring *rings;
	size_t n_rings;
	uint8_t *record; /* one record, in one piece */
};

/* As in the comment of PERF_RECORD_MMAP2 in linux/perf_event.h. */
struct mmap2_record {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	union {
		struct {
			uint32_t maj, min;
			uint64_t ino, ino_generation;
		};
		struct {
			uint8_t build_id_size, reserved1;
			uint16_t reserved2;
			uint8_t build_id[20];
		};
	};
	uint32_t prot, flags;
	char filename[];
};

struct fork_record {
	struct perf_event_header header;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void ring_close(const struct kc_events *events, const struct ring *ring)
{
	munmap(ring->page, (1 + events->ring_pages) * page_size());
	close(ring->fd);
}

void kc_events_free(struct kc_events *events)
{
	if (!events)
		return;
	for (size_t i = 0; i < events->n_rings; i++)
		ring_close(events, &events->rings[i]);
	free(events->rings);
	free(events->record);
	kc_cleanup_fd(&events->uevent_fd);
	kc_cleanup_fd(&events->epoll_fd);
	free(events);
}

int kc_events_fd(const struct kc_events *events)
{
	return events->epoll_fd;
}

size_t kc_events_n_cpus(const struct kc_events *events)
{
	return events->n_rings;
}

static int perf_open(unsigned cpu, bool with_build_id)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = with_build_id,
		.task = 1,
		/* Wake up on every byte: a count of events would count samples only. */
		.watermark = 1,
		.wakeup_watermark = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* A kernel before 5.12 knows no build-ids: from then on without. */
static int perf_open_any(struct kc_events *events, unsigned cpu)
{
	int fd = perf_open(cpu, !events->no_build_id);

	if (fd < 0 && errno == EINVAL && !events->no_build_id) {
		events->no_build_id = true;
		fd = perf_open(cpu, false);
	}
	return fd;
}

static struct kc_error *open_failed(unsigned cpu)
{
	if (errno == EACCES || errno == EPERM)
		return kc_error_errno(KC_ERR_PERMISSION, errno,
				      "perf events are forbidden here (CAP_PERFMON is needed, and a container may "
				      "filter the call)");
	return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot open perf events for CPU %u", cpu);
}

static struct kc_error *ring_open(struct kc_events *events, unsigned cpu)
{
	struct epoll_event wanted = { .events = EPOLLIN };
	kc_autoclose int fd = perf_open_any(events, cpu);
	struct ring *ring;
	void *page;

	/* It went offline just now: the next announcement tells. */
	if (fd < 0 && errno == ENODEV)
		return NULL;
	if (fd < 0)
		return open_failed(cpu);
	page = mmap(NULL, (1 + events->ring_pages) * page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot map the perf events of CPU %u", cpu);
	ring = kc_array_add(&events->rings, &events->n_rings);
	if (!ring) {
		munmap(page, (1 + events->ring_pages) * page_size());
		return kc_error_no_memory();
	}
	*ring = (struct ring){ .cpu = cpu, .fd = kc_steal_fd(&fd), .page = page };
	if (epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, ring->fd, &wanted) < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot wait for perf events");
	return NULL;
}

/* Is `cpu` in a list like "0-3,8"? Sets `*highest`. */
static bool list_contains(const char *list, unsigned cpu, unsigned *highest)
{
	bool found = false;

	*highest = 0;
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last >= CPU_MAX)
			last = CPU_MAX - 1;
		found = found || (cpu >= first && cpu <= last);
		if (last > *highest)
			*highest = (unsigned)last;
		list = *end == ',' ? end + 1 : end;
	}
	return found;
}

static bool has_ring(const struct kc_events *events, unsigned cpu)
{
	for (size_t i = 0; i < events->n_rings; i++) {
		if (events->rings[i].cpu == cpu)
			return true;
	}
	return false;
}

struct kc_error *kc_events_update_cpus(struct kc_ctx *ctx, struct kc_events *events, const char *online, bool *changed)
{
	kc_autobuf struct kc_buf content = { 0 };
	unsigned highest, unused;
	size_t n_kept = 0;
	int err = online ? 0 : kc_file_read(ONLINE_PATH, 65536, &content);

	*changed = false;
	if (err)
		return kc_error_errno(KC_ERR_SYSTEM, -err, "cannot read %s", ONLINE_PATH);
	if (!online)
		online = content.data;
	for (size_t i = 0; i < events->n_rings; i++) {
		if (list_contains(online, events->rings[i].cpu, &unused)) {
			events->rings[n_kept++] = events->rings[i];
			continue;
		}
		kc_debug(ctx, "CPU %u is gone", events->rings[i].cpu);
		ring_close(events, &events->rings[i]);
		*changed = true;
	}
	events->n_rings = n_kept;
	list_contains(online, 0, &highest);
	for (unsigned cpu = 0; cpu <= highest; cpu++) {
		if (!list_contains(online, cpu, &unused) || has_ring(events, cpu))
			continue;
		KC_TRY(ring_open(events, cpu));
		*changed = true;
	}
	return NULL;
}

/* Where it cannot be had, callers look for themselves now and then. */
static void open_uevents(struct kc_events *events)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct epoll_event wanted = { .events = EPOLLIN };
	kc_autoclose int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return;
	if (!epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, fd, &wanted))
		events->uevent_fd = kc_steal_fd(&fd);
}

struct kc_error *kc_events_open(struct kc_ctx *ctx, const struct kc_events_options *options, struct kc_events **events)
{
	kc_autoevents struct kc_events *opened = calloc(1, sizeof(*opened));
	bool changed;

	if (!opened)
		return kc_error_no_memory();
	opened->uevent_fd = -1;
	opened->ring_pages = options->ring_pages ? options->ring_pages : 64;
	opened->no_build_id = options->no_build_id;
	opened->record = malloc(RECORD_SIZE_MAX);
	opened->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!opened->record)
		return kc_error_no_memory();
	if (opened->epoll_fd < 0)
		return kc_error_errno(KC_ERR_SYSTEM, errno, "cannot make an epoll");
	/* First the announcements, then the CPUs: so none is missed. */
	open_uevents(opened);
	KC_TRY(kc_events_update_cpus(ctx, opened, options->online, &changed));
	*events = kc_steal(opened);
	return NULL;
}

static void drop_ring(struct kc_events *events, unsigned long cpu)
{
	for (size_t i = 0; i < events->n_rings; i++) {
		if (events->rings[i].cpu != cpu)
			continue;
		ring_close(events, &events->rings[i]);
		events->rings[i] = events->rings[--events->n_rings];
		return;
	}
}

/*
 * "online@/devices/system/cpu/cpu3", then NUL-separated fields. The events of a CPU that was offline do not come back
 * with it: its ring is dropped also when we see only the end of the story.
 */
static bool take_uevent(struct kc_events *events, const char *message)
{
	static const char place[] = "@/devices/system/cpu/cpu";
	const char *at = strchr(message, '@');

	if (!at || strncmp(at, place, strlen(place)) != 0)
		return false;
	if (!strncmp(message, "online@", 7))
		drop_ring(events, strtoul(at + strlen(place), NULL, 10));
	return true;
}

static bool read_uevents(struct kc_events *events)
{
	char message[8192];
	bool cpu = false;
	ssize_t n;

	while ((n = recv(events->uevent_fd, message, sizeof(message) - 1, 0)) > 0 || (n < 0 && errno == ENOBUFS)) {
		message[n < 0 ? 0 : n] = '\0';
		cpu = take_uevent(events, message) || n < 0 || cpu;
	}
	return cpu;
}

/* Copies a record out of the ring, where it may go round the end. */
static void copy_out(const struct ring *ring, size_t size_mask, uint64_t position, void *out, size_t size)
{
	const uint8_t *data = (const uint8_t *)ring->page + page_size();
	size_t offset = position & size_mask, first = size_mask + 1 - offset;

	if (first > size)
		first = size;
	memcpy(out, data + offset, first);
	memcpy((uint8_t *)out + first, data, size - first);
}

static void take_mmap2(const uint8_t *bytes, size_t size, kc_event_fn *fn, void *data)
{
	const struct mmap2_record *record = (const void *)bytes;
	struct kc_event event = { .kind = KC_EVENT_MAP };

	/* pid 0: a process that our PID namespace does not show; an unterminated name cannot be. */
	if (size <= sizeof(*record) || !record->pid || bytes[size - 1])
		return;
	event.pid = (pid_t)record->pid;
	event.addr = record->addr;
	event.size = record->len;
	event.path = record->filename;
	if (record->header.misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		event.build_id_size = record->build_id_size;
		if (event.build_id_size > sizeof(event.build_id))
			event.build_id_size = sizeof(event.build_id);
		memcpy(event.build_id, record->build_id, event.build_id_size);
	} else {
		event.dev_major = record->maj;
		event.dev_minor = record->min;
		event.inode = record->ino;
		event.generation = record->ino_generation;
	}
	fn(data, &event);
}

static void take_fork(const uint8_t *bytes, size_t size, kc_event_fn *fn, void *data)
{
	const struct fork_record *record = (const void *)bytes;
	struct kc_event event = { .kind = KC_EVENT_FORK };

	if (size < sizeof(*record) || !record->pid || record->pid == record->ppid || record->pid != record->tid)
		return;
	event.pid = (pid_t)record->pid;
	event.parent = (pid_t)record->ppid;
	fn(data, &event);
}

static void read_ring(struct kc_events *events, const struct ring *ring, kc_event_fn *fn, void *data, bool *lost)
{
	size_t size_mask = events->ring_pages * page_size() - 1;
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;
	struct perf_event_header header;

	/* The record that tells of a loss comes with the next event only: a ring that was full is loss enough. */
	if (head - tail + LONGEST_RECORD > size_mask)
		*lost = true;
	while (head - tail >= sizeof(header)) {
		copy_out(ring, size_mask, tail, &header, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail)
			break;
		copy_out(ring, size_mask, tail, events->record, header.size);
		if (header.type == PERF_RECORD_MMAP2)
			take_mmap2(events->record, header.size, fn, data);
		else if (header.type == PERF_RECORD_FORK)
			take_fork(events->record, header.size, fn, data);
		else if (header.type == PERF_RECORD_LOST)
			*lost = true;
		tail += header.size;
	}
	__atomic_store_n(&ring->page->data_tail, tail, __ATOMIC_RELEASE);
}

struct kc_error *kc_events_read(struct kc_ctx *ctx, struct kc_events *events, kc_event_fn *fn, void *data, bool *lost)
{
	bool changed = false;

	*lost = false;
	for (size_t i = 0; i < events->n_rings; i++)
		read_ring(events, &events->rings[i], fn, data, lost);
	if (events->uevent_fd >= 0 && read_uevents(events))
		KC_TRY(kc_events_update_cpus(ctx, events, NULL, &changed));
	*lost = *lost || changed;
	return NULL;
}
