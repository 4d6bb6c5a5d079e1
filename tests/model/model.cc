// Opening and content; model_names.cc has the rest.
#include "tests/model/model.h"

#include <linux/falloc.h>

#include <algorithm>

namespace myfs::test {
namespace {

constexpr int kOpenMax = 65536;
constexpr int64_t kUnit = 64 << 10;  // of what clones share

// Of a file opened with O_DIRECT.
bool unaligned(const OpenFile& file, int64_t size, int64_t offset) {
  return (file.flags & O_DIRECT) != 0 && (size % 512 != 0 || offset % 512 != 0);
}

bool zeros(const std::string& data, size_t from, size_t to) {
  return std::all_of(data.begin() + static_cast<ptrdiff_t>(from),
                     data.begin() + static_cast<ptrdiff_t>(to), [](char c) { return c == 0; });
}

}  // namespace

OpenFile::~OpenFile() {
  node->flocks.erase(this);
  for (auto& cell : node->byte_locks) cell.erase(this);
}

void Model::put(int client, Node* node, int64_t offset, const std::string& data) {
  const auto at = static_cast<size_t>(offset), before = node->data.size();
  if (before < at + data.size()) node->data.resize(at + data.size());
  node->data.replace(at, data.size(), data);
  node->changed();
  memory_.changed(client, node, offset, offset + static_cast<int64_t>(data.size()),
                  static_cast<int64_t>(before));
}

void Model::resize(int client, Node* node, int64_t size) {
  const auto before = static_cast<int64_t>(node->data.size());
  node->data.resize(static_cast<size_t>(size));
  node->changed();
  memory_.changed(client, node, size, size, before);
}

OpenFile* Model::file(int client, int fd) const {
  const auto& fds = fds_[static_cast<size_t>(client)];
  auto found = fds.find(fd);
  return found == fds.end() ? nullptr : found->second.get();
}

int Model::open_files(int client) const {
  return static_cast<int>(fds_[static_cast<size_t>(client)].size());
}

int Model::install(int client, File file) {
  auto& fds = fds_[static_cast<size_t>(client)];
  int fd = 0;
  while (fds.count(fd) != 0) ++fd;
  fds[fd] = std::move(file);
  return fd;
}

// What may be wrong with a node that is there.
int Model::open_existing(Node* node, bool slash, int flags) const {
  if ((flags & O_CREAT) != 0 && node->is_dir()) return -EISDIR;
  if (((flags & O_DIRECTORY) != 0 || slash) && !node->is_dir()) return -ENOTDIR;
  if ((flags & O_PATH) != 0) return 0;
  if (node->is_link()) return -ELOOP;
  const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
  if (node->is_dir()) return writes ? -EISDIR : 0;
  return node->is_file() ? 0 : -ENXIO;
}

int Model::open_tmpfile(int client, int dirfd, const std::string& path, int flags, mode_t mode) {
  if ((flags & O_ACCMODE) == O_RDONLY) return -EINVAL;
  int error = 0;
  Node* from = start(client, dirfd, path, &error);
  if (from == nullptr) return error;
  Node* dir = tree_.find(from, path, true, &error);
  if (dir == nullptr) return error;
  if (!dir->is_dir()) return -ENOTDIR;
  if (dir->dead) return -ENOENT;
  Node* node = tree_.make(S_IFREG, mode);
  node->linkable = (flags & O_EXCL) == 0;
  return install(client, std::make_shared<OpenFile>(OpenFile{node, flags}));
}

int Model::open(int client, int dirfd, const std::string& path, int flags, mode_t mode) {
  if ((flags & O_TMPFILE) == O_TMPFILE) return open_tmpfile(client, dirfd, path, flags, mode);
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
  const bool create = (flags & O_CREAT) != 0, exclusive = create && (flags & O_EXCL) != 0;
  if (create && (flags & O_DIRECTORY) != 0) return -EINVAL;
  int error = 0;
  Node* from = start(client, dirfd, path, &error);
  if (from == nullptr) return error;
  const bool follow = (flags & O_NOFOLLOW) == 0 && !exclusive;
  Place place = tree_.walk(from, path,
                           create && follow ? Tree::Last::kCreate
                           : create         ? Tree::Last::kParent
                           : follow         ? Tree::Last::kFollow
                                            : Tree::Last::kNoFollow);
  if (place.error != 0) return place.error;
  if (create && !place.plain) return exclusive ? -EEXIST : -EISDIR;
  if (create && place.slash) return -EISDIR;
  Node* node = place.node;
  if (node == nullptr) {
    if (!create || place.dir->dead) return -ENOENT;
    node = tree_.make(S_IFREG, mode);
    tree_.enter(place.dir, place.last, node);
  } else {
    if (exclusive) return -EEXIST;
    if (error = open_existing(node, place.slash, flags); error != 0) return error;
    if ((flags & O_TRUNC) != 0) resize(client, node, 0);
  }
  return install(client, std::make_shared<OpenFile>(OpenFile{node, flags}));
}

// The locks of the client on the file go with any descriptor of it, but one of O_PATH.
void Model::release(int client, int fd) {
  auto& fds = fds_[static_cast<size_t>(client)];
  OpenFile* closed = file(client, fd);
  if (!closed->path_only()) unlock_posix(client, closed->node);
  fds.erase(fd);
}

int Model::close(int client, int fd) {
  if (file(client, fd) == nullptr) return -EBADF;
  release(client, fd);
  return 0;
}

int Model::dup(int client, int fd) {
  if (file(client, fd) == nullptr) return -EBADF;
  return install(client, fds_[static_cast<size_t>(client)].at(fd));
}

int Model::dup2(int client, int fd, int to) {
  if (file(client, fd) == nullptr || to < 0 || to >= kOpenMax) return -EBADF;
  if (fd == to) return to;
  auto& fds = fds_[static_cast<size_t>(client)];
  if (file(client, to) != nullptr) release(client, to);
  fds[to] = fds.at(fd);
  return to;
}

int64_t Model::read(int client, int fd, int64_t size, int64_t offset, std::string* out) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || !open->readable()) return -EBADF;
  if (open->node->is_dir()) return -EISDIR;
  const std::string& data = open->node->data;
  const int64_t from = offset == -1 ? open->pos : offset;
  const auto end = static_cast<int64_t>(data.size());
  out->clear();
  if (size == 0 || from >= end) return 0;
  if (unaligned(*open, size, from)) return -EINVAL;
  *out = data.substr(static_cast<size_t>(from), static_cast<size_t>(size));
  memory_.overlay(client, open->node, from, out);
  if (offset == -1) open->pos += static_cast<int64_t>(out->size());
  return static_cast<int64_t>(out->size());
}

int64_t Model::write(int client, int fd, const std::string& data, int64_t offset, bool append) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || !open->writable()) return -EBADF;
  const auto size = static_cast<int64_t>(data.size());
  if (size == 0) return 0;
  int64_t from = offset == -1 ? open->pos : offset;
  append |= (open->flags & O_APPEND) != 0;
  if (append) from = static_cast<int64_t>(open->node->data.size());
  if (unaligned(*open, size, from)) return -EINVAL;
  memory_.changing(client, open->node, append ? 0 : from, append ? -1 : from + size);
  put(client, open->node, from, data);
  if (offset == -1) open->pos = from + size;
  return size;
}

int64_t Model::copy(int client, int fd_in, int64_t* offset_in, int fd_out, int64_t* offset_out,
                    int64_t size, int64_t given) {
  OpenFile *in = file(client, fd_in), *out = file(client, fd_out);
  if (in == nullptr || out == nullptr || in->path_only() || out->path_only()) return -EBADF;
  if (in->node->is_dir() || out->node->is_dir()) return -EISDIR;
  if (!in->readable() || !out->writable() || (out->flags & O_APPEND) != 0) return -EBADF;
  int64_t* from = offset_in != nullptr ? offset_in : &in->pos;
  int64_t* to = offset_out != nullptr ? offset_out : &out->pos;
  if (size == 0) return 0;
  memory_.write_out(client, in->node);
  memory_.changing(client, out->node, *to, *to + size);
  const auto end = static_cast<int64_t>(in->node->data.size());
  const int64_t count = std::clamp<int64_t>(end - *from, 0, size);
  if (in->node == out->node && *from < *to + count && *to < *from + count) return -EINVAL;
  if (count == 0) return 0;
  // All or, as the call may choose, less, but not nothing.
  if (given < 1 || given > count) return count;
  const std::string data =
      in->node->data.substr(static_cast<size_t>(*from), static_cast<size_t>(given));
  put(client, out->node, *to, data);
  *from += given;
  *to += given;
  return given;
}

int Model::clone(int client, int fd_in, int64_t offset_in, int fd_out, int64_t offset_out,
                 int64_t size) {
  OpenFile *in = file(client, fd_in), *out = file(client, fd_out);
  if (in == nullptr || out == nullptr || in->path_only() || out->path_only()) return -EBADF;
  if (in->node->is_dir() || out->node->is_dir()) return -EISDIR;
  if (!in->readable() || !out->writable() || (out->flags & O_APPEND) != 0) return -EBADF;
  const auto end = static_cast<int64_t>(in->node->data.size());
  const auto out_end = static_cast<int64_t>(out->node->data.size());
  const bool to_end = size == 0;
  auto overlap = [&] {
    return in->node == out->node && offset_in < offset_out + size && offset_out < offset_in + size;
  };
  if (!to_end && overlap()) return -EINVAL;
  memory_.write_out(client, in->node);
  memory_.changing(client, out->node, offset_out, to_end ? -1 : offset_out + size);
  if (to_end) size = end - offset_in;
  if (offset_in % kUnit != 0 || offset_out % kUnit != 0) return -EINVAL;
  if (size < 0 || offset_in + size > end) return -EINVAL;
  const bool to_both_ends = offset_in + size == end && offset_out + size >= out_end;
  if (size % kUnit != 0 && !to_both_ends) return -EINVAL;
  if (overlap()) return -EINVAL;
  if (size == 0) return 0;
  put(client, out->node, offset_out,
      in->node->data.substr(static_cast<size_t>(offset_in), static_cast<size_t>(size)));
  return 0;
}

int Model::truncate(int client, const std::string& path, int64_t size) {
  int error = 0;
  Node* node = tree_.find(tree_.root(), path, true, &error);
  if (node == nullptr) return error;
  if (node->is_dir()) return -EISDIR;
  if (!node->is_file()) return -EINVAL;
  resize(client, node, size);
  return 0;
}

int Model::ftruncate(int client, int fd, int64_t size) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  if (!open->writable()) return -EINVAL;
  resize(client, open->node, size);
  return 0;
}

int Model::fallocate(int client, int fd, int mode, int64_t offset, int64_t length) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  if (length <= 0) return -EINVAL;
  const bool keep = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  if (what != 0 && what != FALLOC_FL_ZERO_RANGE && !(what == FALLOC_FL_PUNCH_HOLE && keep)) {
    return -EOPNOTSUPP;
  }
  if (!open->writable()) return -EBADF;
  std::string& data = open->node->data;
  const auto from = static_cast<size_t>(offset), end = from + static_cast<size_t>(length);
  const auto before = static_cast<int64_t>(data.size());
  memory_.changing(client, open->node, offset, offset + length);
  if (!keep && data.size() < end) data.resize(end);
  if (what != 0 && from < data.size()) {
    const size_t zeroed = std::min(end, data.size()) - from;
    data.replace(from, zeroed, zeroed, '\0');
  }
  open->node->changed();
  memory_.changed(client, open->node, offset, offset + length, before);
  return 0;
}

// Which zeros are a hole is the file system's choice; what is none, is not.
int64_t Model::lseek(int client, int fd, int64_t offset, int whence, int64_t given) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  const std::string& data = open->node->data;
  const auto end = static_cast<int64_t>(data.size());
  int64_t to = offset;
  if (whence == SEEK_CUR) to += open->pos;
  if (whence == SEEK_END) to += end;
  if (whence == SEEK_DATA || whence == SEEK_HOLE) {
    if (offset < 0 || offset >= end) return -ENXIO;
    const auto from = static_cast<size_t>(offset);
    to = whence == SEEK_HOLE ? end : -ENXIO;
    if (whence == SEEK_DATA && given == -ENXIO && !zeros(data, from, data.size())) to = -EIO;
    if (whence == SEEK_DATA && given >= offset && given < end &&
        zeros(data, from, static_cast<size_t>(given))) {
      to = given;
    }
    if (whence == SEEK_HOLE && given >= offset && given < end &&
        data[static_cast<size_t>(given)] == 0) {
      to = given;
    }
  }
  if (to < 0) return whence == SEEK_DATA ? to : -EINVAL;
  open->pos = to;
  return to;
}

int Model::sync(int client, int fd, bool all) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  if (all) {
    memory_.write_out_all(client);
  } else {
    memory_.write_out(client, open->node);
  }
  return 0;
}

int Model::advise(int client, int fd) const {
  OpenFile* open = file(client, fd);
  return open == nullptr || open->path_only() ? -EBADF : 0;
}

// --- mappings

int Model::mmap(int client, int slot, int fd, bool writable, int64_t offset, int64_t length) {
  OpenFile* open = file(client, fd);
  if (open == nullptr || open->path_only()) return -EBADF;
  if (!open->readable() || (writable && !open->writable())) return -EACCES;
  if (!open->node->is_file()) return -ENODEV;
  areas_[{client, slot}] = Area{fds_[static_cast<size_t>(client)].at(fd), writable, offset, length};
  memory_.map(client, open->node, offset, offset + length);
  return 0;
}

const Model::Area* Model::area(int client, int slot) const {
  auto found = areas_.find({client, slot});
  return found == areas_.end() ? nullptr : &found->second;
}

void Model::msync(int client, int slot, int64_t from, int64_t to, bool invalidate) {
  const Area& area = areas_.at({client, slot});
  if (area.writable) memory_.write_out(client, area.file->node, from, to);
  if (invalidate) memory_.refresh(client, area.file->node, from, to);
}

void Model::munmap(int client, int slot) {
  const Area& area = areas_.at({client, slot});
  msync(client, slot, area.offset, area.offset + area.length, false);
  memory_.unmap(client, area.file->node);
  areas_.erase({client, slot});
}

}  // namespace myfs::test
