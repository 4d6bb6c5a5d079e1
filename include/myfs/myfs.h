/* MyFS: the file system that a program links instead of mounting. The C interface.
 *
 * A *task* [task_struct] is the caller's view: a mount name space, a root, a working directory, a
 * umask, credentials and a table of descriptors. Mounts are attached to it by URL. Calls look like
 * POSIX and take the task first.
 *
 *   myfs_task *task;
 *   if (myfs_open_url("myfs+unix:/run/myfs.sock", NULL, &task) < 0) ...
 *   int fd = myfs_open(task, "/a/b", O_RDONLY, 0);
 *
 * RESULTS. Functions return >= 0, or -errno (Linux numbers). None touches errno, signals, the umask
 * or the working directory of the process. myfs_last_error() tells more about the calling thread's
 * last failure.
 *
 * TWINS. Calls that take a path or do I/O, f(task, ...), have a twin f_x(task, call, ...),
 * described with it: `call` carries credentials, a deadline and a cancel token for this one call;
 * NULL means the task's credentials, no deadline, no cancel. What works on descriptors and
 * positions alone has none.
 *
 * THREADS. Any function may be called from any thread at any time, on the same task, descriptor or
 * directory too, unless its description says otherwise. A task or directory must not be destroyed
 * while calls on it are running.
 *
 * FORK. A child must not use tasks that it inherited: every call on them returns -ESTALE,
 * destroying them is harmless.
 *
 * LIFETIME. Pointers passed in are used during the call only. Objects returned belong to the caller
 * until their destroy or close.
 *
 * ERRORS. The lists below name what each call adds to these groups:
 *
 *   [task]    EINVAL (a null or malformed argument), ESTALE (used after fork), EBADF (descriptors).
 *
 *   [path]    ENOENT, ENOTDIR, EACCES, ELOOP (more than 40 symbolic links), ENAMETOOLONG (name
 * above 255 or path above 4095 bytes), EINVAL.
 *
 *   [change]  EROFS, EPERM, ENOSPC.
 *
 *   [call]    ETIMEDOUT (deadline, or a `soft` mount's timeout), ECANCELED (cancelled), EIO
 *             (transport, store, or a lost session), ENOMEM (the memory budget), ENOTCONN (forced
 *             unmount).
 *
 * Every path call can return [task], [path] and [call]; every descriptor call [task] and [call].
 *
 * SOURCES. POSIX.1-2017, Linux man-pages 6.03 section 2, behaviour of ext4.
 */
#ifndef MYFS_MYFS_H_
#define MYFS_MYFS_H_

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MYFS_API __attribute__((visibility("default")))

#define MYFS_VERSION_MAJOR 0
#define MYFS_VERSION_MINOR 1
#define MYFS_VERSION_PATCH 0

/* The library's version, "0.1.0". Static storage. */
MYFS_API const char* myfs_version(void);

/* ---- Objects ---- */

typedef struct myfs_task myfs_task;
typedef struct myfs_dir myfs_dir;
typedef struct myfs_cancel myfs_cancel;

/* Whom a call acts for. The server decides what the session may claim (README, "Who may act for
 * whom"). */
typedef struct myfs_cred {
  size_t size; /* sizeof(myfs_cred) */
  uid_t uid;
  gid_t gid;
  const gid_t* groups; /* supplementary groups, may be NULL when ngroups is 0 */
  size_t ngroups;      /* 0..65536 */
} myfs_cred;

/* How one call is made. */
typedef struct myfs_call {
  size_t size;           /* sizeof(myfs_call) */
  const myfs_cred* cred; /* NULL: the task's */
  int64_t deadline_ms;   /* from now, 1..; 0: none. A change that missed it may have happened: see
                            myfs_error.in_doubt */
  myfs_cancel* cancel;   /* NULL: none */
} myfs_call;

/* Cancel tokens. myfs_cancel_fire() makes every call that waits with the token, and every later
 * one, fail with ECANCELED. Create returns NULL without memory. Destroy when no call uses it. */
MYFS_API myfs_cancel* myfs_cancel_create(void);
MYFS_API void myfs_cancel_fire(myfs_cancel* cancel);
MYFS_API void myfs_cancel_destroy(myfs_cancel* cancel);

/* Options of a mount. Everything can also be given in the URL's query; the URL wins. Zero or NULL
 * means the default. */
typedef struct myfs_mount_options {
  size_t size;         /* sizeof(myfs_mount_options) */
  const char* options; /* "rsize=1M,soft,timeout=5s": the same names and values as in a URL, comma
                          separated */
  const myfs_cred*
      cred; /* of the task that myfs_open_url makes; NULL: the process's effective ids and groups */
} myfs_mount_options;

/* Makes an empty task: no mounts, cwd "/", umask 022. cred NULL: the process's effective ids and
 * groups. Errors: EINVAL. */
MYFS_API int myfs_task_create(const myfs_cred* cred, myfs_task** task);

/* Ends every mapping, closes every descriptor, unmounts everything (each bounded by 30 s, then
 * forced) and frees the task. Returns 0, or the first failure of writing data back; the task is
 * gone in either case, but for EDEADLK (called by a function that it would wait for, see
 * <myfs/lost_writes.h>). NULL: 0. Errors: EIO, EDEADLK. */
MYFS_API int myfs_task_destroy(myfs_task* task);

/* Attaches the file system of `url` at the directory `at` ("/" first). URLs:
 *
 *   - myfs://HOST[:PORT][,HOST[:PORT]...]/[SUBDIR][?OPTION=VALUE&...]; port 7460 unless given
 *   - myfs+unix:/PATH/TO/SOCKET[?...]
 *   - embedded:/DATA/DIR[?...]: the server of that directory, or one inside this process
 *
 * Options (sizes take K, M, G; times a plain number of seconds, or ms, s, m, h; defaults in
 * brackets):
 *
 *   - rsize, wsize: 4K..4M, a power of two (1M)
 *   - hard, soft (hard); timeout: 100ms..1h (30s); connect_timeout: 100ms..1h (10s)
 *   - cache_timeout (leases alone decide); 0: no cached attributes
 *   - connections: 1..16 (2); spin: 0..200us (50us)
 *   - cache_size: from 16M on; of all mounts of the process, the last one given counts
 *   - ro, rw (rw); write_policy: async, sync (async)
 *   - uid, gid: of the task that myfs_open_url makes
 *   - idmap: the mount's own ids, "u:FS:HOST:COUNT" (users FS.. of the server are HOST.. here),
 * "g:" (groups) or "b:" (both), joined by "+"; a kind that is not named stays as it is. Ids that
 * are not mapped show as 65534; such a caller has the rights of others, and makes nothing
 * (EOVERFLOW)
 *   - sec: peer, token; secret_file: PATH; server; port
 *   - salvage_dir: a directory of this host where lost writes go, <myfs/lost_writes.h>
 *
 * Errors: [path] of `at`; EINVAL (URL or option: the message names it and its range), ECONNREFUSED,
 * ETIMEDOUT, EACCES (authentication), EPROTO (no MyFS server), EPROTONOSUPPORT (one of another
 * version), ENOENT (SUBDIR, socket). A mount covers what is mounted there already. */
MYFS_API int myfs_mount(myfs_task* task, const char* url, const char* at,
                        const myfs_mount_options* options);
/* The credentials of `call` are the session's, too: what the client does by itself it does as
 * them. */
MYFS_API int myfs_mount_x(myfs_task* task, const myfs_call* call, const char* url, const char* at,
                          const myfs_mount_options* options);

/* Detaches the mount at `at`, and its copies where it was propagated to. flags, of <sys/mount.h>:
 *
 *   - 0: unwritten data is written first; EBUSY while somebody uses it
 *   - MNT_DETACH (2): with all mounts below; who uses them goes on, and they end with the last user
 *   - MNT_FORCE (1): whoever uses it. If no other mount shows its file system, calls that wait
 *     there and later ones fail with ENOTCONN, and what cannot be written within 1 s is lost (log)
 *
 * Errors: [path]; EINVAL (no mount point, unknown flag), EBUSY (open files, mappings, working
 * directory; or mounts below, unless MNT_DETACH), EDEADLK (as of myfs_task_destroy). */
MYFS_API int myfs_umount(myfs_task* task, const char* at, int flags);
/* The deadline of `call` bounds the writing, if it comes before the 30 s. */
MYFS_API int myfs_umount_x(myfs_task* task, const myfs_call* call, const char* at, int flags);

/* Shows the directory or file `from` at `at`, too, a directory or file as well. flags, of
 * <sys/mount.h>: 0, or MS_REC: with what is mounted below `from`, unless it is unbindable. Errors:
 * [path]; EINVAL (unknown flag; `from` is on an unbindable mount), ENOTDIR (one is a directory, the
 * other is none), ENOSPC (4096 mounts). */
MYFS_API int myfs_bind(myfs_task* task, const char* from, const char* at, unsigned long flags);
MYFS_API int myfs_bind_x(myfs_task* task, const myfs_call* call, const char* from, const char* at,
                         unsigned long flags);

/* Moves the mount at `from`, with all below, to `at`. Errors: [path]; EINVAL (`from` is no mount
 * point or "/", is on a shared mount, or has unbindable mounts and `at` is on a shared one; one is
 * a directory, the other is none), ELOOP (`at` is below `from`), ENOSPC (4096 mounts). */
MYFS_API int myfs_move_mount(myfs_task* task, const char* from, const char* at);
MYFS_API int myfs_move_mount_x(myfs_task* task, const myfs_call* call, const char* from,
                               const char* at);

/* What myfs_mount_setattr changes; constants of <sys/mount.h>. */
typedef struct myfs_mount_attr {
  size_t size;          /* sizeof(myfs_mount_attr) */
  uint64_t attr_set;    /* MOUNT_ATTR_RDONLY */
  uint64_t attr_clr;    /* MOUNT_ATTR_RDONLY */
  uint64_t propagation; /* 0: as it is; MS_PRIVATE, MS_SHARED, MS_SLAVE or MS_UNBINDABLE */
} myfs_mount_attr;

/* Changes the mount at `at`, as mount_setattr(2). Mounts and unmounts on a shared mount are
 * repeated on its peers (made by myfs_bind and myfs_task_clone) and slaves; a slave repeats and is
 * not repeated; an unbindable one is not bound either. New mounts are private, on shared ones
 * shared. Read-only is this mount, whatever other mounts of the same file system are. flags:
 * AT_RECURSIVE: of all mounts below, too. Errors: [path]; EINVAL (no mount point; unknown flag,
 * attribute or propagation, or two of them), EBUSY (MOUNT_ATTR_RDONLY: something is open for
 * writing or being changed; nothing was done). */
MYFS_API int myfs_mount_setattr(myfs_task* task, const char* at, unsigned flags,
                                const myfs_mount_attr* attr);
MYFS_API int myfs_mount_setattr_x(myfs_task* task, const myfs_call* call, const char* at,
                                  unsigned flags, const myfs_mount_attr* attr);

/* Gives the file system that is mounted at `at` new options, as mount(2) with MS_REMOUNT: ro, rw,
 * hard, soft, timeout, cache_timeout, cache_size, write_policy, comma separated; what is not named
 * stays. ro and rw are of all mounts of the file system; rw also clears MOUNT_ATTR_RDONLY of this
 * one. ro makes everything durable first, and is not set if that fails. Errors: [path]; EINVAL (no
 * mount point; an option that is unknown, out of range, or not to be changed: the message names
 * it), EBUSY (ro: something is open for writing or being changed), EROFS (rw: the server exports it
 * read-only). */
MYFS_API int myfs_remount(myfs_task* task, const char* at, const char* options);
MYFS_API int myfs_remount_x(myfs_task* task, const myfs_call* call, const char* at,
                            const char* options);

/* Freezes the file system at `path` for all tasks of this process, as ioctl(2) FIFREEZE: waits for
 * changes under way, makes everything durable; from then on whatever would change it waits (to its
 * deadline, or until it is cancelled) for the thaw. Other clients are not held up. The end of its
 * last mount thaws it; one that comes before everything is durable makes the freeze fail
 * (ENOTCONN). If it fails, nothing is frozen by it. Errors: [path]; EBUSY (it is frozen, or about
 * to be), ETIMEDOUT, ECANCELED. */
MYFS_API int myfs_freeze(myfs_task* task, const char* path);
MYFS_API int myfs_freeze_x(myfs_task* task, const myfs_call* call, const char* path);
/* Errors: [path]; EINVAL (it is not frozen, or its freeze has not returned yet). */
MYFS_API int myfs_thaw(myfs_task* task, const char* path);
MYFS_API int myfs_thaw_x(myfs_task* task, const myfs_call* call, const char* path);

/* A new task in a private copy of the mounts of `task`, with its root, working directory and umask,
 * as a child of clone(2) with CLONE_NEWNS; without its descriptors. The file systems, their
 * sessions and caches are the same ones and end with the last task that has them. cred NULL: the
 * credentials of `task`. Errors: EINVAL, ENOSPC (4096 mounts in all of these tasks). */
MYFS_API int myfs_task_clone(myfs_task* task, const myfs_cred* cred, myfs_task** copy);

/* The mounts of the task that can be reached from its root, a line each, in the format of
 * /proc/PID/mountinfo of proc(5); the last field has the options in force. Returns the length; size
 * 0 asks for it. Errors: ERANGE. */
MYFS_API ssize_t myfs_mountinfo(myfs_task* task, char* buffer, size_t size);

/* A new task with `url` mounted at "/". Errors: as myfs_task_create and myfs_mount. */
MYFS_API int myfs_open_url(const char* url, const myfs_mount_options* options, myfs_task** task);

/* ---- Errors and statistics ---- */

typedef struct myfs_error {
  size_t size;         /* sizeof(myfs_error), set by the caller */
  int error;           /* errno, 0: the thread's last call succeeded */
  int retriable;       /* the same call may succeed later */
  int in_doubt;        /* the server may have executed the change */
  char operation[32];  /* "create" */
  char component[256]; /* the path component that failed */
  char server[128];    /* address */
  char message[512];   /* one sentence for people */
  char cause[512];     /* causes, outermost first */
} myfs_error;

/* Describes the calling thread's last failed call. Errors: EINVAL. */
MYFS_API int myfs_last_error(myfs_error* error);

/* The same as a JSON object, NUL-terminated. Returns its length without NUL; at most `size` - 1
 * bytes are stored. */
MYFS_API ssize_t myfs_last_error_json(char* buffer, size_t size);

typedef struct myfs_stats {
  size_t size;           /* sizeof(myfs_stats), set by the caller */
  uint64_t operations;   /* calls made through this interface */
  uint64_t active_calls; /* now */
  uint64_t dentry_hits, dentry_misses;
  uint64_t attr_hits, attr_misses;
  uint64_t page_hits, page_misses;
  uint64_t rpcs;                       /* calls sent to servers, all kinds */
  uint64_t renewals;                   /* of them: keep-alives */
  uint64_t bytes_sent, bytes_received; /* on all connections */
  uint64_t bytes_read, bytes_written;  /* by the application */
  uint64_t reconnects, sessions_lost;
  uint64_t recalls; /* honoured */
  uint64_t leases;  /* inodes with a lease now */
  uint64_t memory_budget_bytes, memory_used_bytes, pages_cached_bytes, pages_dirty_bytes;
  uint64_t dentries, inodes;   /* cached now */
  uint32_t connections;        /* open now */
  uint32_t threads;            /* of this library in the process */
  uint64_t sessions_reclaimed; /* kept over a restart of their server */
} myfs_stats;

/* Sums over the mounts of the task. Errors: EINVAL. */
MYFS_API int myfs_get_stats(myfs_task* task, myfs_stats* stats);
/* The same and more (per connection, per kind of RPC, the server's counters) as JSON; returns as
 * myfs_last_error_json. */
MYFS_API ssize_t myfs_stats_json(myfs_task* task, char* buffer, size_t size);
/* The counter of operations that the server of the mount at `path` has executed for all its
 * clients, renewals excepted. It is asked each time. Errors: [path]; EINVAL (operations is
 * NULL). */
MYFS_API int myfs_server_operations(myfs_task* task, const char* path, uint64_t* operations);
MYFS_API int myfs_server_operations_x(myfs_task* task, const myfs_call* call, const char* path,
                                      uint64_t* operations);

/* The memory of all caches of the process, by what it is used for, in bytes. The classes add up to
 * used_bytes; pinned_bytes are pages of them. */
typedef struct myfs_memory {
  size_t size; /* sizeof(myfs_memory), set by the caller */
  uint64_t budget_bytes, used_bytes;
  uint64_t pages_clean_bytes;
  uint64_t pages_dirty_bytes;     /* written, and not yet on their way */
  uint64_t pages_in_flight_bytes; /* on their way to a server */
  uint64_t pages_unstable_bytes;  /* at a server, and not yet durable */
  uint64_t dentries_bytes, inodes_bytes;
  uint64_t transfers_bytes; /* large messages, and memory kept for them */
  uint64_t arena_bytes;     /* free pages that are kept, and what describes pages */
  uint64_t mapped_bytes;    /* what myfs_mmap shows */
  uint64_t pinned_bytes;
  int pressure; /* the level of now, as myfs_on_pressure tells it */
} myfs_memory;
/* Errors: EINVAL. */
MYFS_API int myfs_get_memory(myfs_memory* out);
/* One limit for all of it, from now on, as the option cache_size: from 16 MiB on. What is above it
 * is given back as far as that goes without waiting; dirty pages follow. The default is an eighth
 * of the memory of the machine or of the process's cgroup (memory.max), 64 MiB to 4 GiB. Errors:
 * EINVAL. */
MYFS_API int myfs_set_memory_budget(uint64_t bytes);

/* Called when memory becomes short, more so, and, ten seconds after the last sign, no more. level
 * 1: the system, or the process's cgroup, stalls for want of memory (the kernel's PSI, where it is
 * to be had), and an eighth of the caches was given back; or a call waits for room in the budget.
 * level 2: everything stalls, and half was given back; or a call fails with ENOMEM. level 0: it is
 * over. On a thread of its own, one call at a time, under no lock: it may use this library. */
typedef void (*myfs_pressure_fn)(void* context, int level);
typedef struct myfs_pressure myfs_pressure;
/* Tells `fn` from now on, until myfs_off_pressure(). Errors: EINVAL. */
MYFS_API int myfs_on_pressure(myfs_pressure_fn fn, void* context, myfs_pressure** listener);
/* When it returns, the function is called no more. Not to be called from the function. NULL: 0. */
MYFS_API int myfs_off_pressure(myfs_pressure* listener);

/* Lines of the library's log: level 0 error, 1 warning (default bound), 2 info, 3 debug. NULL:
 * stderr. The function may be called on any thread and must not call this library. */
typedef void (*myfs_log_fn)(void* context, int level, const char* line);
MYFS_API void myfs_set_log(myfs_log_fn fn, void* context, int max_level);

/* ---- Files ---- */

/* Opens or creates. flags: O_RDONLY, O_WRONLY, O_RDWR with O_CREAT, O_EXCL, O_TRUNC, O_APPEND,
 * O_NOFOLLOW, O_DIRECTORY, O_SYNC, O_DSYNC, O_DIRECT, O_NOATIME, O_CLOEXEC (see myfs_fcntl);
 * O_NONBLOCK does not wait for who holds a lease on the file (<myfs/lease.h>); O_ASYNC, O_NOCTTY,
 * O_LARGEFILE have no effect.
 *
 *   - O_PATH (with O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC alone): names the place, a symbolic link too,
 *     without opening it. Good as a directory of the *at calls, for fstat, fstatfs, fchdir, dup,
 *     fcntl, close; anything else is EBADF.
 *   - O_TMPFILE with O_WRONLY or O_RDWR: a new file without a name in the directory `path`. It goes
 *     with its last descriptor, unless myfs_linkat with AT_EMPTY_PATH gives it a name, which O_EXCL
 *     forbids.
 *   - O_DIRECT: nothing is cached; offsets and lengths are multiples of 512 bytes.
 *   - O_ACCMODE, access mode 3: permission to read and write is asked for, neither is possible.
 *
 * Returns the lowest free descriptor of the task. Errors: [change]; EEXIST, EISDIR, EMFILE (65536
 * open), ENXIO (fifo, socket or device), EPERM (O_NOATIME on what belongs to another), EINVAL
 * (O_CREAT with O_DIRECTORY; O_TMPFILE for reading alone), EAGAIN (O_NONBLOCK, and a lease). */
MYFS_API int myfs_open(myfs_task* task, const char* path, int flags, mode_t mode);
MYFS_API int myfs_open_x(myfs_task* task, const myfs_call* call, const char* path, int flags,
                         mode_t mode);
/* As myfs_open with O_CREAT | O_WRONLY | O_TRUNC. */
MYFS_API int myfs_creat(myfs_task* task, const char* path, mode_t mode);
MYFS_API int myfs_creat_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode);
/* Closes; returns after what was written to the file is durable (not so on a server with
 * --durability relaxed), and reports an error of writing it that no earlier call has reported. The
 * descriptor is free in every case.
 * Errors: EIO, ENOSPC. */
MYFS_API int myfs_close(myfs_task* task, int fd);
MYFS_API int myfs_close_x(myfs_task* task, const myfs_call* call, int fd);

/* Reads up to `size` bytes (one call transfers at most 0x7ffff000). 0 at the end of the file.
 * Errors: EISDIR, EBADF (not open for reading), EINVAL (offset < 0, offset + size > 2^63 - 1, iov
 * count outside 0..1024, O_DIRECT and no multiple of 512). */
MYFS_API ssize_t myfs_read(myfs_task* task, int fd, void* buffer, size_t size);
MYFS_API ssize_t myfs_read_x(myfs_task* task, const myfs_call* call, int fd, void* buffer,
                             size_t size);
MYFS_API ssize_t myfs_pread(myfs_task* task, int fd, void* buffer, size_t size, off_t offset);
MYFS_API ssize_t myfs_pread_x(myfs_task* task, const myfs_call* call, int fd, void* buffer,
                              size_t size, off_t offset);
MYFS_API ssize_t myfs_readv(myfs_task* task, int fd, const struct iovec* iov, int count);
MYFS_API ssize_t myfs_readv_x(myfs_task* task, const myfs_call* call, int fd,
                              const struct iovec* iov, int count);
MYFS_API ssize_t myfs_preadv(myfs_task* task, int fd, const struct iovec* iov, int count,
                             off_t offset);
MYFS_API ssize_t myfs_preadv_x(myfs_task* task, const myfs_call* call, int fd,
                               const struct iovec* iov, int count, off_t offset);
/* offset -1: at the position, which moves. flags: RWF_NOWAIT (8): only what the cache has at once,
 * RWF_HIPRI (1): no effect. Errors: EAGAIN (RWF_NOWAIT: not cached, or not all of it), EOPNOTSUPP
 * (another flag). */
MYFS_API ssize_t myfs_preadv2(myfs_task* task, int fd, const struct iovec* iov, int count,
                              off_t offset, int flags);
MYFS_API ssize_t myfs_preadv2_x(myfs_task* task, const myfs_call* call, int fd,
                                const struct iovec* iov, int count, off_t offset, int flags);

/* Writes. With write_policy=async the data may stay in the client's cache under a lease until
 * fsync, close or recall. Errors: EBADF (not open for writing), EFBIG (beyond 2^54 - 1), EINVAL
 * (as for reads), ENOSPC, EIO. That cached data could not be written, or was lost, is told by
 * fsync, close and sync; with O_SYNC or write_policy=sync by the write itself. */
MYFS_API ssize_t myfs_write(myfs_task* task, int fd, const void* buffer, size_t size);
MYFS_API ssize_t myfs_write_x(myfs_task* task, const myfs_call* call, int fd, const void* buffer,
                              size_t size);
MYFS_API ssize_t myfs_pwrite(myfs_task* task, int fd, const void* buffer, size_t size,
                             off_t offset);
MYFS_API ssize_t myfs_pwrite_x(myfs_task* task, const myfs_call* call, int fd, const void* buffer,
                               size_t size, off_t offset);
MYFS_API ssize_t myfs_writev(myfs_task* task, int fd, const struct iovec* iov, int count);
MYFS_API ssize_t myfs_writev_x(myfs_task* task, const myfs_call* call, int fd,
                               const struct iovec* iov, int count);
MYFS_API ssize_t myfs_pwritev(myfs_task* task, int fd, const struct iovec* iov, int count,
                              off_t offset);
MYFS_API ssize_t myfs_pwritev_x(myfs_task* task, const myfs_call* call, int fd,
                                const struct iovec* iov, int count, off_t offset);

/* offset -1: at the position, which moves. flags, for this write alone: RWF_APPEND (16), RWF_DSYNC
 * (2), RWF_SYNC (4); RWF_HIPRI (1): no effect. Errors: EOPNOTSUPP (another flag; RWF_NOWAIT, as for
 * all writes that are cached), EAGAIN (RWF_NOWAIT with O_DIRECT). */
MYFS_API ssize_t myfs_pwritev2(myfs_task* task, int fd, const struct iovec* iov, int count,
                               off_t offset, int flags);
MYFS_API ssize_t myfs_pwritev2_x(myfs_task* task, const myfs_call* call, int fd,
                                 const struct iovec* iov, int count, off_t offset, int flags);

/* Moves the offset: SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA (3; to the first byte at or after
 * `offset` that is no hole), SEEK_HOLE (4; to the first hole; the end of the file is one). On a
 * directory: a position of myfs_telldir or 0. Errors: EINVAL; ENXIO (SEEK_DATA, SEEK_HOLE:
 * negative, or nothing there; the end is behind). */
MYFS_API off_t myfs_lseek(myfs_task* task, int fd, off_t offset, int whence);
MYFS_API off_t myfs_lseek_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                            int whence);

/* Sets the size; bytes beyond the old one read as zeros. Errors: EINVAL (negative, or not a regular
 * file open for writing), EFBIG, EISDIR, [change]. */
MYFS_API int myfs_truncate(myfs_task* task, const char* path, off_t size);
MYFS_API int myfs_truncate_x(myfs_task* task, const myfs_call* call, const char* path, off_t size);
MYFS_API int myfs_ftruncate(myfs_task* task, int fd, off_t size);
MYFS_API int myfs_ftruncate_x(myfs_task* task, const myfs_call* call, int fd, off_t size);

/* Returns when all data of the file (fsync: and attributes) is durable at the server. Errors: EIO
 * (once per open file), ENOSPC. */
MYFS_API int myfs_fsync(myfs_task* task, int fd);
MYFS_API int myfs_fsync_x(myfs_task* task, const myfs_call* call, int fd);
MYFS_API int myfs_fdatasync(myfs_task* task, int fd);
MYFS_API int myfs_fdatasync_x(myfs_task* task, const myfs_call* call, int fd);
/* fsync of everything in all mounts of the task; the first error. */
MYFS_API int myfs_sync(myfs_task* task);
MYFS_API int myfs_sync_x(myfs_task* task, const myfs_call* call);

/* Copies up to `size` bytes (one call at most 0x7ffff000) from file to file at the server. An
 * offset that is NULL means the descriptor's position; either moves on by what was copied. flags:
 * 0. Returns the bytes copied, which are durable (not so with --durability relaxed) and may be
 * fewer than asked for; 0 at the end of `fd_in`. Errors: [change]; EBADF (`fd_in` not open for
 * reading, `fd_out` not for writing, or with O_APPEND), EISDIR, EINVAL (no regular file, a flag, a
 * negative offset, overlapping ranges of one file), EXDEV (two mounts), EFBIG, EOVERFLOW (offset +
 * size beyond 2^64 - 1). */
MYFS_API ssize_t myfs_copy_file_range(myfs_task* task, int fd_in, off_t* offset_in, int fd_out,
                                      off_t* offset_out, size_t size, unsigned flags);
MYFS_API ssize_t myfs_copy_file_range_x(myfs_task* task, const myfs_call* call, int fd_in,
                                        off_t* offset_in, int fd_out, off_t* offset_out,
                                        size_t size, unsigned flags);

/* Makes [offset_out, offset_out + size) of one file what the same range of the other is, by sharing
 * its content until either is written [FICLONERANGE]. size 0: to the end of `fd_in`. Holes stay
 * holes. The unit is 64 KiB, as st_blksize says. Durable when it returns (not so with
 * --durability relaxed). Others see all of it or nothing; of more than 16 GiB that holds for each
 * 16 GiB, and an error in the middle leaves those before. Nothing is immutable here and nobody
 * swaps to a file: no EPERM and no ETXTBSY of that kind, which Linux knows.
 * Errors: [change]; EBADF (`fd_in` not open for reading, `fd_out` not for writing, or with
 * O_APPEND), EISDIR, EXDEV (two mounts), EFBIG (beyond the largest size of a file), EINVAL (an
 * offset that is no multiple of 64 KiB; a size that is none, unless the range ends with `fd_in` and
 * not before the end of `fd_out`; a range beyond the end of `fd_in`; overlapping ranges of one
 * file; no regular file; a negative number, or an offset + size beyond 2^63 - 1). */
MYFS_API int myfs_clone_file_range(myfs_task* task, int fd_in, off_t offset_in, int fd_out,
                                   off_t offset_out, off_t size);
MYFS_API int myfs_clone_file_range_x(myfs_task* task, const myfs_call* call, int fd_in,
                                     off_t offset_in, int fd_out, off_t offset_out, off_t size);
/* The whole file: myfs_clone_file_range of both beginnings with size 0 [FICLONE]. What `fd_out` has
 * beyond the size of `fd_in` stays. Errors: [change]; EBADF, EISDIR, EXDEV as there, EINVAL (the
 * size of `fd_in` is no multiple of 64 KiB and `fd_out` is larger; one and the same file; no
 * regular file). */
MYFS_API int myfs_clone_file(myfs_task* task, int fd_in, int fd_out);
MYFS_API int myfs_clone_file_x(myfs_task* task, const myfs_call* call, int fd_in, int fd_out);

/* Where a file has content; what no extent covers reads as zeros. */
typedef struct myfs_extent {
  uint64_t offset; /* bytes, of the file */
  uint64_t size;   /* bytes */
  unsigned flags;  /* MYFS_EXTENT_* */
} myfs_extent;
#define MYFS_EXTENT_LAST 0x1u      /* nothing behind it within the range */
#define MYFS_EXTENT_SHARED 0x2000u /* it, or what lies close to it at the server, is shared */
/* The extents of [offset, offset + size) in ascending order, after what is cached has been written
 * [FS_IOC_FIEMAP with FIEMAP_FLAG_SYNC]. At most `count`, and no more than the server gives at once
 * (4096): ask again behind the last one unless it is marked MYFS_EXTENT_LAST. Returns their number,
 * 0: there is no content. Errors: EINVAL (no buffer, negative offset, size < 1), EOPNOTSUPP (no
 * regular file), EBADF. */
MYFS_API ssize_t myfs_fiemap(myfs_task* task, int fd, off_t offset, off_t size,
                             myfs_extent* extents, size_t count);
MYFS_API ssize_t myfs_fiemap_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                               off_t size, myfs_extent* extents, size_t count);

/* fsync of everything in the file system of the descriptor. Errors: EBADF. */
MYFS_API int myfs_syncfs(myfs_task* task, int fd);
MYFS_API int myfs_syncfs_x(myfs_task* task, const myfs_call* call, int fd);
/* Sends what is dirty in `length` bytes (0: to the end) to the server, without making it durable.
 * flags: SYNC_FILE_RANGE_WAIT_BEFORE (1), _WRITE (2: starts), _WAIT_AFTER (4). Who waits is told
 * what myfs_fsync tells, once per open file. Errors: EINVAL (unknown flag; negative or too large
 * range). */
MYFS_API int myfs_sync_file_range(myfs_task* task, int fd, off_t offset, off_t length,
                                  unsigned flags);
MYFS_API int myfs_sync_file_range_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                                    off_t length, unsigned flags);

/* mode: 0, or FALLOC_FL_KEEP_SIZE (1), FALLOC_FL_PUNCH_HOLE (2) with KEEP_SIZE,
 * FALLOC_FL_ZERO_RANGE (16). 0 and ZERO_RANGE let the file grow to offset + length. No space is set
 * aside: a later write may fail with ENOSPC. Errors: [change]; EBADF (not open for writing), EINVAL
 * (offset < 0, length <= 0), EOPNOTSUPP (another mode: COLLAPSE_RANGE, INSERT_RANGE), EFBIG. */
MYFS_API int myfs_fallocate(myfs_task* task, int fd, int mode, off_t offset, off_t length);
MYFS_API int myfs_fallocate_x(myfs_task* task, const myfs_call* call, int fd, int mode,
                              off_t offset, off_t length);

/* What the caller is going to do with `length` bytes (0: to the end). advice: POSIX_FADV_NORMAL
 * (0), RANDOM (1: reads bring what was asked for and no more), SEQUENTIAL (2: twice as much is read
 * ahead), WILLNEED (3: is read in the background, as far as memory goes), DONTNEED (4: is written
 * out and leaves the cache), NOREUSE (5: what a read waits for leaves the cache first). The first
 * three and NOREUSE are the open file's, wherever it is read. Errors: EBADF, EINVAL. */
MYFS_API int myfs_posix_fadvise(myfs_task* task, int fd, off_t offset, off_t length, int advice);
MYFS_API int myfs_posix_fadvise_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                                  off_t length, int advice);

/* ---- Descriptors ---- */

/* Another descriptor of the same open file. myfs_dup2 closes `to` first if it is open (0..65535).
 * Errors: EBADF, EMFILE. */
MYFS_API int myfs_dup(myfs_task* task, int fd);
MYFS_API int myfs_dup2(myfs_task* task, int fd, int to);
/* As myfs_dup2; flags: 0 or O_CLOEXEC. Errors: EBADF, EINVAL (another flag, fd == to). */
MYFS_API int myfs_dup3(myfs_task* task, int fd, int to, int flags);
/* cmd: F_DUPFD, F_DUPFD_CLOEXEC (the lowest free descriptor from `arg` on); F_GETFD, F_SETFD
 * (FD_CLOEXEC); F_GETFL, F_SETFL (O_APPEND, O_NONBLOCK, O_NOATIME, O_DIRECT); the commands of
 * myfs_lock, `arg` being the address of a struct flock. The close-on-exec
 * mark is kept for whoever starts programs; this library starts none. Errors: EBADF, EINVAL
 * (another cmd, arg outside of 0..65535), EMFILE, EPERM (O_NOATIME on what belongs to another). */
MYFS_API int myfs_fcntl(myfs_task* task, int fd, int cmd, int64_t arg);
/* Closes the open ones of first..last, or with CLOSE_RANGE_CLOEXEC (4) marks them;
 * CLOSE_RANGE_UNSHARE (2) has no effect. Returns the first failure of a close, as
 * myfs_close does; all are closed in any case. Errors: EINVAL (first > last, unknown flag). */
MYFS_API int myfs_close_range(myfs_task* task, unsigned first, unsigned last, unsigned flags);
MYFS_API int myfs_close_range_x(myfs_task* task, const myfs_call* call, unsigned first,
                                unsigned last, unsigned flags);
/* Files and directories are ready always: returns at once how many of `fds` have something in
 * `revents` (POLLNVAL: no descriptor of the task, or O_PATH). If none has, as where nothing is
 * asked for, it waits for timeout_ms (-1: for ever). Errors: EINVAL (more than 65536). */
MYFS_API int myfs_poll(myfs_task* task, struct pollfd* fds, nfds_t count, int timeout_ms);
MYFS_API int myfs_poll_x(myfs_task* task, const myfs_call* call, struct pollfd* fds, nfds_t count,
                         int timeout_ms);

/* With flags of myfs_splice: from the kernel's descriptor into the file. */
#define MYFS_SPLICE_IN 0x100u
/* Moves up to `size` bytes (one call at most 0x7ffff000) between the file `fd` of the task and a
 * descriptor `kernel_fd` of the process: file, pipe, socket, terminal. Out of the file unless flags
 * has MYFS_SPLICE_IN. An offset that is NULL means the position; either moves on by what was moved;
 * a pipe and its like have none. Other flags, of splice(2): SPLICE_F_NONBLOCK (2: as if kernel_fd
 * had O_NONBLOCK), SPLICE_F_MORE (4: of sockets), SPLICE_F_MOVE (1) and SPLICE_F_GIFT (8) have no
 * effect.
 *
 * Returns the bytes moved, 0 at the end. They are fewer at the end of what is read, and when
 * something failed after some. Out, into a pipe or socket: when it would block and may not; it
 * waits otherwise. In, from a pipe or socket: as read(2), what is there, at most 256 KiB; what was
 * taken from it and could not be written is lost, and the call fails. SIGPIPE is not raised.
 * Errors: EBADF (`fd` or `kernel_fd` is none, or not open for that), EINVAL (no regular file of the
 * task, a directory, a flag, a negative offset, or O_APPEND of the one that is written to, unless
 * it is a pipe), ESPIPE (kernel_offset of a pipe or socket), EAGAIN (it would block), EPIPE (nobody
 * reads it any more); those of myfs_read, myfs_write and of read(2) and write(2). */
MYFS_API ssize_t myfs_splice(myfs_task* task, int fd, off_t* offset, int kernel_fd,
                             off_t* kernel_offset, size_t size, unsigned flags);
MYFS_API ssize_t myfs_splice_x(myfs_task* task, const myfs_call* call, int fd, off_t* offset,
                               int kernel_fd, off_t* kernel_offset, size_t size, unsigned flags);

/* ---- Mappings ---- */

/* Maps `length` bytes of a file from `offset` on (a multiple of the page size, 4096) and stores
 * where. prot: PROT_READ, PROT_WRITE, PROT_EXEC, PROT_NONE; flags: MAP_SHARED or MAP_PRIVATE (or
 * MAP_SHARED_VALIDATE), with MAP_FIXED (which replaces what is there in one step, and writes what
 * was stored in a mapping of this task afterwards, with the errors of myfs_munmap: then nothing is
 * mapped there), MAP_FIXED_NOREPLACE, MAP_NORESERVE; MAP_POPULATE and the like have no effect.
 * `hint`: where it is wanted, or NULL. The mapping holds the open file, whose descriptor may be
 * closed, and the mount; it is to be taken away by myfs_munmap, or myfs_task_destroy, and by
 * nothing else. A child of fork has the memory, not the calls.
 *
 * What is mapped is a copy of the file's bytes, made at once, in memory that all mappings of the
 * file in this task's client share. Within the client mappings and calls see one another as on
 * Linux. Other clients see what was stored after myfs_msync, myfs_munmap, myfs_fsync,
 * myfs_fdatasync or myfs_sync; the mapping sees what they have written when it is made, and after
 * myfs_msync with MS_INVALIDATE. Stores travel in words of 8 aligned bytes: clients that store
 * into one file at a time keep to different words. Behind the last page of the file: SIGBUS; beside
 * its end: zeros, and what is stored there is dropped. Shared memory that was mapped without
 * PROT_WRITE cannot be made writable by mprotect(2) later (EACCES).
 *
 * Errors: EBADF (also O_PATH), EACCES (not open for reading; MAP_SHARED with PROT_WRITE, not open
 * for writing), EINVAL (length 0, offset negative or no multiple of the page size, flags, prot),
 * EOPNOTSUPP (MAP_SHARED_VALIDATE and an unknown flag), ENODEV (no regular file), EOVERFLOW (beyond
 * 2^54), ENOMEM (no addresses, or the file's part of the range is more than three quarters of
 * cache_size can take; a mapping for storing counts twice), EEXIST (MAP_FIXED_NOREPLACE: something
 * is there), EMFILE (the process has no file descriptor left: each mapped file takes up to 3). */
MYFS_API int myfs_mmap(myfs_task* task, void* hint, size_t length, int prot, int flags, int fd,
                       off_t offset, void** address);
MYFS_API int myfs_mmap_x(myfs_task* task, const myfs_call* call, void* hint, size_t length,
                         int prot, int flags, int fd, off_t offset, void** address);
/* Writes what was stored in whole pages of shared mappings. flags: MS_ASYNC (1), or 0: as
 * myfs_write does, into the cache; MS_SYNC (4): and makes it durable, as myfs_fdatasync; with
 * MS_INVALIDATE (2) the pages show what the file holds now, whoever wrote it. What cannot be
 * written stays to be written. Errors: EINVAL (address not aligned, unknown flag, MS_ASYNC with
 * MS_SYNC), ENOMEM (not all of it is mapped by this task; what is, was done), EIO, and
 * those of myfs_write. */
MYFS_API int myfs_msync(myfs_task* task, void* address, size_t length, int flags);
MYFS_API int myfs_msync_x(myfs_task* task, const myfs_call* call, void* address, size_t length,
                          int flags);
/* Takes the pages away, or those of them that are mapped, then writes what was stored in them and
 * makes it durable, as myfs_close does. They are gone in every case but EINVAL and ENOMEM. Errors:
 * EINVAL (address not aligned, length 0), ENOMEM (a part of a mapping is to go, and the process has
 * as many mappings as it may), EIO, and those of myfs_close. */
MYFS_API int myfs_munmap(myfs_task* task, void* address, size_t length);
MYFS_API int myfs_munmap_x(myfs_task* task, const myfs_call* call, void* address, size_t length);

/* ---- Locks ---- */

/* Advisory locks, known to all clients of the server. A wait ends with the lock, the call's
 * deadline (ETIMEDOUT) or its cancel token (ECANCELED), never with a signal; who is told that he
 * has waited in vain gets nothing afterwards. Locks go with the session: then read, write and new
 * locks through what held them fail with EIO until it is unlocked or closed (docs/posix.md,
 * "Locks"). */

/* operation: LOCK_SH, LOCK_EX or LOCK_UN of <sys/file.h>, with LOCK_NB not to wait. The lock
 * belongs to the open file, which dup shares, and goes with its last close. One of another type is
 * given up first, also if the new one is not to be had. Errors: EAGAIN (LOCK_NB, and another open
 * file has it), EBADF, EINVAL (operation), ENOLCK. */
MYFS_API int myfs_flock(myfs_task* task, int fd, int operation);
MYFS_API int myfs_flock_x(myfs_task* task, const myfs_call* call, int fd, int operation);

/* fcntl(2) with cmd F_GETLK, F_SETLK, F_SETLKW, whose locks belong to the task and go when it
 * closes any descriptor of the file; or F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, whose locks belong
 * to the open file and want l_pid 0. `lock`: l_type F_RDLCK, F_WRLCK, F_UNLCK; l_whence SEEK_SET,
 * SEEK_CUR, SEEK_END; l_len 0: to the end, however far it moves, < 0: what lies before. F_GETLK
 * stores the first lock in the way, l_pid being that of its process, on whatever machine, or -1 of
 * an open file's, else F_UNLCK in l_type. Errors: EAGAIN (F_SETLK: another owner has it), EDEADLK
 * (F_SETLKW: its owner waits for a lock of this task), EBADF (F_RDLCK not open for reading, F_WRLCK
 * for writing), EINVAL (cmd, l_type, l_whence, l_pid, or a range that begins before the file),
 * EOVERFLOW (a range that ends behind 2^63 - 1), ENOLCK (65536 locks of a mount), EIO. */
MYFS_API int myfs_lock(myfs_task* task, int fd, int cmd, struct flock* lock);
MYFS_API int myfs_lock_x(myfs_task* task, const myfs_call* call, int fd, int cmd,
                         struct flock* lock);

/* lockf(3): F_LOCK, F_TLOCK, F_ULOCK, F_TEST of <unistd.h> on `size` bytes from the position on (0:
 * to the end, < 0: before it), as F_WRLCK of myfs_lock. Errors: EAGAIN (F_TLOCK), EACCES (F_TEST:
 * another owner has it alone), EDEADLK, EBADF (not open for writing), EINVAL, EOVERFLOW, ENOLCK. */
MYFS_API int myfs_lockf(myfs_task* task, int fd, int cmd, off_t size);
MYFS_API int myfs_lockf_x(myfs_task* task, const myfs_call* call, int fd, int cmd, off_t size);

/* ---- Attributes ---- */

MYFS_API int myfs_stat(myfs_task* task, const char* path, struct stat* out);
MYFS_API int myfs_stat_x(myfs_task* task, const myfs_call* call, const char* path,
                         struct stat* out);
/* As myfs_stat; a symbolic link at the end is not followed. */
MYFS_API int myfs_lstat(myfs_task* task, const char* path, struct stat* out);
MYFS_API int myfs_lstat_x(myfs_task* task, const myfs_call* call, const char* path,
                          struct stat* out);
MYFS_API int myfs_fstat(myfs_task* task, int fd, struct stat* out);
MYFS_API int myfs_fstat_x(myfs_task* task, const myfs_call* call, int fd, struct stat* out);
/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_STATX_SYNC_AS_STAT,
 * AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC. The path begins at the working directory; myfs_statxat
 * has a dirfd. mask:
 * STATX_*; what is known without asking is given beyond it. `out` is a struct statx of
 * <linux/stat.h> or <sys/stat.h>. Errors: EINVAL (unknown flag or mask bit). */
struct statx;
MYFS_API int myfs_statx(myfs_task* task, const char* path, int flags, unsigned mask,
                        struct statx* out);
MYFS_API int myfs_statx_x(myfs_task* task, const myfs_call* call, const char* path, int flags,
                          unsigned mask, struct statx* out);

/* Mode bits 07777. setgid is cleared as chmod(2) says. Errors: [change]. */
MYFS_API int myfs_chmod(myfs_task* task, const char* path, mode_t mode);
MYFS_API int myfs_chmod_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode);
MYFS_API int myfs_fchmod(myfs_task* task, int fd, mode_t mode);
MYFS_API int myfs_fchmod_x(myfs_task* task, const myfs_call* call, int fd, mode_t mode);
/* (uid_t)-1, (gid_t)-1: unchanged. Errors: [change]. */
MYFS_API int myfs_chown(myfs_task* task, const char* path, uid_t uid, gid_t gid);
MYFS_API int myfs_chown_x(myfs_task* task, const myfs_call* call, const char* path, uid_t uid,
                          gid_t gid);
MYFS_API int myfs_lchown(myfs_task* task, const char* path, uid_t uid, gid_t gid);
MYFS_API int myfs_lchown_x(myfs_task* task, const myfs_call* call, const char* path, uid_t uid,
                           gid_t gid);
MYFS_API int myfs_fchown(myfs_task* task, int fd, uid_t uid, gid_t gid);
MYFS_API int myfs_fchown_x(myfs_task* task, const myfs_call* call, int fd, uid_t uid, gid_t gid);
/* times[0] access, times[1] modification; UTIME_NOW, UTIME_OMIT; NULL: now. flags: 0,
 * AT_SYMLINK_NOFOLLOW. Errors: [change]; EINVAL. */
MYFS_API int myfs_utimens(myfs_task* task, const char* path, const struct timespec times[2],
                          int flags);
MYFS_API int myfs_utimens_x(myfs_task* task, const myfs_call* call, const char* path,
                            const struct timespec times[2], int flags);
MYFS_API int myfs_futimens(myfs_task* task, int fd, const struct timespec times[2]);
MYFS_API int myfs_futimens_x(myfs_task* task, const myfs_call* call, int fd,
                             const struct timespec times[2]);
/* mode: F_OK or R_OK | W_OK | X_OK, for the call's credentials. Errors: EACCES, EROFS, EINVAL. */
MYFS_API int myfs_access(myfs_task* task, const char* path, int mode);
MYFS_API int myfs_access_x(myfs_task* task, const myfs_call* call, const char* path, int mode);
MYFS_API int myfs_statfs(myfs_task* task, const char* path, struct statfs* out);
MYFS_API int myfs_statfs_x(myfs_task* task, const myfs_call* call, const char* path,
                           struct statfs* out);
MYFS_API int myfs_fstatfs(myfs_task* task, int fd, struct statfs* out);
MYFS_API int myfs_fstatfs_x(myfs_task* task, const myfs_call* call, int fd, struct statfs* out);
/* The same in the words of POSIX. */
MYFS_API int myfs_statvfs(myfs_task* task, const char* path, struct statvfs* out);
MYFS_API int myfs_statvfs_x(myfs_task* task, const myfs_call* call, const char* path,
                            struct statvfs* out);
MYFS_API int myfs_fstatvfs(myfs_task* task, int fd, struct statvfs* out);
MYFS_API int myfs_fstatvfs_x(myfs_task* task, const myfs_call* call, int fd, struct statvfs* out);

/* ---- Names ---- */

/* Errors: [change]; EEXIST. */
MYFS_API int myfs_mkdir(myfs_task* task, const char* path, mode_t mode);
MYFS_API int myfs_mkdir_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode);
/* Errors: [change]; ENOTEMPTY, EBUSY (root or mount point), EINVAL ("." last). */
MYFS_API int myfs_rmdir(myfs_task* task, const char* path);
MYFS_API int myfs_rmdir_x(myfs_task* task, const myfs_call* call, const char* path);
/* An open file lives until its last close. Errors: [change]; EISDIR. */
MYFS_API int myfs_unlink(myfs_task* task, const char* path);
MYFS_API int myfs_unlink_x(myfs_task* task, const myfs_call* call, const char* path);
/* Atomic, also over directories. Errors: [change]; EEXIST, ENOTEMPTY, EISDIR, EINVAL (into an own
 * descendant), EXDEV, EBUSY. */
MYFS_API int myfs_rename(myfs_task* task, const char* from, const char* to);
MYFS_API int myfs_rename_x(myfs_task* task, const myfs_call* call, const char* from,
                           const char* to);
/* flags: RENAME_NOREPLACE (1), RENAME_EXCHANGE (2). Errors: as myfs_rename; EINVAL (both, or an
 * unknown flag). */
MYFS_API int myfs_rename2(myfs_task* task, const char* from, const char* to, unsigned flags);
MYFS_API int myfs_rename2_x(myfs_task* task, const myfs_call* call, const char* from,
                            const char* to, unsigned flags);
/* A symbolic link as `from` is not followed. Errors: [change]; EEXIST, EMLINK (65000), EXDEV, EPERM
 * (directory). */
MYFS_API int myfs_link(myfs_task* task, const char* from, const char* to);
MYFS_API int myfs_link_x(myfs_task* task, const myfs_call* call, const char* from, const char* to);
/* Target 1..4095 bytes. Errors: [change]; EEXIST, ENOENT (empty target). */
MYFS_API int myfs_symlink(myfs_task* task, const char* target, const char* path);
MYFS_API int myfs_symlink_x(myfs_task* task, const myfs_call* call, const char* target,
                            const char* path);
/* Stores at most `size` bytes without NUL and returns their number. Errors: EINVAL (no symbolic
 * link, size 0). */
MYFS_API ssize_t myfs_readlink(myfs_task* task, const char* path, char* buffer, size_t size);
MYFS_API ssize_t myfs_readlink_x(myfs_task* task, const myfs_call* call, const char* path,
                                 char* buffer, size_t size);
/* mode with S_IFREG (or 0), S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK (devices: root only). Errors:
 * [change]; EEXIST, EINVAL, EPERM. */
MYFS_API int myfs_mknod(myfs_task* task, const char* path, mode_t mode, dev_t dev);
MYFS_API int myfs_mknod_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode,
                          dev_t dev);

/* Sets the umask (bits 0777) and returns the old one. */
MYFS_API mode_t myfs_umask(myfs_task* task, mode_t mask);
MYFS_API int myfs_chdir(myfs_task* task, const char* path);
MYFS_API int myfs_chdir_x(myfs_task* task, const myfs_call* call, const char* path);
/* Errors: ENOTDIR, EACCES. */
MYFS_API int myfs_fchdir(myfs_task* task, int fd);
/* Stores the absolute path with NUL and returns its length with NUL. Errors: ERANGE (buffer too
 * small), ENAMETOOLONG (it is 4096 bytes or longer), ENOENT (it was removed), EINVAL. */
MYFS_API ssize_t myfs_getcwd(myfs_task* task, char* buffer, size_t size);
/* The same of any path: absolute, without symbolic links, "." and "..". What it names must exist.
 * Errors: ERANGE, ENAMETOOLONG, EINVAL. */
MYFS_API ssize_t myfs_realpath(myfs_task* task, const char* path, char* buffer, size_t size);
MYFS_API ssize_t myfs_realpath_x(myfs_task* task, const myfs_call* call, const char* path,
                                 char* buffer, size_t size);
/* The directory is the task's root from now on; the working directory stays where it is. For uid 0.
 * Errors: EPERM, ENOTDIR, EACCES. */
MYFS_API int myfs_chroot(myfs_task* task, const char* path);
MYFS_API int myfs_chroot_x(myfs_task* task, const myfs_call* call, const char* path);

/* ---- Relative to a directory ----
 *
 * As the calls above, but a relative path begins at the directory `dirfd`, a descriptor of any
 * kind, O_PATH included; AT_FDCWD: at the working directory. Whether it may be searched is asked at
 * each call. Absolute paths ignore it. AT_EMPTY_PATH: the path "" is what `dirfd` itself names, be
 * it no directory. All of them fail as the call without "at" does, and with EBADF (dirfd) and
 * ENOTDIR (dirfd is no directory and the path is relative). */

/* How myfs_openat2 opens. */
typedef struct myfs_open_how {
  size_t size;      /* sizeof(myfs_open_how); larger: what follows must be 0 */
  uint64_t flags;   /* as of myfs_open; unknown ones are refused */
  uint64_t mode;    /* 0..07777; 0 without O_CREAT and O_TMPFILE */
  uint64_t resolve; /* of <linux/openat2.h>: RESOLVE_NO_XDEV (1), RESOLVE_NO_MAGICLINKS (2: there
                       are none), RESOLVE_NO_SYMLINKS (4), RESOLVE_BENEATH (8), RESOLVE_IN_ROOT
                       (16), RESOLVE_CACHED (32) */
} myfs_open_how;

MYFS_API int myfs_openat(myfs_task* task, int dirfd, const char* path, int flags, mode_t mode);
MYFS_API int myfs_openat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                           int flags, mode_t mode);
/* Errors: as myfs_open; EINVAL (unknown flag or resolve bit, a mode without need, size too small,
 * RESOLVE_BENEATH with RESOLVE_IN_ROOT), E2BIG (something follows that is not known), EXDEV (leaves
 * the mount, or the directory), ELOOP (RESOLVE_NO_SYMLINKS). */
/* As openat2(2). Errors: EINVAL, EAGAIN (RESOLVE_CACHED: the cache does not know all of the path,
 * or the file is to be made or cut). */
MYFS_API int myfs_openat2(myfs_task* task, int dirfd, const char* path, const myfs_open_how* how);
MYFS_API int myfs_openat2_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                            const myfs_open_how* how);
MYFS_API int myfs_mkdirat(myfs_task* task, int dirfd, const char* path, mode_t mode);
MYFS_API int myfs_mkdirat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                            mode_t mode);
MYFS_API int myfs_mknodat(myfs_task* task, int dirfd, const char* path, mode_t mode, dev_t dev);
MYFS_API int myfs_mknodat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                            mode_t mode, dev_t dev);
/* flags: 0, AT_REMOVEDIR (as myfs_rmdir). Errors: EINVAL (unknown flag), EISDIR, ENOTDIR,
 * ENOTEMPTY. */
MYFS_API int myfs_unlinkat(myfs_task* task, int dirfd, const char* path, int flags);
MYFS_API int myfs_unlinkat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                             int flags);
/* flags: as myfs_rename2. Errors: EINVAL, EEXIST (RENAME_NOREPLACE). */
MYFS_API int myfs_renameat2(myfs_task* task, int from_dirfd, const char* from, int to_dirfd,
                            const char* to, unsigned flags);
MYFS_API int myfs_renameat2_x(myfs_task* task, const myfs_call* call, int from_dirfd,
                              const char* from, int to_dirfd, const char* to, unsigned flags);
/* flags: AT_SYMLINK_FOLLOW (of `from`), AT_EMPTY_PATH: "" is the open file from_dirfd, for its
 * opener's credentials and for uid 0. Errors: EINVAL, EEXIST, ENOENT (somebody else's descriptor; a
 * file that has lost its last name, or was opened with O_TMPFILE | O_EXCL), EXDEV. */
MYFS_API int myfs_linkat(myfs_task* task, int from_dirfd, const char* from, int to_dirfd,
                         const char* to, int flags);
MYFS_API int myfs_linkat_x(myfs_task* task, const myfs_call* call, int from_dirfd, const char* from,
                           int to_dirfd, const char* to, int flags);
MYFS_API int myfs_symlinkat(myfs_task* task, const char* target, int dirfd, const char* path);
MYFS_API int myfs_symlinkat_x(myfs_task* task, const myfs_call* call, const char* target, int dirfd,
                              const char* path);
/* path "": of the symbolic link that was opened with O_PATH | O_NOFOLLOW. Errors: EINVAL, ENOENT
 * ("" and no symbolic link). */
MYFS_API ssize_t myfs_readlinkat(myfs_task* task, int dirfd, const char* path, char* buffer,
                                 size_t size);
MYFS_API ssize_t myfs_readlinkat_x(myfs_task* task, const myfs_call* call, int dirfd,
                                   const char* path, char* buffer, size_t size);
/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. Errors: EINVAL (unknown flag), EOPNOTSUPP (a symbolic
 * link itself). */
MYFS_API int myfs_fchmodat(myfs_task* task, int dirfd, const char* path, mode_t mode, int flags);
MYFS_API int myfs_fchmodat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                             mode_t mode, int flags);
/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. Errors: EINVAL (unknown flag). */
MYFS_API int myfs_fchownat(myfs_task* task, int dirfd, const char* path, uid_t uid, gid_t gid,
                           int flags);
MYFS_API int myfs_fchownat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                             uid_t uid, gid_t gid, int flags);
/* times: as myfs_utimens; both UTIME_OMIT: 0, whatever the path. flags: AT_SYMLINK_NOFOLLOW,
 * AT_EMPTY_PATH. Errors: EINVAL. */
MYFS_API int myfs_utimensat(myfs_task* task, int dirfd, const char* path,
                            const struct timespec times[2], int flags);
MYFS_API int myfs_utimensat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                              const struct timespec times[2], int flags);
/* flags: AT_EACCESS (no effect: a call has one set of ids), AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
 * Errors: EINVAL, EACCES. */
MYFS_API int myfs_faccessat(myfs_task* task, int dirfd, const char* path, int mode, int flags);
MYFS_API int myfs_faccessat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                              int mode, int flags);
/* flags: as myfs_statx, both AT_STATX_ ones together, too. Errors: EINVAL (unknown flag). */
MYFS_API int myfs_fstatat(myfs_task* task, int dirfd, const char* path, struct stat* out,
                          int flags);
MYFS_API int myfs_fstatat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                            struct stat* out, int flags);
/* myfs_statx with a dirfd. Errors: EINVAL. */
MYFS_API int myfs_statxat(myfs_task* task, int dirfd, const char* path, int flags, unsigned mask,
                          struct statx* out);
MYFS_API int myfs_statxat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                            int flags, unsigned mask, struct statx* out);

/* ---- Extended attributes ---- */

/* Names begin with user., trusted. (root only) or security.; values up to 64 KiB. size 0: returns
 * the length needed. Errors: ENODATA, ERANGE, EOPNOTSUPP (other name spaces). nofollow: 0 or 1.
 *
 * "system.posix_acl_access" and "system.posix_acl_default" are access control lists, in the
 * kernel's format: 2 as a 32 bit number, then for each entry tag and permissions (16 bits each) and
 * id (32 bits), little-endian. They are evaluated, inherited and kept in step with the mode as the
 * kernel does it on ext4; at most 1024 entries. Symbolic links have none: EOPNOTSUPP. */
MYFS_API ssize_t myfs_getxattr(myfs_task* task, const char* path, const char* name, void* value,
                               size_t size, int nofollow);
MYFS_API ssize_t myfs_getxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                 const char* name, void* value, size_t size, int nofollow);
/* flags: 0, XATTR_CREATE (1), XATTR_REPLACE (2). user. on other than files and directories: EPERM,
 * as everywhere on Linux. An access control list, for which the flags mean nothing, sets the mode's
 * permission bits, and is not kept if it says no more than these; an empty one removes. It is the
 * owner's to set (EPERM); EINVAL: the entries are incomplete or not in order; EOPNOTSUPP: another
 * version than 2; ENOSPC: too many of them. Errors: [change]; EEXIST, ENODATA, E2BIG, EOPNOTSUPP,
 * EINVAL, EACCES (a default list of what is no directory). */
MYFS_API int myfs_setxattr(myfs_task* task, const char* path, const char* name, const void* value,
                           size_t size, int flags, int nofollow);
MYFS_API int myfs_setxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                             const char* name, const void* value, size_t size, int flags,
                             int nofollow);
/* Names, each with its NUL, one after the other. Errors: ERANGE. */
MYFS_API ssize_t myfs_listxattr(myfs_task* task, const char* path, char* list, size_t size,
                                int nofollow);
MYFS_API ssize_t myfs_listxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                  char* list, size_t size, int nofollow);
/* Errors: [change]; ENODATA, EOPNOTSUPP. */
MYFS_API int myfs_removexattr(myfs_task* task, const char* path, const char* name, int nofollow);
MYFS_API int myfs_removexattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                const char* name, int nofollow);

/* The l-forms are those above with nofollow 1, under their usual names. */
MYFS_API ssize_t myfs_lgetxattr(myfs_task* task, const char* path, const char* name, void* value,
                                size_t size);
MYFS_API ssize_t myfs_lgetxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                  const char* name, void* value, size_t size);
MYFS_API int myfs_lsetxattr(myfs_task* task, const char* path, const char* name, const void* value,
                            size_t size, int flags);
MYFS_API int myfs_lsetxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                              const char* name, const void* value, size_t size, int flags);
MYFS_API ssize_t myfs_llistxattr(myfs_task* task, const char* path, char* list, size_t size);
MYFS_API ssize_t myfs_llistxattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                   char* list, size_t size);
MYFS_API int myfs_lremovexattr(myfs_task* task, const char* path, const char* name);
MYFS_API int myfs_lremovexattr_x(myfs_task* task, const myfs_call* call, const char* path,
                                 const char* name);
/* Of an open file, however it was opened, but for O_PATH. Errors: EBADF, ERANGE, ENODATA. */
MYFS_API ssize_t myfs_fgetxattr(myfs_task* task, int fd, const char* name, void* value,
                                size_t size);
MYFS_API ssize_t myfs_fgetxattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name,
                                  void* value, size_t size);
/* Errors: EBADF, EEXIST, ENODATA, EINVAL. */
MYFS_API int myfs_fsetxattr(myfs_task* task, int fd, const char* name, const void* value,
                            size_t size, int flags);
MYFS_API int myfs_fsetxattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name,
                              const void* value, size_t size, int flags);
/* Errors: EBADF, ERANGE. */
MYFS_API ssize_t myfs_flistxattr(myfs_task* task, int fd, char* list, size_t size);
MYFS_API ssize_t myfs_flistxattr_x(myfs_task* task, const myfs_call* call, int fd, char* list,
                                   size_t size);
/* Errors: EBADF, ENODATA. */
MYFS_API int myfs_fremovexattr(myfs_task* task, int fd, const char* name);
MYFS_API int myfs_fremovexattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name);

/* ---- Directories ---- */

typedef struct myfs_dirent {
  uint64_t ino;
  int64_t next; /* position after this entry, for myfs_seekdir; valid over restarts of the server */
  unsigned char type;   /* DT_* */
  uint16_t name_length; /* bytes, without NUL */
  char name[256];       /* with NUL */
} myfs_dirent;

/* Errors: EMFILE, ENOTDIR. */
MYFS_API int myfs_opendir(myfs_task* task, const char* path, myfs_dir** dir);
MYFS_API int myfs_opendir_x(myfs_task* task, const myfs_call* call, const char* path,
                            myfs_dir** dir);
/* From the directory `dirfd` on. Errors: EBADF, ENOTDIR. */
MYFS_API int myfs_opendirat(myfs_task* task, int dirfd, const char* path, myfs_dir** dir);
MYFS_API int myfs_opendirat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                              myfs_dir** dir);
/* Of a descriptor, from its position on. On success it belongs to `dir`. Errors: EBADF (also
 * O_PATH), ENOTDIR. */
MYFS_API int myfs_fdopendir(myfs_task* task, int fd, myfs_dir** dir);
/* Returns 1 and an entry ("." and ".." included), or 0 at the end. An entry that is present
 * throughout a scan is returned exactly once, whatever comes and goes meanwhile. Errors: ENOENT
 * (the directory was removed). */
MYFS_API int myfs_readdir(myfs_dir* dir, myfs_dirent* entry);
MYFS_API int myfs_readdir_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry);
/* As myfs_readdir, with the attributes of the entry (not followed); st_ino 0 in `attributes` where
 * they could not be had. */
MYFS_API int myfs_readdirplus(myfs_dir* dir, myfs_dirent* entry, struct stat* attributes);
MYFS_API int myfs_readdirplus_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry,
                                struct stat* attributes);
MYFS_API int64_t myfs_telldir(myfs_dir* dir);
/* position: of myfs_telldir or myfs_dirent.next, 0 = start. Errors: EINVAL. */
MYFS_API int myfs_seekdir(myfs_dir* dir, int64_t position);
/* The directory's descriptor; it belongs to `dir`. */
MYFS_API int myfs_dirfd(myfs_dir* dir);
MYFS_API int myfs_closedir(myfs_dir* dir);

/* Forgets what is cached of the directory, its names and its attributes, and reads it again. Nobody
 * needs it to see what others have done; it is for whoever doubts that, and to have a large
 * directory at hand. Errors: [path]; ENOTDIR, EACCES (it may not be read). */
MYFS_API int myfs_refresh(myfs_task* task, const char* path);
MYFS_API int myfs_refresh_x(myfs_task* task, const myfs_call* call, const char* path);

typedef struct myfs_dirstat {
  size_t size;      /* sizeof(myfs_dirstat), set by the caller */
  uint64_t entries; /* names, without "." and ".." */
  uint64_t subdirs; /* of them directories */
  uint64_t bytes;   /* sizes of the regular files, each once however many names it has */
} myfs_dirstat;

/* What is in the directory `path`; recursive 1: and in all below, counted by the server in one
 * call. What comes, goes or moves meanwhile may count or not; what is mounted below does not.
 * Errors: [path]; EINVAL, ENOTDIR, EACCES (a directory may not be read and searched). */
MYFS_API int myfs_dirstats(myfs_task* task, const char* path, int recursive, myfs_dirstat* out);
MYFS_API int myfs_dirstats_x(myfs_task* task, const myfs_call* call, const char* path,
                             int recursive, myfs_dirstat* out);

#ifdef __cplusplus
}
#endif

#endif /* MYFS_MYFS_H_ */
