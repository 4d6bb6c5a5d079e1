// The only place where an exception of KJ becomes an Errno.
// Kernel counterpart: net/sunrpc/clnt.c: call_status.
// Thread safety: functions without state.
#pragma once

#include <kj/exception.h>

#include <string>

#include "sdk/base/errno.h"

namespace myfs::rpc {

enum class Trouble : uint8_t {
  kBroken,   // the connection is gone: repair it and send again
  kBackOff,  // the server is overloaded: send again later
  kFailed,   // the call has failed for good
};

struct Mapped {
  Trouble trouble = Trouble::kFailed;
  Errno error;  // for kFailed: EIO, EOPNOTSUPP; for the others what a caller gets who does not wait
  std::string text;  // for people
};

Mapped map_exception(const kj::Exception& exception);

}  // namespace myfs::rpc
