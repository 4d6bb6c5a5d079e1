// Async: reads the files that it is given with coroutines, all at a time, in one thread, and tells
// how many bytes each has.
//
//   async URL PATH...      for example  async embedded:/tmp/hello-data /hello.txt

#include <poll.h>
#include <myfs/async.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

struct Total {
  int running = 0;
  int failed = 0;
};

// Runs until it has to wait; goes on inside service().
myfs::Detached count_bytes(myfs::Async& async, std::string path, Total& total) {
  ++total.running;
  size_t size = 0;
  myfs::Result<int> fd = co_await async.open(path, O_RDONLY);
  myfs::Result<size_t> read = size_t{0};
  if (fd) {
    std::vector<std::byte> buffer(64 << 10);
    do {
      read = co_await async.pread(*fd, buffer, static_cast<off_t>(size));
      if (read) size += *read;
    } while (read && *read > 0);
    (void)co_await async.close(*fd);
  }
  if (fd && read) {
    std::printf("%10zu %s\n", size, path.c_str());
  } else {
    const myfs::Error& error = fd ? read.error() : fd.error();
    std::fprintf(stderr, "async: %s: %s\n", path.c_str(), error.message().c_str());
    ++total.failed;
  }
  --total.running;
}

int run(myfs::Task& task, const std::vector<std::string>& paths) {
  auto async = myfs::Async::create(task);
  if (!async) {
    std::fprintf(stderr, "async: %s\n", async.error().message().c_str());
    return 1;
  }
  Total total;
  for (const std::string& path : paths) count_bytes(*async, path, total);
  // In a real program the descriptor is one of many in its event loop.
  while (total.running > 0) {
    pollfd ready{async->fd(), POLLIN, 0};
    ::poll(&ready, 1, -1);
    async->service();
  }
  return total.failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: async URL PATH...\n");
    return 2;
  }
  auto task = myfs::Task::open(argv[1]);
  if (!task) {
    std::fprintf(stderr, "async: %s: %s\n", argv[1], task.error().message().c_str());
    return 1;
  }
  return run(*task, {argv + 2, argv + argc});
}
