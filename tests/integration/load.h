// Load: a thread that makes, writes, renames and removes files in a directory of its own and keeps
// a manifest of what may be found there: after a call was answered, its outcome alone; while it is
// under way and after it failed, the old state or the new one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"

namespace myfs::test {

// One thing that a path may be.
struct Version {
  enum class Kind { kAbsent, kDirectory, kSymlink, kFile, kUnsynced };
  Kind kind = Kind::kAbsent;
  // kFile: exactly this. kUnsynced: up to this long, each byte this or what `old` has there.
  std::string content;
  std::string old;
};

class Load {
 public:
  // Works until stop(). `salt` makes its choices differ from those of others.
  Load(Client& client, std::string dir, uint64_t salt);
  ~Load() { stop(); }

  void stop();
  // Waits until `count` more calls were acknowledged than at the time of the call. False: it gave
  // up because of errors() before that.
  bool wait_for(uint64_t count);
  uint64_t acknowledged() const { return acknowledged_.load(); }
  uint64_t lost() const { return lost_.load(); }  // calls that failed with EIO
  // What went wrong that may not: calls that failed otherwise, wrong content.
  std::vector<std::string> errors() const;

  // After stop(): compares what `client` sees with the manifest; returns the differences.
  std::vector<std::string> verify(Client& client) const;

 private:
  void run();
  void step(uint64_t number);
  // A call that brings `path` into `next`.
  void expect(const std::string& path, Version next);
  // Its result. True: acknowledged.
  bool settle(const std::string& path, const char* operation, int64_t result);
  bool check(const char* operation, const std::string& path, int64_t result);

  void write_file(uint64_t number);
  void overwrite(uint64_t number);
  void rename_file(uint64_t number);
  void remove_file(uint64_t number);
  void make_names(uint64_t number);
  void read_back(uint64_t number);

  std::string path_of(const char* prefix, uint64_t number) const {
    return dir_ + "/" + prefix + std::to_string(number);
  }
  // The content that the manifest knows for sure; null if it does not.
  const std::string* known(const std::string& path) const;

  Client& client_;
  const std::string dir_;
  const uint64_t salt_;
  std::map<std::string, std::vector<Version>> manifest_;  // of its thread, until stop()

  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> acknowledged_{0}, lost_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> errors_;
  std::thread thread_;
};

// `rounds` times: waits until both have done something, strikes (the server is down then), and
// expects a sound store and that both go on with the next server.
void strike_again_and_again(int rounds, MyfsdProcess& server, Load& first, Load& second,
                            const std::function<void()>& strike);

}  // namespace myfs::test
