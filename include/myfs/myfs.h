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
 * NULL means the task's credentials, no deadline, no cancel. mount, umount and what works on
 * descriptors and positions alone have none.
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
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>
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

/* Closes every descriptor, unmounts everything (each bounded by 30 s, then forced) and frees the
 * task. Returns 0, or the first failure of writing data back; the task is gone in either case.
 * NULL: 0. Errors: EIO. */
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
 *   - sec: peer, token; secret_file: PATH; server; port
 *
 * Errors: [path] of `at`; EINVAL (URL or option: the message names it and its range), ECONNREFUSED,
 * ETIMEDOUT, EACCES (authentication), EPROTO (no MyFS server), EPROTONOSUPPORT (one of another
 * version), ENOENT (SUBDIR, socket). A mount covers what is mounted there already. */
MYFS_API int myfs_mount(myfs_task* task, const char* url, const char* at,
                        const myfs_mount_options* options);

/* Detaches the mount at `at`. flags: 0, or MNT_FORCE | MNT_DETACH of <sys/mount.h> (1, 2).
 * Unwritten data is written first. Errors: [path]; EINVAL (no mount point, unknown flag), EBUSY
 * (open files, working directory or mounts below; not with force). */
MYFS_API int myfs_umount(myfs_task* task, const char* at, int flags);

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
  uint64_t dentries, inodes; /* cached now */
  uint32_t connections;      /* open now */
  uint32_t threads;          /* of this library in the process */
} myfs_stats;

/* Sums over the mounts of the task. Errors: EINVAL. */
MYFS_API int myfs_get_stats(myfs_task* task, myfs_stats* stats);
/* The same and more (per connection, per kind of RPC, the server's counters) as JSON; returns as
 * myfs_last_error_json. */
MYFS_API ssize_t myfs_stats_json(myfs_task* task, char* buffer, size_t size);
/* The counter of operations that the server of the mount at `path` has executed for all its
 * clients, renewals excepted. */
MYFS_API int myfs_server_operations(myfs_task* task, const char* path, uint64_t* operations);

/* Lines of the library's log: level 0 error, 1 warning (default bound), 2 info, 3 debug. NULL:
 * stderr. The function may be called on any thread and must not call this library. */
typedef void (*myfs_log_fn)(void* context, int level, const char* line);
MYFS_API void myfs_set_log(myfs_log_fn fn, void* context, int max_level);

/* ---- Files ---- */

/* Opens or creates. flags: O_RDONLY, O_WRONLY, O_RDWR with O_CREAT, O_EXCL, O_TRUNC, O_APPEND,
 * O_NOFOLLOW, O_DIRECTORY, O_SYNC, O_DSYNC, O_CLOEXEC (no effect), O_NONBLOCK, O_NOCTTY, O_NOATIME,
 * O_LARGEFILE. Returns the lowest free descriptor of the task. Errors: [change]; EEXIST, EISDIR,
 * EMFILE (65536 open), ENXIO (fifo, socket or device). */
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
 * Errors: EISDIR, EBADF (not open for reading), EINVAL (offset < 0, iov count outside 0..1024). */
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

/* Writes. With write_policy=async the data may stay in the client's cache under a lease until
 * fsync, close or recall. Errors: EBADF (not open for writing), EFBIG (beyond 2^54 - 1), EINVAL,
 * ENOSPC, EIO. That cached data could not be written, or was lost, is told by fsync, close and
 * sync; with O_SYNC or write_policy=sync by the write itself. */
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

/* Moves the offset: SEEK_SET, SEEK_CUR, SEEK_END. On a directory: a position of myfs_telldir or 0.
 * Errors: EINVAL. */
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
 * size beyond 2^63 - 1). */
MYFS_API ssize_t myfs_copy_file_range(myfs_task* task, int fd_in, off_t* offset_in, int fd_out,
                                      off_t* offset_out, size_t size, unsigned flags);
MYFS_API ssize_t myfs_copy_file_range_x(myfs_task* task, const myfs_call* call, int fd_in,
                                        off_t* offset_in, int fd_out, off_t* offset_out,
                                        size_t size, unsigned flags);

/* Where a file has content; what no extent covers reads as zeros. */
typedef struct myfs_extent {
  uint64_t offset; /* bytes, of the file */
  uint64_t size;   /* bytes */
  unsigned flags;  /* MYFS_EXTENT_* */
} myfs_extent;
#define MYFS_EXTENT_LAST 0x1u      /* nothing behind it within the range */
#define MYFS_EXTENT_SHARED 0x2000u /* other files share it */
/* The extents of [offset, offset + size) in ascending order, after what is cached has been written
 * [FS_IOC_FIEMAP with FIEMAP_FLAG_SYNC]. At most `count`, and no more than the server gives at once
 * (4096): ask again behind the last one unless it is marked MYFS_EXTENT_LAST. Returns their number,
 * 0: there is no content. Errors: EINVAL (no buffer, negative offset, size < 1), EOPNOTSUPP (no
 * regular file), EBADF. */
MYFS_API ssize_t myfs_fiemap(myfs_task* task, int fd, off_t offset, off_t size,
                             myfs_extent* extents, size_t count);
MYFS_API ssize_t myfs_fiemap_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                               off_t size, myfs_extent* extents, size_t count);

/* Another descriptor of the same open file. myfs_dup2 closes `to` first if it is open (0..65535).
 * Errors: EBADF, EMFILE. */
MYFS_API int myfs_dup(myfs_task* task, int fd);
MYFS_API int myfs_dup2(myfs_task* task, int fd, int to);

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
/* flags: AT_SYMLINK_NOFOLLOW, AT_STATX_SYNC_AS_STAT, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC. mask:
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

#ifdef __cplusplus
}
#endif

#endif /* MYFS_MYFS_H_ */
