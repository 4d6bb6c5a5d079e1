#include "sdk/fs/proc_namespace.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

// [seq_path] With the characters that would end a field as octal numbers.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\\') {
      out.push_back('\\');
      const auto value = static_cast<unsigned char>(c);
      for (int shift : {6, 3, 0}) out.push_back(static_cast<char>('0' + ((value >> shift) & 7)));
    } else {
      out.push_back(c);
    }
  }
  return out;
}

// From the root of its super block.
std::string path_in_super_block(const Dentry& dentry) {
  RcuReadGuard guard;
  std::string path;
  const Dentry* at = &dentry;
  for (size_t depth = 0; depth < kPathMax_bytes / 2; ++depth) {
    const DentryPosition& position = at->position();
    if (position.d_parent == at || position.d_parent == nullptr) break;
    path.insert(0, absl::StrCat("/", absl::string_view(position.name, position.name_len)));
    at = position.d_parent;
  }
  return path.empty() ? "/" : path;
}

// From the root of the task; nothing: it cannot be reached from there.
std::optional<std::string> path_in_task(const Path& root, Path at) {
  std::string path;
  for (size_t depth = 0; depth < kPathMax_bytes / 2; ++depth) {
    if (at.mnt == root.mnt && is_same_place(*at.dentry, *root.dentry)) {
      return path.empty() ? "/" : path;
    }
    if (at.mnt->is_root(*at.dentry)) {
      at = at.mnt->mountpoint();
      if (!at) return std::nullopt;
      continue;
    }
    path.insert(0, "/" + at.dentry->d_name());
    Ref<Dentry> parent = at.dentry->d_parent();
    if (parent.get() == at.dentry.get()) return std::nullopt;
    at.dentry = std::move(parent);
  }
  return std::nullopt;
}

}  // namespace

std::string show_mountinfo(const TaskStruct& task) {
  const Path root = task.fs.root();
  std::string text;
  if (!root) return text;
  for (const MountInfo& info : task.nsproxy->list()) {
    const Mount& mount = *info.mount;
    const std::optional<std::string> at =
        path_in_task(root, Path{info.mount, Ref<Dentry>(mount.mnt_root())});
    if (!at.has_value()) continue;
    const SuperBlock& sb = mount.mnt_sb();
    absl::StrAppend(&text, mount.mnt_id, " ", info.parent ? info.parent->mnt_id : mount.mnt_id,
                    " 0:", sb.s_dev, " ", escaped(path_in_super_block(mount.mnt_root())), " ",
                    escaped(*at), " ", mount.is_read_only() ? "ro" : "rw");
    if (info.peer_group != 0) absl::StrAppend(&text, " shared:", info.peer_group);
    if (info.master_group != 0) absl::StrAppend(&text, " master:", info.master_group);
    if (info.unbindable) absl::StrAppend(&text, " unbindable");
    absl::StrAppend(&text, " - myfs ", escaped(sb.s_id), " ", sb.is_read_only() ? "ro" : "rw");
    const std::string options = sb.s_op().show_options();
    absl::StrAppend(&text, options.empty() ? "" : ",", escaped(options), "\n");
  }
  return text;
}

}  // namespace myfs::fs
