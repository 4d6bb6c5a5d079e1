// Requests about names.

#include <errno.h>
#include <limits.h>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

myfs_entry new_entry() {
  myfs_entry entry{};
  entry.size = sizeof entry;
  return entry;
}

void reply_made(Request& request, int result, const myfs_entry& entry, fuse_ino_t dir,
                const char* name) {
  if (result < 0) return request.error(result);
  request.entry(entry, dir, name);
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir == nullptr) return;
  myfs_entry entry = new_entry();
  const int result = myfs_ll_lookup(dir, request.call(), name, &entry);
  if (result == -ENOENT) return request.no_entry(entry, parent, name);
  reply_made(request, result, entry, parent, name);
}

void on_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count) {
  static_cast<Bridge*>(fuse_req_userdata(req))->nodes.forget(ino, count);
  fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  auto* bridge = static_cast<Bridge*>(fuse_req_userdata(req));
  for (size_t i = 0; i < count; ++i) bridge->nodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

void on_mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir == nullptr) return;
  myfs_entry entry = new_entry();
  reply_made(request, myfs_ll_mknod(dir, request.call(), name, mode, request.umask(), rdev, &entry),
             entry, parent, name);
}

void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir == nullptr) return;
  myfs_entry entry = new_entry();
  reply_made(request, myfs_ll_mkdir(dir, request.call(), name, mode, request.umask(), &entry),
             entry, parent, name);
}

void on_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir == nullptr) return;
  myfs_entry entry = new_entry();
  reply_made(request, myfs_ll_symlink(dir, request.call(), target, name, &entry), entry, parent,
             name);
}

void on_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char* name) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  myfs_inode* dir = request.node(new_parent);
  if (dir == nullptr) return;
  myfs_entry entry = new_entry();
  reply_made(request, myfs_ll_link(inode, request.call(), dir, name, &entry), entry, new_parent,
             name);
}

void on_unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir != nullptr) request.error(myfs_ll_unlink(dir, request.call(), name));
}

void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir != nullptr) request.error(myfs_ll_rmdir(dir, request.call(), name));
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  Request request(req);
  myfs_inode* from = request.node(parent);
  if (from == nullptr) return;
  myfs_inode* to = request.node(new_parent);
  if (to == nullptr) return;
  request.error(myfs_ll_rename(from, request.call(), name, to, new_name, flags));
}

void on_readlink(fuse_req_t req, fuse_ino_t ino) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  char target[PATH_MAX];
  const ssize_t size = myfs_ll_readlink(inode, request.call(), target, sizeof target - 1);
  if (size < 0) return request.error(static_cast<int>(size));
  target[size] = '\0';
  request.readlink(target);
}

}  // namespace

void set_name_handlers(fuse_lowlevel_ops* ops) {
  ops->lookup = on_lookup;
  ops->forget = on_forget;
  ops->forget_multi = on_forget_multi;
  ops->mknod = on_mknod;
  ops->mkdir = on_mkdir;
  ops->symlink = on_symlink;
  ops->link = on_link;
  ops->unlink = on_unlink;
  ops->rmdir = on_rmdir;
  ops->rename = on_rename;
  ops->readlink = on_readlink;
}

}  // namespace bridge
