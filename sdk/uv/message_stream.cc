#include "sdk/uv/message_stream.h"

namespace myfs::uv_io {

capnp::ReaderOptions reader_options() {
  capnp::ReaderOptions options;
  // Four readings of the largest message: lists are walked by size first and by content then.
  options.traversalLimitInWords = 4 * kMessageWireMax_bytes / sizeof(capnp::word);
  options.nestingLimit = 64;
  return options;
}

}  // namespace myfs::uv_io
