// Ramfs: a file system in memory under the VFS, with knobs: the second implementation of its seam,
// for tests.
// Kernel counterpart: fs/ramfs.  Differs: keeps its truth apart from the VFS's caches, as a server
// would, so that tests can change it behind the client's back (remote), take leases away and count
// who was asked.
// Thread safety: all.
// Lock rank: mutex_ is unranked and taken below every sleeping lock; under it leaf locks of fs
// only.
// Owns / is owned by: owned by its SuperBlock; owns the nodes. Inodes hold their nodes.
// Invariants: (1) what an answer tells is learned and granted before any later change of the truth
// (both under mutex_); (2) a change of the truth revokes what conflicts with it before it happens:
// remote ones from us, own ones nothing.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/sync.h"
#include "sdk/fs/file.h"
#include "sdk/fs/inode.h"
#include "sdk/fs/super_block.h"
#include "sdk/mm/address_space.h"
#include "sdk/mm/runtime.h"

namespace myfs::fs {

// One object of the truth.
struct RamNode {
  struct Entry {
    std::shared_ptr<RamNode> node;
    uint64_t cookie;
  };
  Kstat stat;
  std::map<std::string, Entry, std::less<>> entries;
  uint64_t next_cookie = 1;
  RamNode* parent = nullptr;  // of a directory that has a name; the root's is itself
  std::string target;
  std::map<std::string, std::string, std::less<>> xattrs;
  std::unique_ptr<mm::AddressSpace> mapping;
  std::atomic<bool> deleted{false};  // its last name is gone
};

class RamInode final : public Inode {
 public:
  RamInode(SuperBlock& sb, std::shared_ptr<RamNode> ram_node, InodeOps& op, FileOps& fop)
      : Inode(sb, ram_node->stat, op, fop), node(std::move(ram_node)) {
    i_mapping = node->mapping.get();
  }
  const std::shared_ptr<RamNode> node;
};

class Ramfs final : public SuperOps,
                    private InodeOps,
                    private FileOps,
                    private mm::AddressSpaceOps {
 public:
  struct Options {
    SuperOptions super;
    bool whole_paths = true;     // a look-up resolves all names; else one
    size_t readdir_entries = 3;  // of a page
  };
  // `*ramfs` lives as long as the super block.
  static Ref<SuperBlock> create(Options options, Ramfs** ramfs);
  ~Ramfs() override;

  SuperBlock& sb() { return *sb_; }

  // --- who was asked ---
  struct Calls {
    std::atomic<int> lookup{0}, getattr{0}, setattr{0}, create{0}, link{0}, unlink{0}, rename{0};
    std::atomic<int> open{0}, flush{0}, release{0}, read{0}, write{0}, fsync{0}, readdir{0};
    std::atomic<int> get_parent{0}, evict{0}, put_super{0};
    // Whatever reaches InodeOps or FileOps but open, flush and release.
    int total() const {
      return lookup + getattr + setattr + create + link + unlink + rename + read + write + fsync +
             readdir + get_parent;
    }
  } calls;

  // --- leases ---
  std::atomic<bool> grants{true};  // false: answers bring no leases
  void revoke(uint64_t ino, LeaseParts parts);
  void grant(uint64_t ino, LeaseParts parts);
  void revoke_everything();
  // Called within each look-up, readdir and getattr after its answer was learned, without mutex_.
  std::function<void()> after_answer;
  // Within each unlink, rmdir and rename, sync_fs and put_super before anything is done, without
  // mutex_.
  std::function<void()> before_change, at_put_super, at_show_options;
  std::function<Errno()> at_sync, at_reconfigure;  // what they fail with

  // --- what another client does; paths without symbolic links, parents must exist ---
  void remote_create(std::string_view path, uint32_t mode, std::string_view target = {});
  void remote_unlink(std::string_view path);
  void remote_rename(std::string_view from, std::string_view to);
  void remote_chmod(std::string_view path, uint32_t mode);
  uint64_t ino_of(std::string_view path);  // 0: none

  // --- SuperOps ---
  Result<Kstatfs> statfs(const CallContext& ctx, Dentry& dentry) override;
  Result<void> sync_fs(const CallContext& ctx) override;
  Result<void> reconfigure(const CallContext& ctx, const Reconfigure& change) override;
  void evict_inode(Inode& inode) override;
  void forget(Inode&) override {}  // there is no server that could know more
  std::string show_options() override;
  void umount_begin(const CallContext& ctx, bool force) override;
  void put_super() override;

 private:
  explicit Ramfs(const Options& options);

  Result<LookupChain> lookup(const CallContext& ctx, Dentry& dir,
                             std::span<const std::string_view> names, LookupIntent intent) override;
  Result<Kstat> getattr(const CallContext& ctx, Inode& inode) override;
  Result<void> setattr(const CallContext& ctx, Inode& inode, const Iattr& attr,
                       File* file) override;
  Result<std::string> readlink(const CallContext& ctx, Inode& inode) override;
  Result<Ref<Dentry>> get_parent(const CallContext& ctx, Dentry& dir) override;
  Result<CreateResult> create(const CallContext& ctx, Dentry& dir, std::string_view name,
                              const CreateArgs& args) override;
  Result<void> link(const CallContext& ctx, Inode& inode, Dentry& dir,
                    std::string_view name) override;
  Result<void> unlink(const CallContext& ctx, Dentry& dir, std::string_view name) override;
  Result<void> rmdir(const CallContext& ctx, Dentry& dir, std::string_view name) override;
  Result<void> rename(const CallContext& ctx, Dentry& old_dir, std::string_view old_name,
                      Dentry& new_dir, std::string_view new_name, uint32_t flags) override;
  Result<std::string> getxattr(const CallContext& ctx, Inode& inode,
                               std::string_view name) override;
  Result<std::vector<std::string>> listxattr(const CallContext& ctx, Inode& inode) override;
  Result<void> setxattr(const CallContext& ctx, Inode& inode, std::string_view name,
                        std::string_view value, uint32_t flags) override;
  Result<void> removexattr(const CallContext& ctx, Inode& inode, std::string_view name) override;

  Result<void> open(const CallContext& ctx, Inode& inode, File& file, bool permitted) override;
  Result<void> flush(const CallContext& ctx, File& file) override;
  void release(File& file) override;
  Result<size_t> read(const CallContext& ctx, File& file, IoVec to, uint64_t offset) override;
  Result<WriteResult> write(const CallContext& ctx, File& file, IoVec from, uint64_t offset,
                            bool append) override;
  Result<void> fsync(const CallContext& ctx, File& file, bool datasync) override;
  Result<DirPage> readdir(const CallContext& ctx, File& file, uint64_t cookie) override;

  Result<mm::Admission> admit(const CallContext& ctx, mm::IoKind kind, size_t bytes) override;
  void read_pages(mm::Admission admission, mm::AddressSpace& mapping,
                  std::span<mm::Page* const> pages) override;
  void write_pages(mm::Admission admission, mm::AddressSpace& mapping,
                   const mm::WriteRequest& request) override;
  void commit_pages(mm::Admission admission, mm::AddressSpace& mapping, uint32_t round) override;
  bool writes_back() const override { return false; }

  static RamNode& node_of(Inode& inode) { return *static_cast<RamInode&>(inode).node; }
  std::shared_ptr<RamNode> make_node(uint32_t mode, const Cred& cred)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The inode of a node, with its newest attributes and leases.
  Ref<Inode> learn_locked(const std::shared_ptr<RamNode>& node)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  DirVersion version_locked(RamNode& dir) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void changed_locked(RamNode& node, bool content) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void revoke_locked(uint64_t ino, LeaseParts parts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Errno removable_locked(const CallContext& ctx, RamNode& dir, std::string_view name, bool is_dir)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void drop_locked(RamNode& dir, std::map<std::string, RamNode::Entry, std::less<>>::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<void> remove(const CallContext& ctx, Dentry& dir, std::string_view name, bool is_dir);
  Errno move_locked(const CallContext& ctx, RamNode& from, std::string_view old_name, RamNode& to,
                    std::string_view new_name, uint32_t flags, bool* same)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LookupStep step_locked(const CallContext& ctx, Ref<Dentry>& parent, std::string_view name,
                         bool* more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<RamNode> find_locked(std::string_view path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<RamNode> parent_locked(std::string_view path, std::string* name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void truncate(RamNode& node, uint64_t size);
  void answered();

  const Options options_;
  std::unique_ptr<mm::Runtime> runtime_;
  SuperBlock* sb_ = nullptr;
  Mutex mutex_{LockRank::kUnranked};
  std::shared_ptr<RamNode> root_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<RamNode>> files_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ino_ ABSL_GUARDED_BY(mutex_) = kRootIno;
  uint64_t next_change_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace myfs::fs
