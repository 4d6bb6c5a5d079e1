// Put and verify: the two halves of the main job, each run by a client of its own.
#pragma once

#include <myfs/myfs.hpp>

#include <string>
#include <utility>
#include <vector>

#include "examples/tree/entry.h"

namespace tree {

struct PutOptions {
  std::vector<std::pair<std::string, std::string>> trees;  // local path -> new path in MyFS
  unsigned threads = 32;
};

// Copies; returns whether everything went well. The manifest lists everything that was found.
bool put(myfs::Task& task, const PutOptions& options, std::vector<Entry>* manifest);

// Lists the file system and reads every file again; returns whether it is the manifest exactly:
// nothing missing, nothing more, every attribute, link and digest equal.
bool verify(myfs::Task& task, const std::vector<Entry>& manifest, unsigned threads);

// Makes a local tree of everything that copies tend to lose, and `entries` further small files
// below DIR/many.
bool make_oddities(const std::string& dir, uint64_t entries);

}  // namespace tree
