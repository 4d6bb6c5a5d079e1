// Mappings: what is stored into memory, what it shows, when others see it.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/model/ops.h"

namespace myfs::test {

// Mapped memory is touched by system calls alone, to which SIGBUS is EFAULT.
std::string Driver::load(int client, int slot, int64_t from, int64_t to) {
  const Model::Area& area = *model_.area(client, slot);
  if (scratch_ < 0) scratch_ = ::memfd_create("model", MFD_CLOEXEC);
  const char* at = mapped_.at({client, slot}) + (from - area.offset);
  // At the same place in its page: whole pages of one become whole pages of the other.
  const off_t place = from % kMapPage;
  const ssize_t count = ::pwrite(scratch_, at, static_cast<size_t>(to - from), place);
  std::string bytes(static_cast<size_t>(std::max<ssize_t>(count, 0)), '\0');
  if (::pread(scratch_, bytes.data(), bytes.size(), place) != count) bytes.clear();
  return bytes;
}

std::string Driver::compare_memory(int client, int slot, int64_t from, int64_t to) {
  const Model::Area& area = *model_.area(client, slot);
  const Node* node = area.file->node;
  const Memory& memory = model_.memory();
  if (!memory.size_known(client, node)) return "";
  const auto size = static_cast<int64_t>(node->data.size());
  const int64_t end = std::clamp((size + kMapPage - 1) / kMapPage * kMapPage, from, to);
  const std::string actual = load(client, slot, from, to);
  if (static_cast<int64_t>(actual.size()) != end - from) {
    return absl::StrCat("mapped from ", from, ": ", actual.size(), " of ", to - from,
                        " bytes are there, not ", end - from, ", size ", size);
  }
  std::string expected;
  if (from < size) expected = node->data.substr(static_cast<size_t>(from), actual.size());
  expected.resize(actual.size());
  memory.overlay(client, node, from, &expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (memory.stale(client, node, from + static_cast<int64_t>(i))) expected[i] = actual[i];
  }
  const std::string difference = same_bytes(expected, actual);
  return difference.empty() ? "" : absl::StrCat("mapped from ", from, ": ", difference);
}

std::string Driver::run_mmap(const Op& op) {
  const int slot = op.to % kSlots;
  std::string difference = run_munmap(op.client, slot);
  const bool writable = op.flags % 4 != 0;
  const int64_t offset = op.offset / kMapPage * kMapPage, length = (op.size % 16 + 1) * kMapPage;
  const int expected = model_.mmap(op.client, slot, op.fd, writable, offset, length);
  void* address = nullptr;
  const int actual =
      myfs_mmap(task(op), nullptr, static_cast<size_t>(length),
                writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, op.fd, offset, &address);
  difference += same(expected, actual);
  if (actual != 0 || !difference.empty()) return difference;
  mapped_[{op.client, slot}] = static_cast<char*>(address);
  return compare_memory(op.client, slot, offset, offset + length);
}

std::string Driver::run_munmap(int client, int slot) {
  const Model::Area* area = model_.area(client, slot);
  if (area == nullptr) return "";
  const auto length = static_cast<size_t>(area->length);
  model_.munmap(client, slot);
  const auto mapped = mapped_.extract({client, slot});
  return same(0, myfs_munmap(tasks_[static_cast<size_t>(client)], mapped.mapped(), length),
              "munmap");
}

std::string Driver::run_msync(const Op& op) {
  constexpr int kHow[] = {MS_ASYNC, MS_SYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE};
  const int slot = op.to % kSlots, how = kHow[op.flags % std::size(kHow)];
  const Model::Area* area = model_.area(op.client, slot);
  if (area == nullptr) return "";
  const int64_t from = op.offset % area->length / kMapPage * kMapPage;
  const int64_t length = std::min((op.size / kMapPage + 1) * kMapPage, area->length - from);
  const int64_t begin = area->offset + from;
  model_.msync(op.client, slot, begin, begin + length, (how & MS_INVALIDATE) != 0);
  char* at = mapped_.at({op.client, slot}) + from;
  const std::string difference =
      same(0, myfs_msync(task(op), at, static_cast<size_t>(length), how));
  if (!difference.empty()) return difference;
  return compare_memory(op.client, slot, begin, begin + length);
}

std::string Driver::invalidate(int client, int slot) {
  const Model::Area& area = *model_.area(client, slot);
  model_.msync(client, slot, area.offset, area.offset + area.length, true);
  return same(0,
              myfs_msync(tasks_[static_cast<size_t>(client)], mapped_.at({client, slot}),
                         static_cast<size_t>(area.length), MS_INVALIDATE),
              "MS_INVALIDATE");
}

std::string Driver::run_store(const Op& op) {
  int slot = op.to % kSlots;
  const Model::Area* area = nullptr;
  for (int i = 0; i < kSlots && (area == nullptr || !area->writable); ++i) {
    slot = (op.to + i) % kSlots;
    area = model_.area(op.client, slot);
  }
  if (area == nullptr || !area->writable) return "";
  Node* node = area->file->node;
  // Where it ends is to be known: what is stored behind it is dropped.
  std::string difference;
  if (!model_.memory().size_known(op.client, node)) difference = invalidate(op.client, slot);
  const int64_t end =
      std::min(area->offset + area->length, static_cast<int64_t>(node->data.size()));
  if (area->offset >= end || !difference.empty()) return difference;
  const int64_t from = area->offset + op.offset % (end - area->offset);
  const std::string text = payload(op.seed, std::min(op.size % 300 + 1, end - from));
  const auto size = static_cast<int64_t>(text.size());
  const int64_t first = from / kMapWord * kMapWord;
  const int64_t last = (from + size + kMapWord - 1) / kMapWord * kMapWord;
  difference = compare_memory(op.client, slot, first, last);
  if (!difference.empty()) return difference;
  const std::string before = load(op.client, slot, first, last);
  char* at = mapped_.at({op.client, slot}) + (from - area->offset);
  const bool stored = ::pwrite(scratch_, text.data(), text.size(), 0) == size &&
                      ::pread(scratch_, at, text.size(), 0) == size;
  if (!stored) return absl::StrCat("nothing can be stored at ", from);
  model_.memory().store(op.client, node, first, before, load(op.client, slot, first, last));
  return "";
}

std::string Driver::run_load(const Op& op) {
  const int slot = op.to % kSlots;
  const Model::Area* area = model_.area(op.client, slot);
  if (area == nullptr) return "";
  const int64_t from = area->offset + op.offset % area->length;
  return compare_memory(op.client, slot, from,
                        std::min(from + op.size + 1, area->offset + area->length));
}

// --- other clients' stores

// The file whose size it may change.
Node* Driver::resized_by(const Op& op) {
  OpenFile* file = model_.file(op.client, op.fd);
  int64_t to = op.offset;
  int error = 0;
  switch (op.call) {
    case Call::kOpen:
      return (op.flags & O_TRUNC) != 0 ? model_.at(op.client, op.fd, op.path, true, &error)
                                       : nullptr;
    case Call::kTruncate:
      return model_.at(op.client, AT_FDCWD, op.path, true, &error);
    case Call::kFtruncate:
    case Call::kFallocate:
      return file != nullptr ? file->node : nullptr;
    case Call::kWrite:
    case Call::kPwritev2:
      to = -1;  // its position, or the end
      break;
    case Call::kPwrite:
      break;
    case Call::kCopy:
    case Call::kClone:
      file = model_.file(op.client, op.to);
      to = op.size == 0 || (op.call == Call::kCopy && op.flags % 3 == 0)
               ? -1
               : static_cast<int64_t>(op.seed % (256 << 10));
      break;
    default:
      return nullptr;
  }
  if (file == nullptr) return nullptr;
  const bool stays = to >= 0 && (file->flags & O_APPEND) == 0 &&
                     to + op.size <= static_cast<int64_t>(file->node->data.size());
  return stays ? nullptr : file->node;
}

std::string Driver::write_stores_before(const Op& op) {
  Node* node = resized_by(op);
  if (node == nullptr) return "";
  for (int client = 0; client < static_cast<int>(tasks_.size()); ++client) {
    if (client == op.client || !model_.memory().pending(client, node)) continue;
    for (int slot = 0; slot < kSlots; ++slot) {
      const Model::Area* area = model_.area(client, slot);
      if (area == nullptr || area->file->node != node) continue;
      model_.msync(client, slot, area->offset, area->offset + area->length, false);
      const int result = myfs_msync(tasks_[static_cast<size_t>(client)], mapped_.at({client, slot}),
                                    static_cast<size_t>(area->length), MS_ASYNC);
      if (result != 0) return "before it: " + same(0, result, "msync");
    }
  }
  return "";
}

}  // namespace myfs::test
