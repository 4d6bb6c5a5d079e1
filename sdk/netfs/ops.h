// NetInodeOps, NetFileOps: what the VFS asks of a MyFS server.
// Kernel counterpart: ceph_dir_iops, ceph_file_iops, ceph_file_fops; nfs_dir_inode_operations.
// Differs: names are resolved many at a time; opens, stats and reads that the leases cover ask
// nobody. Names: dir.cc, attributes and xattrs: attr.cc, files: file.cc, ranges that the
// server copies: copy.cc. Thread safety: all; no state. Lock rank: as fs::InodeOps and fs::FileOps
// say.
// Owns / is owned by: part of a Super.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sdk/fs/file.h"
#include "sdk/fs/inode.h"
#include "sdk/netfs/inode.h"
#include "sdk/rpc/data_calls.h"

namespace myfs::netfs {

class Super;
struct FileState;
struct KeptState;

class NetInodeOps final : public fs::InodeOps {
 public:
  explicit NetInodeOps(Super& super) : super_(super) {}

  Result<fs::LookupChain> lookup(const CallContext& ctx, fs::Dentry& dir,
                                 std::span<const std::string_view> names,
                                 fs::LookupIntent intent) override;
  Result<Kstat> getattr(const CallContext& ctx, fs::Inode& inode) override;
  Result<void> permission(const CallContext& ctx, fs::Inode& inode, uint32_t mask) override;
  Result<void> setattr(const CallContext& ctx, fs::Inode& inode, const fs::Iattr& attr,
                       fs::File* file) override;
  Result<std::string> readlink(const CallContext& ctx, fs::Inode& inode) override;
  Result<Ref<fs::Dentry>> get_parent(const CallContext& ctx, fs::Dentry& dir) override;
  Result<fs::CreateResult> create(const CallContext& ctx, fs::Dentry& dir, std::string_view name,
                                  const fs::CreateArgs& args) override;
  Result<fs::CreateResult> tmpfile(const CallContext& ctx, fs::Dentry& dir,
                                   const fs::CreateArgs& args) override;
  Result<void> link(const CallContext& ctx, fs::Inode& inode, fs::Dentry& dir,
                    std::string_view name) override;
  Result<void> unlink(const CallContext& ctx, fs::Dentry& dir, std::string_view name) override;
  Result<void> rmdir(const CallContext& ctx, fs::Dentry& dir, std::string_view name) override;
  Result<void> rename(const CallContext& ctx, fs::Dentry& old_dir, std::string_view old_name,
                      fs::Dentry& new_dir, std::string_view new_name, uint32_t flags) override;
  Result<std::string> getxattr(const CallContext& ctx, fs::Inode& inode,
                               std::string_view name) override;
  Result<std::vector<std::string>> listxattr(const CallContext& ctx, fs::Inode& inode) override;
  Result<void> setxattr(const CallContext& ctx, fs::Inode& inode, std::string_view name,
                        std::string_view value, uint32_t flags) override;
  Result<void> removexattr(const CallContext& ctx, fs::Inode& inode,
                           std::string_view name) override;

 private:
  // A directory after a change of its names; asks again if the answer was a replay.
  fs::DirVersion learn_dir(const CallContext& ctx, fs::Dentry& dir, const rpc::Node& node,
                           const Ticket& ticket);
  // The inode that a change was about; asks again if the answer was a replay.
  Result<Ref<NetInode>> learn_changed(const CallContext& ctx, rpc::Node& node, const Ticket& ticket,
                                      LeaseParts want, Kstat* stat);
  // What the cache takes for the name, if the change under way covers it; else null.
  RefPtr<NetInode> known_at(const CallContext& ctx, const NetInode& dir, std::string_view name);
  // `opened`: the file that is opened with it, or null.
  Result<rpc::Changed> create_node(const CallContext& ctx, rpc::CreateArgs args,
                                   const fs::File* opened, const Ticket& ticket);
  Result<void> remove(const CallContext& ctx, fs::Dentry& dir, std::string_view name,
                      bool directory);
  // `acl`, if given: the ACL that goes with the attributes.
  Result<Kstat> ask_attr(const CallContext& ctx, fs::Inode& inode, PosixAcl* acl);
  Result<void> change_xattr(const CallContext& ctx, fs::Inode& inode, rpc::SetxattrArgs args);
  Super& super_;
};

class NetFileOps final : public fs::FileOps {
 public:
  explicit NetFileOps(Super& super) : super_(super) {}

  Result<void> open(const CallContext& ctx, fs::Inode& inode, fs::File& file,
                    bool permitted) override;
  Result<void> open_path(const CallContext& ctx, fs::Inode& inode, fs::File& file) override;
  Result<void> flush(const CallContext& ctx, fs::File& file) override;
  void release(fs::File& file) override;
  Result<size_t> read(const CallContext& ctx, fs::File& file, fs::IoVec to,
                      uint64_t offset) override;
  Result<fs::WriteResult> write(const CallContext& ctx, fs::File& file, fs::IoVec from,
                                uint64_t offset, bool append) override;
  Result<void> fsync(const CallContext& ctx, fs::File& file, bool datasync) override;
  Result<uint64_t> seek_data(const CallContext& ctx, fs::File& file, uint64_t offset,
                             bool hole) override;
  Result<void> fallocate(const CallContext& ctx, fs::File& file, int mode, uint64_t offset,
                         uint64_t length) override;
  Result<uint64_t> copy_file_range(const CallContext& ctx, fs::File& from, uint64_t from_offset,
                                   fs::File& to, uint64_t to_offset, uint64_t length) override;
  Result<void> remap_file_range(const CallContext& ctx, fs::File& from, uint64_t from_offset,
                                fs::File& to, uint64_t to_offset, uint64_t length) override;
  Result<fs::FileExtents> fiemap(const CallContext& ctx, fs::File& file, uint64_t offset,
                                 uint64_t length, size_t max) override;
  Result<void> sync_range(const CallContext& ctx, fs::File& file, uint64_t from, uint64_t to,
                          bool start, bool wait) override;
  Result<void> fadvise(const CallContext& ctx, fs::File& file, uint64_t from, uint64_t to,
                       int advice) override;
  Result<void> lock(const CallContext& ctx, fs::File& file, fs::LockCmd cmd,
                    fs::FileLock& lock) override;
  Result<void> break_lease(const CallContext& ctx, fs::Inode& inode, uint64_t open_id, bool writes,
                           bool may_wait) override;
  Result<fs::DirPage> readdir(const CallContext& ctx, fs::File& file, uint64_t cookie) override;

  // What create(O_CREAT) leaves in the file: as open(). `ticket`: of that call.
  Result<void> opened_by_create(const CallContext& ctx, NetInode& inode, fs::File& file,
                                const Ticket& ticket);
  // The call with this ticket opened it at the server, but the caller's open fails all the same.
  void forget_open(uint64_t open_id, const Ticket& ticket);
  // The file of an open that was added to the inode's has gone.
  void remove_open(NetInode& inode, LeaseRecord::Open& open);

 private:
  // Has `file` keep the inode alive, and no more than that.
  Result<void> keep(const CallContext& ctx, NetInode& inode, fs::File& file);
  Result<void> open_at_server(const CallContext& ctx, NetInode& inode, fs::File& file,
                              FileState& state);
  // Tells the server of an open that another one, which is no more, has permitted.
  Result<void> register_open(const CallContext& ctx, NetInode& inode, LeaseRecord::Open& open);
  Result<void> open_truncating(const CallContext& ctx, NetInode& inode, fs::File& file,
                               FileState& state);
  // One COPY; bytes that it did. EIO: a lock on one of the files was lost since the session was
  // `began_in`.
  Result<uint64_t> copy_piece(const CallContext& ctx, fs::File& from, fs::File& to,
                              rpc::CopyArgs args, uint16_t began_in);
  static void drop_cached_range(NetInode& inode, uint64_t from, uint64_t to);
  bool open_locally(NetInode& inode, fs::File& file, FileState& state);
  // EIO as copy_piece().
  Result<void> allocate(const CallContext& ctx, fs::File& file, uint32_t mode, uint64_t offset,
                        uint64_t length, uint16_t began_in);
  Result<size_t> read_uncached(const CallContext& ctx, NetInode& inode, fs::File& file,
                               fs::IoVec to, uint64_t offset);
  // How far a write() has come.
  struct Progress;
  // Copies into pages. W is in use only while bytes are copied: whoever waits for memory, for room
  // among dirty pages or for the old content of a page holds up no recall. EAGAIN: W is not to be
  // had, what is left must go to the server.
  Result<void> write_cached(const CallContext& ctx, NetInode& inode, fs::File& file,
                            Progress& progress);
  Result<void> copy_some(const CallContext& ctx, NetInode& inode, fs::File& file,
                         Progress& progress);
  Result<fs::WriteResult> write_uncached(const CallContext& caller, NetInode& inode, fs::File& file,
                                         fs::IoVec from, uint64_t offset, bool append);
  // What is dirty goes to the server, durable or not. The second one tells losses, as fsync does.
  Result<void> flush_data(const CallContext& ctx, NetInode& inode);
  // So that the server's answers to READ and SEEK have it, which know what is committed.
  Result<void> commit_data(const CallContext& ctx, NetInode& inode);
  Result<void> flush_and_report(const CallContext& ctx, fs::File& file);
  Result<void> sync_and_report(const CallContext& ctx, fs::File& file);
  // Makes durable what a relaxed server has answered for the inode, also what no page knows of.
  Result<void> commit_answered(const CallContext& ctx, NetInode& inode);
  Super& super_;
};

// Of an open regular file.
struct FileState final : fs::File::Private {
  explicit FileState(const fs::File& file);
  LeaseRecord::Open open;
};

// Of a file that keeps its inode alive and no more: of O_PATH, of a directory.
struct KeptState final : fs::File::Private {
  KeptState(Super& super, NetInode& inode, const fs::File& file);
  ~KeptState() override;
  Super& super;
  NetInode& inode;
  bool linked = false;  // `open` is among the inode's
  LeaseRecord::Open open;
};

// An open that its caller may give up while the server carries it out: closed there when that has
// answered for good. Not sooner: what is told overtakes calls that wait.
class OpenInFlight final : public PendingChange {
 public:
  // `ticket`: of the call that opens. `outer`: the change that it is part of, or null.
  OpenInFlight(Super& super, const fs::File& file, const Ticket& ticket, PendingChange* outer);
  CallContext context(const CallContext& ctx);
  void give_up() override;
  void settled() override;
  bool covers(uint64_t ino) const override { return outer_ && outer_->covers(ino); }

 private:
  Super& super_;
  const uint64_t open_id_;
  const Ticket ticket_;
  const RefPtr<PendingChange> outer_;
};

rpc::Opener opener_of(const fs::File& file);

}  // namespace myfs::netfs
