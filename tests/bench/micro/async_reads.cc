#include "tests/bench/micro/async_reads.h"

#include <fcntl.h>
#include <myfs/async.h>
#include <poll.h>

#include <chrono>
#include <cstring>
#include <vector>

#include "tests/bench/micro/rig.h"

namespace myfs::bench {
namespace {

constexpr size_t kPage_bytes = 4096;
constexpr int kBatch = 4096;
constexpr size_t kStride = 7919;  // prime

// A task that has nothing cached, and the order of its reads.
class ColdFile {
 public:
  explicit ColdFile(const std::string& url) {
    if (myfs_open_url(url.c_str(), nullptr, &task_) < 0) return;
    fd_ = myfs_open(task_, (std::string("/") + kBulkFile).c_str(), O_RDONLY, 0);
  }
  ~ColdFile() {
    if (fd_ >= 0) (void)myfs_close(task_, fd_);
    (void)myfs_task_destroy(task_);
  }
  ColdFile(const ColdFile&) = delete;
  ColdFile& operator=(const ColdFile&) = delete;

  bool ok() const { return fd_ >= 0; }
  myfs_task* task() const { return task_; }
  int fd() const { return fd_; }
  off_t next() {
    page_ = (page_ + kStride) % (g_bulk_file_bytes / kPage_bytes);
    return static_cast<off_t>(page_ * kPage_bytes);
  }

 private:
  myfs_task* task_ = nullptr;
  int fd_ = -1;
  size_t page_ = 1;
};

// One of the reads that are outstanding; its end begins the next one.
struct Slot {
  ColdFile* file;
  myfs_async* queue;
  int* to_start;
  int* to_end;
  int* failed;
  std::vector<char> buffer = std::vector<char>(kPage_bytes);

  static void done(void* context, int64_t result) {
    auto* slot = static_cast<Slot*>(context);
    --*slot->to_end;
    *slot->failed += result != static_cast<int64_t>(kPage_bytes);
    slot->start();
  }
  void start() {
    if (*to_start == 0) return;
    --*to_start;
    const myfs_op op{sizeof op, nullptr, done, this, nullptr};
    if (myfs_async_pread(queue, &op, fd_of(), buffer.data(), kPage_bytes, file->next()) < 0) {
      --*to_end;
      ++*failed;
    }
  }
  int fd_of() const { return file->fd(); }
};

// False: a read failed.
bool read_outstanding(ColdFile& file, int depth) {
  myfs_async* queue = nullptr;
  if (myfs_async_create(file.task(), nullptr, &queue) < 0) return false;
  int to_start = kBatch, to_end = kBatch, failed = 0;
  std::vector<Slot> slots(static_cast<size_t>(depth),
                          Slot{&file, queue, &to_start, &to_end, &failed});
  for (Slot& slot : slots) slot.start();
  while (to_end > 0) {
    pollfd ready{myfs_async_fd(queue), POLLIN, 0};
    (void)::poll(&ready, 1, -1);
    (void)myfs_service(queue, depth);
  }
  return myfs_async_destroy(queue) == 0 && failed == 0;
}

bool read_one_by_one(ColdFile& file) {
  std::vector<char> buffer(kPage_bytes);
  for (int i = 0; i < kBatch; ++i) {
    if (myfs_pread(file.task(), file.fd(), buffer.data(), kPage_bytes, file.next()) !=
        static_cast<ssize_t>(kPage_bytes)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void cold_pages(benchmark::State& state, const std::string& url, int depth) {
  using Clock = std::chrono::steady_clock;
  for (auto _ : state) {
    ColdFile file(url);
    const auto start = Clock::now();
    if (!file.ok() || !(depth == 0 ? read_one_by_one(file) : read_outstanding(file, depth))) {
      state.SkipWithError("a read failed");
      break;
    }
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kBatch);
}

}  // namespace myfs::bench
