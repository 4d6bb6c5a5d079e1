#include "sdk/rpc/payload.h"

#include <cstring>

#include "sdk/base/limits.h"

namespace myfs::rpc {

size_t total_bytes(Buffers spans) {
  size_t sum = 0;
  for (const iovec& span : spans) sum += span.iov_len;
  return sum;
}

void Payload::gather(Buffers spans, size_t size) {
  // Left as it is: every byte but the padding is written below, and the padding is never looked at.
  std::unique_ptr<uint64_t[]> memory(new uint64_t[(size + 7) / 8]);
  if (size != 0) memory[(size + 7) / 8 - 1] = 0;
  char* to = reinterpret_cast<char*>(memory.get());
  for (const iovec& span : spans) {
    if (span.iov_len == 0) continue;
    std::memcpy(to, span.iov_base, span.iov_len);
    to += span.iov_len;
  }
  owned_ = std::move(memory);
  data_ = reinterpret_cast<const char*>(owned_.get());
  size_ = size;
}

Payload Payload::copy(Buffers spans) {
  Payload payload;
  payload.gather(spans, total_bytes(spans));
  return payload;
}

Payload Payload::borrow(Buffers spans) {
  Payload payload;
  size_t size = total_bytes(spans);
  const char* begin = spans.empty() ? nullptr : static_cast<const char*>(spans[0].iov_base);
  bool contiguous = reinterpret_cast<uintptr_t>(begin) % 8 == 0;
  const char* end = begin;
  for (const iovec& span : spans) {
    contiguous = contiguous && span.iov_base == end;
    end = static_cast<const char*>(span.iov_base) + span.iov_len;
  }
  if (!contiguous || size <= kInlinePayloadMax_bytes) {
    payload.gather(spans, size);
    return payload;
  }
  payload.data_ = begin;
  payload.size_ = size;
  return payload;
}

bool Payload::by_reference() const { return size_ > kInlinePayloadMax_bytes; }

void Payload::own() {
  if (!borrowed()) return;
  iovec span{const_cast<char*>(data_), size_};
  gather(Buffers(&span, 1), size_);
}

}  // namespace myfs::rpc
