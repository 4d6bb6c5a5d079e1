// Memory: what the mappings of each client show of files, and what was stored there and is not
// written yet.
// Kernel counterpart: mm/filemap.c, as docs/posix.md ("Mappings") tells it: within a client memory
// and calls agree; between clients stores travel in words of 8 bytes, with msync and its kin, and
// what others have changed is there after mmap and MS_INVALIDATE. Until then it may be there: such
// words are *stale* here, and anything may be read.
// Thread safety: none. Owns / is owned by: owned by Model; nodes are the Tree's.
// Invariants: (1) there is a view of (client, node) iff the client has areas of it; (2) a pending
// word lies in a shared writable area and below the file's end as its client knows it; (3) nobody
// else changes the size of a file of which a client has pending words (Driver sees to it): what
// becomes of these then is nobody's promise.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/tree.h"

namespace myfs::test {

inline constexpr int64_t kMapPage = 4096, kMapWord = 8;

class Memory {
 public:
  // An area of [from, to), whole pages, comes or goes.
  void map(int client, Node* node, int64_t from, int64_t to);
  void unmap(int client, Node* node);

  // What was stored in [from, to) becomes content; to -1: all of it.
  void write_out(int client, Node* node, int64_t from = 0, int64_t to = -1);
  void write_out_all(int client);
  // [from, to) shows what the file holds.
  void refresh(int client, Node* node, int64_t from, int64_t to);
  // `client` is going to change [from, to) of the content; to -1: to the end.
  void changing(int client, Node* node, int64_t from, int64_t to);
  // It has, and the size was `before`.
  void changed(int client, Node* node, int64_t from, int64_t to, int64_t before);

  // Whole words from `at` on were `before` and are `after` now, by the client's store.
  void store(int client, Node* node, int64_t at, const std::string& before,
             const std::string& after);
  // Puts what the client has stored over what it has read at `from`.
  void overlay(int client, const Node* node, int64_t from, std::string* data) const;
  // Whether byte `at` of the file may be anything in the client's memory.
  bool stale(int client, const Node* node, int64_t at) const;
  bool size_known(int client, const Node* node) const;
  bool pending(int client, const Node* node) const;

 private:
  using Bytes = std::array<char, kMapWord>;
  struct Word {
    Bytes base, now;
  };
  struct View {
    int areas = 0;
    bool size_known = true;
    std::map<int64_t, Word> pending;  // by offset
    std::vector<bool> stale;          // by word
  };
  View* view(int client, const Node* node);
  const View* view(int client, const Node* node) const;
  static void set_stale(View& view, int64_t from, int64_t to);
  static void set_fresh(View& view, int64_t from, int64_t to);
  static void cut(View& view, int64_t size);

  std::map<std::pair<const Node*, int>, View> views_;
};

}  // namespace myfs::test
