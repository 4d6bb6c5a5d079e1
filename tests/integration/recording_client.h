// RecordingClient: a client that works on objects which others use at the same time, at random, and
// records what it called and was told (<myfs/history.h>).
//
// The objects, by the types of <myfs/linearizability.h>; kObjects has how many of each:
//   register:N   16 bytes of /cells0 or /cells1, at most four in one page
//   log:N        the file /logN, records of 16 bytes
//   names:N      the directories /tN/a and /tN/b, names "a/n0" to "b/n3"
//   lock:N       the whole file /lockN, POSIX locks of the task
#pragma once

#include <myfs/history.h>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/support/myfsd/client.h"

namespace myfs::test {

inline constexpr int kRegisters = 8;
inline constexpr int kTrees = 2;
inline constexpr int kLocks = 3;
inline constexpr size_t kRecordBytes = 16;
// A client goes on to the next log after so many operations, so that logs stay short.
inline constexpr int kOperationsPerLog = 60;
inline int logs_for(int operations) { return operations / kOperationsPerLog + 2; }

class RecordingClient {
 public:
  RecordingClient(Client& client, lin::Recorder& recorder, std::string name, uint64_t seed);

  // Makes the files and directories that the objects need, but for logs. False: errors() says why.
  bool make_objects();
  // Operation `number` of this client, at random.
  void step(int number);
  // Queries all objects once: locks excepted, logs below `logs`.
  void query_all(int logs);
  // Ends the task, and with it its locks; the result of myfs_task_destroy.
  int end();
  // Results that no fault explains.
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  using Words = std::vector<std::string>;

  uint64_t below(uint64_t bound) { return random_() % bound; }
  std::string value();
  void wrong(const std::string& what, int64_t result);
  bool is_fault(const std::string& what, int64_t result);
  // Records the end of a change by its result; those in `refusals` are told, others are faults.
  void settle(uint64_t id, const std::string& what, int64_t result, const Words& success,
              const std::vector<int>& refusals);
  void settle_write(uint64_t id, const std::string& what, int64_t result);

  int fd_of(const std::string& path, int flags);
  void write_cells();
  void write_cell_synced(int cell);
  void read_cell(int cell);
  void append(int log);
  void read_log(int log);
  void change_names(int tree);
  void create(int tree, const std::string& name);
  void link_open(int tree, const std::string& from, const std::string& to);
  int lookup(int tree, const std::string& name, bool open);
  void list(int tree, const std::string& dir);
  void lock(int number);

  Client& client_;
  lin::Recorder& recorder_;
  const std::string name_;
  std::mt19937_64 random_;
  uint64_t values_ = 0;
  std::map<std::string, int> fds_;
  std::vector<std::string> errors_;
};

}  // namespace myfs::test
