// Names, attributes and locks of the model.
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <algorithm>

#include "tests/model/model.h"

namespace myfs::test {

// Where a path begins.
Node* Model::start(int client, int dirfd, const std::string& path, int* error) {
  if (path.empty()) {
    *error = -ENOENT;
    return nullptr;
  }
  if (dirfd == AT_FDCWD || path[0] == '/') return tree_.root();
  OpenFile* open = file(client, dirfd);
  *error = open == nullptr ? -EBADF : open->node->is_dir() ? 0 : -ENOTDIR;
  return *error == 0 ? open->node : nullptr;
}

Place Model::parent(int client, int dirfd, const std::string& path) {
  Place place;
  Node* from = start(client, dirfd, path, &place.error);
  return from == nullptr ? place : tree_.walk(from, path, Tree::Last::kParent);
}

int Model::free_place(int client, int dirfd, const std::string& path, bool directory,
                      Place* place) {
  *place = parent(client, dirfd, path);
  if (place->error != 0) return place->error;
  if (!place->plain || place->node != nullptr) return -EEXIST;
  if ((place->slash && !directory) || place->dir->dead) return -ENOENT;
  return 0;
}

int Model::mkdir(int client, int dirfd, const std::string& path, mode_t mode) {
  Place place;
  if (int error = free_place(client, dirfd, path, true, &place); error != 0) return error;
  tree_.enter(place.dir, place.last, tree_.make(S_IFDIR, mode));
  return 0;
}

int Model::mknod(int client, int dirfd, const std::string& path, mode_t mode) {
  Place place;
  if (int error = free_place(client, dirfd, path, false, &place); error != 0) return error;
  tree_.enter(place.dir, place.last, tree_.make(mode & S_IFMT, mode & 07777));
  return 0;
}

int Model::symlink(int client, const std::string& target, int dirfd, const std::string& path) {
  Place place;
  if (int error = free_place(client, dirfd, path, false, &place); error != 0) return error;
  Node* node = tree_.make(S_IFLNK, 0777);
  node->target = target;
  tree_.enter(place.dir, place.last, node);
  return 0;
}

int Model::readlink(int client, int dirfd, const std::string& path, std::string* out) {
  int error = 0;
  // "": what the descriptor is.
  Node* node = path.empty() && dirfd != AT_FDCWD ? of(client, dirfd, true, &error)
                                                 : at(client, dirfd, path, false, &error);
  if (node == nullptr) return error;
  if (!node->is_link()) return path.empty() ? -ENOENT : -EINVAL;
  *out = node->target;
  return static_cast<int>(out->size());
}

int Model::unlink(int client, int dirfd, const std::string& path, bool directory) {
  Place place = parent(client, dirfd, path);
  if (place.error != 0) return place.error;
  if (!place.plain) {
    if (!directory) return -EISDIR;
    return place.last == ".." ? -ENOTEMPTY : place.last == "." ? -EINVAL : -EBUSY;
  }
  Node* node = place.node;
  if (node == nullptr) return -ENOENT;
  if (directory) {
    if (!node->is_dir()) return -ENOTDIR;
    if (!node->entries.empty()) return -ENOTEMPTY;
    node->dead = true;
  } else {
    if (node->is_dir()) return -EISDIR;
    if (place.slash) return -ENOTDIR;
  }
  tree_.remove(place.dir, place.last);
  return 0;
}

int Model::link(int client, int from_dirfd, const std::string& from, int to_dirfd,
                const std::string& to, int flags) {
  int error = 0;
  Node* node = nullptr;
  if ((flags & AT_EMPTY_PATH) != 0 && from.empty()) {
    OpenFile* open = file(client, from_dirfd);
    if (open == nullptr) return -EBADF;
    node = open->node;
  } else {
    node = at(client, from_dirfd, from, (flags & AT_SYMLINK_FOLLOW) != 0, &error);
    if (node == nullptr) return error;
  }
  Place place;
  if (error = free_place(client, to_dirfd, to, false, &place); error != 0) return error;
  if (node->is_dir()) return -EPERM;
  if (node->links == 0 && !node->linkable) return -ENOENT;
  node->linkable = false;
  tree_.enter(place.dir, place.last, node);
  return 0;
}

int Model::rename(int client, int from_dirfd, const std::string& from, int to_dirfd,
                  const std::string& to, unsigned flags) {
  const bool exchange = (flags & RENAME_EXCHANGE) != 0, keep = (flags & RENAME_NOREPLACE) != 0;
  if (exchange && keep) return -EINVAL;
  Place a = parent(client, from_dirfd, from);
  if (a.error != 0) return a.error;
  Place b = parent(client, to_dirfd, to);
  if (b.error != 0) return b.error;
  if (!a.plain) return -EBUSY;
  if (!b.plain) return keep ? -EEXIST : -EBUSY;
  if (a.node == nullptr) return -ENOENT;
  if (keep && b.node != nullptr) return -EEXIST;
  if (exchange) {
    if (b.node == nullptr) return -ENOENT;
    if (b.slash && !b.node->is_dir()) return -ENOTDIR;
  }
  if (!a.node->is_dir() && (a.slash || (!exchange && b.slash))) return -ENOTDIR;
  if (Tree::is_ancestor(a.node, b.dir)) return -EINVAL;
  if (b.node != nullptr && Tree::is_ancestor(b.node, a.dir)) return exchange ? -EINVAL : -ENOTEMPTY;
  return rename_checked(a, b, flags);
}

int Model::rename_checked(const Place& from, const Place& to, unsigned flags) {
  Node *node = from.node, *replaced = to.node;
  if (node == replaced) return 0;
  if ((flags & RENAME_EXCHANGE) != 0) {
    tree_.remove(from.dir, from.last);
    tree_.remove(to.dir, to.last);
    tree_.enter(to.dir, to.last, node);
    tree_.enter(from.dir, from.last, replaced);
    return 0;
  }
  if (replaced == nullptr) {
    if (to.dir->dead) return -ENOENT;
  } else {
    if (node->is_dir() && !replaced->is_dir()) return -ENOTDIR;
    if (!node->is_dir() && replaced->is_dir()) return -EISDIR;
    if (!replaced->entries.empty()) return -ENOTEMPTY;
    replaced->dead = replaced->is_dir();
    tree_.remove(to.dir, to.last);
  }
  tree_.remove(from.dir, from.last);
  tree_.enter(to.dir, to.last, node);
  return 0;
}

// --- attributes

Node* Model::at(int client, int dirfd, const std::string& path, bool follow, int* error) {
  Node* from = start(client, dirfd, path, error);
  return from == nullptr ? nullptr : tree_.find(from, path, follow, error);
}

Node* Model::of(int client, int fd, bool path_only_too, int* error) {
  OpenFile* open = file(client, fd);
  *error = open == nullptr || (open->path_only() && !path_only_too) ? -EBADF : 0;
  return *error == 0 ? open->node : nullptr;
}

int Model::setxattr(const std::string& path, const std::string& name, const std::string& value,
                    int flags) {
  int error = 0;
  Node* node = tree_.find(tree_.root(), path, true, &error);
  if (node == nullptr) return error;
  if (!node->is_file() && !node->is_dir()) return -EPERM;
  const bool there = node->xattrs.count(name) != 0;
  if ((flags & XATTR_CREATE) != 0 && there) return -EEXIST;
  if ((flags & XATTR_REPLACE) != 0 && !there) return -ENODATA;
  node->xattrs[name] = value;
  node->changed_status();
  return 0;
}

int Model::getxattr(const std::string& path, const std::string& name, size_t size,
                    std::string* out) {
  int error = 0;
  Node* node = tree_.find(tree_.root(), path, true, &error);
  if (node == nullptr) return error;
  auto found = node->xattrs.find(name);
  if (found == node->xattrs.end()) return -ENODATA;
  const size_t length = found->second.size();
  if (size != 0 && size < length) return -ERANGE;
  if (size != 0) *out = found->second;
  return static_cast<int>(length);
}

int Model::removexattr(const std::string& path, const std::string& name) {
  int error = 0;
  Node* node = tree_.find(tree_.root(), path, true, &error);
  if (node == nullptr) return error;
  if (!node->is_file() && !node->is_dir()) return -EPERM;
  if (node->xattrs.erase(name) == 0) return -ENODATA;
  node->changed_status();
  return 0;
}

// --- locks

const void* Model::owner(int client, const OpenFile* open, bool ofd) const {
  if (ofd) return open;
  return &fds_[static_cast<size_t>(client)];
}

int Model::flock(int client, int fd, int operation) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  auto& held = open->node->flocks;
  const bool exclusive = (operation & LOCK_EX) != 0;
  auto own = held.find(open);
  if (own != held.end() && (operation & LOCK_UN) == 0 && own->second == exclusive) return 0;
  if (own != held.end()) held.erase(own);
  if ((operation & LOCK_UN) != 0) return 0;
  for (const auto& [other, theirs] : held) {
    if (exclusive || theirs) return -EAGAIN;
  }
  held[open] = exclusive;
  return 0;
}

int Model::test_lock(int client, int fd, bool ofd, short type, int first, int last, bool* held) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  const void* me = owner(client, open, ofd);
  *held = false;
  for (int cell = first; cell <= last; ++cell) {
    for (const auto& [other, writes] : open->node->byte_locks[static_cast<size_t>(cell)]) {
      if (other != me && (writes || type == F_WRLCK)) *held = true;
    }
  }
  return 0;
}

void Model::unlock_posix(int client, Node* node) {
  for (auto& cell : node->byte_locks) cell.erase(owner(client, nullptr, false));
}

int Model::lock(int client, int fd, bool ofd, short type, int first, int last) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  if (type == F_RDLCK && !open->readable()) return -EBADF;
  if (type == F_WRLCK && !open->writable()) return -EBADF;
  bool held = false;
  if (type != F_UNLCK) test_lock(client, fd, ofd, type, first, last, &held);
  if (held) return -EAGAIN;
  const void* me = owner(client, open, ofd);
  for (int cell = first; cell <= last; ++cell) {
    auto& locks = open->node->byte_locks[static_cast<size_t>(cell)];
    locks.erase(me);
    if (type != F_UNLCK) locks[me] = type == F_WRLCK;
  }
  return 0;
}

}  // namespace myfs::test
