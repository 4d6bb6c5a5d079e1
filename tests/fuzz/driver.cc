// Driver: runs a fuzz target without libFuzzer: replays seeds, then mixes and changes them by
// pseudo-random numbers that are the same every time, until the time is over.
//
//   fuzz.NAME [--seeds FILE.hex] [--seconds S] [--inputs N] [--from N] [FILE...]
//
// FILE: an input as it is. FILE.hex: one input a line, in hexadecimal. --from: begins with the
// N-th input. What fails is left in fuzz.NAME.failed, with the command that runs it again.
// Thread safety: one thread; the signal handlers only write.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

#if defined(__SANITIZE_ADDRESS__)
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=64:allocator_may_return_null=0";
}
#elif !defined(__SANITIZE_THREAD__)
// Each allocation is looked at; below is glibc's.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
}

namespace {
bool g_limited = false;

void check_size(size_t size) {
  if (size <= myfs::fuzz::kAllocationMax_bytes || !g_limited) return;
  g_limited = false;
  std::fprintf(stderr, "fuzz: an allocation of %zu bytes\n", size);
  std::abort();
}
}  // namespace

extern "C" {
void* malloc(size_t size) {
  check_size(size);
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  size_t bytes = 0;
  check_size(__builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes);
  return __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) {
  check_size(size);
  return __libc_realloc(old, size);
}
}
#define FUZZ_LIMITS_MALLOC 1
#endif

namespace {

using Bytes = std::string;

std::string g_name;   // of this program
char g_failed[4096];  // path of the file that a failing input is left in
const uint8_t* g_data = nullptr;
size_t g_size = 0;
uint64_t g_number = 0;

// splitmix64
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  size_t below(size_t bound) { return bound == 0 ? 0 : next() % bound; }

 private:
  uint64_t state_;
};

void write_all(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    ssize_t n = ::write(fd, at, size);
    if (n <= 0) return;
    at += n;
    size -= static_cast<size_t>(n);
  }
}

void leave_input() {
  int fd = ::open(g_failed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return;
  write_all(fd, g_data, g_size);
  ::close(fd);
}

void on_signal(int signal) {
  leave_input();
  const char* what = signal == SIGPROF ? "fuzz: it takes too long; " : "fuzz: it failed; ";
  write_all(STDERR_FILENO, what, std::strlen(what));
  write_all(STDERR_FILENO, "the input is in ", 16);
  write_all(STDERR_FILENO, g_failed, std::strlen(g_failed));
  write_all(STDERR_FILENO, "\n", 1);
  // As if nobody had caught it.
  const int last = signal == SIGPROF ? SIGABRT : signal;
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(last, &action, nullptr);
  ::raise(last);
}

void catch_failures() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_NODEFER;
  for (int signal : {SIGABRT, SIGPROF, SIGTRAP}) ::sigaction(signal, &action, nullptr);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) ::sigaction(signal, &action, nullptr);
#endif
}

void limit_cpu(int seconds) {
  itimerval limit{};
  limit.it_value.tv_sec = seconds;
  ::setitimer(ITIMER_PROF, &limit, nullptr);
}

void check_memory() {
#ifdef FUZZ_LIMITS_MALLOC
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  myfs::fuzz::require(static_cast<size_t>(usage.ru_maxrss) * 1024 <= myfs::fuzz::kResidentMax_bytes,
                      "the process stays small");
#endif
}

void run(const Bytes& input) {
  // Of its own size exactly, so that reading past the end is seen.
  auto copy = std::vector<uint8_t>(input.begin(), input.end());
  g_data = copy.data();
  g_size = copy.size();
  limit_cpu(myfs::fuzz::kCpuMax_s);
#ifdef FUZZ_LIMITS_MALLOC
  g_limited = true;
#endif
  (void)LLVMFuzzerTestOneInput(copy.data(), copy.size());
#ifdef FUZZ_LIMITS_MALLOC
  g_limited = false;
#endif
  limit_cpu(0);
  check_memory();
  ++g_number;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::vector<Bytes> read_inputs(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "%s: cannot be read\n", path.c_str());
    std::exit(2);
  }
  std::vector<Bytes> inputs;
  if (!path.ends_with(".hex")) {
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    return inputs;
  }
  for (std::string line; std::getline(in, line);) {
    Bytes bytes;
    for (size_t i = 0; i + 1 < line.size(); i += 2) {
      int high = digit(line[i]), low = digit(line[i + 1]);
      if (high < 0 || low < 0) break;
      bytes.push_back(static_cast<char>(high << 4 | low));
    }
    inputs.push_back(std::move(bytes));
  }
  return inputs;
}

// One of the seeds with a few changes, two of them joined, or something else altogether.
Bytes invent(const std::vector<Bytes>& seeds, Random& random) {
  Bytes input;
  if (!seeds.empty() && random.below(8) != 0) input = seeds[random.below(seeds.size())];
  if (!seeds.empty() && random.below(4) == 0) {
    const Bytes& other = seeds[random.below(seeds.size())];
    input.resize(random.below(input.size() + 1));
    input += other.substr(random.below(other.size() + 1));
  }
  if (input.empty()) input.resize(random.below(600));
  if (input.size() < 8) input.resize(8);
  const bool all = seeds.empty() || input.find_first_not_of('\0') == Bytes::npos;
  const size_t changes = all ? input.size() : 1 + random.below(12);
  for (size_t i = 0; i < changes; ++i) {
    size_t at = all ? i : random.below(input.size());
    switch (all ? 0 : random.below(4)) {
      case 0:
      case 1:
        input[at] = static_cast<char>(random.next());
        break;
      case 2:
        input.insert(at, 1 + random.below(16), static_cast<char>(random.next()));
        break;
      default:
        if (input.size() > 16) input.erase(at, 1 + random.below(16));
    }
  }
  if (input.size() > myfs::fuzz::kInputMax_bytes) input.resize(myfs::fuzz::kInputMax_bytes);
  return input;
}

double seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Plan {
  std::vector<std::string> files;
  std::vector<Bytes> seeds;
  double seconds = 0;
  uint64_t inputs = UINT64_MAX;
  uint64_t from = 0;
};

Plan read_plan(int argc, char** argv) {
  Plan plan;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (arg == "--seconds") {
      plan.seconds = std::strtod(value(), nullptr);
    } else if (arg == "--inputs") {
      plan.inputs = std::strtoull(value(), nullptr, 10);
    } else if (arg == "--from") {
      plan.from = std::strtoull(value(), nullptr, 10);
    } else if (arg == "--seeds") {
      plan.seeds = read_inputs(value());
    } else {
      plan.files.push_back(arg);
    }
  }
  if (plan.inputs != UINT64_MAX && plan.seconds == 0) plan.seconds = 1e9;
  return plan;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string self = argv[0];
  g_name = self.substr(self.rfind('/') + 1);
  std::snprintf(g_failed, sizeof g_failed, "%s.failed", g_name.c_str());
  Plan plan = read_plan(argc, argv);
  catch_failures();
  const double end = seconds_now() + plan.seconds;
  for (const std::string& file : plan.files) {
    for (const Bytes& input : read_inputs(file)) run(input);
  }
  for (const Bytes& seed : plan.seeds) run(seed);
  const uint64_t given = g_number;
  for (uint64_t i = plan.from; i - plan.from < plan.inputs && seconds_now() < end; ++i) {
    Random random(i);
    run(invent(plan.seeds, random));
  }
  std::printf("%s: %llu inputs given, %llu invented\n", g_name.c_str(),
              static_cast<unsigned long long>(given),
              static_cast<unsigned long long>(g_number - given));
  return 0;
}
