// myfs-bench-micro: single calls of MyFS, each beside its limit in the same run: the kernel's tmpfs
// for what the cache answers, a plain blocking socket for what the server answers.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/bench/micro/async_reads.h"
#include "tests/bench/micro/rig.h"
#include "tests/bench/micro/summary.h"

namespace myfs::bench {
namespace {

constexpr int kPipelineThreads = 16;
constexpr int kBulkDepth = 4;  // requests of 1 MiB outstanding on one connection
constexpr size_t kPage_bytes = 4096;
constexpr size_t kBulkMax_mib = 16384;

Rig* g_rig = nullptr;

// Calls `step` until the library has enough; a negative result ends it.
template <typename Step>
void repeat(benchmark::State& state, Step step) {
  for (auto _ : state) {
    if (auto result = step(); result < 0) {
      state.SkipWithError(std::strerror(static_cast<int>(result < -1 ? -result : errno)));
      break;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}

// Offsets of pages in the hot file, different for each thread.
class RandomPage {
 public:
  explicit RandomPage(int thread)
      : state_(0x9e3779b97f4a7c15u * static_cast<uint64_t>(thread + 1)) {}
  off_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<off_t>(state_ % (kHotFile_bytes / kPage_bytes) * kPage_bytes);
  }

 private:
  uint64_t state_;
};

void tmpfs_stat(benchmark::State& state, const char* path) {
  struct stat st;
  repeat(state, [&] { return ::fstatat(g_rig->tmpfs, path, &st, 0); });
}
void myfs_stat_path(benchmark::State& state, const char* path) {
  struct stat st;
  repeat(state, [&] { return myfs_stat(g_rig->ram->task, path, &st); });
}

void tmpfs_enoent(benchmark::State& state) {
  struct stat st;
  repeat(state, [&] {
    return ::fstatat(g_rig->tmpfs, kPathMissing, &st, 0) < 0 && errno == ENOENT ? 0 : -EIO;
  });
}
void myfs_enoent(benchmark::State& state) {
  struct stat st;
  repeat(state,
         [&] { return myfs_stat(g_rig->ram->task, kPathMissing, &st) == -ENOENT ? 0 : -EIO; });
}

void tmpfs_open_close(benchmark::State& state) {
  repeat(state, [&] {
    int fd = ::openat(g_rig->tmpfs, kPath3, O_RDONLY);
    return fd < 0 ? fd : ::close(fd);
  });
}
void myfs_open_close(benchmark::State& state) {
  repeat(state, [&] {
    int fd = myfs_open(g_rig->ram->task, kPath3, O_RDONLY, 0);
    return fd < 0 ? fd : myfs_close(g_rig->ram->task, fd);
  });
}

void tmpfs_pread(benchmark::State& state) {
  RandomPage page(state.thread_index());
  std::vector<char> buffer(kPage_bytes);
  repeat(state, [&] { return ::pread(g_rig->tmpfs_hot, buffer.data(), kPage_bytes, page.next()); });
}
void myfs_pread_4k(benchmark::State& state) {
  RandomPage page(state.thread_index());
  std::vector<char> buffer(kPage_bytes);
  repeat(state, [&] {
    return myfs_pread(g_rig->ram->task, g_rig->myfs_hot, buffer.data(), kPage_bytes, page.next());
  });
}

// A file of the hot one's size that only has to be copied from: what no pread can do without.
const char* hot_mapping() {
  static char* const memory = [] {
    int fd = ::memfd_create("myfs-bench-hot", MFD_CLOEXEC);
    if (fd < 0 || ::ftruncate(fd, kHotFile_bytes) != 0) std::abort();
    void* mapped = ::mmap(nullptr, kHotFile_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) std::abort();
    ::close(fd);
    std::memset(mapped, 'm', kHotFile_bytes);
    ::madvise(mapped, kHotFile_bytes, 25);  // MADV_COLLAPSE: as the page cache has it
    return static_cast<char*>(mapped);
  }();
  return memory;
}
void memory_copy_4k(benchmark::State& state) {
  const char* hot = hot_mapping();
  RandomPage page(state.thread_index());
  std::vector<char> buffer(kPage_bytes);
  repeat(state, [&] {
    std::memcpy(buffer.data(), hot + page.next(), kPage_bytes);
    benchmark::ClobberMemory();
    return 0;
  });
}

void raw_ping(benchmark::State& state, RawPeer& peer) {
  repeat(state, [&] { return peer.request(0, 64) && peer.read_reply(64) ? 0 : -EPIPE; });
}
// The counter of the server's operations: one round trip that touches no file.
void null_rpc(benchmark::State& state, myfs_task* task) {
  uint64_t operations = 0;
  repeat(state, [&] { return myfs_server_operations(task, "/", &operations); });
}

double seconds_of(const std::function<void()>& work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One iteration is the whole file in requests of 1 MiB; an item is a MiB.
void bulk(benchmark::State& state, const std::function<bool(double*)>& pass) {
  const auto items = static_cast<int64_t>(g_bulk_file_bytes / kBulkIo_bytes);
  for (auto _ : state) {
    double seconds = 0;
    if (!pass(&seconds)) {
      state.SkipWithError("transfer failed");
      break;
    }
    state.SetIterationTime(seconds);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * items);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * g_bulk_file_bytes));
}

void raw_bulk(benchmark::State& state, size_t send_bytes, size_t reply_bytes) {
  bulk(state, [&](double* seconds) {
    bool ok = true;
    *seconds = seconds_of([&] {
      size_t left = g_bulk_file_bytes / kBulkIo_bytes, outstanding = 0;
      while (ok && left + outstanding > 0) {
        if (left > 0 && outstanding < kBulkDepth) {
          ok = g_rig->tcp_peer.request(send_bytes, reply_bytes);
          --left;
          ++outstanding;
        } else {
          ok = g_rig->tcp_peer.read_reply(reply_bytes);
          --outstanding;
        }
      }
    });
    return ok;
  });
}

bool rpc_read(double* seconds) {
  bool ok = true;
  *seconds = seconds_of([&] { ok = g_rig->rpc_peer->read_bulk(kBulkDepth); });
  return ok;
}
bool rpc_write(double* seconds) {
  bool ok = true;
  *seconds = seconds_of([&] { ok = g_rig->rpc_peer->write_bulk(kBulkDepth); });
  return ok && g_rig->rpc_peer->commit();
}

// A new mount each time: its cache is empty.
bool cold_read(const std::string& url, double* seconds) {
  myfs_task* task = nullptr;
  if (myfs_open_url(url.c_str(), nullptr, &task) < 0) return false;
  int fd = myfs_open(task, kBulkFile, O_RDONLY, 0);
  std::vector<char> buffer(kBulkIo_bytes);
  bool ok = fd >= 0;
  *seconds = seconds_of([&] {
    for (size_t at = 0; ok && at < g_bulk_file_bytes; at += kBulkIo_bytes) {
      ok = myfs_pread(task, fd, buffer.data(), kBulkIo_bytes, static_cast<off_t>(at)) ==
           static_cast<ssize_t>(kBulkIo_bytes);
    }
  });
  return myfs_task_destroy(task) == 0 && ok;
}

bool bulk_write(myfs_task* task, double* seconds) {
  int fd = myfs_open(task, "written", O_CREAT | O_TRUNC | O_WRONLY, 0644);
  std::vector<char> buffer(kBulkIo_bytes, 'w');
  bool ok = fd >= 0;
  *seconds = seconds_of([&] {
    for (size_t at = 0; ok && at < g_bulk_file_bytes; at += kBulkIo_bytes) {
      ok = myfs_pwrite(task, fd, buffer.data(), kBulkIo_bytes, static_cast<off_t>(at)) ==
           static_cast<ssize_t>(kBulkIo_bytes);
    }
    ok = ok && myfs_fsync(task, fd) == 0;
  });
  return ok && myfs_close(task, fd) == 0 && myfs_unlink(task, "written") == 0;
}

void create_files(benchmark::State& state, myfs_task* task) {
  static std::atomic<uint64_t> number{0};
  repeat(state, [&] {
    std::string name = "new-" + std::to_string(number++);
    int fd = myfs_open(task, name.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
    return fd < 0 ? fd : myfs_close(task, fd);
  });
}

void raw_fdatasync(benchmark::State& state) {
  char record[128] = {};
  repeat(state, [&] {
    return ::write(g_rig->disk, record, sizeof record) < 0 ? -errno : ::fdatasync(g_rig->disk);
  });
}

using Body = std::function<void(benchmark::State&)>;

void add(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->UseRealTime();
}
void add_threaded(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->UseRealTime()->Threads(1)->Threads(2);
}
void add_bulk(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Unit(benchmark::kMillisecond);
}

void register_hits() {
  add_threaded("tmpfs/stat_3", [](auto& s) { tmpfs_stat(s, kPath3); });
  add_threaded("myfs/stat_3", [](auto& s) { myfs_stat_path(s, kPath3); });
  add_threaded("tmpfs/stat_8", [](auto& s) { tmpfs_stat(s, kPath8); });
  add_threaded("myfs/stat_8", [](auto& s) { myfs_stat_path(s, kPath8); });
  add_threaded("tmpfs/enoent", tmpfs_enoent);
  add_threaded("myfs/enoent", myfs_enoent);
  add_threaded("tmpfs/open_close", tmpfs_open_close);
  add_threaded("myfs/open_close", myfs_open_close);
  add_threaded("tmpfs/pread_4k", tmpfs_pread);
  add_threaded("myfs/pread_4k", myfs_pread_4k);
  add_threaded("memory/copy_4k", memory_copy_4k);
}

// Cold reads of 4 KiB that are outstanding; 0: synchronous.
constexpr int kReadDepths[] = {0, 1, 16, 256};
std::string cold_pages_name(int depth) {
  return depth == 0 ? "myfs/cold_4k" : "myfs/cold_4k_async_" + std::to_string(depth);
}

void register_rpcs() {
  add("raw/ping_unix", [](auto& s) { raw_ping(s, g_rig->unix_peer); });
  add("myfs/null_rpc_unix", [](auto& s) { null_rpc(s, g_rig->ram->task); });
  add("myfs/null_rpc_unix_nospin", [](auto& s) { null_rpc(s, g_rig->nospin->task); });
  add("raw/ping_tcp", [](auto& s) { raw_ping(s, g_rig->tcp_peer); });
  add("myfs/null_rpc_tcp", [](auto& s) { null_rpc(s, g_rig->ram_tcp); });
  add("myfs/null_rpc_tcp_nospin", [](auto& s) { null_rpc(s, g_rig->nospin_tcp); });
  benchmark::RegisterBenchmark("myfs/null_rpc_pipelined",
                               [](auto& s) { null_rpc(s, g_rig->ram->task); })
      ->UseRealTime()
      ->Threads(kPipelineThreads);
  add_bulk("raw/read_1m", [](auto& s) { raw_bulk(s, 0, kBulkIo_bytes); });
  add_bulk("rpc/read_1m_tcp", [](auto& s) { bulk(s, rpc_read); });
  add_bulk("myfs/read_1m_tcp", [](auto& s) {
    bulk(s, [](double* seconds) { return cold_read(g_rig->ram->url(true), seconds); });
  });
  add_bulk("myfs/read_1m_unix", [](auto& s) {
    bulk(s, [](double* seconds) { return cold_read(g_rig->ram->url(false), seconds); });
  });
  for (int depth : kReadDepths) {
    add_bulk(cold_pages_name(depth),
             [depth](auto& s) { cold_pages(s, g_rig->ram->url(false), depth); });
  }
  add_bulk("raw/write_1m", [](auto& s) { raw_bulk(s, kBulkIo_bytes, 64); });
  add_bulk("rpc/write_1m_tcp", [](auto& s) { bulk(s, rpc_write); });
  add_bulk("myfs/write_1m_tcp", [](auto& s) {
    bulk(s, [](double* seconds) { return bulk_write(g_rig->ram_tcp, seconds); });
  });
  add("raw/fdatasync", raw_fdatasync);
  add("myfs/create_strict", [](auto& s) { create_files(s, g_rig->strict->task); });
  add("myfs/create_relaxed", [](auto& s) { create_files(s, g_rig->relaxed->task); });
}

std::vector<Row> table() {
  std::vector<Row> rows;
  for (const char* threads : {"1", "2"}) {
    std::string suffix = std::string("/real_time/threads:") + threads;
    std::string on = std::string(", ") + threads + " thr";
    rows.push_back({"stat, 3 components" + on, "myfs/stat_3" + suffix, "tmpfs/stat_3" + suffix, 3});
    rows.push_back({"stat, 8 components" + on, "myfs/stat_8" + suffix, "tmpfs/stat_8" + suffix, 3});
    rows.push_back({"stat, ENOENT" + on, "myfs/enoent" + suffix, "tmpfs/enoent" + suffix, 3});
    rows.push_back(
        {"open + close" + on, "myfs/open_close" + suffix, "tmpfs/open_close" + suffix, 3});
    rows.push_back({"pread 4 KiB" + on, "myfs/pread_4k" + suffix, "tmpfs/pread_4k" + suffix, 3});
    rows.push_back(
        {"memcpy of 4 KiB alone" + on, "memory/copy_4k" + suffix, "tmpfs/pread_4k" + suffix, 0});
  }
  for (const char* name : {"myfs/stat_3", "myfs/pread_4k"}) {
    rows.push_back({std::string("2 threads / 1: ") + name,
                    std::string(name) + "/real_time/threads:2",
                    std::string(name) + "/real_time/threads:1", 1.8});
  }
  auto timed = [](const char* name) { return std::string(name) + "/real_time"; };
  auto manual = [](const char* name) { return std::string(name) + "/manual_time"; };
  rows.push_back(
      {"null RPC, unix, spinning", timed("myfs/null_rpc_unix"), timed("raw/ping_unix"), 0.5, true});
  rows.push_back({"null RPC, unix, no spinning", timed("myfs/null_rpc_unix_nospin"),
                  timed("raw/ping_unix"), 1.8, true});
  rows.push_back(
      {"null RPC, TCP, spinning", timed("myfs/null_rpc_tcp"), timed("raw/ping_tcp"), 0.5, true});
  rows.push_back({"null RPC, TCP, no spinning", timed("myfs/null_rpc_tcp_nospin"),
                  timed("raw/ping_tcp"), 1.8, true});
  rows.push_back({"null RPC, 16 callers / 1 (unix)",
                  timed("myfs/null_rpc_pipelined") + "/threads:" + std::to_string(kPipelineThreads),
                  timed("myfs/null_rpc_unix"), 1});
  rows.push_back({"READ RPC, MiB, TCP", manual("rpc/read_1m_tcp"), manual("raw/read_1m"), 0.75});
  rows.push_back(
      {"cold read / READ RPC, TCP", manual("myfs/read_1m_tcp"), manual("rpc/read_1m_tcp"), 0.8});
  rows.push_back({"WRITE RPC, MiB, TCP", manual("rpc/write_1m_tcp"), manual("raw/write_1m"), 0});
  rows.push_back({"cold read, MiB, TCP", manual("myfs/read_1m_tcp"), manual("raw/read_1m"), 0.75});
  rows.push_back(
      {"cold read, MiB, unix", manual("myfs/read_1m_unix"), manual("raw/read_1m"), 0.75});
  for (int depth : kReadDepths) {
    if (depth == 0) continue;
    rows.push_back({"cold reads of 4 KiB, async depth " + std::to_string(depth) + " / pread",
                    manual(cold_pages_name(depth).c_str()), manual(cold_pages_name(0).c_str()), 0});
  }
  rows.push_back(
      {"write + fsync, MiB, TCP", manual("myfs/write_1m_tcp"), manual("raw/write_1m"), 0.75});
  rows.push_back(
      {"create, strict / fdatasync", timed("myfs/create_strict"), timed("raw/fdatasync"), 0.5});
  rows.push_back(
      {"create, relaxed / raw ping", timed("myfs/create_relaxed"), timed("raw/ping_unix"), 0.5});
  return rows;
}

// Takes --ram-dir=, --disk-dir= and --bulk-mib= out of the arguments.
RigOptions parse_options(std::vector<char*>& args) {
  RigOptions options;
  std::vector<char*> rest;
  for (char* arg : args) {
    std::string_view text = arg;
    auto value_of = [&](std::string_view name, std::string* value) {
      if (text.substr(0, name.size()) != name) return false;
      *value = text.substr(name.size());
      return true;
    };
    std::string mib;
    if (value_of("--bulk-mib=", &mib)) {
      if (!absl::SimpleAtoi(mib, &options.bulk_mib) || options.bulk_mib < 1 ||
          options.bulk_mib > kBulkMax_mib) {
        std::fprintf(stderr, "myfs-bench-micro: --bulk-mib=%s: 1 to %zu\n", mib.c_str(),
                     kBulkMax_mib);
        std::exit(2);
      }
    } else if (!value_of("--ram-dir=", &options.ram_dir) &&
               !value_of("--disk-dir=", &options.disk_dir)) {
      rest.push_back(arg);
    }
  }
  args = rest;
  return options;
}

int run(std::vector<char*> args) {
  RigOptions options = parse_options(args);
  // Short runs by default; the user's own flags come later and win.
  std::string min_time = "--benchmark_min_time=0.1", repetitions = "--benchmark_repetitions=5",
              aggregates = "--benchmark_display_aggregates_only=false";
  args.insert(args.begin() + 1, {min_time.data(), repetitions.data(), aggregates.data()});
  int count = static_cast<int>(args.size());
  benchmark::Initialize(&count, args.data());
  if (benchmark::ReportUnrecognizedArguments(count, args.data())) {
    std::fputs("of its own: --ram-dir=DIR (/dev/shm), --disk-dir=DIR (/tmp), --bulk-mib=N (128)\n",
               stderr);
    return 2;
  }
  g_bulk_file_bytes = options.bulk_mib << 20;
  Rig rig(options);
  g_rig = &rig;
  if (!rig.start()) return 1;
  register_hits();
  register_rpcs();
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  int missed = print_summary(collector, table());
  std::printf("\nmyfs-bench-micro: %d goals missed\n", missed);
  return 0;
}

}  // namespace
}  // namespace myfs::bench

int main(int argc, char** argv) { return myfs::bench::run(std::vector<char*>(argv, argv + argc)); }
