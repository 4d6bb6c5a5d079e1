#include "sdk/fs/proc_namespace.h"

#include <optional>
#include <string_view>
#include <vector>

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
std::string path_in_super_block_rcu(const Dentry& dentry) {
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

// From the root of the task; nothing: it cannot be reached from there. Under namespace_sem.
std::optional<std::string> path_in_task_rcu(const FsStruct::View& task, const Mount* mount) {
  std::string path;
  const Dentry* at = &mount->mnt_root();
  for (size_t depth = 0; depth < kPathMax_bytes / 2; ++depth) {
    if (mount == task.root_mnt && is_same_place(*at, *task.root)) {
      return path.empty() ? "/" : path;
    }
    if (mount->is_root(*at)) {
      const Mount::Place* place = mount->place_rcu();
      if (place == nullptr) return std::nullopt;
      mount = place->parent;
      at = place->mountpoint;
      continue;
    }
    const DentryPosition& position = at->position();
    if (position.d_parent == at || position.d_parent == nullptr) return std::nullopt;
    path.insert(0, absl::StrCat("/", absl::string_view(position.name, position.name_len)));
    at = position.d_parent;
  }
  return std::nullopt;
}

std::string fields_of_mount_rcu(const MountInfo& info, std::string_view at) {
  const Mount& mount = info.mount;
  std::string text = absl::StrCat(
      mount.mnt_id, " ", info.parent != nullptr ? info.parent->mnt_id : mount.mnt_id,
      " 0:", mount.mnt_sb().s_dev, " ", escaped(path_in_super_block_rcu(mount.mnt_root())), " ",
      escaped(at), " ", mount.is_read_only() ? "ro" : "rw");
  if (info.peer_group != 0) absl::StrAppend(&text, " shared:", info.peer_group);
  if (info.master_group != 0) absl::StrAppend(&text, " master:", info.master_group);
  if (info.unbindable) absl::StrAppend(&text, " unbindable");
  return text;
}

std::string fields_of_super_block(SuperBlock& sb) {
  const std::string options = sb.s_op().show_options();
  return absl::StrCat(" - myfs ", escaped(sb.s_id), " ", sb.is_read_only() ? "ro" : "rw",
                      options.empty() ? "" : ",", escaped(options));
}

}  // namespace

std::string show_mountinfo(const TaskStruct& task) {
  struct Line {
    std::string of_mount;
    Ref<SuperBlock> sb;
  };
  std::vector<Line> lines;
  task.nsproxy->for_each_rcu([&](const MountInfo& info) {
    const FsStruct::View& view = task.fs.view_rcu();
    if (view.root == nullptr) return;
    const std::optional<std::string> at = path_in_task_rcu(view, &info.mount);
    if (!at.has_value()) return;
    lines.push_back({fields_of_mount_rcu(info, *at), Ref<SuperBlock>(info.mount.mnt_sb())});
  });
  std::string text;
  for (const Line& line : lines) {
    absl::StrAppend(&text, line.of_mount, fields_of_super_block(*line.sb), "\n");
  }
  return text;
}

}  // namespace myfs::fs
