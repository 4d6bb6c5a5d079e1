/*
 * myfs-server: the MyFS server inside the caller's process.
 *
 * libmyfs loads this library (libmyfs-server.so.0) for URLs "embedded:DIR" whose directory nobody
 * serves. The server listens on DIR/myfs.sock as well, so that other processes reach the same
 * data while this one lives.
 *
 * Thread safety: all functions, from any thread; one myfs_server must not be stopped while
 * another thread still uses it. No function touches errno, signals or the umask. After fork() a
 * child must not use an inherited myfs_server.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct myfs_server myfs_server;

typedef struct myfs_server_options {
  size_t size;           /* sizeof(myfs_server_options) of the caller */
  int32_t relaxed;       /* 0: an answered change is durable; 1: within 50 ms */
  int32_t lease_term_ms; /* 0: the default, 20 000 */
  int32_t spin_us;       /* -1: the default; 0: never */
} myfs_server_options;

/*
 * Starts serving `dir` (made if it is missing) and DIR/myfs.sock. Returns 0 and a server that the
 * caller stops with myfs_server_stop(), or -errno with a sentence in `why` (NUL-terminated, cut
 * to `why_size`): -EBUSY another process serves the directory, -EPROTONOSUPPORT it was written by
 * a newer version, -EACCES, -ENOSPC, -EINVAL, -EIO, ...
 */
int myfs_server_start(const char* dir, char* why, size_t why_size, myfs_server** server);

/* As myfs_server_start(), with options. */
int myfs_server_start_with(const char* dir, const myfs_server_options* options, char* why,
                           size_t why_size, myfs_server** server);

/* A new connected stream socket to the server; the caller's to close. -EMFILE, -ESHUTDOWN. */
int myfs_server_connect(myfs_server* server);

/*
 * Flushes, marks the store clean and frees the server; waits at most 30 s for clients that hold
 * leases. Returns 0 or -errno of the first thing that could not be made durable; the server is
 * gone in any case.
 */
int myfs_server_stop(myfs_server* server);

#ifdef __cplusplus
}
#endif
