// integration_peer URL: a client in a process of its own that does what stdin says, line by line,
// and answers each line with one. `load` does not answer but reports what is done, until it is
// killed.
#include <errno.h>
#include <fcntl.h>
#include <myfs/myfs.h>

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::string content(const std::string& name, int number) {
  std::string text;
  while (text.size() < 3000 + static_cast<size_t>(number) % 7 * 4000) {
    text += name + ":" + std::to_string(number) + ";";
  }
  return text;
}

int put(myfs_task* task, const std::string& path, const std::string& text, bool sync) {
  int fd = myfs_open(task, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return fd;
  ssize_t n = myfs_write(task, fd, text.data(), text.size());
  int result = n < 0 ? static_cast<int>(n) : 0;
  if (result == 0 && sync) result = myfs_fsync(task, fd);
  int closed = myfs_close(task, fd);
  return result != 0 ? result : closed;
}

int append(myfs_task* task, const std::string& path, const std::string& tag, int count) {
  int fd = myfs_open(task, path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return fd;
  int result = 0;
  for (int i = 0; i < count && result == 0; ++i) {
    std::string line = tag + " " + std::to_string(i) + "\n";
    ssize_t n = myfs_write(task, fd, line.data(), line.size());
    if (n != static_cast<ssize_t>(line.size())) result = n < 0 ? static_cast<int>(n) : -EIO;
  }
  int closed = myfs_close(task, fd);
  return result != 0 ? result : closed;
}

std::string get(myfs_task* task, const std::string& path) {
  int fd = myfs_open(task, path.c_str(), O_RDONLY, 0);
  if (fd < 0) return "<" + std::to_string(fd) + ">";
  std::string text(1 << 20, '\0');
  ssize_t n = myfs_pread(task, fd, text.data(), text.size(), 0);
  myfs_close(task, fd);
  if (n < 0) return "<" + std::to_string(n) + ">";
  text.resize(static_cast<size_t>(n));
  return text;
}

// Reports "F name number" (content is durable), "R name number" (was renamed), "D name", "U name".
int load(myfs_task* task, const std::string& dir) {
  auto done = [](const std::string& line) { std::cout << line << std::endl; };
  for (int i = 0;; ++i) {
    const std::string name = "f" + std::to_string(i), path = dir + "/" + name;
    if (int result = put(task, path, content(name, i), true); result != 0) return result;
    done("F " + name + " " + std::to_string(i));
    if (i % 3 == 0) {
      const std::string to = dir + "/r" + std::to_string(i);
      if (int result = myfs_rename(task, path.c_str(), to.c_str()); result != 0) return result;
      done("R " + name + " " + std::to_string(i));
    } else if (i % 5 == 0) {
      if (int result = myfs_unlink(task, path.c_str()); result != 0) return result;
      done("U " + name + " " + std::to_string(i));
    }
    if (i % 4 == 0) {
      const std::string made = dir + "/d" + std::to_string(i);
      if (int result = myfs_mkdir(task, made.c_str(), 0755); result != 0) return result;
      done("D d" + std::to_string(i) + " " + std::to_string(i));
    }
  }
}

std::string execute(myfs_task* task, const std::string& line) {
  std::istringstream words(line);
  std::string verb, path, text;
  int count = 0;
  words >> verb >> path >> text >> count;
  if (verb == "put") return std::to_string(put(task, path, text, false));
  if (verb == "get") return get(task, path);
  if (verb == "append") return std::to_string(append(task, path, text, count));
  if (verb == "load") return std::to_string(load(task, path));
  if (verb == "content") return content(path, std::stoi(text));
  if (verb == "stat") {
    struct stat st;
    int result = myfs_lstat(task, path.c_str(), &st);
    return result != 0 ? std::to_string(result) : std::to_string(st.st_size);
  }
  return "<what?>";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  myfs_task* task = nullptr;
  if (int result = myfs_open_url(argv[1], nullptr, &task); result != 0) {
    std::cerr << "integration_peer: " << argv[1] << ": " << result << std::endl;
    return 1;
  }
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) std::cout << execute(task, line) << std::endl;
  return myfs_task_destroy(task) == 0 ? 0 : 1;
}
