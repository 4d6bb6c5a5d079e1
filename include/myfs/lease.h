/* MyFS: leases that an application holds on files, and what it is told of others' changes.
 *
 * Every cached byte of this client is covered by a lease, which the server takes back before
 * another client may change it. Here an application takes part: with myfs_lease() it holds such a
 * lease by an open file, and is asked before it goes; with myfs_watch_invalidations() it hears
 * afterwards that something has gone.
 */
#ifndef MYFS_LEASE_H_
#define MYFS_LEASE_H_

#include <myfs/lowlevel.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Leases [F_SETLEASE, F_GETLEASE] ---- */

/* Why the application is called. */
typedef struct myfs_lease_recall {
  size_t size;     /* sizeof(myfs_lease_recall) */
  int keep;        /* what may be kept: F_RDLCK or F_UNLCK */
  int broken;      /* 1: the lease has gone already; keep is F_UNLCK */
  int64_t left_ms; /* until it is broken, from the call on; 0 if it is */
} myfs_lease_recall;

/* Called when somebody wants what a lease stands for: finish, then give it back, or keep what may
 * be kept, by myfs_lease(). Until then, or until `left_ms` have passed and the lease is broken,
 * whoever wants it waits. Called once for each recall, again if less may be kept than it told, and
 * once more (broken) if the lease was broken: because the time was over, because the session ended,
 * or because this client had the server change the file by other means than a cached write
 * (truncation, fallocate, copies into it, O_DIRECT; a write lease only), which takes the lease back
 * without asking.
 *
 * Runs on a thread of the library that belongs to the mount, one call at a time, under no lock: it
 * may call this library, myfs_lease() too, but neither myfs_umount nor myfs_task_destroy (EDEADLK);
 * other recalls of the mount are told when it has returned, and their time runs meanwhile. */
typedef void (*myfs_lease_fn)(void* context, const myfs_lease_recall* recall);

/* How a lease is taken. */
typedef struct myfs_lease_options {
  size_t size;      /* sizeof(myfs_lease_options) */
  int64_t break_ms; /* how long a recall waits for the application: 1..8000, which is what the
                       server's patience leaves; 0: 8000 */
} myfs_lease_options;

/* Sets the lease that the open file of `fd`, with all its duplicates, holds on its content. type:
 *
 *   - F_RDLCK: while it is held nobody changes the file's bytes or size, but for what is done
 *     through this open file. `fd` is open for reading.
 *   - F_WRLCK: and nobody reads them. `fd` is open for writing. The attributes can be asked for:
 * the answer has the size of the moment.
 *   - F_UNLCK: nothing; when it returns, the function is called no more, and no call of it runs
 * (called from within the function itself, it does not wait, and this call was the last one). The
 * last close does the same.
 *
 * "Nobody": no other client of the server, and no other open file of this one, whatever its task.
 * What other clients have cached or hold is recalled first; that may wait for their applications.
 * Other open files of this client are in the way: of F_RDLCK those that can write, of F_WRLCK all.
 * Later, opening the file or truncating it by its name breaks the lease as on Linux: the function
 * is called, and the opener waits, or gets EAGAIN with O_NONBLOCK.
 *
 * A lease that is held already is changed; from F_RDLCK to F_WRLCK not while it is recalled. fn and
 * context take the place of those before, which are called no more, as by F_UNLCK; if that lease
 * had been broken and they were not told yet, the new ones are told. fn NULL: nobody is asked, and
 * the lease is broken at once. options NULL: all zero. What may be kept is kept by taking it; what
 * is taken beyond that is broken when the time is over.
 *
 * The lease covers what is done while it is held: ask myfs_lease_held() after the work, since a
 * process that was stopped, or cut off, for longer than the session's term is called too late.
 *
 * Errors: EBADF (not open for that), EINVAL (type; no regular file; break_ms), EAGAIN (other open
 * files of this client; it is being recalled; or others use the file all the time). */
MYFS_API int myfs_lease(myfs_task* task, int fd, int type, myfs_lease_fn fn, void* context,
                        const myfs_lease_options* options);
/* The deadline of `call` bounds the wait for others. */
MYFS_API int myfs_lease_x(myfs_task* task, const myfs_call* call, int fd, int type,
                          myfs_lease_fn fn, void* context, const myfs_lease_options* options);
/* F_RDLCK, F_WRLCK or F_UNLCK: what the open file holds at this moment, also if it is being
 * recalled. If it tells the type that was taken, and no call has told of its end, the lease held
 * all the time. Asks nobody. Errors: EBADF, EINVAL (no regular file). */
MYFS_API int myfs_lease_held(myfs_task* task, int fd);

/* ---- Invalidations ---- */

typedef struct myfs_watch myfs_watch;

/* Called after something that this client had cached was given back, for another client that wants
 * to change or use it, most likely; `what` and `ino` as in myfs_invalidation. Several events of one
 * inode may come as one; if more than 4096 inodes wait to be told of, one event with ino 0 stands
 * for all of them. Others may have made their change by then: who has to know before holds a lease,
 * or listens with myfs_ll_listen().
 *
 * Runs as a myfs_lease_fn does, on the same thread: it may call this library. */
typedef void (*myfs_watch_fn)(void* context, const myfs_invalidation* invalidation);

/* Tells `fn` from now on what becomes invalid of the mount that `path` lies in, until
 * myfs_unwatch_invalidations(). Errors: [path] of <myfs/myfs.h>; EINVAL (nobody would be told). */
MYFS_API int myfs_watch_invalidations(myfs_task* task, const char* path, myfs_watch_fn fn,
                                      void* context, myfs_watch** watch);
MYFS_API int myfs_watch_invalidations_x(myfs_task* task, const myfs_call* call, const char* path,
                                        myfs_watch_fn fn, void* context, myfs_watch** watch);
/* At any time and from any thread, after the task was destroyed, too. When it returns, the function
 * is called no more, and no call of it runs; called from within the function itself, it does not
 * wait, and this call was the last one. Two functions that end one another wait for ever. In a
 * forked child it does nothing. NULL: 0. */
MYFS_API int myfs_unwatch_invalidations(myfs_watch* watch);

#ifdef __cplusplus
}
#endif

#endif /* MYFS_LEASE_H_ */
