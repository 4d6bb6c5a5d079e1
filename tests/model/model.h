// Model: what a file system with two clients must answer, call by call: descriptors, open files,
// names, content, attributes and locks over a Tree.
// Kernel counterpart: the system calls, with ext4 below them.
// Thread safety: none: the calls of both clients come one after the other, so every answer is
// known.
// Owns / is owned by: owns its tree and the clients' open files.
// Invariants: (1) a call that fails changes nothing; (2) a call returns what the one of
// <myfs/myfs.h> of its name returns.
#pragma once

#include <fcntl.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/memory.h"
#include "tests/model/tree.h"

namespace myfs::test {

struct OpenFile {
  Node* node;
  int flags;
  int64_t pos = 0;
  ~OpenFile();

  bool path_only() const { return (flags & O_PATH) != 0; }
  bool readable() const { return !path_only() && (flags & O_ACCMODE) != O_WRONLY; }
  bool writable() const { return !path_only() && (flags & O_ACCMODE) != O_RDONLY; }
};

class Model {
 public:
  explicit Model(int clients) : fds_(static_cast<size_t>(clients)) {}

  // --- opening
  int open(int client, int dirfd, const std::string& path, int flags, mode_t mode);
  int close(int client, int fd);
  int dup(int client, int fd);
  int dup2(int client, int fd, int to);

  // --- content. Where nothing is said, at the position if offset is -1.
  int64_t read(int client, int fd, int64_t size, int64_t offset, std::string* out);
  int64_t write(int client, int fd, const std::string& data, int64_t offset, bool append);
  // `given`: what the call has returned; how much is copied is its own choice.
  int64_t copy(int client, int fd_in, int64_t* offset_in, int fd_out, int64_t* offset_out,
               int64_t size, int64_t given);
  int clone(int client, int fd_in, int64_t offset_in, int fd_out, int64_t offset_out, int64_t size);
  int truncate(int client, const std::string& path, int64_t size);
  int ftruncate(int client, int fd, int64_t size);
  int fallocate(int client, int fd, int mode, int64_t offset, int64_t length);
  int64_t lseek(int client, int fd, int64_t offset, int whence, int64_t given);
  int sync(int client, int fd, bool all);
  int advise(int client, int fd) const;

  // --- mappings, shared ones: each client has numbered slots for them, free ones here
  struct Area {
    std::shared_ptr<OpenFile> file;
    bool writable;
    int64_t offset, length;  // bytes, of whole pages
  };
  int mmap(int client, int slot, int fd, bool writable, int64_t offset, int64_t length);
  // Null: free.
  const Area* area(int client, int slot) const;
  // Bytes [from, to) of the file, whole pages of the area.
  void msync(int client, int slot, int64_t from, int64_t to, bool invalidate);
  void munmap(int client, int slot);
  Memory& memory() { return memory_; }

  // --- names
  int mkdir(int client, int dirfd, const std::string& path, mode_t mode);
  int mknod(int client, int dirfd, const std::string& path, mode_t mode);
  int symlink(int client, const std::string& target, int dirfd, const std::string& path);
  int readlink(int client, int dirfd, const std::string& path, std::string* out);
  int unlink(int client, int dirfd, const std::string& path, bool directory);
  int link(int client, int from_dirfd, const std::string& from, int to_dirfd, const std::string& to,
           int flags);
  int rename(int client, int from_dirfd, const std::string& from, int to_dirfd,
             const std::string& to, unsigned flags);

  // --- attributes: the node, or -errno in *error
  Node* at(int client, int dirfd, const std::string& path, bool follow, int* error);
  Node* of(int client, int fd, bool path_only_too, int* error);
  int setxattr(const std::string& path, const std::string& name, const std::string& value,
               int flags);
  int getxattr(const std::string& path, const std::string& name, size_t size, std::string* out);
  int removexattr(const std::string& path, const std::string& name);

  // --- locks, without waiting
  int flock(int client, int fd, int operation);
  // cells first..last; type F_RDLCK, F_WRLCK, F_UNLCK; ofd: of the open file.
  int lock(int client, int fd, bool ofd, short type, int first, int last);
  // Whether somebody is in the way.
  int test_lock(int client, int fd, bool ofd, short type, int first, int last, bool* held);
  // What each close() of a descriptor of the file does to the locks of the client.
  void unlock_posix(int client, Node* node);

  // --- questions
  int open_files(int client) const;
  OpenFile* file(int client, int fd) const;
  Tree& tree() { return tree_; }

 private:
  using File = std::shared_ptr<OpenFile>;

  void put(int client, Node* node, int64_t offset, const std::string& data);
  void resize(int client, Node* node, int64_t size);
  Node* start(int client, int dirfd, const std::string& path, int* error);
  Place parent(int client, int dirfd, const std::string& path);
  // Where a new name may go; 0 or -errno.
  int free_place(int client, int dirfd, const std::string& path, bool directory, Place* place);
  int install(int client, File file);
  int open_tmpfile(int client, int dirfd, const std::string& path, int flags, mode_t mode);
  int open_existing(Node* node, bool slash, int flags) const;
  int rename_checked(const Place& from, const Place& to, unsigned flags);
  const void* owner(int client, const OpenFile* file, bool ofd) const;
  void release(int client, int fd);

  Tree tree_;
  Memory memory_;
  std::map<std::pair<int, int>, Area> areas_;  // by client and slot
  std::vector<std::map<int, File>> fds_;
};

}  // namespace myfs::test
