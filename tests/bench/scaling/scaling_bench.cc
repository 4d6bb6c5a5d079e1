// myfs-bench-scaling: what a second thread adds to operations that the cache answers, held against
// what it adds to a loop that touches no memory. Both are measured in turns, so that neighbours on
// the machine meet both; a round whose control loop gains too little tells nothing about MyFS and
// is discarded and counted.
#include <fcntl.h>
#include <myfs/myfs.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/myfsd/temp_dir.h"

namespace myfs::bench {
namespace {

constexpr int kRoundsMax = 200;
constexpr double kControlGain = 1.6;  // less of it: the round is discarded
constexpr double kGoal = 0.9;         // of the control loop's gain
constexpr size_t kPage_bytes = 4096;
constexpr size_t kPages = 4096;
constexpr int kBatch = 64;  // operations between two looks at the flag
constexpr const char* kPath = "a/b/file";

struct Options {
  int rounds = 15;
  int slice_ms = 100;
};

// Does a batch of operations; false on an error.
using Batch = std::function<bool(uint64_t* random)>;

uint64_t next(uint64_t* random) {
  *random ^= *random << 13;
  *random ^= *random >> 7;
  *random ^= *random << 17;
  return *random;
}

// Batches per second of `threads` threads together; negative on an error.
double rate(const Batch& batch, int threads, int slice_ms) {
  std::atomic<bool> go{false}, stop{false}, failed{false};
  std::atomic<uint64_t> total{0};
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      uint64_t random = 0x9e3779b97f4a7c15u * static_cast<uint64_t>(t + 1);
      uint64_t count = 0;
      while (!go.load(std::memory_order_acquire)) std::this_thread::yield();
      for (; !stop.load(std::memory_order_relaxed); ++count) {
        if (!batch(&random)) {
          failed = true;
          break;
        }
      }
      total += count;
    });
  }
  const auto start = std::chrono::steady_clock::now();
  go.store(true, std::memory_order_release);
  std::this_thread::sleep_for(std::chrono::milliseconds(slice_ms));
  stop = true;
  for (std::thread& worker : workers) worker.join();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return failed ? -1 : static_cast<double>(total.load()) / seconds.count();
}

bool control(uint64_t* random) {
  for (int i = 0; i < kBatch * 16; ++i) next(random);
  asm volatile("" : : "r"(*random));
  return true;
}

class Tree {
 public:
  ~Tree() {
    if (task_ != nullptr) myfs_task_destroy(task_);
  }
  bool start() {
    const std::string url = "embedded:" + dir_.path() + "/store";
    if (check("mount", myfs_open_url(url.c_str(), nullptr, &task_)) < 0) return false;
    fd_ = -1;
    if (check("mkdir a", myfs_mkdir(task_, "a", 0755)) < 0 ||
        check("mkdir a/b", myfs_mkdir(task_, "a/b", 0755)) < 0) {
      return false;
    }
    fd_ = check("create", myfs_open(task_, kPath, O_CREAT | O_RDWR, 0644));
    const std::vector<char> page(kPage_bytes, 's');
    for (size_t i = 0; fd_ >= 0 && i < kPages; ++i) {
      if (check("write", myfs_write(task_, fd_, page.data(), page.size())) < 0) return false;
    }
    return fd_ >= 0;
  }
  bool stat(uint64_t*) {
    struct stat st;
    for (int i = 0; i < kBatch; ++i) {
      if (check("stat", myfs_stat(task_, kPath, &st)) < 0) return false;
    }
    return true;
  }
  bool pread(uint64_t* random) {
    char buffer[kPage_bytes];
    for (int i = 0; i < kBatch; ++i) {
      const auto at = static_cast<off_t>(next(random) % kPages * kPage_bytes);
      if (check("pread", myfs_pread(task_, fd_, buffer, sizeof buffer, at)) < 0) return false;
    }
    return true;
  }

 private:
  template <typename T>
  static T check(const char* what, T result) {
    if (result < 0) {
      std::fprintf(stderr, "myfs-bench-scaling: %s: %s\n", what,
                   std::strerror(static_cast<int>(-result)));
    }
    return result;
  }

  test::TempDir dir_;
  myfs_task* task_ = nullptr;
  int fd_ = -1;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Figure {
  const char* name;
  Batch batch;
  std::vector<double> shares;  // of the control loop's gain, a round each
  std::vector<double> gains;
};

// What the second thread adds; negative on an error.
double gain(const Batch& batch, const Options& options) {
  const double one = rate(batch, 1, options.slice_ms);
  const double two = rate(batch, 2, options.slice_ms);
  return one <= 0 || two <= 0 ? -1 : two / one;
}

int run(const Options& options) {
  Tree tree;
  if (!tree.start()) return 1;
  std::vector<Figure> figures = {
      {"stat, 3 components", [&tree](uint64_t* random) { return tree.stat(random); }, {}, {}},
      {"pread 4 KiB", [&tree](uint64_t* random) { return tree.pread(random); }, {}, {}}};
  int kept = 0, discarded = 0;
  while (kept < options.rounds && kept + discarded < kRoundsMax) {
    const double before = gain(control, options);
    std::vector<double> gains;
    for (Figure& figure : figures) gains.push_back(gain(figure.batch, options));
    const double after = gain(control, options);
    if (std::min(before, after) < kControlGain) {
      ++discarded;
      continue;
    }
    ++kept;
    for (size_t i = 0; i < figures.size(); ++i) {
      if (gains[i] < 0) return 1;
      figures[i].gains.push_back(gains[i]);
      figures[i].shares.push_back(gains[i] / ((before + after) / 2));
    }
  }
  std::printf("%d rounds, %d discarded (control loop gained less than %.1f)\n", kept, discarded,
              kControlGain);
  if (kept == 0) return 1;
  for (const Figure& figure : figures) {
    const double share = median(figure.shares);
    std::printf("%-20s 2 threads / 1: %.2f, of the control loop's gain: %.2f >= %.2f  %s\n",
                figure.name, median(figure.gains), share, kGoal, share >= kGoal ? "met" : "MISSED");
  }
  return 0;
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    if (std::sscanf(argv[i], "--rounds=%d", &options->rounds) != 1 &&
        std::sscanf(argv[i], "--slice-ms=%d", &options->slice_ms) != 1) {
      return false;
    }
  }
  return options->rounds >= 1 && options->rounds <= kRoundsMax && options->slice_ms >= 1 &&
         options->slice_ms <= 10000;
}

}  // namespace
}  // namespace myfs::bench

int main(int argc, char** argv) {
  myfs::bench::Options options;
  if (!myfs::bench::parse(argc, argv, &options)) {
    std::fputs(
        "usage: myfs-bench-scaling [--rounds=N (15; 1 to 200)] "
        "[--slice-ms=N (100; 1 to 10000)]\n",
        stderr);
    return 2;
  }
  return myfs::bench::run(options);
}
