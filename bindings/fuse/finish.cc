#include "bindings/fuse/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <chrono>

namespace bridge {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kWriteBackMax = std::chrono::seconds(30);
// How long one sync may take before the server is asked whether it is there, and has to say so.
constexpr int64_t kStep_ms = 2000, kAnswer_ms = 2000;

uint64_t unwritten_bytes() {
  myfs_memory memory{};
  memory.size = sizeof memory;
  if (myfs_get_memory(&memory) != 0) return 0;
  return memory.pages_dirty_bytes + memory.pages_in_flight_bytes + memory.pages_unstable_bytes;
}

myfs_call within(int64_t ms) {
  myfs_call call{};
  call.size = sizeof call;
  call.deadline_ms = ms;
  return call;
}

bool answers(myfs_task* task) {
  const myfs_call call = within(kAnswer_ms);
  struct statx root;
  return myfs_statx_x(task, &call, "/", AT_STATX_FORCE_SYNC, STATX_TYPE, &root) != -ETIMEDOUT;
}

// -ETIMEDOUT: the server has not taken everything, and does not answer or has had its time.
int write_back(myfs_task* task) {
  const Clock::time_point end = Clock::now() + kWriteBackMax;
  const myfs_call call = within(kStep_ms);
  while (true) {
    const int result = myfs_sync_x(task, &call);
    if (result != -ETIMEDOUT || Clock::now() >= end || !answers(task)) return result;
  }
}

std::string message_of(int result) {
  myfs_error detail{};
  detail.size = sizeof detail;
  const bool known = myfs_last_error(&detail) == 0 && detail.message[0] != '\0';
  return known ? detail.message : strerror(-result);
}

}  // namespace

bool finish(myfs_task* task, std::string* said) {
  int result = write_back(task);
  if (result != -ETIMEDOUT) {
    if (result < 0) *said = message_of(result);
    const int ended = myfs_task_destroy(task);
    if (result == 0 && ended < 0) *said = message_of(result = ended);
    if (result < 0) *said = "what was written last could not be kept: " + *said;
    return result == 0;
  }
  const uint64_t left_bytes = unwritten_bytes();
  (void)myfs_umount(task, "/", MNT_FORCE);
  (void)myfs_task_destroy(task);
  *said = "the server did not answer; " +
          (left_bytes == 0 ? "nothing that was written is lost"
                           : "left behind, in whole pages: " + std::to_string(left_bytes) +
                                 " bytes, of files that the log names");
  return left_bytes == 0;
}

}  // namespace bridge
