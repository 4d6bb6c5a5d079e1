#include "tests/support/ramfs/ramfs.h"

#include <cassert>
#include <cstring>
#include <utility>

#include "sdk/base/clock.h"
#include "sdk/mm/truncate.h"

namespace myfs::fs {

namespace {

constexpr LeaseParts kEverything = kLeaseA | kLeaseD | kLeaseR | kLeaseW | kLeaseP;
constexpr size_t kMemory_bytes = size_t{64} << 20;

}  // namespace

Ramfs::Ramfs(const Options& options) : options_(options) {
  mm::RuntimeOptions memory;
  memory.limit_bytes = kMemory_bytes;
  // Pages have nowhere else to be.
  memory.dirty_limit_bytes = memory.dirty_background_bytes = kMemory_bytes;
  auto runtime = mm::Runtime::create(memory);
  assert(runtime.ok());
  runtime_ = std::move(runtime).value();
}

Ramfs::~Ramfs() = default;

Ref<SuperBlock> Ramfs::create(Options options, Ramfs** ramfs) {
  auto op = std::unique_ptr<Ramfs>(new Ramfs(options));
  Ramfs& self = *op;
  Ref<SuperBlock> sb = SuperBlock::create(std::move(op), options.super);
  self.sb_ = sb.get();
  const Cred root_cred;
  MutexLock lock(self.mutex_);
  self.root_ = self.make_node(S_IFDIR | 0755, root_cred);
  self.root_->parent = self.root_.get();
  self.root_->stat.nlink = 2;
  sb->set_root(self.learn_locked(self.root_));
  if (ramfs != nullptr) *ramfs = &self;
  return sb;
}

std::shared_ptr<RamNode> Ramfs::make_node(uint32_t mode, const Cred& cred) {
  auto node = std::make_shared<RamNode>();
  Kstat& stat = node->stat;
  stat.ino = next_ino_++;
  stat.generation = 1;
  stat.mode = mode;
  stat.nlink = 1;
  stat.uid = cred.uid;
  stat.gid = cred.gid;
  stat.atime = stat.mtime = stat.ctime = stat.btime = Time::from_ns(realtime_ns());
  stat.change = next_change_++;
  if (S_ISREG(mode)) {
    mm::AddressSpaceOps& ops = *this;
    node->mapping = std::make_unique<mm::AddressSpace>(*runtime_, ops, node.get());
    files_.push_back(node);
  }
  return node;
}

Ref<Inode> Ramfs::learn_locked(const std::shared_ptr<RamNode>& node) {
  Ref<Inode> inode = sb_->s_inodes.iget(
      node->stat, [&]() -> Inode* { return new RamInode(*sb_, node, *this, *this); });
  inode->learn_attr(node->stat);
  if (inode->is_symlink()) inode->set_link(node->target);
  if (grants.load()) inode->i_lease.grant(kEverything, sb_->s_validity.generation.load());
  return inode;
}

DirVersion Ramfs::version_locked(RamNode& dir) {
  RefPtr<Inode> inode = sb_->s_inodes.ilookup(dir.stat.ino, dir.stat.generation);
  return {inode ? inode->i_lease.sample() : 0, dir.stat.change};
}

void Ramfs::changed_locked(RamNode& node, bool content) {
  node.stat.change = next_change_++;
  node.stat.ctime = Time::from_ns(realtime_ns());
  if (content) node.stat.mtime = node.stat.ctime;
}

void Ramfs::revoke_locked(uint64_t ino, LeaseParts parts) {
  RefPtr<Inode> inode = sb_->s_inodes.ilookup(ino);
  if (inode) inode->i_lease.revoke(parts);
}

void Ramfs::revoke(uint64_t ino, LeaseParts parts) {
  MutexLock lock(mutex_);
  revoke_locked(ino, parts);
}

void Ramfs::grant(uint64_t ino, LeaseParts parts) {
  MutexLock lock(mutex_);
  RefPtr<Inode> inode = sb_->s_inodes.ilookup(ino);
  if (inode) inode->i_lease.grant(parts, sb_->s_validity.generation.load());
}

void Ramfs::revoke_everything() {
  sb_->s_inodes.for_each([](Inode& inode) { inode.i_lease.revoke(kEverything); });
}

void Ramfs::answered() {
  if (after_answer) after_answer();
}

std::shared_ptr<RamNode> Ramfs::find_locked(std::string_view path) {
  std::shared_ptr<RamNode> node = root_;
  while (node != nullptr && !path.empty()) {
    size_t slash = path.find('/');
    std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty()) continue;
    auto entry = node->entries.find(name);
    node = entry == node->entries.end() ? nullptr : entry->second.node;
  }
  return node;
}

std::shared_ptr<RamNode> Ramfs::parent_locked(std::string_view path, std::string* name) {
  size_t slash = path.rfind('/');
  *name = path.substr(slash + 1);
  std::shared_ptr<RamNode> parent = find_locked(path.substr(0, slash));
  assert(parent != nullptr);
  return parent;
}

uint64_t Ramfs::ino_of(std::string_view path) {
  MutexLock lock(mutex_);
  std::shared_ptr<RamNode> node = find_locked(path);
  return node == nullptr ? 0 : node->stat.ino;
}

void Ramfs::remote_create(std::string_view path, uint32_t mode, std::string_view target) {
  MutexLock lock(mutex_);
  std::string name;
  std::shared_ptr<RamNode> dir = parent_locked(path, &name);
  revoke_locked(dir->stat.ino, kLeaseD);
  std::shared_ptr<RamNode> node = make_node(mode, Cred());
  node->target = target;
  if (S_ISDIR(mode)) {
    node->parent = dir.get();
    node->stat.nlink = 2;
    ++dir->stat.nlink;
  }
  dir->entries[name] = {node, dir->next_cookie++};
  changed_locked(*dir, true);
}

void Ramfs::remote_unlink(std::string_view path) {
  MutexLock lock(mutex_);
  std::string name;
  std::shared_ptr<RamNode> dir = parent_locked(path, &name);
  auto entry = dir->entries.find(name);
  assert(entry != dir->entries.end());
  revoke_locked(dir->stat.ino, kLeaseD);
  revoke_locked(entry->second.node->stat.ino, kLeaseA | kLeaseD);
  drop_locked(*dir, entry);
}

void Ramfs::remote_rename(std::string_view from, std::string_view to) {
  MutexLock lock(mutex_);
  std::string old_name, new_name;
  std::shared_ptr<RamNode> old_dir = parent_locked(from, &old_name);
  std::shared_ptr<RamNode> new_dir = parent_locked(to, &new_name);
  revoke_locked(old_dir->stat.ino, kLeaseD);
  revoke_locked(new_dir->stat.ino, kLeaseD);
  if (std::shared_ptr<RamNode> node = find_locked(from); node != nullptr) {
    revoke_locked(node->stat.ino, kLeaseA | kLeaseD);
  }
  CallContext ctx;
  ctx.cred = std::make_shared<const Cred>();
  bool same;
  [[maybe_unused]] Errno error = move_locked(ctx, *old_dir, old_name, *new_dir, new_name, 0, &same);
  assert(error.ok());
}

void Ramfs::remote_chmod(std::string_view path, uint32_t mode) {
  MutexLock lock(mutex_);
  std::shared_ptr<RamNode> node = find_locked(path);
  assert(node != nullptr);
  revoke_locked(node->stat.ino, kLeaseA);
  node->stat.mode = (node->stat.mode & S_IFMT) | mode;
  changed_locked(*node, false);
}

Result<Kstatfs> Ramfs::statfs(const CallContext&, Dentry&) {
  Kstatfs result;
  result.f_blocks = kMemory_bytes / result.f_bsize;
  result.f_fsid = 0x858458f6;
  return result;
}

Result<void> Ramfs::sync_fs(const CallContext&) { return at_sync ? at_sync() : Errno(); }

Result<void> Ramfs::reconfigure(const CallContext&, const Reconfigure&) {
  return at_reconfigure ? at_reconfigure() : Errno();
}

void Ramfs::evict_inode(Inode& inode) {
  ++calls.evict;
  RamNode& node = node_of(inode);
  if (node.mapping != nullptr && node.deleted) {
    mm::truncate_inode_pages_final(*node.mapping);
  }
}

std::string Ramfs::show_options() {
  if (at_show_options) at_show_options();
  return {};
}

void Ramfs::umount_begin(const CallContext&, bool) {}

void Ramfs::put_super() {
  ++calls.put_super;
  if (at_put_super) at_put_super();
  MutexLock lock(mutex_);
  for (const std::weak_ptr<RamNode>& file : files_) {
    if (std::shared_ptr<RamNode> node = file.lock(); node != nullptr) {
      mm::truncate_inode_pages_final(*node->mapping);
    }
  }
  root_ = nullptr;
}

Result<mm::Admission> Ramfs::admit(const CallContext&, mm::IoKind, size_t) {
  return mm::Admission();
}

void Ramfs::read_pages(mm::Admission, mm::AddressSpace&, std::span<mm::Page* const> pages) {
  for (mm::Page* page : pages) std::memset(page->data(), 0, kPageSize_bytes);
  mm::end_page_reads(pages, Errno());
}

void Ramfs::write_pages(mm::Admission, mm::AddressSpace&, const mm::WriteRequest& request) {
  for (mm::Page* page : request.pages) mm::end_page_writeback(*page, Errno(EAGAIN), false);
}

void Ramfs::commit_pages(mm::Admission, mm::AddressSpace& mapping, uint32_t round) {
  mm::end_commit(mapping, round, Errno());
}

}  // namespace myfs::fs
