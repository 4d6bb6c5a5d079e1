// FakeOps: a file system of one file in memory whose transfers end when the test says so.
// Kernel counterpart: none.
// Thread safety: all.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/sync.h"
#include "sdk/mm/filemap.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/truncate.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

class FakeOps : public AddressSpaceOps {
 public:
  enum class Mode { kInline, kManual };

  struct Read {
    AddressSpace* mapping;
    std::vector<Page*> pages;
  };
  struct Write {
    AddressSpace* mapping;
    std::vector<Page*> pages;
    uint64_t offset;
    size_t size_bytes;
    uint32_t trunc_gen;
    IoKind kind;
    bool durable;
  };

  Result<Admission> admit(const CallContext&, IoKind kind, size_t bytes) override {
    MutexLock lock(mutex_);
    admitted.push_back({kind, bytes});
    if (refuse && (kind == IoKind::kReadahead || kind == IoKind::kFlush)) return Errno(EAGAIN);
    return Admission();
  }
  void read_pages(Admission, AddressSpace& mapping, std::span<Page* const> pages) override {
    Read read{&mapping, {pages.begin(), pages.end()}};
    mutex_.lock();
    read_log.push_back({pages.front()->index(), pages.size()});
    if (read_mode == Mode::kManual) reads.push_back(read);
    bool now = read_mode == Mode::kInline;
    arrived_.notify_all();
    mutex_.unlock();
    if (now) finish(read, read_error);
  }
  void write_pages(Admission, AddressSpace& mapping, const WriteRequest& request) override {
    Write write{&mapping,          {request.pages.begin(), request.pages.end()},
                request.offset,    request.size_bytes,
                request.trunc_gen, request.kind,
                request.durable};
    mutex_.lock();
    write_log.push_back(write);
    if (write_mode == Mode::kManual) writes.push_back(write);
    bool now = write_mode == Mode::kInline;
    arrived_.notify_all();
    mutex_.unlock();
    if (now) finish(write, write_error);
  }
  void commit_pages(Admission, AddressSpace& mapping, uint32_t round) override {
    mutex_.lock();
    ++commits;
    bool now = commit_mode == Mode::kInline;
    if (!now) commit_rounds.push_back(round);
    bool lost = std::exchange(lose_unstable, false);
    arrived_.notify_all();
    mutex_.unlock();
    if (lost) redirty_unstable(mapping);
    if (now) end_commit(mapping, round, lost ? Errno(EAGAIN) : commit_error);
  }
  bool writes_back() const override { return has_store; }
  size_t rsize_bytes() const override { return rsize; }
  size_t wsize_bytes() const override { return wsize; }
  size_t readahead_max_bytes() const override { return ra_max; }

  void finish(const Read& read, Errno error) {
    for (Page* page : read.pages) {
      if (error.ok()) {
        std::string content = disk_at(page->offset());
        page->fill(0, content.data(), content.size());
        page->zero(content.size(), kPageSize_bytes - content.size());
      }
    }
    end_page_reads(read.pages, error);
  }
  void finish(const Write& write, Errno error) {
    if (error.ok()) {
      MutexLock lock(mutex_);
      if (disk.size() < write.offset + write.size_bytes) {
        disk.resize(write.offset + write.size_bytes);
      }
      for (size_t i = 0; i < write.pages.size(); ++i) {
        size_t n = std::min(kPageSize_bytes, write.size_bytes - i * kPageSize_bytes);
        std::memcpy(disk.data() + write.offset + i * kPageSize_bytes, write.pages[i]->data(), n);
      }
    }
    const bool needs_commit = unstable && !(write.durable && obeys_durable);
    for (Page* page : write.pages) end_page_writeback(*page, error, needs_commit && error.ok());
  }
  // Waits until a transfer is outstanding and takes it.
  Read take_read() { return take(reads); }
  Write take_write() { return take(writes); }
  uint32_t take_commit() { return take(commit_rounds); }
  // What the flusher may have started behind the test's back.
  void finish_all() {
    write_mode = read_mode = commit_mode = Mode::kInline;
    while (outstanding_reads() > 0) finish(take_read(), Errno());
    while (outstanding_writes() > 0) finish(take_write(), Errno());
  }
  size_t outstanding_writes() {
    MutexLock lock(mutex_);
    return writes.size();
  }
  size_t outstanding_reads() {
    MutexLock lock(mutex_);
    return reads.size();
  }
  size_t count_admitted(IoKind kind) {
    MutexLock lock(mutex_);
    return static_cast<size_t>(std::count_if(admitted.begin(), admitted.end(),
                                             [kind](const auto& a) { return a.first == kind; }));
  }
  std::string disk_at(uint64_t offset) {
    MutexLock lock(mutex_);
    return offset < disk.size() ? disk.substr(offset, kPageSize_bytes) : std::string();
  }

  // Set before the threads start, or under no concurrency.
  Mode read_mode = Mode::kInline, write_mode = Mode::kInline, commit_mode = Mode::kInline;
  Errno read_error, write_error, commit_error;
  bool obeys_durable = false;
  bool unstable = false, lose_unstable = false, refuse = false, has_store = true;
  size_t rsize = 1 << 20, wsize = 1 << 20, ra_max = 4 << 20;

  std::string disk;
  std::vector<std::pair<IoKind, size_t>> admitted;
  std::vector<std::pair<uint64_t, size_t>> read_log;  // first page, pages
  std::vector<Write> write_log;
  int commits = 0;

 private:
  template <typename T>
  T take(std::deque<T>& queue) {
    MutexLock lock(mutex_);
    while (queue.empty()) arrived_.wait(mutex_);
    T first = std::move(queue.front());
    queue.pop_front();
    return first;
  }
  Mutex mutex_{LockRank::kUnranked};
  CondVar arrived_;
  std::deque<Read> reads;
  std::deque<Write> writes;
  std::deque<uint32_t> commit_rounds;
};

// The flusher does nothing by itself within a test's time.
inline RuntimeOptions slow_flusher(size_t limit_bytes = 64 << 20) {
  RuntimeOptions options;
  options.limit_bytes = limit_bytes;
  options.dirty_expire_ns = options.commit_expire_ns = 3600 * int64_t{1'000'000'000};
  return options;
}

// A runtime and one file.
struct FileFixture {
  explicit FileFixture(const RuntimeOptions& options = slow_flusher()) {
    runtime = std::move(Runtime::create(options)).value();
    mapping = std::make_unique<AddressSpace>(*runtime, ops);
  }
  ~FileFixture() {
    runtime->writeback().stop();
    ops.finish_all();
    if (mapping != nullptr) truncate_inode_pages_final(*mapping);
    mapping.reset();
  }
  void set_disk(std::string content) {
    ops.disk = std::move(content);
    mapping->i_size = ops.disk.size();
  }
  Result<size_t> write(uint64_t pos, std::string_view text, const CallContext& call = ctx()) {
    iovec iov{const_cast<char*>(text.data()), text.size()};
    return filemap_write(call, *mapping, pos, {&iov, 1});
  }
  // Through the slow path; "E<errno>" for an error.
  std::string read(uint64_t pos, size_t size_bytes) {
    std::string out(size_bytes, '?');
    iovec iov{out.data(), out.size()};
    Result<size_t> n = filemap_read(ctx(), *mapping, ra, pos, {&iov, 1});
    if (!n.ok()) return "E" + std::string(n.error().name());
    out.resize(*n);
    return out;
  }
  // "miss" if the lock-free path declines.
  std::string hit(uint64_t pos, size_t size_bytes) {
    std::string out(size_bytes, '?');
    int64_t n = filemap_read_hit(*mapping, pos, out.data(), out.size());
    if (n == kReadMiss) return "miss";
    out.resize(static_cast<size_t>(n));
    return out;
  }
  static const CallContext& ctx() { return uninterruptible(); }

  std::unique_ptr<Runtime> runtime;
  FakeOps ops;
  std::unique_ptr<AddressSpace> mapping;
  FileRaState ra;
};

inline std::string pattern(size_t size_bytes, unsigned seed = 1) {
  std::string text(size_bytes, '\0');
  for (size_t i = 0; i < size_bytes; ++i) {
    text[i] = static_cast<char>('a' + (i / 7 + i / 4096 * 3 + seed) % 26);
  }
  return text;
}

// Where two texts differ, without printing them.
inline testing::AssertionResult same_text(std::string_view a, std::string_view b) {
  if (a == b) return testing::AssertionSuccess();
  auto at =
      static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  return testing::AssertionFailure()
         << a.size() << " against " << b.size() << " bytes, from " << at << " on \""
         << a.substr(at, 16) << "\" against \"" << b.substr(std::min(at, b.size()), 16) << '"';
}
#define EXPECT_TEXT(a, b) EXPECT_TRUE(same_text(a, b))
#define ASSERT_TEXT(a, b) ASSERT_TRUE(same_text(a, b))

}  // namespace myfs::mm
