// Makes the local tree of oddities: what copies tend to lose.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "examples/tree/put.h"

namespace tree {
namespace {

constexpr off_t kSparseSize_bytes = off_t{96} << 20;
constexpr uint64_t kFilesPerDirectory = 500;

class Maker {
 public:
  explicit Maker(std::string dir) : dir_(std::move(dir)) {}
  bool ok() const { return ok_; }

  std::string at(const std::string& name) const { return dir_ + "/" + name; }
  void check(const std::string& what, int result) {
    if (result >= 0) return;
    std::fprintf(stderr, "myfs-tree: %s: %s\n", printable(what).c_str(), std::strerror(errno));
    ok_ = false;
  }
  void directory(const std::string& name, mode_t mode) {
    int made = ::mkdir(at(name).c_str(), 0700);
    if (made != 0 && errno == EEXIST) made = 0;
    check(name, made);
    check(name, ::chmod(at(name).c_str(), mode));
  }
  void file(const std::string& name, const std::string& content, mode_t mode = 0644) {
    int fd = ::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(name, fd);
    if (fd < 0) return;
    ssize_t n = ::write(fd, content.data(), content.size());
    check(name, n == static_cast<ssize_t>(content.size()) ? 0 : -1);
    check(name, ::fchmod(fd, mode));
    ::close(fd);
  }
  void sparse(const std::string& name) {
    file(name, "head");
    int fd = ::open(at(name).c_str(), O_WRONLY | O_CLOEXEC);
    check(name, fd);
    if (fd < 0) return;
    check(name, static_cast<int>(::pwrite(fd, "middle", 6, kSparseSize_bytes / 2 + 1234)));
    check(name, ::ftruncate(fd, kSparseSize_bytes));
    ::close(fd);
  }
  void symlink(const std::string& target, const std::string& name) {
    ::unlink(at(name).c_str());
    check(name, ::symlink(target.c_str(), at(name).c_str()));
  }
  void hard_link(const std::string& from, const std::string& to) {
    ::unlink(at(to).c_str());
    check(to, ::link(at(from).c_str(), at(to).c_str()));
  }
  void times(const std::string& name, int64_t sec, long nsec) {
    timespec both[2] = {{sec, nsec}, {sec, nsec}};
    check(name, ::utimensat(AT_FDCWD, at(name).c_str(), both, AT_SYMLINK_NOFOLLOW));
  }

 private:
  const std::string dir_;
  bool ok_ = true;
};

void make_names(Maker& maker) {
  maker.directory("names", 0755);
  maker.file("names/" + std::string(255, 'n'), "a name of 255 bytes");
  maker.file("names/\xff\xfe not utf-8 \x80", "bytes are bytes");
  maker.file("names/ leading blank", "x");
  maker.file("names/new\nline", "x");
  maker.file("names/back\\slash \"quoted\" 'name' * ? [x] $HOME", "x");
  maker.file("names/\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "utf-8");
  maker.file("names/-rf", "looks like an option");
}

void make_kinds(Maker& maker) {
  maker.directory("kinds", 0755);
  maker.file("kinds/empty", "");
  maker.sparse("kinds/sparse");
  maker.file("kinds/one-block", std::string(4096, 'b'));
  maker.file("kinds/one-more", std::string(65537, 'c'));
  maker.symlink("nowhere/at/all", "kinds/dangling");
  maker.symlink(std::string(4095, 'l'), "kinds/long-target");
  maker.symlink("../kinds/empty", "kinds/relative");
  maker.symlink("loop", "kinds/loop");
  ::unlink(maker.at("kinds/fifo").c_str());
  maker.check("fifo", ::mkfifo(maker.at("kinds/fifo").c_str(), 0620));
  for (const char* name : {"a", "b", "c"}) {
    maker.directory(std::string("kinds/links-") + name, 0755);
  }
  maker.file("kinds/links-a/first", "one inode, three names");
  maker.hard_link("kinds/links-a/first", "kinds/links-b/second");
  maker.hard_link("kinds/links-a/first", "kinds/links-c/third");
}

void make_attributes(Maker& maker) {
  maker.directory("attributes", 0755);
  maker.directory("attributes/setgid", 02775);
  maker.directory("attributes/sticky", 01777);
  maker.directory("attributes/locked", 0500);
  maker.file("attributes/setuid", "#!/bin/sh\n", 04755);
  maker.file("attributes/setgid-file", "x", 02755);
  maker.file("attributes/no-permission", "x", 0);
  maker.file("attributes/nanoseconds", "x");
  maker.times("attributes/nanoseconds", 1234567890, 123456789);
  maker.file("attributes/before-1970", "x");
  maker.times("attributes/before-1970", -86400, 999999999);
  maker.file("attributes/after-2038", "x");
  maker.times("attributes/after-2038", 4102444800, 1);
}

}  // namespace

bool make_oddities(const std::string& dir, uint64_t entries) {
  Maker maker(dir);
  if (::mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) maker.check(dir, -1);
  make_names(maker);
  make_kinds(maker);
  make_attributes(maker);
  maker.directory("many", 0755);
  for (uint64_t i = 0; i < entries && maker.ok(); ++i) {
    std::string sub = "many/" + std::to_string(i / kFilesPerDirectory);
    if (i % kFilesPerDirectory == 0) maker.directory(sub, 0755);
    maker.file(sub + "/" + std::to_string(i), "file " + std::to_string(i) + "\n");
  }
  return maker.ok();
}

}  // namespace tree
