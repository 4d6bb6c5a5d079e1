// RescueDir: a directory of the host where lost writes are put (option salvage_dir).
// Kernel counterpart: none; e2fsck's lost+found is the nearest.
// Thread safety: all; save() waits for the disk.
// Owns / is owned by: shared by the mount and what it has queued; owns a descriptor of the
// directory, so that it stays the one that was named, whoever changes the working directory.
// Invariants: (1) no file that is there already is ever opened, changed or removed; (2) the
// description (NAME.json) has content only when all of the bytes are in NAME.data, synced.
#pragma once

#include <memory>
#include <string>

#include "sdk/base/result.h"

namespace myfs::netfs {

class LostWrites;

class RescueDir {
 public:
  // ENOENT, ENOTDIR, EACCES: a message names it.
  static Result<std::shared_ptr<const RescueDir>> open(const std::string& path);
  ~RescueDir();
  RescueDir(const RescueDir&) = delete;
  RescueDir& operator=(const RescueDir&) = delete;

  // The path of the description. On failure a message names what failed, with which error, and
  // what there is nevertheless.
  Result<std::string> save(const LostWrites& lost) const;

 private:
  RescueDir(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  // Two new empty files of one name: "NAME.data" and "NAME.json". Their descriptors.
  struct Pair;
  Result<Pair> create_pair(const LostWrites& lost) const;

  const std::string path_;  // absolute
  const int fd_;
};

}  // namespace myfs::netfs
