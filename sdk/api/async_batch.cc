// Batches.
#include <fcntl.h>

#include <climits>

#include "absl/strings/str_cat.h"
#include "sdk/api/async_op.h"
#include "sdk/api/kstat_out.h"
#include "sdk/fs/batch.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

constexpr size_t kBatchMax = 1'000'000;

// Each entry's path is checked by itself.
Result<void> check_entries(const void* entries, size_t count) {
  if (count > kBatchMax) {
    return fail(Errno(EINVAL), absl::StrCat("a batch of ", count, ": at most ", kBatchMax));
  }
  if (entries == nullptr && count > 0) return fail(Errno(EINVAL), "there are no entries");
  return {};
}

std::string_view path_of(const char* path) { return path != nullptr ? path : std::string_view(); }

// -errno of one entry, as the single call would return it.
int failure(const CallScope& scope, const char* operation, Errno error) {
  return static_cast<int>(CallScope::failure(error, operation, scope.ctx().cancelled()));
}

// The number of entries that succeeded.
template <typename Entry>
int succeeded(const Entry* entries, size_t count) {
  int good = 0;
  for (size_t i = 0; i < count; ++i) good += entries[i].result >= 0;
  return good;
}

}  // namespace

extern "C" {

int myfs_stat_many_x(myfs_task* task, const myfs_call* call, myfs_stat_entry* entries, size_t count,
                     int flags) {
  CallScope scope(task, call, "stat_many");
  return scope.run([&]() -> Result<int> {
    MYFS_TRY(check_entries(entries, count));
    if ((flags & ~AT_SYMLINK_NOFOLLOW) != 0) {
      return fail(Errno(EINVAL), "stat_many: flags must be 0 or AT_SYMLINK_NOFOLLOW");
    }
    std::vector<fs::StatItem> items(count);
    for (size_t i = 0; i < count; ++i) items[i].path = path_of(entries[i].path);
    fs::vfs_stat_many(scope.ctx(), scope.task(), items, flags);
    for (size_t i = 0; i < count; ++i) {
      Errno error = entries[i].path == nullptr ? Errno(EINVAL) : items[i].error;
      entries[i].result = error.ok() ? 0 : failure(scope, "stat", error);
      if (error.ok()) api::to_stat(items[i].stat, &entries[i].stat);
    }
    clear_error_detail();
    return succeeded(entries, count);
  });
}
int myfs_stat_many(myfs_task* task, myfs_stat_entry* entries, size_t count, int flags) {
  return myfs_stat_many_x(task, nullptr, entries, count, flags);
}

int myfs_open_read_close_many_x(myfs_task* task, const myfs_call* call, myfs_read_entry* entries,
                                size_t count) {
  CallScope scope(task, call, "open_read_close_many");
  return scope.run([&]() -> Result<int> {
    MYFS_TRY(check_entries(entries, count));
    std::vector<fs::ReadItem> items;
    std::vector<myfs_read_entry*> of;
    for (size_t i = 0; i < count; ++i) {
      myfs_read_entry& entry = entries[i];
      entry.result = -EINVAL;
      const bool good = entry.path != nullptr && entry.size <= SSIZE_MAX &&
                        (entry.buffer != nullptr || entry.size == 0);
      if (!good) continue;
      items.push_back(
          {.path = entry.path, .buffer = entry.buffer, .size = entry.size, .error = {}});
      of.push_back(&entry);
    }
    fs::vfs_read_many(scope.ctx(), scope.task(), items);
    for (size_t i = 0; i < items.size(); ++i) {
      const fs::ReadItem& item = items[i];
      of[i]->result = item.error.ok() ? static_cast<int64_t>(item.count)
                                      : failure(scope, "open_read_close", item.error);
      if (item.error.ok()) task->bytes_read.add(static_cast<int64_t>(item.count));
    }
    clear_error_detail();
    return succeeded(entries, count);
  });
}
int myfs_open_read_close_many(myfs_task* task, myfs_read_entry* entries, size_t count) {
  return myfs_open_read_close_many_x(task, nullptr, entries, count);
}

int myfs_async_stat_many(myfs_async* queue, const myfs_op* op, myfs_stat_entry* entries,
                         size_t count, int flags) {
  return api::submit<myfs_stat_many_x>(queue, op, "stat_many", api::Way::kWorker, entries, count,
                                       flags);
}

int myfs_async_open_read_close_many(myfs_async* queue, const myfs_op* op, myfs_read_entry* entries,
                                    size_t count) {
  return api::submit<myfs_open_read_close_many_x>(queue, op, "open_read_close_many",
                                                  api::Way::kWorker, entries, count);
}

}  // extern "C"
