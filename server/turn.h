// Turn: one attempt of one request within one turn of the loop: what it reads, whom it is in the
// way of, what it changes.
// Kernel counterpart: handle_t (a jbd2 transaction's part) with the break_lease calls of vfs_*.
// Thread safety: the shard's loop only; lives on the stack.
// Invariants: (1) nothing that it stages is seen by anybody before the shard has applied all of it;
// (2) it depends on every uncommitted change of an inode that it asked for; (3) it grants nothing
// while blocked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "server/file_data.h"
#include "server/meta_view.h"
#include "server/permission.h"
#include "server/request.h"

namespace myfs::server {

class Shard;

// Refers to the record's ACL.
inline Owner owner_of(const InodeRecord& inode) {
  return Owner{.mode = inode.mode,
               .uid = inode.uid,
               .gid = inode.gid,
               .acl = inode.acl.empty() ? nullptr : &inode.acl};
}

// What can be held of an inode of this kind; all else that a client may ask for means nothing.
Parts parts_of(const InodeRecord& inode);

class Turn {
 public:
  Turn(Shard& shard, Request& request);

  Shard& shard() { return shard_; }
  Session& session() { return *request_.session; }
  const Cred& cred() const { return request_.cred; }
  int phase() const { return request_.phase; }
  Time now() const { return now_; }

  // ---- reading
  // EACCES: not a handle that this session was given. ESTALE: the inode is gone.
  Result<InodeRef> node(const Handle& handle);
  Result<InodeRef> directory(const Handle& handle);  // also ENOTDIR
  Result<InodeRef> inode(uint64_t ino);              // ESTALE
  // ENOENT. `dir` must be one that was asked for.
  Result<FoundDirent> dirent(uint64_t dir, std::string_view name);
  MetaView& view();
  void depend(uint64_t ino);

  // ---- others' leases; nothing happens before the attempt ends
  // EROFS for a session that may not write; to be asked by everything that changes something.
  Errno may_change() const;
  void recall(uint64_t ino, Parts parts);
  // The requester itself gives up `parts`, with what is dirty under them: for changes of content
  // that pass his cache by. Never for reads and write-back, which honouring a recall may need.
  void recall_own(uint64_t ino, Parts parts);
  // Of an inode whose last name goes: P, without waiting. Who has it open is known.
  void recall_unnamed(uint64_t ino);
  // As far as another session's W on the inode hides its size and times, or also the own one.
  // Errors leave it.
  enum class Asked : uint8_t { kOthers, kAnybody };
  void glimpse(uint64_t ino, Asked whom = Asked::kOthers);
  std::optional<uint64_t> glimpsed_size(uint64_t ino) const;
  // Waits until those who held locks when the last server ended have told so, or are gone.
  void outlast_old_locks();
  // Makes `want` grantable, as far as the inode's kind has it.
  void acquire(uint64_t ino, Parts want);
  // Serialises the server's own I/O of the inode; held until the request is answered.
  void lane(uint64_t ino);
  bool blocked() const { return blocked_; }

  // ---- changing: after everything is checked and not blocked
  // The record as it will be; its change counter rises once a turn, its ctime becomes now.
  InodeRecord& edit(uint64_t ino);
  // As edit(), with mtime: a directory whose names change.
  InodeRecord& edit_names(uint64_t dir);
  InodeRecord& add_inode(uint64_t ino, InodeRecord record);
  void delete_inode(uint64_t ino);
  // Whether an inode will be there after this turn.
  bool exists(uint64_t ino) const {
    auto it = staged_.inodes.find(ino);
    return it == staged_.inodes.end() || it->second != nullptr;
  }
  // The content of a file that delete_inode() deletes.
  void remove_content(uint64_t ino) { FileData::add_removal(ino, staged_.data); }
  Errno add_name(uint64_t dir, std::string_view name, const DirentRecord& target);
  void set_name(uint64_t dir, std::string_view name, uint64_t cookie, const DirentRecord& target);
  void remove_name(uint64_t dir, std::string_view name, uint64_t cookie);
  void put(std::string key, std::string value) { staged_.keys[std::move(key)] = std::move(value); }
  void del(std::string key) { staged_.keys[std::move(key)] = std::nullopt; }
  void must_be_durable() { staged_.durable = true; }
  // The change goes into this transaction and is settled with it.
  void take(DataChange change);

  // ---- work outside the loop
  // After the turn `start` runs; whoever it calls brings the request back by Shard::resume(), and
  // it is attempted once more with phase() + 1.
  void go_async(absl::AnyInvocable<void()> start) { async_ = std::move(start); }
  // Not ready: attempted again in a later turn, others first. For what would take the loop too
  // long.
  void go_on() { goes_on_ = true; }
  // What this attempt has read is part of the answer, whatever later ones read.
  void keep_what_was_read() { request_.depends = std::max(request_.depends, depends_); }
  // Until the request is answered the inode is not reaped.
  void use_content(uint64_t ino) { uses_.push_back(ino); }
  RequestRef request() { return request_.shared_from_this(); }

  // ---- answering
  // The inode with its attributes and, of `want`, what is free.
  NodeReply reply(uint64_t ino, Parts want, const Opener* opener = nullptr);
  // Handle only, when the inode cannot be shown.
  NodeReply reply_error(Errno error) const { return NodeReply{.error = error.value()}; }

 private:
  friend class Shard;
  Grant grant(uint64_t ino, const InodeRecord& record, Parts want, const Opener* opener);
  void add_need(Need::Kind kind, uint64_t ino, Parts parts, bool waits);

  Shard& shard_;
  Request& request_;
  const Time now_;
  uint64_t depends_ = 0;  // the newest transaction that this one has seen
  bool blocked_ = false;
  bool goes_on_ = false;
  std::vector<Need> needs_;
  uint64_t ino_limit_ = 0;  // the high-water mark that it stages
  std::map<uint64_t, std::shared_ptr<InodeRecord>> edits_;
  Staged staged_;
  std::vector<DataChange> changes_;
  std::vector<uint64_t> uses_;
  absl::AnyInvocable<void()> async_;
};

}  // namespace myfs::server
