// Requests about open directories.

#include <errno.h>
#include <fcntl.h>

#include <cstring>
#include <memory>
#include <vector>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

constexpr int kBatch = 128;

void on_opendir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  auto handle = std::make_unique<FileHandle>();
  const int result = myfs_ll_open(inode, request.call(), info->flags | O_DIRECTORY, &handle->file);
  if (result < 0) return request.error(result);
  request.open(std::move(handle), info);
}

// The entry after `position`; null with *result 0 at the end, or negative.
const myfs_dirent* entry_at(FileHandle& handle, const myfs_call* call, int64_t position,
                            int* result) {
  *result = 0;
  if (handle.position != position || handle.next == handle.batch.size()) {
    handle.batch.resize(kBatch);
    handle.next = 0;
    const int count = myfs_ll_readdir(handle.file, call, position, handle.batch.data(), kBatch);
    handle.batch.resize(count > 0 ? static_cast<size_t>(count) : 0);
    handle.position = position;
    *result = count;
    if (count <= 0) return nullptr;
  }
  return &handle.batch[handle.next];
}

void step(FileHandle& handle) { handle.position = handle.batch[handle.next++].next; }

void on_readdir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  Request request(req);
  FileHandle& handle = *FileHandle::of(info);
  std::vector<char> buffer(size);
  size_t used = 0;
  int result = 0;
  std::unique_lock lock(handle.mutex);
  int64_t position = offset;
  while (const myfs_dirent* entry = entry_at(handle, request.call(), position, &result)) {
    struct stat attr = {};
    attr.st_ino = entry->ino;
    attr.st_mode = static_cast<mode_t>(entry->type) << 12;
    const size_t need =
        fuse_add_direntry(req, buffer.data() + used, size - used, entry->name, &attr, entry->next);
    if (need > size - used) break;
    used += need;
    position = entry->next;
    step(handle);
  }
  lock.unlock();
  if (result < 0 && used == 0) return request.error(result);
  request.buffer(buffer.data(), used);
}

bool is_dots(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

// What an entry is now; ino 0 if it has gone meanwhile, or cannot be had.
fuse_entry_param look_up(Request& request, myfs_inode* dir, const myfs_dirent& entry) {
  fuse_entry_param param{};
  param.attr.st_ino = entry.ino;
  param.attr.st_mode = static_cast<mode_t>(entry.type) << 12;
  myfs_entry found{};
  found.size = sizeof found;
  if (is_dots(entry.name) || myfs_ll_lookup(dir, request.call(), entry.name, &found) < 0) {
    return param;
  }
  param.ino = request.bridge().nodes.add(found);
  param.generation = found.generation;
  param.attr = found.attr;
  return param;
}

void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    fuse_file_info* info) {
  Request request(req);
  myfs_inode* dir = request.node(ino);
  if (dir == nullptr) return;
  FileHandle& handle = *FileHandle::of(info);
  Nodes& nodes = request.bridge().nodes;
  std::vector<char> buffer(size);
  std::vector<fuse_ino_t> told;
  size_t used = 0;
  int result = 0;
  std::unique_lock lock(handle.mutex);
  int64_t position = offset;
  while (const myfs_dirent* entry = entry_at(handle, request.call(), position, &result)) {
    const fuse_entry_param none{};
    const size_t need = fuse_add_direntry_plus(req, nullptr, 0, entry->name, &none, entry->next);
    if (need > size - used) break;
    const fuse_entry_param param = look_up(request, dir, *entry);
    if (param.ino != 0) told.push_back(param.ino);
    used += fuse_add_direntry_plus(req, buffer.data() + used, size - used, entry->name, &param,
                                   entry->next);
    position = entry->next;
    step(handle);
  }
  lock.unlock();
  if (result < 0 && used == 0) return request.error(result);
  if (request.buffer(buffer.data(), used)) return;
  for (fuse_ino_t known : told) nodes.forget(known, 1);
}

void on_releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  static_cast<Bridge*>(fuse_req_userdata(req))->handles.drop(FileHandle::of(info));
  fuse_reply_err(req, 0);
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t, int datasync, fuse_file_info* info) {
  Request request(req);
  request.error(myfs_ll_fsync(FileHandle::of(info)->file, request.call(), datasync));
}

}  // namespace

void set_dir_handlers(fuse_lowlevel_ops* ops) {
  ops->opendir = on_opendir;
  ops->readdir = on_readdir;
  ops->readdirplus = on_readdirplus;
  ops->releasedir = on_releasedir;
  ops->fsyncdir = on_fsyncdir;
}

}  // namespace bridge
