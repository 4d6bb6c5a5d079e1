// Entry: what a copy of a tree must preserve of one file, and the manifest that carries it from one
// client to the next.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace tree {

struct Entry {
  std::string path;  // absolute, below the mount's root
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;  // of regular files and symbolic links
  int64_t mtime_sec = 0;
  uint32_t mtime_nsec = 0;
  std::string target;   // of a symbolic link
  std::string sha256;   // of a regular file, hex
  std::string same_as;  // path of the first name of a hard-linked file; empty for the first
};

// All but path, sha256 and same_as.
Entry entry_of(const struct stat& st, std::string path);

// One line without newline; bytes outside of printable ASCII, blanks and '%' are percent-encoded.
std::string to_line(const Entry& entry);
bool parse_line(std::string_view line, Entry* entry);

// Return false after a message on stderr.
bool write_manifest(const std::string& file, const std::vector<Entry>& entries);
bool read_manifest(const std::string& file, std::vector<Entry>* entries);

// For messages: the path with unprintable bytes encoded.
std::string printable(std::string_view path);

}  // namespace tree
