// Tree: what a file system is, in memory and without any cleverness: nodes, names, and the walk of
// a path through them. The model's ground floor.
// Kernel counterpart: fs/namei.c and ext4, as docs/posix.md tells them. Knows no permissions: the
// caller owns everything.
// Thread safety: none. Owns / is owned by: a Tree owns its nodes until it ends, with names or
// without; Model owns the tree.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace myfs::test {

inline constexpr int kLockCells = 16;  // the last one: all bytes from there on

struct OpenFile;

struct Node {
  mode_t type = S_IFREG;
  mode_t mode = 0;
  unsigned links = 0;
  std::string data;    // of a file
  std::string target;  // of a symbolic link
  std::map<std::string, Node*> entries;
  Node* parent = nullptr;  // of a directory; itself: the root
  bool dead = false;       // a directory that was removed
  bool linkable = false;   // without a name, but may get one
  std::map<std::string, std::string> xattrs;
  // Known once somebody has asked, until the next change.
  std::optional<timespec> mtime, ctime;
  std::optional<ino_t> ino;
  std::map<const OpenFile*, bool> flocks;                          // exclusive?
  std::array<std::map<const void*, bool>, kLockCells> byte_locks;  // for writing?

  bool is_dir() const { return type == S_IFDIR; }
  bool is_file() const { return type == S_IFREG; }
  bool is_link() const { return type == S_IFLNK; }
  void changed_status() { ctime.reset(); }
  void changed() { mtime.reset(), ctime.reset(); }
};

// Where a path leads.
struct Place {
  int error = 0;         // not 0: the walk failed before its last component
  Node* dir = nullptr;   // where `last` is looked up
  std::string last;      // "": the root
  bool plain = true;     // no ".", "..", or root
  bool slash = false;    // slashes behind it
  Node* node = nullptr;  // what it names, if anything
};

class Tree {
 public:
  Tree();
  Node* root() { return root_; }

  // Whether the last component is followed if it is a symbolic link. kParent: not even for the sake
  // of a slash behind it. kCreate: as kFollow, but what ends in a slash, in a link's target too, is
  // EISDIR whatever there is.
  enum class Last { kFollow, kNoFollow, kParent, kCreate };
  Place walk(Node* from, std::string_view path, Last last);
  // An existing node, or -errno in *error.
  Node* find(Node* from, std::string_view path, bool follow, int* error);

  Node* make(mode_t type, mode_t mode);
  // Puts `node` into `dir` under a name that is free, or takes it away.
  void enter(Node* dir, const std::string& name, Node* node);
  void remove(Node* dir, const std::string& name);
  // Whether `node` is `below` or one of its ancestors.
  static bool is_ancestor(const Node* node, const Node* below);

 private:
  Place walk(Node* from, std::string_view path, Last last, int* followed);
  static Node* step(Node* dir, const std::string& name);
  Node* through(Node* dir, Node* link, int* followed, int* error);

  std::deque<Node> nodes_;
  Node* root_;
};

}  // namespace myfs::test
