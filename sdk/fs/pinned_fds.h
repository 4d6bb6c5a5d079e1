// PinnedFds: the open files behind the descriptors that an operation was given, taken when it was
// given them, and the numbers by which its call finds them later, on another thread.
// Kernel counterpart: io_assign_file (io_uring): req->file.  Differs: the call keeps its numbers.
// Thread safety: one thread at a time. A Scope is of its thread; not nested.
// Owns / is owned by: by the operation; holds one reference for each descriptor, so that neither
// close nor umount ends a file.
// Invariants: (1) the numbers are of no descriptor (>= kDescriptorsMax) and mean something inside a
// Scope only; (2) a number means the file that was taken, whatever its descriptor names by now;
// what is done to the descriptor itself (close, its marks) is EBADF once it names another file.
#pragma once

#include <vector>

#include "sdk/base/limits.h"
#include "sdk/base/ref.h"
#include "sdk/fs/file.h"

namespace myfs::fs {

class FdTable;

class PinnedFds {
 public:
  struct Pin {
    int fd;
    RefPtr<File> file;  // null: there was none
  };

  explicit PinnedFds(const FdTable& table) : table_(table) {}

  // The number for the file of `fd`. Negative ones name none (AT_FDCWD): they mean themselves.
  int pin(int fd);
  // Lets go of all files but those that nobody else holds. False: there are some.
  bool drop_unless_last();
  // Of all; which may take time.
  void drop() { pins_.clear(); }

  class Scope {
   public:
    explicit Scope(const PinnedFds& pins);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  // Of the scope that this thread is in; null: no number of it.
  static const Pin* find(int number);
  static File* file_of(int number);

 private:
  const FdTable& table_;
  std::vector<Pin> pins_;
};

}  // namespace myfs::fs
