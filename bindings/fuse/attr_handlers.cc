// Requests about attributes.

#include <errno.h>
#include <string.h>
#include <sys/statfs.h>

#include <vector>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

myfs_file* file_of(const fuse_file_info* info) {
  return info == nullptr ? nullptr : FileHandle::of(info)->file;
}

void on_getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  struct stat attr;
  int64_t keep_ms = 0;
  const int result = myfs_ll_getattr(inode, request.call(), file_of(info), &attr, &keep_ms);
  if (result < 0) return request.error(result);
  request.attr(attr, keep_ms);
}

constexpr unsigned kTimes =
    MYFS_SET_ATIME | MYFS_SET_MTIME | MYFS_SET_ATIME_NOW | MYFS_SET_MTIME_NOW;

myfs_setattr to_setattr(const struct stat& attr, int to_set) {
  constexpr struct {
    int fuse;
    unsigned myfs;
  } kBits[] = {{FUSE_SET_ATTR_MODE, MYFS_SET_MODE},
               {FUSE_SET_ATTR_UID, MYFS_SET_UID},
               {FUSE_SET_ATTR_GID, MYFS_SET_GID},
               {FUSE_SET_ATTR_SIZE, MYFS_SET_SIZE},
               {FUSE_SET_ATTR_ATIME, MYFS_SET_ATIME},
               {FUSE_SET_ATTR_MTIME, MYFS_SET_MTIME},
               {FUSE_SET_ATTR_ATIME_NOW, MYFS_SET_ATIME | MYFS_SET_ATIME_NOW},
               {FUSE_SET_ATTR_MTIME_NOW, MYFS_SET_MTIME | MYFS_SET_MTIME_NOW}};
  myfs_setattr out{};
  out.size = sizeof out;
  for (const auto& bit : kBits) {
    if ((to_set & bit.fuse) != 0) out.valid |= bit.myfs;
  }
  // A chown() that names neither owner nor group takes privileges away all the same.
  if (out.valid == 0) out.valid = MYFS_SET_KILL_PRIV;
  out.mode = attr.st_mode & 07777;
  out.uid = attr.st_uid;
  out.gid = attr.st_gid;
  out.length = attr.st_size;
  if ((to_set & (FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_ATIME)) == FUSE_SET_ATTR_ATIME) {
    out.atime = attr.st_atim;
  }
  if ((to_set & (FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_MTIME)) == FUSE_SET_ATTR_MTIME) {
    out.mtime = attr.st_mtim;
  }
  return out;
}

// Who may search the directory may have changed.
void forget_names(Request& request, fuse_ino_t ino) {
  LeaseCache* kept = request.bridge().lease_cache.get();
  if (kept != nullptr) kept->forget_names(ino);
}

void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat* attr, int to_set,
                fuse_file_info* info) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  const myfs_setattr change = to_setattr(*attr, to_set);
  struct stat now;
  const int result = myfs_ll_setattr(inode, request.call(), file_of(info), &change, &now);
  if (result < 0) return request.error(result);
  if (S_ISDIR(now.st_mode) && (change.valid & ~kTimes) != 0) forget_names(request, ino);
  request.attr(now, 0);
}

bool is_acl(const char* name) { return strcmp(name, "system.posix_acl_access") == 0; }

void on_access(fuse_req_t req, fuse_ino_t ino, int mask) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode != nullptr) request.error(myfs_ll_access(inode, request.call(), mask & 7));
}

void on_statfs(fuse_req_t req, fuse_ino_t ino) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  struct statfs stat;
  const int result = myfs_ll_statfs(inode, request.call(), &stat);
  if (result < 0) return request.error(result);
  request.statfs(stat);
}

// The answer to getxattr and listxattr: a length if the caller asks for it, else bytes.
void reply_value(Request& request, ssize_t result, const std::vector<char>& value, bool asks_size) {
  if (result < 0) return request.error(static_cast<int>(result));
  const auto size = static_cast<size_t>(result);
  if (asks_size) return request.length(size);
  request.buffer(value.data(), size);
}

void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  std::vector<char> value(size);
  reply_value(request, myfs_ll_getxattr(inode, request.call(), name, value.data(), size), value,
              size == 0);
}

void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  std::vector<char> list(size);
  reply_value(request, myfs_ll_listxattr(inode, request.call(), list.data(), size), list,
              size == 0);
}

void on_setxattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size,
                 int flags) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  const int result = myfs_ll_setxattr(inode, request.call(), name, value, size, flags);
  if (result == 0 && is_acl(name)) forget_names(request, ino);
  request.error(result);
}

void on_removexattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  const int result = myfs_ll_removexattr(inode, request.call(), name);
  if (result == 0 && is_acl(name)) forget_names(request, ino);
  request.error(result);
}

}  // namespace

void set_attr_handlers(fuse_lowlevel_ops* ops) {
  ops->getattr = on_getattr;
  ops->setattr = on_setattr;
  ops->access = on_access;
  ops->statfs = on_statfs;
  ops->getxattr = on_getxattr;
  ops->listxattr = on_listxattr;
  ops->setxattr = on_setxattr;
  ops->removexattr = on_removexattr;
}

}  // namespace bridge
