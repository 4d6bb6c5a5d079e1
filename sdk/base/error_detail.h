// ErrorDetail: what an Errno cannot say, left by the room that failed for whoever reports it.
// Kernel counterpart: none (extack of netlink is the nearest).  Differs from errno: never decides
// anything. Thread safety: one record per thread; the facade clears it at the start of a call and
// reads it at the end.
#pragma once

#include <string>

#include "sdk/base/errno.h"

namespace myfs {

struct ErrorDetail {
  Errno error;
  std::string component;   // the path component that failed
  std::string server;      // address of the server concerned
  std::string operation;   // "create", "mount option rsize", ...
  std::string message;     // one sentence for people; names the value and the allowed range
  bool retriable = false;  // the same call may succeed later
  bool in_doubt = false;   // the server may have executed the change
  std::string cause;       // chain of causes, outermost first, joined by ": "
};

namespace error_detail_internal {
extern constinit thread_local bool t_touched;  // since the last clearing
void clear();
}  // namespace error_detail_internal

ErrorDetail& thread_error_detail();
inline void clear_error_detail() {
  if (error_detail_internal::t_touched) [[unlikely]]
    error_detail_internal::clear();
}
// Records and returns the error: return fail(Errno(EINVAL), "rsize=3: must be a power of two in
// 4K..4M");
Errno fail(Errno error, std::string message);

}  // namespace myfs
