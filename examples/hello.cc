// Hello: the smallest program on MyFS: writes a file, reads it back, lists the directory.
//
//   hello URL      for example  hello embedded:/tmp/hello-data  or  hello myfs+unix:/run/myfs.sock

#include <myfs/myfs.hpp>

#include <cstdio>
#include <string>

namespace {

int report(const char* what, const myfs::Error& error) {
  std::fprintf(stderr, "hello: %s: %s\n", what, error.message().c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: hello URL\n");
    return 2;
  }
  auto task = myfs::Task::open(argv[1]);
  if (!task) return report(argv[1], task.error());

  {
    auto file = task->open_file("/hello.txt", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (!file) return report("open", file.error());
    if (auto n = file->write("Hello from MyFS\n"); !n) return report("write", n.error());
    if (auto synced = file->fsync(); !synced) return report("fsync", synced.error());

    std::byte buffer[64];
    auto n = file->pread(buffer, 0);
    if (!n) return report("read", n.error());
    std::fwrite(buffer, 1, *n, stdout);
  }

  {
    auto dir = task->open_dir("/");
    if (!dir) return report("opendir", dir.error());
    while (true) {
      auto entry = dir->next();
      if (!entry) return report("readdir", entry.error());
      if (!entry->has_value()) break;
      std::printf("%s\n", std::string((*entry)->name()).c_str());
    }
  }
  if (auto closed = task->close(); !closed) return report("close", closed.error());
  return 0;
}
