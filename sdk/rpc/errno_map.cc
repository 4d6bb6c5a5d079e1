#include "sdk/rpc/errno_map.h"

#include <cerrno>

namespace myfs::rpc {

Mapped map_exception(const kj::Exception& exception) {
  kj::StringPtr text = exception.getDescription();
  Mapped mapped;
  mapped.text.assign(text.cStr(), text.size());
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED:
      mapped.trouble = Trouble::kBroken;
      mapped.error = Errno(ECONNRESET);
      break;
    case kj::Exception::Type::OVERLOADED:
      mapped.trouble = Trouble::kBackOff;
      mapped.error = Errno(EBUSY);
      break;
    case kj::Exception::Type::UNIMPLEMENTED:
      mapped.error = Errno(EOPNOTSUPP);
      break;
    case kj::Exception::Type::FAILED:
      mapped.error = Errno(EIO);
      break;
  }
  return mapped;
}

}  // namespace myfs::rpc
