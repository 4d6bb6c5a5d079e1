// AsyncTest: an ApiTest with a queue of asynchronous operations and what they have come to.
#pragma once

#include <myfs/async.h>
#include <poll.h>
#include <signal.h>

#include <atomic>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {

// One operation: how often it was told, and what.
struct Told {
  std::atomic<int> times{0};
  std::atomic<int64_t> result{0};
  int error = 0;  // of myfs_last_error() in the callback
  std::function<void(Told&)> then;

  static void done(void* context, int64_t result) {
    auto* self = static_cast<Told*>(context);
    self->result.store(result);
    myfs_error error{};
    error.size = sizeof error;
    myfs_last_error(&error);
    self->error = error.error;
    if (self->then) self->then(*self);
    self->times.fetch_add(1);
  }
  myfs_op op(const myfs_call* call = nullptr) {
    return {sizeof(myfs_op), call, done, this, nullptr};
  }
};

// Waits for the descriptor and serves until `until`. False: nothing came for a minute.
inline bool serve_until(myfs_async* queue, const std::function<bool()>& until) {
  while (!until()) {
    pollfd fd{myfs_async_fd(queue), POLLIN, 0};
    if (::poll(&fd, 1, 60'000) != 1) return false;
    EXPECT_GT(myfs_service(queue, 64), 0);
  }
  return true;
}

inline bool is_readable(myfs_async* queue) {
  pollfd fd{myfs_async_fd(queue), POLLIN, 0};
  return ::poll(&fd, 1, 0) == 1;
}

class AsyncTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    queue_ = make_queue();
  }
  void TearDown() override {
    EXPECT_EQ(0, myfs_async_destroy(queue_));
    ApiTest::TearDown();
  }

  myfs_async* make_queue(int callbacks = MYFS_ASYNC_SERVICE, unsigned workers = 0) {
    myfs_async_options options{sizeof options, callbacks, workers};
    myfs_async* queue = nullptr;
    EXPECT_EQ(0, myfs_async_create(task_, &options, &queue)) << last_message();
    return queue;
  }
  // Another one instead.
  void use_queue(int callbacks, unsigned workers) {
    ASSERT_EQ(0, myfs_async_destroy(queue_));
    queue_ = make_queue(callbacks, workers);
  }
  int64_t wait_for(Told& told) {
    EXPECT_TRUE(serve_until(queue_, [&] { return told.times.load() > 0; }));
    EXPECT_EQ(1, told.times.load());
    return told.result.load();
  }
  // A task that has nothing cached, in the directory of the test.
  void forget_everything() {
    ASSERT_EQ(0, myfs_async_destroy(queue_));
    ASSERT_EQ(0, myfs_task_destroy(task_));
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &task_)) << last_message();
    ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
    queue_ = make_queue();
  }
  // The server neither reads nor answers until the object dies.
  class Silence {
   public:
    Silence() { server_->send_signal(SIGSTOP); }
    ~Silence() { end(); }
    void end() { server_->send_signal(SIGCONT); }
  };

  myfs_async* queue_ = nullptr;
};

// For messages.
inline std::string state_of(myfs_task* task) {
  std::string text(1 << 20, '\0');
  const ssize_t size = myfs_stats_json(task, text.data(), text.size());
  text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return text;
}

inline int threads_of_this_process() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("Threads:")) return std::stoi(line.substr(8));
  }
  return -1;
}

}  // namespace myfs::test
