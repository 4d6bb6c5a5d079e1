/* MyFS: what was written and cannot be brought to the server any more.
 *
 * Data that was written and is not durable yet can be lost: when the session ends before it has
 * been written out (the client was out of reach for too long, or was evicted; or the server
 * crashed), when the server refuses it (no space, a broken disk), or when an unmount could not wait
 * any longer. Each open file learns of it by an error, once, from fsync or close, and before that
 * from the next read or write, if it is open for writing; and the log names path and bytes. Here
 * the bytes themselves are still to be had: by a function that is called with them, or, with the
 * mount option salvage_dir, as files in a directory of this host.
 *
 * A RESCUE FILE is a pair. NAME.data holds the bytes at the offsets that they had in their file,
 * and is a hole elsewhere. NAME.json describes it:
 *
 *   myfs_lost_writes (1), mount (its URL), path (from its root; path_hex if that is not UTF-8),
 *   inode, generation, reason, error, time (UTC), file_size, data (NAME.data), and
 *   ranges: a list of {offset, length} in bytes
 *
 * It is written last and synced: as long as it is empty, the pair is not complete. Each loss makes
 * a pair with a new name, "lost-TIME-iINODE" and a number if need be; nothing is ever overwritten.
 * Both belong to the process's user, who alone can read them. If they cannot be written, the log
 * tells the error and what was saved.
 */
#ifndef MYFS_LOST_WRITES_H_
#define MYFS_LOST_WRITES_H_

#include <myfs/myfs.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct myfs_lost_range {
  uint64_t offset; /* in the file, bytes */
  uint64_t length; /* bytes */
} myfs_lost_range;

typedef struct myfs_lost_reader myfs_lost_reader;

/* What was lost of one file at one time. All pointers are good during the call. */
typedef struct myfs_lost_writes {
  size_t size;                   /* sizeof(myfs_lost_writes) */
  const char* mount;             /* the URL of the mount, without options */
  const char* path;              /* from its root on, as last known; "inode N" if nothing is */
  uint64_t ino;                  /* st_ino */
  uint64_t generation;           /* as in myfs_entry */
  uint64_t file_size;            /* bytes, as the writers knew it */
  int error;                     /* errno of the write-back: EIO, ENOSPC, ... */
  const char* reason;            /* one sentence for people */
  const myfs_lost_range* ranges; /* ascending; they neither overlap nor touch */
  size_t range_count;
  const myfs_lost_reader* reader; /* for myfs_lost_read */
} myfs_lost_writes;

/* Called once for each file and each time that something of it is lost; all that was lost of it by
 * the same event comes together. What the server had received, and perhaps keeps, is among it as
 * long as it was not durable. Returns 0 if the bytes are taken care of, else what salvage_dir says
 * happens.
 *
 * Runs on a thread of the library that belongs to the mount, one call at a time, under no lock. It
 * may take its time: the memory of the lost bytes is in use until it returns, and an unmount waits
 * for it. It may call this library, on this mount too, but not end it: myfs_umount and
 * myfs_task_destroy fail with EDEADLK there, of whatever mount and task. */
typedef int (*myfs_lost_writes_fn)(void* context, const myfs_lost_writes* lost);

typedef struct myfs_lost_listener myfs_lost_listener;

/* Tells `fn` from now on of the losses of the mount that `path` lies in, until
 * myfs_off_lost_writes(). All functions that are registered are called. Errors: [path] of
 * <myfs/myfs.h>; EINVAL (nobody would be told). */
MYFS_API int myfs_on_lost_writes(myfs_task* task, const char* path, myfs_lost_writes_fn fn,
                                 void* context, myfs_lost_listener** listener);
MYFS_API int myfs_on_lost_writes_x(myfs_task* task, const myfs_call* call, const char* path,
                                   myfs_lost_writes_fn fn, void* context,
                                   myfs_lost_listener** listener);
/* At any time and from any thread, after the task was destroyed, too. When it returns, the function
 * is called no more, and no call of it runs; called from within the function itself, it does not
 * wait, and this call was the last one. Two functions that end one another wait for ever. In a
 * forked child it does nothing. NULL: 0. */
MYFS_API int myfs_off_lost_writes(myfs_lost_listener* listener);

/* Copies lost bytes from `offset` on, at most to the end of the range that it lies in. Only in the
 * function and on its thread. What the application writes to the same bytes meanwhile may come
 * instead. Returns their number; 0: nothing was lost there. Errors: EINVAL (null, or a negative
 * offset). */
MYFS_API ssize_t myfs_lost_read(const myfs_lost_reader* reader, void* buffer, size_t size,
                                off_t offset);

#ifdef __cplusplus
}
#endif

#endif /* MYFS_LOST_WRITES_H_ */
