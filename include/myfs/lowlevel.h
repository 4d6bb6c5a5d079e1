/* MyFS by inode: for bridges that bring an inode cache of their own, as a kernel's does.
 *
 * OBJECTS. A *myfs_inode* is a place that a look-up has found: an inode of a mount and, of a
 * directory, a dentry from which names go on. Of one inode of a mount there is one object, however
 * many names lead to it, so pointers can be compared. It counts look-ups: each entry that a call
 * returns adds one, myfs_ll_forget() takes any number away, and with the last one the object goes.
 * The inode may lose its names meanwhile; then calls on it go on as they do on an open file whose
 * name was removed: for sure while somebody has it open, until the session ends; then they are
 * ESTALE. A removed directory is empty: ENOENT.
 *
 * A directory stays itself wherever it is moved to, and by whomever. ".." is asked for when it is
 * wanted: it is the parent of that moment, and of the root of the task the root itself.
 *
 * A *myfs_file* is an open file or directory. It has neither a descriptor nor a limit on their
 * number, and no position: reads and writes name theirs. It outlives its myfs_inode.
 *
 * Both hold the mount: umount of it is EBUSY, MNT_DETACH leaves it to them, after MNT_FORCE calls
 * on them are ENOTCONN. myfs_task_destroy() closes and forgets what is left; after it no pointer is
 * good.
 *
 * CALLS. Each takes a myfs_call, as the _x twins of <myfs/myfs.h>: the credentials, the deadline
 * and the cancel token of this call; NULL: the task's credentials. The server checks them: a bridge
 * passes on who its caller is and decides nothing itself. Results are >= 0 or -errno;
 * myfs_last_error() tells more. Threads: any function at any time, but nothing may run on an object
 * while its last look-up is forgotten or while it is released.
 *
 * NAMES are NUL-terminated and single: one with a '/' is EINVAL. Nothing follows symbolic links.
 * Mounts of the task that lie below are crossed.
 *
 * MODES are given with a umask of the caller's, which the server takes off unless the directory has
 * a default access control list; 0: the mode is taken as it is.
 *
 * ERRORS. As <myfs/myfs.h> defines them:
 *
 *   [task]    EINVAL (a null or malformed argument), ESTALE (used after fork).
 *
 *   [inode]   ESTALE (it has no name and is not open), ENOTDIR (a directory is wanted).
 *
 *   [name]    ENOENT, EACCES (of the directory), ENAMETOOLONG (above 255 bytes), EINVAL (a '/').
 *
 *   [change]  EROFS, EPERM, ENOSPC.
 *
 *   [call]    ETIMEDOUT, ECANCELED, EIO, ENOMEM, ENOTCONN.
 *
 * Every call can return [task], [inode] and [call], every call with a name [name].
 */
#ifndef MYFS_LOWLEVEL_H_
#define MYFS_LOWLEVEL_H_

#include <myfs/myfs.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct myfs_inode myfs_inode;
typedef struct myfs_file myfs_file;

/* What a look-up has found. */
typedef struct myfs_entry {
  size_t size;         /* sizeof(myfs_entry), set by the caller */
  myfs_inode* inode;   /* one look-up more of it: to be forgotten */
  uint64_t generation; /* with st_ino unique for ever; st_ino alone is so, too */
  struct stat attr;    /* st_dev is the mount's */
  /* How long, in milliseconds from the call's return, the caller may keep what was answered: that
   * the name leads there (after ENOENT: that there is none), and `attr`. 0: not at all; always so
   * without a listener. See "Keeping answers". */
  int64_t keep_name_ms;
  int64_t keep_attr_ms;
} myfs_entry;

/* ---- Look-ups ---- */

/* The place that `path` of the task leads to, symbolic links followed: "/" is where a bridge
 * begins. Errors: ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG. */
MYFS_API int myfs_ll_open_path(myfs_task* task, const myfs_call* call, const char* path,
                               myfs_entry* entry);
/* `name` in `dir`; "." and ".." are understood. */
MYFS_API int myfs_ll_lookup(myfs_inode* dir, const myfs_call* call, const char* name,
                            myfs_entry* entry);
/* A handle of the inode that outlives this process, sessions and restarts of the server: stores at
 * most `size` bytes and returns their number (at most 128); size 0: returns the length needed.
 * Errors: ERANGE. */
MYFS_API ssize_t myfs_ll_name_to_handle(myfs_inode* inode, const myfs_call* call, void* handle,
                                        size_t size);
/* The inode of a handle, in the mount that `of_mount` lies in: that of the same server and SUBDIR.
 * For uid 0, since no path is checked. Errors: EPERM, ESTALE (removed), EACCES (made by another
 * server), EINVAL (no handle). */
MYFS_API int myfs_ll_open_by_handle(myfs_inode* of_mount, const myfs_call* call, const void* handle,
                                    size_t size, myfs_entry* entry);
/* Takes `count` look-ups back. Errors: EINVAL (more than there were; none is taken). */
MYFS_API int myfs_ll_forget(myfs_inode* inode, uint64_t count);

/* ---- Attributes ---- */

/* `file`: through which open file, or NULL. `keep_ms`: as myfs_entry.keep_attr_ms, or NULL. */
MYFS_API int myfs_ll_getattr(myfs_inode* inode, const myfs_call* call, myfs_file* file,
                             struct stat* out, int64_t* keep_ms);

/* Bits of myfs_setattr.valid. */
#define MYFS_SET_MODE 1u
#define MYFS_SET_UID 2u
#define MYFS_SET_GID 4u
#define MYFS_SET_SIZE 8u
#define MYFS_SET_ATIME 16u
#define MYFS_SET_MTIME 32u
#define MYFS_SET_ATIME_NOW 64u  /* with MYFS_SET_ATIME: the server's time */
#define MYFS_SET_MTIME_NOW 128u /* with MYFS_SET_MTIME */
#define MYFS_SET_KILL_PRIV 256u /* setuid and setgid go; a change of owner implies it */

typedef struct myfs_setattr {
  size_t size;    /* sizeof(myfs_setattr) */
  unsigned valid; /* MYFS_SET_* */
  mode_t mode;    /* bits 07777 */
  uid_t uid;
  gid_t gid;
  off_t length; /* bytes; those beyond the old size read as zeros */
  struct timespec atime, mtime;
} myfs_setattr;

/* chmod, chown, truncate and utimensat in one: all of it happens, or nothing. `file`: an open file
 * whose access decides about the size instead of the permission bits, or NULL. `out`: the
 * attributes afterwards, may be NULL. Errors: [change]; EACCES, EFBIG, EISDIR, EINVAL (unknown
 * bit, negative size, a size of what is no file, `file` not open for writing), EOPNOTSUPP (mode of
 * a symbolic link). */
MYFS_API int myfs_ll_setattr(myfs_inode* inode, const myfs_call* call, myfs_file* file,
                             const myfs_setattr* attr, struct stat* out);
/* mode: F_OK or R_OK | W_OK | X_OK, for the call's credentials. Errors: EACCES, EROFS, EINVAL. */
MYFS_API int myfs_ll_access(myfs_inode* inode, const myfs_call* call, int mode);
MYFS_API int myfs_ll_statfs(myfs_inode* inode, const myfs_call* call, struct statfs* out);
/* As myfs_readlink. Errors: EINVAL (no symbolic link, size 0). */
MYFS_API ssize_t myfs_ll_readlink(myfs_inode* inode, const myfs_call* call, char* buffer,
                                  size_t size);

/* As the namesakes in <myfs/myfs.h>. Errors: ENODATA, ERANGE, EOPNOTSUPP. */
MYFS_API ssize_t myfs_ll_getxattr(myfs_inode* inode, const myfs_call* call, const char* name,
                                  void* value, size_t size);
/* Errors: [change]; EEXIST, ENODATA, E2BIG, EOPNOTSUPP, EINVAL. */
MYFS_API int myfs_ll_setxattr(myfs_inode* inode, const myfs_call* call, const char* name,
                              const void* value, size_t size, int flags);
/* Errors: ERANGE. */
MYFS_API ssize_t myfs_ll_listxattr(myfs_inode* inode, const myfs_call* call, char* list,
                                   size_t size);
/* Errors: [change]; ENODATA, EOPNOTSUPP. */
MYFS_API int myfs_ll_removexattr(myfs_inode* inode, const myfs_call* call, const char* name);

/* ---- Names ---- */

/* mode with S_IFREG (or 0), S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK (devices: root only). Errors:
 * [change]; EEXIST, EINVAL, EPERM. */
MYFS_API int myfs_ll_mknod(myfs_inode* dir, const myfs_call* call, const char* name, mode_t mode,
                           mode_t umask, dev_t dev, myfs_entry* entry);
/* Errors: [change]; EEXIST. */
MYFS_API int myfs_ll_mkdir(myfs_inode* dir, const myfs_call* call, const char* name, mode_t mode,
                           mode_t umask, myfs_entry* entry);
/* Target 1..4095 bytes. Errors: [change]; EEXIST, ENOENT (empty target), ENAMETOOLONG. */
MYFS_API int myfs_ll_symlink(myfs_inode* dir, const myfs_call* call, const char* target,
                             const char* name, myfs_entry* entry);
/* Another name of `inode`; a symbolic link is linked itself. Errors: as myfs_link;
 * EEXIST, EXDEV, EPERM (directory). */
MYFS_API int myfs_ll_link(myfs_inode* inode, const myfs_call* call, myfs_inode* dir,
                          const char* name, myfs_entry* entry);
/* Errors: [change]; EISDIR. */
MYFS_API int myfs_ll_unlink(myfs_inode* dir, const myfs_call* call, const char* name);
/* Errors: [change]; ENOTEMPTY, EBUSY (a mount point), EINVAL ("."). */
MYFS_API int myfs_ll_rmdir(myfs_inode* dir, const myfs_call* call, const char* name);
/* flags: 0, RENAME_NOREPLACE (1) or RENAME_EXCHANGE (2). Errors: [change]; EEXIST, ENOTEMPTY,
 * EISDIR, EINVAL (into an own descendant, unknown flags), EXDEV, EBUSY. */
MYFS_API int myfs_ll_rename(myfs_inode* from_dir, const myfs_call* call, const char* from,
                            myfs_inode* to_dir, const char* to, unsigned flags);

/* ---- Open files ---- */

/* To execute the file: it can be read, and permission to execute decides instead of that to read.
 * Only with O_RDONLY (EINVAL); of what is no regular file EACCES. */
#define MYFS_O_EXEC 040
/* flags: of myfs_open, without O_CREAT and O_EXCL, and MYFS_O_EXEC; O_NOFOLLOW has no effect.
 * Errors: [change]; EACCES, EISDIR, ELOOP (symbolic link), ENXIO (fifo, socket or device), EINVAL.
 */
MYFS_API int myfs_ll_open(myfs_inode* inode, const myfs_call* call, int flags, myfs_file** file);
/* Opens `name`, and makes it if it is not there; O_CREAT is implied. Errors: [change]; EEXIST
 * (O_EXCL), EISDIR, ELOOP (symbolic link), ENXIO. */
MYFS_API int myfs_ll_create(myfs_inode* dir, const myfs_call* call, const char* name, int flags,
                            mode_t mode, mode_t umask, myfs_entry* entry, myfs_file** file);
/* Opens a new file without a name in the file system of `dir`, who is asked as for a new name; it
 * goes with its last close, unless myfs_ll_link has named it, which O_EXCL forbids. flags: of
 * myfs_open; O_TMPFILE is implied, without O_WRONLY or O_RDWR they are malformed. Errors:
 * [change]. */
MYFS_API int myfs_ll_tmpfile(myfs_inode* dir, const myfs_call* call, int flags, mode_t mode,
                             mode_t umask, myfs_entry* entry, myfs_file** file);
/* What each close() of a descriptor does: as myfs_close, but the file stays open. */
MYFS_API int myfs_ll_flush(myfs_file* file, const myfs_call* call);
/* The end of the open file. What nobody flushed is written soon all the same; nothing is waited
 * for, but with locks of the open file (flock, F_OFD_*) the server's answer that they are gone: at
 * most 10 s for each of the two kinds. Then it goes on in the background. NULL: 0. */
MYFS_API int myfs_ll_release(myfs_file* file);

/* As myfs_preadv and myfs_pwritev. A file with O_APPEND is appended to, whatever `offset` says.
 * Errors: EISDIR, EBADF (not open for reading), EINVAL. */
MYFS_API ssize_t myfs_ll_read(myfs_file* file, const myfs_call* call, const struct iovec* iov,
                              int count, off_t offset);
/* Errors: EBADF (not open for writing), EFBIG, EINVAL; as myfs_pwrite. */
MYFS_API ssize_t myfs_ll_write(myfs_file* file, const myfs_call* call, const struct iovec* iov,
                               int count, off_t offset);
/* What a page of a mapping holds: it goes to `offset` whatever O_APPEND says, and need not be
 * aligned for O_DIRECT. */
#define MYFS_RWF_PAGE 0x80000000u
/* As myfs_ll_write, for this write alone with RWF_DSYNC, RWF_SYNC, RWF_APPEND (of pwritev2(2)) or
 * MYFS_RWF_PAGE. Errors: EOPNOTSUPP (other flags). */
MYFS_API ssize_t myfs_ll_pwritev2(myfs_file* file, const myfs_call* call, const struct iovec* iov,
                                  int count, off_t offset, unsigned flags);
/* O_APPEND, O_NONBLOCK, O_NOATIME and O_DIRECT of the open file from now on [F_SETFL]. */
MYFS_API int myfs_ll_set_flags(myfs_file* file, int flags);
/* As myfs_fsync, or myfs_fdatasync; of a directory, too. datasync: 0 or 1. */
MYFS_API int myfs_ll_fsync(myfs_file* file, const myfs_call* call, int datasync);
/* whence: SEEK_DATA, SEEK_HOLE. Errors: ENXIO, EINVAL. */
MYFS_API off_t myfs_ll_lseek(myfs_file* file, const myfs_call* call, off_t offset, int whence);
/* As myfs_copy_file_range: executed at the server. Bytes, 0 at the end of `from`. Errors: EBADF,
 * EINVAL, EISDIR, EXDEV. */
MYFS_API ssize_t myfs_ll_copy_file_range(myfs_file* from, const myfs_call* call, off_t from_offset,
                                         myfs_file* to, off_t to_offset, size_t size);
/* mode: FALLOC_FL_* of fallocate(2). Errors: [change]; EBADF, EFBIG, EINVAL, EOPNOTSUPP.
 */
MYFS_API int myfs_ll_fallocate(myfs_file* file, const myfs_call* call, int mode, off_t offset,
                               off_t length);

/* ---- Pages ---- */

/* The memory of this process's page cache: a descriptor of its arena, which the caller closes and
 * may hand to another process of the host; it can be mapped for reading only. `*bytes`: how much to
 * map; what lies behind the memory in use is SIGBUS. Who has it can read all cached content of all
 * mounts of the process; a process of root or of the same user could get at it for writing, too, by
 * the means of /proc, so it is for whom these trust. One task is as good as any. Errors: EMFILE,
 * EOPNOTSUPP (no /proc). */
MYFS_API int myfs_ll_arena(myfs_task* task, size_t* bytes);

typedef struct myfs_page {
  uint64_t offset;       /* in the file; a multiple of 4096 */
  uint64_t arena_offset; /* where its bytes lie in the arena */
  uint64_t length;       /* 4096, or less in the last page of the file */
} myfs_page;
typedef struct myfs_pin myfs_pin;

/* Pins the cached pages of [offset, offset + size), read in if need be: from the page of `offset`
 * on, at most `count`, as far as the file goes. Until myfs_ll_unpin() their memory serves nothing
 * else; the file stays open, and umount is EBUSY. Returns their number; 0 at the end of the file,
 * and then there is no pin.
 *
 * The bytes are what a read would bring at that moment. Later they may change, by writes of this
 * client, or be out of date: a listener (myfs_ll_listen) is told of MYFS_INVAL_DATA before another
 * client's change is let happen, and when its function returns the bytes must not be used any more;
 * writes of this client tell nobody: myfs_ll_pin_holds() asks. A quarter of the cache can be
 * pinned.
 *
 * A file that no lease lets be cached is EAGAIN: it is to be read. So is one that was opened with
 * O_DIRECT, or has a shared mapping (myfs_mmap) that may be stored into: what a read brings then is
 * not in the cache alone. After a lock on it was lost it fails as a read does. Errors: EBADF (not
 * open for reading), EISDIR, EINVAL (negative offset, size 0), ENOMEM (too much is pinned). */
MYFS_API ssize_t myfs_ll_pin(myfs_file* file, const myfs_call* call, off_t offset, size_t size,
                             myfs_page* pages, size_t count, myfs_pin** pin);
/* 1: the pages are still what a read would be answered from, and no write has begun to replace one;
 * to be asked after the bytes were used. 0: pin anew. Asks nobody. */
MYFS_API int myfs_ll_pin_holds(myfs_pin* pin);
/* Before the task is destroyed. NULL: 0. */
MYFS_API int myfs_ll_unpin(myfs_pin* pin);

/* ---- Locks ---- */

/* As myfs_lock, for an owner that the caller names: any number, the same for whatever belongs to
 * one process; those with the top bit are the library's own. pid: what F_GETLK of others tells.
 * F_OFD_* take the open file as the owner. A caller gives the locks of an owner up, by F_UNLCK of
 * everything, at each close() of his; those of the open file go with its release. Failures: EAGAIN,
 * EDEADLK, EBADF, EINVAL, EOVERFLOW, ENOLCK, EIO. */
MYFS_API int myfs_ll_lock(myfs_file* file, const myfs_call* call, int cmd, uint64_t owner,
                          pid_t pid, struct flock* lock);
/* As myfs_flock. Failures: EAGAIN, EINVAL, ENOLCK. */
MYFS_API int myfs_ll_flock(myfs_file* file, const myfs_call* call, int operation);

/* ---- Directories ---- */

/* Up to `count` entries of an open directory that follow `position`: 0, or the `next` of an entry.
 * Returns their number, 0 at the end. What myfs_readdir promises holds. Errors: ENOTDIR, EINVAL
 * (position), ENOENT (removed). */
MYFS_API int myfs_ll_readdir(myfs_file* dir, const myfs_call* call, int64_t position,
                             myfs_dirent* entries, int count);

/* ---- Keeping answers ---- */

/* A caller that keeps answers has to listen: what it keeps is covered by leases of this client, and
 * before one of them goes back to the server the listener is called. When its function returns,
 * nothing of it is used any more; not before that does the server let another client make its
 * change. So an answer may be kept that was asked for, kept and used between two calls of the
 * listener; of one that came while the function was called nothing may be kept. A lease also ends
 * when nothing is heard of the server for its term: nothing may be kept for longer than keep_*_ms
 * says. Names are told to be kept only where everybody may search the directory; if it is this
 * client that changes its mode, nobody is called. */
#define MYFS_INVAL_ATTR 1u  /* the attributes */
#define MYFS_INVAL_NAMES 2u /* of a directory: its names and what it has not */
#define MYFS_INVAL_DATA 4u  /* the content of a file */

typedef struct myfs_invalidation {
  size_t size;   /* sizeof(myfs_invalidation) */
  unsigned what; /* MYFS_INVAL_* */
  uint64_t ino;  /* st_ino; 0: everything of the mount, which others may have changed already */
} myfs_invalidation;

/* Called on threads of the library, several at once. It may wait, but others wait for it: if it
 * does not return in 10 s the server may end the session. It must not call this library. */
typedef void (*myfs_invalidate_fn)(void* context, const myfs_invalidation* invalidation);

typedef struct myfs_listener myfs_listener;

/* Listens to what happens to the mount that `inode` lies in, from now until myfs_ll_unlisten().
 * Errors: EINVAL. */
MYFS_API int myfs_ll_listen(myfs_inode* inode, myfs_invalidate_fn fn, void* context,
                            myfs_listener** listener);
/* When it returns, the function is called no more, and no call of it runs; called from within the
 * function itself, it does not wait for that call, which was the last one. From any thread, after
 * the task was destroyed, too. In a forked child it does nothing. NULL: 0. */
MYFS_API int myfs_ll_unlisten(myfs_listener* listener);

#ifdef __cplusplus
}
#endif

#endif /* MYFS_LOWLEVEL_H_ */
