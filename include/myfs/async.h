/* MyFS: asynchronous operations and batches. The C interface; <myfs/async.hpp> makes awaitables of
 * it.
 *
 * An operation is submitted to a *queue* of a task [io_uring]. It is tried at once, without
 * waiting: what the cache answers is over when the submission returns. Everything else goes on
 * behind it: reads of file content as requests in flight, which occupy no thread; all other
 * operations on a bounded pool of worker threads. Its end is told by a callback.
 *
 *   static void done(void* context, int64_t result) { ... }
 *
 *   myfs_async* queue;
 *   if (myfs_async_create(task, NULL, &queue) < 0) ...
 *   myfs_op op = {sizeof op, NULL, done, &request, NULL};
 *   if (myfs_async_pread(queue, &op, fd, buffer, size, offset) < 0) ...
 *   ...
 *   poll myfs_async_fd(queue) for POLLIN; then myfs_service(queue, 64);
 *
 * WHEN. Each operation that was accepted (0 was returned) is told exactly once, whatever happens:
 * end of file, error, deadline, cancel, unmount, end of the task or of the queue. `result` is what
 * the synchronous call of the same name returns: >= 0, or -errno; myfs_last_error() in the callback
 * describes a failure. Operations may end in any order; on one descriptor's position, too.
 *
 * WHERE. MYFS_ASYNC_SERVICE: callbacks run in myfs_service(), on the thread that calls it.
 * MYFS_ASYNC_THREAD: on one thread that the queue owns, one after the other. Nowhere else (but for
 * those that are left at myfs_async_destroy), and no lock of the library is held meanwhile: they
 * may call anything, submit operations, and wait; but not serve or destroy their own queue
 * (EDEADLK).
 *
 * HOW. myfs_op.call carries credentials, a deadline and a cancel token, as for the synchronous
 * calls. The deadline counts from the submission. Firing the token ends an operation that has not
 * been begun, or that waits, with ECANCELED; a change on its way may have happened all the same
 * (myfs_error.in_doubt).
 *
 * DESCRIPTORS, those of directories and of myfs_async_poll too, mean what they name when the
 * operation is submitted. It holds these files until it has been told: closing the descriptor, or
 * using its number for another file, does not concern it (a umount finds them in use). What is done
 * to the descriptor itself, close and F_SETFD, is EBADF if by then it names another file.
 *
 * THREADS. Any function may be called from any thread. The library runs one thread for all queues
 * of the process, at most `workers` for operations that wait, and the callback threads of queues
 * that ask for one. They end with the last queue, surplus workers with the queue that asked for
 * them.
 *
 * FORK. A child must not use queues that it inherited: every call returns -ESTALE, destroying them
 * is harmless, and what was under way is told in the parent.
 *
 * LIFETIME. Paths, names, myfs_open_how, vectors, times, credentials and options are copied.
 * Buffers, places for results and the cancel token stay with the caller until the operation has
 * been told.
 *
 * ERRORS. Every submission can return [submit]; everything else is the operation's own result.
 *
 *   [submit]  EINVAL (a null queue or op, no callback, a wrong size, a negative deadline), ESTALE
 *             (the task or the queue was destroyed, or used after fork), EAGAIN (262144 operations
 *             of the queue are under way or have not been told).
 */
#ifndef MYFS_ASYNC_H_
#define MYFS_ASYNC_H_

#include <myfs/myfs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Queues ---- */

typedef struct myfs_async myfs_async;

enum { MYFS_ASYNC_SERVICE = 0, MYFS_ASYNC_THREAD = 1 };

typedef struct myfs_async_options {
  size_t size;      /* sizeof(myfs_async_options) */
  int callbacks;    /* MYFS_ASYNC_SERVICE or MYFS_ASYNC_THREAD */
  unsigned workers; /* 1..64; 0: 16. Of the queues of a process the one that asks for most counts */
} myfs_async_options;

/* A queue for operations on `task`. options NULL: all zero. Errors: EINVAL, EMFILE. */
MYFS_API int myfs_async_create(myfs_task* task, const myfs_async_options* options,
                               myfs_async** queue);

/* Cancels what is under way, waits until it is over, runs the callbacks that are left (of a queue
 * that is served: on the calling thread) and frees the queue. The task may have been destroyed
 * before; myfs_task_destroy does the first two for each queue of its task. NULL: 0.
 * Errors: EDEADLK (from a callback of the queue: nothing was done). */
MYFS_API int myfs_async_destroy(myfs_async* queue);

/* The descriptor of a queue that is served, for poll(2), epoll and the like: readable as long as a
 * callback waits. It belongs to the queue; nothing but waiting is to be done with it. With EPOLLET,
 * call myfs_service until it returns 0. Errors: EINVAL (the callbacks have a thread). */
MYFS_API int myfs_async_fd(myfs_async* queue);

/* Runs the callbacks that wait, at most `max` (1..), and returns their number; waits for none.
 * Errors: EINVAL (max < 1), EDEADLK (from a callback of the queue). */
MYFS_API int myfs_service(myfs_async* queue, int max);

/* ---- Operations ---- */

/* Tells the end of one operation. */
typedef void (*myfs_done)(void* context, int64_t result);

typedef struct myfs_op {
  size_t size;           /* sizeof(myfs_op) */
  const myfs_call* call; /* NULL: the task's credentials, no deadline, no cancel */
  myfs_done done;        /* not NULL */
  void* context;         /* given to it */
  int64_t*
      at_once; /* not NULL: an operation that is over at once leaves its result here and returns
                  1, and is told no other way (myfs_last_error() of the calling thread) */
} myfs_op;

/* Each does what the function of <myfs/myfs.h> without `async` does and ends with its result.
 * Returns 0: accepted, `done` will be called once; 1: over, see myfs_op.at_once; or -errno
 * [submit]: not accepted, `done` is not called. */

MYFS_API int myfs_async_mount(myfs_async* queue, const myfs_op* op, const char* url, const char* at,
                              const myfs_mount_options* options);
MYFS_API int myfs_async_umount(myfs_async* queue, const myfs_op* op, const char* at, int flags);

/* Files. The reads at an offset occupy no thread while they wait. */
MYFS_API int myfs_async_open(myfs_async* queue, const myfs_op* op, const char* path, int flags,
                             mode_t mode);
MYFS_API int myfs_async_creat(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode);
MYFS_API int myfs_async_close(myfs_async* queue, const myfs_op* op, int fd);
MYFS_API int myfs_async_read(myfs_async* queue, const myfs_op* op, int fd, void* buffer,
                             size_t size);
MYFS_API int myfs_async_pread(myfs_async* queue, const myfs_op* op, int fd, void* buffer,
                              size_t size, off_t offset);
MYFS_API int myfs_async_readv(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                              int count);
MYFS_API int myfs_async_preadv(myfs_async* queue, const myfs_op* op, int fd,
                               const struct iovec* iov, int count, off_t offset);
MYFS_API int myfs_async_write(myfs_async* queue, const myfs_op* op, int fd, const void* buffer,
                              size_t size);
MYFS_API int myfs_async_pwrite(myfs_async* queue, const myfs_op* op, int fd, const void* buffer,
                               size_t size, off_t offset);
MYFS_API int myfs_async_writev(myfs_async* queue, const myfs_op* op, int fd,
                               const struct iovec* iov, int count);
MYFS_API int myfs_async_pwritev(myfs_async* queue, const myfs_op* op, int fd,
                                const struct iovec* iov, int count, off_t offset);
MYFS_API int myfs_async_copy_file_range(myfs_async* queue, const myfs_op* op, int fd_in,
                                        off_t* offset_in, int fd_out, off_t* offset_out,
                                        size_t size, unsigned flags);
MYFS_API int myfs_async_clone_file(myfs_async* queue, const myfs_op* op, int fd_in, int fd_out);
MYFS_API int myfs_async_clone_file_range(myfs_async* queue, const myfs_op* op, int fd_in,
                                         off_t offset_in, int fd_out, off_t offset_out, off_t size);
MYFS_API int myfs_async_fiemap(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                               off_t size, myfs_extent* extents, size_t count);
MYFS_API int myfs_async_lseek(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                              int whence);
MYFS_API int myfs_async_truncate(myfs_async* queue, const myfs_op* op, const char* path,
                                 off_t size);
MYFS_API int myfs_async_ftruncate(myfs_async* queue, const myfs_op* op, int fd, off_t size);
MYFS_API int myfs_async_fsync(myfs_async* queue, const myfs_op* op, int fd);
MYFS_API int myfs_async_fdatasync(myfs_async* queue, const myfs_op* op, int fd);
MYFS_API int myfs_async_sync(myfs_async* queue, const myfs_op* op);
MYFS_API int myfs_async_preadv2(myfs_async* queue, const myfs_op* op, int fd,
                                const struct iovec* iov, int count, off_t offset, int flags);
MYFS_API int myfs_async_pwritev2(myfs_async* queue, const myfs_op* op, int fd,
                                 const struct iovec* iov, int count, off_t offset, int flags);
MYFS_API int myfs_async_fallocate(myfs_async* queue, const myfs_op* op, int fd, int mode,
                                  off_t offset, off_t length);
MYFS_API int myfs_async_posix_fadvise(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                                      off_t length, int advice);
MYFS_API int myfs_async_sync_file_range(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                                        off_t length, unsigned flags);
MYFS_API int myfs_async_syncfs(myfs_async* queue, const myfs_op* op, int fd);
/* `address` stays with the caller. What is mapped for an operation that was cancelled too late is
 * there all the same: its result is 0. */
MYFS_API int myfs_async_mmap(myfs_async* queue, const myfs_op* op, void* hint, size_t length,
                             int prot, int flags, int fd, off_t offset, void** address);
MYFS_API int myfs_async_msync(myfs_async* queue, const myfs_op* op, void* address, size_t length,
                              int flags);
MYFS_API int myfs_async_munmap(myfs_async* queue, const myfs_op* op, void* address, size_t length);
MYFS_API int myfs_async_dup2(myfs_async* queue, const myfs_op* op, int fd, int to);
MYFS_API int myfs_async_dup3(myfs_async* queue, const myfs_op* op, int fd, int to, int flags);
MYFS_API int myfs_async_fcntl(myfs_async* queue, const myfs_op* op, int fd, int cmd, int64_t arg);
MYFS_API int myfs_async_close_range(myfs_async* queue, const myfs_op* op, unsigned first,
                                    unsigned last, unsigned flags);
MYFS_API int myfs_async_poll(myfs_async* queue, const myfs_op* op, struct pollfd* fds, nfds_t count,
                             int timeout_ms);

/* Locks. A wait for one occupies a worker until it is granted, or its deadline or cancel token
 * ends it: a queue whose operations wait for one another has more `workers` than waits. `lock`
 * stays with the caller. */
MYFS_API int myfs_async_flock(myfs_async* queue, const myfs_op* op, int fd, int operation);
MYFS_API int myfs_async_lock(myfs_async* queue, const myfs_op* op, int fd, int cmd,
                             struct flock* lock);
MYFS_API int myfs_async_lockf(myfs_async* queue, const myfs_op* op, int fd, int cmd, off_t size);

/* Attributes. */
MYFS_API int myfs_async_stat(myfs_async* queue, const myfs_op* op, const char* path,
                             struct stat* out);
MYFS_API int myfs_async_lstat(myfs_async* queue, const myfs_op* op, const char* path,
                              struct stat* out);
MYFS_API int myfs_async_fstat(myfs_async* queue, const myfs_op* op, int fd, struct stat* out);
MYFS_API int myfs_async_statx(myfs_async* queue, const myfs_op* op, const char* path, int flags,
                              unsigned mask, struct statx* out);
MYFS_API int myfs_async_chmod(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode);
MYFS_API int myfs_async_fchmod(myfs_async* queue, const myfs_op* op, int fd, mode_t mode);
MYFS_API int myfs_async_chown(myfs_async* queue, const myfs_op* op, const char* path, uid_t uid,
                              gid_t gid);
MYFS_API int myfs_async_lchown(myfs_async* queue, const myfs_op* op, const char* path, uid_t uid,
                               gid_t gid);
MYFS_API int myfs_async_fchown(myfs_async* queue, const myfs_op* op, int fd, uid_t uid, gid_t gid);
MYFS_API int myfs_async_utimens(myfs_async* queue, const myfs_op* op, const char* path,
                                const struct timespec times[2], int flags);
MYFS_API int myfs_async_futimens(myfs_async* queue, const myfs_op* op, int fd,
                                 const struct timespec times[2]);
MYFS_API int myfs_async_access(myfs_async* queue, const myfs_op* op, const char* path, int mode);
MYFS_API int myfs_async_statfs(myfs_async* queue, const myfs_op* op, const char* path,
                               struct statfs* out);
MYFS_API int myfs_async_fstatfs(myfs_async* queue, const myfs_op* op, int fd, struct statfs* out);
MYFS_API int myfs_async_statvfs(myfs_async* queue, const myfs_op* op, const char* path,
                                struct statvfs* out);
MYFS_API int myfs_async_fstatvfs(myfs_async* queue, const myfs_op* op, int fd, struct statvfs* out);
MYFS_API int myfs_async_server_operations(myfs_async* queue, const myfs_op* op, const char* path,
                                          uint64_t* operations);

/* Names. */
MYFS_API int myfs_async_mkdir(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode);
MYFS_API int myfs_async_rmdir(myfs_async* queue, const myfs_op* op, const char* path);
MYFS_API int myfs_async_unlink(myfs_async* queue, const myfs_op* op, const char* path);
MYFS_API int myfs_async_rename(myfs_async* queue, const myfs_op* op, const char* from,
                               const char* to);
MYFS_API int myfs_async_rename2(myfs_async* queue, const myfs_op* op, const char* from,
                                const char* to, unsigned flags);
MYFS_API int myfs_async_link(myfs_async* queue, const myfs_op* op, const char* from,
                             const char* to);
MYFS_API int myfs_async_symlink(myfs_async* queue, const myfs_op* op, const char* target,
                                const char* path);
MYFS_API int myfs_async_readlink(myfs_async* queue, const myfs_op* op, const char* path,
                                 char* buffer, size_t size);
MYFS_API int myfs_async_mknod(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode,
                              dev_t dev);
MYFS_API int myfs_async_chdir(myfs_async* queue, const myfs_op* op, const char* path);
MYFS_API int myfs_async_fchdir(myfs_async* queue, const myfs_op* op, int fd);
MYFS_API int myfs_async_getcwd(myfs_async* queue, const myfs_op* op, char* buffer, size_t size);
MYFS_API int myfs_async_realpath(myfs_async* queue, const myfs_op* op, const char* path,
                                 char* buffer, size_t size);
MYFS_API int myfs_async_chroot(myfs_async* queue, const myfs_op* op, const char* path);

/* Relative to a directory. */
MYFS_API int myfs_async_openat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                               int flags, mode_t mode);
MYFS_API int myfs_async_openat2(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                const myfs_open_how* how);
MYFS_API int myfs_async_mkdirat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                mode_t mode);
MYFS_API int myfs_async_mknodat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                mode_t mode, dev_t dev);
MYFS_API int myfs_async_unlinkat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                 int flags);
MYFS_API int myfs_async_renameat2(myfs_async* queue, const myfs_op* op, int from_dirfd,
                                  const char* from, int to_dirfd, const char* to, unsigned flags);
MYFS_API int myfs_async_linkat(myfs_async* queue, const myfs_op* op, int from_dirfd,
                               const char* from, int to_dirfd, const char* to, int flags);
MYFS_API int myfs_async_symlinkat(myfs_async* queue, const myfs_op* op, const char* target,
                                  int dirfd, const char* path);
MYFS_API int myfs_async_readlinkat(myfs_async* queue, const myfs_op* op, int dirfd,
                                   const char* path, char* buffer, size_t size);
MYFS_API int myfs_async_fchmodat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                 mode_t mode, int flags);
MYFS_API int myfs_async_fchownat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                 uid_t uid, gid_t gid, int flags);
MYFS_API int myfs_async_utimensat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                  const struct timespec times[2], int flags);
MYFS_API int myfs_async_faccessat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                  int mode, int flags);
MYFS_API int myfs_async_fstatat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                struct stat* out, int flags);
MYFS_API int myfs_async_statxat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                int flags, unsigned mask, struct statx* out);

/* Extended attributes. */
MYFS_API int myfs_async_getxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                 const char* name, void* value, size_t size, int nofollow);
MYFS_API int myfs_async_setxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                 const char* name, const void* value, size_t size, int flags,
                                 int nofollow);
MYFS_API int myfs_async_listxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                  char* list, size_t size, int nofollow);
MYFS_API int myfs_async_removexattr(myfs_async* queue, const myfs_op* op, const char* path,
                                    const char* name, int nofollow);
MYFS_API int myfs_async_lgetxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                  const char* name, void* value, size_t size);
MYFS_API int myfs_async_lsetxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                  const char* name, const void* value, size_t size, int flags);
MYFS_API int myfs_async_llistxattr(myfs_async* queue, const myfs_op* op, const char* path,
                                   char* list, size_t size);
MYFS_API int myfs_async_lremovexattr(myfs_async* queue, const myfs_op* op, const char* path,
                                     const char* name);
MYFS_API int myfs_async_fgetxattr(myfs_async* queue, const myfs_op* op, int fd, const char* name,
                                  void* value, size_t size);
MYFS_API int myfs_async_fsetxattr(myfs_async* queue, const myfs_op* op, int fd, const char* name,
                                  const void* value, size_t size, int flags);
MYFS_API int myfs_async_flistxattr(myfs_async* queue, const myfs_op* op, int fd, char* list,
                                   size_t size);
MYFS_API int myfs_async_fremovexattr(myfs_async* queue, const myfs_op* op, int fd,
                                     const char* name);

/* Directories, of the queue's task. At most one operation at a time on one of them. */
MYFS_API int myfs_async_opendir(myfs_async* queue, const myfs_op* op, const char* path,
                                myfs_dir** dir);
MYFS_API int myfs_async_opendirat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                                  myfs_dir** dir);
MYFS_API int myfs_async_readdir(myfs_async* queue, const myfs_op* op, myfs_dir* dir,
                                myfs_dirent* entry);
MYFS_API int myfs_async_readdirplus(myfs_async* queue, const myfs_op* op, myfs_dir* dir,
                                    myfs_dirent* entry, struct stat* attributes);
MYFS_API int myfs_async_closedir(myfs_async* queue, const myfs_op* op, myfs_dir* dir);

/* ---- Batches ---- */

/* Many calls in few round trips: names that are not cached are learned a directory at a time, and
 * small files come many at a time. Each entry is as the single call would have been at some time
 * during the batch; there is no order among them. The functions return the number of entries that
 * succeeded, or -errno if none was tried. Entries, paths and buffers stay with the caller, of an
 * asynchronous batch until it has been told. */

typedef struct myfs_stat_entry {
  const char* path;
  int result;       /* out: 0 or -errno */
  struct stat stat; /* out, if result is 0 */
} myfs_stat_entry;

/* flags: 0 or AT_SYMLINK_NOFOLLOW. Errors: EINVAL (more than 1000000 entries, unknown flag). */
MYFS_API int myfs_stat_many(myfs_task* task, myfs_stat_entry* entries, size_t count, int flags);
MYFS_API int myfs_stat_many_x(myfs_task* task, const myfs_call* call, myfs_stat_entry* entries,
                              size_t count, int flags);
MYFS_API int myfs_async_stat_many(myfs_async* queue, const myfs_op* op, myfs_stat_entry* entries,
                                  size_t count, int flags);

typedef struct myfs_read_entry {
  const char* path;
  void* buffer;
  size_t size;    /* of it */
  int64_t result; /* out: bytes read from the start of the file, or -errno */
} myfs_read_entry;

/* open for reading, one read, close. Errors: EINVAL (more than 1000000 entries). */
MYFS_API int myfs_open_read_close_many(myfs_task* task, myfs_read_entry* entries, size_t count);
MYFS_API int myfs_open_read_close_many_x(myfs_task* task, const myfs_call* call,
                                         myfs_read_entry* entries, size_t count);
MYFS_API int myfs_async_open_read_close_many(myfs_async* queue, const myfs_op* op,
                                             myfs_read_entry* entries, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* MYFS_ASYNC_H_ */
