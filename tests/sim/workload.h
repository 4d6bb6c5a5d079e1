// Workload: what the clients of a campaign do, by weights, on files and names that all of them use;
// every result goes into the history.
//
// Thread safety: simulated threads, which run one at a time.
#pragma once

#include <myfs/testing.h>

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/history.h"

namespace myfs::simtest {

inline constexpr int kRegisterFiles = 3;
inline constexpr int kCellsPerFile = 8;
inline constexpr int kLogs = 2;
inline constexpr int kDirs = 2;
inline constexpr int kTruncatedCells = 4;
inline constexpr int kLocks = 2;

// How much of what is done, relative to each other.
struct Weights {
  uint32_t read = 30, write = 18, sync = 5, reopen = 6;
  uint32_t append = 8, read_log = 3;
  uint32_t create = 5, unlink = 4, rename = 3, link = 2, stat = 8, list = 2, directory = 2;
  uint32_t hold = 2, read_held = 4;
  uint32_t resize = 2, size = 4;
  uint32_t cut = 1, write_cut = 3, read_cut = 3;
  uint32_t lock = 3;
};

// An operation that failed as none should, unless a fault explains it.
struct Failure {
  Process process = 0;
  int client = 0;
  Moment at = 0;
  int error = 0;
  std::string what;
};

// What all workers share.
struct Shared {
  Shared(sim::Simulation& simulation, const Weights& weights, uint64_t operations);

  sim::Simulation& simulation;
  const Weights weights;
  const uint64_t operations_wanted;
  uint64_t operations = 0;
  bool over = false;  // workers end after the operation that they are at
  Clock clock;
  uint64_t next_value = 1;  // of stamps
  uint64_t next_size = 1000;
  uint64_t next_name = 0;

  std::vector<Register> cells;  // of all register files
  std::vector<AppendLog> logs;
  std::vector<TruncatedCell> cut_cells;
  std::vector<LockUse> locks;
  Register size{"size"};
  std::map<std::string, Name> names;      // by path
  std::map<uint64_t, uint64_t> contents;  // inode -> stamp, once it is durable
  std::vector<Failure> failures;
  Faults faults;                              // what was wrong at once
  std::map<Process, uint64_t> sessions_lost;  // of those that are over

  Name& name(const std::string& path) { return names.try_emplace(path, path).first->second; }
};

// Makes the files, through client 0. 0 or -errno.
int prepare(Shared& shared);

// One thread of a client.
class Worker {
 public:
  Worker(Shared& shared, int client, Process process);
  // Until the operations are done or `over`.
  void work();
  // Reads everything once, for the end.
  void read_everything();

 private:
  struct OpenFile {
    int fd = -1;
    std::string path;
    // What its next good fsync or close makes sure.
    std::vector<std::pair<Register*, size_t>> cells;
    std::vector<std::pair<AppendLog*, size_t>> appends;
    std::vector<std::pair<TruncatedCell*, size_t>> cuts;
  };
  struct Held {
    int fd;
    uint64_t ino;
    uint64_t stamp;
  };

  uint64_t draw(uint64_t bound) { return shared_.simulation.random(bound); }
  bool one_in(uint64_t n) { return draw(n) == 0; }
  Moment tick() { return shared_.clock.tick(); }
  void step();
  void note(const std::string& line);
  // Whether `result` is an error that has to be explained. Takes note of it.
  bool failed(const char* what, int64_t result);

  // The open file, opened if it is not; null: it cannot be opened.
  OpenFile* file(const std::string& path, int flags);
  void close_file(OpenFile& open);
  void give_up(OpenFile& open);
  void settle(OpenFile& open, bool good);

  void read_cell();
  void write_cell();
  void sync_one();
  void reopen_one();
  void append();
  void read_log();
  void read_whole_log(size_t log);
  void create_name();
  void unlink_name();
  void rename_name();
  void link_name();
  void stat_name();
  void list_names();
  void make_or_remove_directory();
  void hold_name();
  void read_held();
  void resize();
  void read_size();
  void cut_file();
  void write_cut_cell();
  void read_cut_cell(size_t cell);
  void use_lock();

  void read_cell_at(size_t cell, OpenFile& open, int flags);
  void see(const std::string& path, uint64_t ino, Moment begin, Moment end, const char* what);
  std::string draw_name(char kind);
  void fill(int fd, uint64_t ino, Moment begin);

  Shared& shared_;
  myfs_task* const task_;
  const int client_;
  const Process process_;
  std::map<std::pair<std::string, int>, OpenFile> files_;  // by path and flags
  std::deque<Held> held_;
};

}  // namespace myfs::simtest
