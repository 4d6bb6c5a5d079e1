#include "sdk/fs/mount.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/limits.h"
#include "sdk/fs/proc_namespace.h"

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class MountTest : public FsFixture {
 protected:
  MountTest() {
    EXPECT_EQ(mkdir("/mnt"), 0);
    EXPECT_EQ(create("/mnt/below"), 0);
    EXPECT_EQ(mkdir("/other"), 0);
    EXPECT_EQ(create("/file"), 0);
  }
  Ramfs* mount(std::string_view at, int* error = nullptr) {
    Ramfs* fs = nullptr;
    Ref<SuperBlock> sb = Ramfs::create({}, &fs);
    Result<Ref<Mount>> mounted = task.mount(root, std::move(sb), at, false);
    if (error != nullptr) *error = errno_of(mounted);
    return mounted.ok() ? fs : nullptr;
  }
  int umount(std::string_view at, bool force = false) {
    return errno_of(task.umount(root, at, force));
  }
};

TEST_F(MountTest, a_mount_covers_its_place) {
  uint64_t place = ino("/mnt");
  Ramfs* inner = mount("/mnt");
  ASSERT_NE(inner, nullptr);
  EXPECT_NE(inner, ramfs);
  ASSERT_EQ(create("/mnt/inside"), 0);
  EXPECT_EQ(stat("/mnt/below"), ENOENT);
  EXPECT_EQ(inner->ino_of("/inside"), ino("/mnt/inside"));
  EXPECT_EQ(ramfs->ino_of("/mnt/inside"), 0u);
  EXPECT_EQ(ino("/mnt/.."), kRootIno);
  EXPECT_EQ(ino("/mnt/../other"), ramfs->ino_of("/other"));
  ASSERT_EQ(chdir("/mnt"), 0);
  EXPECT_EQ(getcwd(), "/mnt");
  EXPECT_EQ(ino("../other"), ramfs->ino_of("/other"));
  ASSERT_EQ(chdir("/"), 0);
  EXPECT_EQ(umount("/mnt"), 0);
  EXPECT_EQ(ino("/mnt"), place);
  EXPECT_EQ(stat("/mnt/below"), 0);
}

TEST_F(MountTest, a_list_keeps_no_mount_busy) {
  Ramfs* inner = mount("/mnt");
  int unmounted = -1;
  ramfs->at_show_options = [&] { unmounted = umount("/mnt"); };
  const std::string text = show_mountinfo(task);
  EXPECT_EQ(unmounted, 0);
  EXPECT_THAT(text, testing::HasSubstr(" /mnt rw - myfs "));
  ramfs->at_show_options = nullptr;
  inner = mount("/mnt");
  inner->at_show_options = [&] {
    EXPECT_EQ(umount("/mnt"), 0);
    unmounted = umount("/");
  };
  (void)show_mountinfo(task);
  EXPECT_EQ(unmounted, 0);
  EXPECT_EQ(show_mountinfo(task), "");
}

TEST_F(MountTest, cold_walks_stop_at_the_mount) {
  Ramfs* inner = mount("/mnt");
  ASSERT_EQ(mkdir("/mnt/below"), 0);  // a directory here, a file in what is covered
  ramfs->revoke_everything();
  inner->revoke_everything();
  Kstat found;
  EXPECT_EQ(stat("/mnt/below", &found), 0);
  EXPECT_TRUE(found.is_dir());
  ramfs->grants = inner->grants = false;
  ramfs->revoke_everything();
  inner->revoke_everything();
  EXPECT_EQ(stat("/mnt/below/..", &found), 0);
  EXPECT_EQ(found.ino, kRootIno);
  EXPECT_EQ(ino("/mnt/below/../../other"), ramfs->ino_of("/other"));
}

TEST_F(MountTest, each_session_expires_alone) {
  Ramfs* inner = mount("/mnt");
  ASSERT_EQ(create("/mnt/inside"), 0);
  inner->sb().s_validity.deadline_ns = 1;
  int outer_asked = ramfs->calls.total(), inner_asked = inner->calls.total();
  EXPECT_EQ(stat("/file"), 0);
  EXPECT_EQ(ramfs->calls.total(), outer_asked);
  EXPECT_EQ(stat("/mnt/inside"), 0);
  EXPECT_GT(inner->calls.total(), inner_asked);
  inner->sb().s_validity.deadline_ns = kNoDeadline;
  ramfs->sb().s_validity.deadline_ns = 1;
  outer_asked = ramfs->calls.total();
  EXPECT_EQ(stat("/mnt/inside"), 0);
  EXPECT_GT(ramfs->calls.total(), outer_asked) << "the way there leads through the expired one";
}

TEST_F(MountTest, mounts_stack_and_nest) {
  Ramfs* first = mount("/mnt");
  ASSERT_EQ(mkdir("/mnt/sub"), 0);
  Ramfs* nested = mount("/mnt/sub");
  ASSERT_NE(nested, nullptr);
  ASSERT_EQ(create("/mnt/sub/deep"), 0);
  EXPECT_EQ(umount("/mnt"), EBUSY);
  EXPECT_EQ(umount("/mnt/sub"), 0);
  Ramfs* second = mount("/mnt");
  ASSERT_EQ(create("/mnt/top"), 0);
  EXPECT_NE(second->ino_of("/top"), 0u);
  EXPECT_EQ(first->ino_of("/top"), 0u);
  EXPECT_EQ(ino("/mnt/../file"), ramfs->ino_of("/file"));
  EXPECT_EQ(umount("/mnt"), 0);
  EXPECT_EQ(stat("/mnt/top"), ENOENT);
  EXPECT_EQ(stat("/mnt/sub"), 0);
  EXPECT_EQ(umount("/mnt"), 0);
  EXPECT_EQ(stat("/mnt/below"), 0);
}

TEST_F(MountTest, errors) {
  int error;
  EXPECT_EQ(mount("/file", &error), nullptr);
  EXPECT_EQ(error, ENOTDIR);
  EXPECT_EQ(mount("/nope", &error), nullptr);
  EXPECT_EQ(error, ENOENT);
  EXPECT_EQ(umount("/other"), EINVAL);
  EXPECT_EQ(umount("/nope"), ENOENT);
  TaskStruct fresh(root.cred);
  EXPECT_EQ(errno_of(fresh.mount(root, Ramfs::create({}, nullptr), "/mnt", false)), ENOENT);
  Kstat found;
  EXPECT_EQ(errno_of(vfs_stat(root, fresh, {AT_FDCWD, "/"}, 0, &found)), ENOENT);
  EXPECT_EQ(errno_of(vfs_getcwd(root, fresh)), ENOENT);
}

TEST_F(MountTest, busy_while_somebody_is_inside) {
  Ramfs* inner = mount("/mnt");
  ASSERT_EQ(create("/mnt/f"), 0);
  int fd = open("/mnt/f", O_RDWR);
  EXPECT_EQ(umount("/mnt"), EBUSY);
  ASSERT_EQ(close(fd), 0);
  ASSERT_EQ(chdir("/mnt"), 0);
  EXPECT_EQ(umount("/mnt"), EBUSY);
  ASSERT_EQ(chdir("/"), 0);
  EXPECT_EQ(inner->calls.put_super, 0);
  EXPECT_EQ(umount("/mnt"), 0);
}

TEST_F(MountTest, a_forced_umount_leaves_open_files_alone) {
  mount("/mnt");
  int fd = open("/mnt/f", O_CREAT | O_RDWR);
  ASSERT_EQ(write(fd, "kept"), 4);
  EXPECT_EQ(umount("/mnt", true), 0);
  EXPECT_EQ(stat("/mnt/f"), ENOENT);
  EXPECT_EQ(pread(fd, 10, 0), "kept");
  EXPECT_EQ(close(fd), 0);
}

TEST_F(MountTest, a_mountpoint_is_not_moved_nor_removed) {
  mount("/mnt");
  EXPECT_EQ(rmdir("/mnt"), EBUSY);
  EXPECT_EQ(rename("/mnt", "/x"), EBUSY);
  EXPECT_EQ(rename("/other", "/mnt"), EBUSY);
  EXPECT_EQ(rename("/file", "/mnt/x"), EXDEV);
  EXPECT_EQ(link("/file", "/mnt/x"), EXDEV);
  ASSERT_EQ(umount("/mnt"), 0);
  EXPECT_EQ(rename("/mnt", "/x"), 0);
}

TEST_F(MountTest, the_root_can_be_unmounted_when_nothing_uses_it) {
  int fd = open("/file", O_RDONLY);
  EXPECT_EQ(umount("/"), EBUSY);
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(umount("/"), 0);
  EXPECT_EQ(stat("/"), ENOENT);
  ASSERT_NE(mount("/"), nullptr);
  EXPECT_EQ(stat("/"), 0);
  EXPECT_EQ(stat("/file"), ENOENT);
}

TEST_F(MountTest, a_mount_over_the_root_is_the_new_root) {
  Ramfs* over = mount("/");
  ASSERT_EQ(create("/here"), 0);
  EXPECT_NE(over->ino_of("/here"), 0u);
  EXPECT_EQ(stat("/file"), ENOENT);
  EXPECT_EQ(getcwd(), "/");
  EXPECT_EQ(umount("/"), 0);
  EXPECT_EQ(stat("/file"), 0);
}

// --- bind mounts and propagation

class BindTest : public MountTest {
 protected:
  BindTest() {
    EXPECT_EQ(mkdir("/a"), 0);
    EXPECT_EQ(mkdir("/a/in"), 0);
    EXPECT_EQ(create("/a/file"), 0);
    EXPECT_EQ(mkdir("/b"), 0);
  }
  int bind(std::string_view from, std::string_view at, bool recursive = false) {
    return errno_of(task.bind(root, {AT_FDCWD, from}, {AT_FDCWD, at}, recursive));
  }
  int move(std::string_view from, std::string_view at) {
    return errno_of(task.move_mount(root, {AT_FDCWD, from}, {AT_FDCWD, at}));
  }
  int make(Propagation type, std::string_view at, bool recursive = false) {
    return errno_of(task.mount_setattr(root, {AT_FDCWD, at}, {}, type, recursive));
  }
  int read_only(std::string_view at, bool value, bool recursive = false) {
    return errno_of(task.mount_setattr(root, {AT_FDCWD, at}, value, {}, recursive));
  }
  int lazy(std::string_view at) { return errno_of(task.umount(root, at, true)); }
  Path place(std::string_view path) {
    return path_lookup(root, task, {AT_FDCWD, path}, LOOKUP_FOLLOW)->path;
  }
  // Of paths that were walked before.
  int bind_places(const Path& from, const Path& at) {
    return errno_of(task.nsproxy->bind(from, at, false));
  }
  // The same by another thread: for one that holds locks of the walk, or of a change.
  int bind_places_elsewhere(const Path& from, const Path& at) {
    int error = -1;
    Thread other("other", [&] { error = bind_places(from, at); });
    other.join();
    return error;
  }
  size_t mounts() {
    size_t count = 0;
    task.nsproxy->for_each_rcu([&](const MountInfo&) { ++count; });
    return count;
  }
  // `count` directories with a bind each, in a directory.
  void fill(const std::string& dir, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const std::string at = dir + "/" + std::to_string(i);
      ASSERT_EQ(mkdir(at), 0);
      ASSERT_EQ(bind("/a", at), 0);
    }
  }
  bool shared(std::string_view at) {
    const Path of = place(at);
    bool found = false;
    task.nsproxy->for_each_rcu([&](const MountInfo& info) {
      if (&info.mount == of.mnt.get()) found = info.peer_group != 0;
    });
    return found;
  }
};

TEST_F(BindTest, a_bind_shows_the_same_files) {
  ASSERT_EQ(bind("/a", "/b"), 0);
  EXPECT_EQ(ino("/b/file"), ino("/a/file"));
  ASSERT_EQ(create("/b/new"), 0);
  EXPECT_EQ(stat("/a/new"), 0);
  EXPECT_EQ(ino("/b/.."), kRootIno);
  EXPECT_EQ(ino("/b/in/../.."), kRootIno);
  EXPECT_EQ(rename("/a/file", "/b/other"), EXDEV);
  EXPECT_EQ(link("/a/file", "/b/other"), EXDEV);
  EXPECT_EQ(rmdir("/b"), EBUSY);
  ASSERT_EQ(chdir("/b/in"), 0);
  EXPECT_EQ(getcwd(), "/b/in");
  EXPECT_EQ(umount("/b"), EBUSY);
  ASSERT_EQ(chdir("/"), 0);
  EXPECT_EQ(umount("/b"), 0);
  EXPECT_EQ(stat("/b/file"), ENOENT);
  EXPECT_EQ(ramfs->calls.put_super, 0);
}

TEST_F(BindTest, a_file_is_bound_to_a_file) {
  EXPECT_EQ(bind("/a/file", "/b"), ENOTDIR);
  EXPECT_EQ(bind("/a", "/file"), ENOTDIR);
  const uint64_t below = ino("/file");
  ASSERT_EQ(bind("/a/file", "/file"), 0);
  EXPECT_EQ(ino("/file"), ino("/a/file"));
  EXPECT_EQ(unlink("/file"), EBUSY);
  EXPECT_EQ(rename("/a/in", "/file"), EBUSY);
  EXPECT_EQ(umount("/file"), 0);
  EXPECT_EQ(ino("/file"), below);
}

TEST_F(BindTest, mounts_below_come_along_if_asked_for) {
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  EXPECT_EQ(stat("/b/in/inner"), ENOENT);
  ASSERT_EQ(umount("/b"), 0);
  ASSERT_EQ(bind("/a", "/b", true), 0);
  EXPECT_EQ(stat("/b/in/inner"), 0);
  EXPECT_EQ(umount("/b"), EBUSY);
  EXPECT_EQ(lazy("/b"), 0);
  EXPECT_EQ(stat("/a/in/inner"), 0);
}

TEST_F(BindTest, only_what_the_bind_shows_comes_along) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(bind("/a", "/b", true), 0);
  EXPECT_EQ(umount("/b"), 0) << "nothing is mounted below /a";
}

TEST_F(BindTest, dotdot_does_not_leave_a_bind_that_was_moved_out_of) {
  ASSERT_EQ(mkdir("/a/in/deep"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(chdir("/b/in/deep"), 0);
  ASSERT_EQ(rename("/a/in", "/outside"), 0);
  EXPECT_EQ(stat("../.."), ENOENT);
  ramfs->revoke_everything();
  EXPECT_EQ(stat("../.."), ENOENT);
  ASSERT_EQ(chdir("/"), 0);
}

TEST_F(BindTest, unbindable_mounts_stay_where_they_are) {
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(make(Propagation::kUnbindable, "/a/in"), 0);
  EXPECT_EQ(bind("/a/in", "/b"), EINVAL);
  ASSERT_EQ(bind("/a", "/b", true), 0);
  EXPECT_EQ(umount("/b"), 0) << "the unbindable one was left out";
  ASSERT_EQ(make(Propagation::kPrivate, "/a/in"), 0);
  EXPECT_EQ(bind("/a/in", "/b"), 0);
}

TEST_F(BindTest, peers_get_each_others_mounts) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/b/in/inner"), 0);
  EXPECT_EQ(umount("/b/in"), 0);
  EXPECT_EQ(stat("/a/in/inner"), ENOENT);
  // What one of them does not show does not get there.
  ASSERT_NE(mount("/mnt"), nullptr);
  EXPECT_EQ(umount("/b"), 0);
}

TEST_F(BindTest, peers_are_busy_together) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  int fd = open("/b/in/f", O_CREAT | O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(umount("/a/in"), EBUSY);
  EXPECT_EQ(lazy("/a/in"), 0);
  EXPECT_EQ(stat("/b/in/f"), ENOENT);
  EXPECT_EQ(close(fd), 0);
}

TEST_F(BindTest, slaves_receive_only) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(make(Propagation::kSlave, "/b"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/b/in/inner"), 0);
  EXPECT_EQ(umount("/b/in"), 0);
  EXPECT_EQ(stat("/a/in/inner"), 0);
  EXPECT_EQ(umount("/a/in"), 0);
  ASSERT_NE(mount("/b/in"), nullptr);
  ASSERT_EQ(create("/b/in/own"), 0);
  EXPECT_EQ(stat("/a/in/own"), ENOENT);
}

TEST_F(BindTest, a_private_one_gets_nothing) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(make(Propagation::kPrivate, "/b"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/b/in/inner"), ENOENT);
}

TEST_F(BindTest, a_slave_can_be_shared_again) {
  ASSERT_EQ(mkdir("/c"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(make(Propagation::kSlave, "/b"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/b"), 0);
  ASSERT_EQ(bind("/b", "/c"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/b/in/inner"), 0);
  EXPECT_EQ(stat("/c/in/inner"), 0);
  EXPECT_EQ(umount("/c/in"), 0);
  EXPECT_EQ(stat("/b/in/inner"), ENOENT);
  EXPECT_EQ(stat("/a/in/inner"), 0);
}

// The last peer's slaves follow its own master.
TEST_F(BindTest, slaves_of_a_lost_master_go_to_its_master) {
  ASSERT_EQ(mkdir("/c"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(make(Propagation::kSlave, "/b"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/b"), 0);
  ASSERT_EQ(bind("/b", "/c"), 0);
  ASSERT_EQ(make(Propagation::kSlave, "/c"), 0);
  ASSERT_EQ(umount("/b"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/c/in/inner"), 0);
}

// A mount that is propagated to a place in use goes beneath what is there.
TEST_F(BindTest, a_propagated_mount_is_tucked_under) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(make(Propagation::kSlave, "/b"), 0);
  ASSERT_NE(mount("/b/in"), nullptr);
  ASSERT_EQ(create("/b/in/own"), 0);
  ASSERT_NE(mount("/a/in"), nullptr);
  ASSERT_EQ(create("/a/in/inner"), 0);
  EXPECT_EQ(stat("/b/in/own"), 0);
  ASSERT_EQ(umount("/b/in"), 0);
  EXPECT_EQ(stat("/b/in/inner"), 0);
  // And the other way round: it goes from beneath.
  ASSERT_NE(mount("/b/in"), nullptr);
  ASSERT_EQ(create("/b/in/own"), 0);
  ASSERT_EQ(umount("/a/in"), 0);
  EXPECT_EQ(stat("/b/in/own"), 0);
  ASSERT_EQ(umount("/b/in"), 0);
  EXPECT_EQ(stat("/b/in/inner"), ENOENT);
}

TEST_F(BindTest, a_mount_is_moved) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(mkdir("/mnt/sub"), 0);
  ASSERT_NE(mount("/mnt/sub"), nullptr);
  ASSERT_EQ(create("/mnt/sub/inner"), 0);
  EXPECT_EQ(move("/a", "/b"), EINVAL) << "no mount";
  EXPECT_EQ(move("/", "/b"), EINVAL);
  EXPECT_EQ(move("/mnt", "/mnt/sub"), ELOOP);
  EXPECT_EQ(move("/mnt", "/file"), EINVAL) << "a directory onto a file";
  ASSERT_EQ(chdir("/mnt/sub"), 0);
  ASSERT_EQ(move("/mnt", "/b"), 0);
  EXPECT_EQ(stat("/b/sub/inner"), 0);
  EXPECT_EQ(stat("/mnt/below"), 0);
  EXPECT_EQ(getcwd(), "/b/sub");
  ASSERT_EQ(chdir("/"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  EXPECT_EQ(move("/b", "/mnt"), EINVAL) << "its place is shared";
}

TEST_F(BindTest, what_is_detached_is_no_tree_any_more) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(mkdir("/mnt/sub"), 0);
  Ramfs* inner = mount("/mnt/sub");
  int fd = open("/mnt/sub", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(lazy("/mnt"), 0);
  Kstat found;
  EXPECT_EQ(errno_of(vfs_stat(root, task, {fd, ".."}, 0, &found)), 0);
  EXPECT_EQ(found.dev, inner->sb().s_dev);
  EXPECT_EQ(found.ino, kRootIno);
  EXPECT_EQ(close(fd), 0);
}

TEST_F(BindTest, read_only_is_the_mount) {
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(read_only("/b", true), 0);
  EXPECT_EQ(create("/b/x"), EROFS);
  EXPECT_EQ(create("/a/x"), 0);
  EXPECT_EQ(open("/b/x", O_RDWR), -EROFS);
  EXPECT_EQ(read_only("/a", true), EINVAL) << "no mount";
  ASSERT_EQ(read_only("/b", false), 0);
  int fd = open("/b/x", O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(read_only("/b", true), EBUSY);
  EXPECT_EQ(write(fd, "x"), 1);
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(read_only("/b", true), 0);
}

TEST_F(BindTest, a_change_of_a_whole_tree_is_made_whole_or_not) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(mkdir("/mnt/sub"), 0);
  ASSERT_NE(mount("/mnt/sub"), nullptr);
  int fd = open("/mnt/sub/f", O_CREAT | O_RDWR);
  EXPECT_EQ(read_only("/mnt", true, true), EBUSY);
  EXPECT_EQ(create("/mnt/x"), 0);
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(read_only("/mnt", true, true), 0);
  EXPECT_EQ(create("/mnt/sub/y"), EROFS);
  EXPECT_EQ(create("/mnt/y"), EROFS);
}

TEST_F(BindTest, a_copy_of_the_name_space_is_private) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(create("/mnt/inside"), 0);
  ASSERT_EQ(chdir("/mnt"), 0);
  auto copy = std::make_unique<TaskStruct>(root.cred, *TaskStruct::copy_scope(task));
  ASSERT_EQ(chdir("/"), 0);
  Kstat found;
  EXPECT_EQ(*vfs_getcwd(root, *copy), "/mnt");
  EXPECT_EQ(errno_of(vfs_stat(root, *copy, {AT_FDCWD, "inside"}, 0, &found)), 0);
  EXPECT_EQ(umount("/mnt"), 0) << "the copy's working directory is in the copy's mount";
  EXPECT_EQ(stat("/mnt/inside"), ENOENT);
  EXPECT_EQ(errno_of(vfs_stat(root, *copy, {AT_FDCWD, "/mnt/inside"}, 0, &found)), 0);
  // A name that is a mount point there only can go, and the mount with it.
  EXPECT_EQ(unlink("/mnt/below"), 0);
  EXPECT_EQ(rmdir("/mnt"), 0);
  EXPECT_EQ(errno_of(vfs_stat(root, *copy, {AT_FDCWD, "/mnt/inside"}, 0, &found)), ENOENT);
  copy = nullptr;
  EXPECT_EQ(stat("/file"), 0);
}

TEST_F(BindTest, a_copy_of_shared_mounts_stays_in_touch) {
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  TaskStruct copy(root.cred, *TaskStruct::copy_scope(task));
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(create("/mnt/inside"), 0);
  Kstat found;
  EXPECT_EQ(errno_of(vfs_stat(root, copy, {AT_FDCWD, "/mnt/inside"}, 0, &found)), 0);
  EXPECT_EQ(errno_of(copy.umount(root, "/mnt", false)), 0);
  EXPECT_EQ(stat("/mnt/inside"), ENOENT);
}

TEST_F(BindTest, mount_points_stay_though_the_cache_forgets) {
  ASSERT_NE(mount("/mnt"), nullptr);
  ramfs->revoke_everything();
  EXPECT_EQ(rmdir("/mnt"), EBUSY);
  ramfs->revoke_everything();
  EXPECT_EQ(rename("/mnt", "/elsewhere"), EBUSY);
}

// --- mount points that go away

// What is mounted on a name while it is being removed goes with it.
TEST_F(BindTest, a_mount_on_a_directory_that_is_being_removed) {
  Path from = place("/a"), at = place("/b");
  int bound = -1;
  ramfs->before_change = [&] { bound = bind_places_elsewhere(from, at); };
  EXPECT_EQ(rmdir("/b"), 0);
  ramfs->before_change = nullptr;
  EXPECT_EQ(bound, 0);
  EXPECT_EQ(mounts(), 1u);
  EXPECT_EQ(bind_places(from, at), ENOENT);
  from = at = Path();
  EXPECT_EQ(umount("/"), 0);
}

TEST_F(BindTest, a_mount_on_a_file_that_is_being_removed) {
  const Path from = place("/a/file"), at = place("/file");
  int bound = -1;
  ramfs->before_change = [&] { bound = bind_places_elsewhere(from, at); };
  EXPECT_EQ(unlink("/file"), 0);
  ramfs->before_change = nullptr;
  EXPECT_EQ(bound, 0);
  EXPECT_EQ(mounts(), 1u);
  EXPECT_EQ(bind_places(from, at), ENOENT);
}

TEST_F(BindTest, a_mount_on_a_file_that_is_being_renamed_over) {
  ASSERT_EQ(create("/other_file"), 0);
  const Path from = place("/a/file"), at = place("/file");
  ramfs->before_change = [&] { EXPECT_EQ(bind_places_elsewhere(from, at), 0); };
  EXPECT_EQ(rename("/other_file", "/file"), 0);
  ramfs->before_change = nullptr;
  EXPECT_EQ(mounts(), 1u);
  EXPECT_EQ(bind_places(from, at), ENOENT);
}

// A walk that asks from further up learns the name while the change is under way.
TEST_F(BindTest, a_mount_on_a_name_learned_while_it_is_being_removed) {
  ASSERT_EQ(mkdir("/b/deep"), 0);
  const Path from = place("/a");
  ramfs->before_change = [&] {
    Thread other("other", [&] {
      ramfs->revoke_everything();
      EXPECT_EQ(bind_places(from, place("/b/deep")), 0);
    });
    other.join();
  };
  EXPECT_EQ(rmdir("/b/deep"), 0);
  ramfs->before_change = nullptr;
  EXPECT_EQ(mounts(), 1u);
}

TEST_F(BindTest, a_mount_point_is_found_without_leases) {
  ramfs->grants = false;
  ramfs->revoke_everything();
  ASSERT_EQ(mkdir("/new"), 0);  // a name that was never cached
  ASSERT_EQ(bind("/a", "/new"), 0);
  EXPECT_EQ(stat("/new/file"), 0);
  EXPECT_EQ(bind("/new", "/other"), 0);
  EXPECT_EQ(stat("/other/file"), 0);
  EXPECT_EQ(umount("/other"), 0);
  EXPECT_EQ(umount("/new"), 0);
  EXPECT_EQ(stat("/new/file"), ENOENT);
}

TEST_F(BindTest, a_place_is_marked_while_something_is_there) {
  const Path at = place("/b");
  const auto marked = [&] { return (at.dentry->flags() & Dentry::kMounted) != 0; };
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(bind("/other", "/b"), 0);
  EXPECT_TRUE(marked());
  ASSERT_EQ(umount("/b"), 0);
  EXPECT_TRUE(marked());
  ASSERT_EQ(umount("/b"), 0);
  EXPECT_FALSE(marked());
  // One that failed.
  ASSERT_NE(mount("/mnt"), nullptr);
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(make(Propagation::kUnbindable, "/mnt"), 0);
  EXPECT_EQ(move("/mnt", "/b"), EINVAL);
  EXPECT_FALSE(marked());
}

// The dentry goes first: the mount may be the last one of its super block.
TEST_F(BindTest, a_path_lets_go_of_its_dentry_first) {
  Ramfs* inner = mount("/mnt");
  ASSERT_EQ(mkdir("/mnt/dir"), 0);
  SuperBlock& sb = inner->sb();
  size_t inodes_left = SIZE_MAX;
  inner->at_put_super = [&] { inodes_left = sb.s_inodes.size(); };
  Path only = place("/mnt/dir");
  ASSERT_EQ(lazy("/mnt"), 0);
  EXPECT_EQ(inodes_left, SIZE_MAX);
  only = place("/a");
  EXPECT_EQ(inodes_left, 0u);
}

TEST_F(BindTest, a_super_block_ends_with_its_last_mount) {
  Ramfs* inner = nullptr;
  Ref<SuperBlock> sb = Ramfs::create({}, &inner);
  int ended = 0;
  sb->on_end([&] {
    ++ended;
    EXPECT_FALSE(sb->is_active());
  });
  ASSERT_EQ(errno_of(task.mount(root, sb, "/mnt", false)), 0);
  ASSERT_EQ(bind("/mnt", "/b"), 0);
  int fd = open("/b/f", O_CREAT | O_RDWR);
  ASSERT_EQ(umount("/mnt"), 0);
  ASSERT_EQ(lazy("/b"), 0);
  EXPECT_EQ(inner->calls.put_super, 0);
  EXPECT_EQ(write(fd, "x"), 1);
  EXPECT_EQ(close(fd), 0);
  EXPECT_EQ(inner->calls.put_super, 1) << "the close is the last user";
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(errno_of(task.mount(root, sb, "/mnt", false)), EINVAL);
}

// --- how many there may be

TEST_F(BindTest, mounts_that_move_are_counted_once) {
  ASSERT_NE(mount("/mnt"), nullptr);
  fill("/mnt", kMountsMax / 2 + 10);
  ASSERT_EQ(move("/mnt", "/b"), 0);
  EXPECT_EQ(stat("/b/7/file"), 0);
  EXPECT_EQ(lazy("/b"), 0);
}

TEST_F(BindTest, a_move_that_does_not_fit_changes_nothing) {
  ASSERT_NE(mount("/mnt"), nullptr);
  fill("/mnt", 1000);
  ASSERT_EQ(bind("/other", "/other"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/other"), 0);
  for (const char* peer : {"/p1", "/p2", "/p3", "/p4"}) {
    ASSERT_EQ(mkdir(peer), 0);
    ASSERT_EQ(bind("/other", peer), 0);
  }
  ASSERT_EQ(mkdir("/other/at"), 0);
  const size_t before = mounts();
  ASSERT_EQ(move("/mnt", "/other/at"), ENOSPC);
  EXPECT_EQ(mounts(), before);
  EXPECT_FALSE(shared("/mnt"));
  EXPECT_FALSE(shared("/mnt/7"));
  EXPECT_EQ(stat("/mnt/7/file"), 0);
}

TEST_F(BindTest, copies_of_a_name_space_are_counted) {
  fill("/other", 1500);
  Result<TaskStruct::Scope> one = TaskStruct::copy_scope(task);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(errno_of(TaskStruct::copy_scope(task)), ENOSPC);
  one = Errno(EIO);
  EXPECT_TRUE(TaskStruct::copy_scope(task).ok());
}

// Not more mounts are made than there may be, only to find that they are too many.
TEST_F(BindTest, what_does_not_fit_is_not_made) {
  ASSERT_NE(mount("/mnt"), nullptr);
  fill("/mnt", 200);
  ASSERT_EQ(bind("/other", "/other"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/other"), 0);
  ASSERT_EQ(mkdir("/other/at"), 0);
  ASSERT_EQ(mkdir("/peers"), 0);
  for (size_t i = 0; i < 200; ++i) {
    const std::string peer = "/peers/" + std::to_string(i);
    ASSERT_EQ(mkdir(peer), 0);
    ASSERT_EQ(bind("/other", peer), 0);
  }
  const uint32_t before = place("/peers/199").mnt->mnt_id;
  ASSERT_EQ(bind("/mnt", "/other/at", true), ENOSPC);
  ASSERT_EQ(bind("/a", "/b"), 0);
  EXPECT_LT(place("/b").mnt->mnt_id - before, kMountsMax + 500);
}

// --- unmounts that spread

// What covers a copy stays where it is seen, and keeps what it is on.
TEST_F(BindTest, what_covers_a_copy_is_not_moved_up) {
  ASSERT_EQ(bind("/a", "/b"), 0);
  ASSERT_EQ(mkdir("/b/x"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/"), 0);
  ASSERT_EQ(make(Propagation::kShared, "/b"), 0);
  ASSERT_NE(mount("/b/x"), nullptr);
  TaskStruct copy(root.cred, *TaskStruct::copy_scope(task));
  const auto in_copy = [&](std::string_view path) {
    Kstat found;
    return errno_of(vfs_stat(root, copy, {AT_FDCWD, path}, 0, &found));
  };
  ASSERT_EQ(errno_of(copy.mount_setattr(root, {AT_FDCWD, "/"}, {}, Propagation::kSlave, true)), 0);
  ASSERT_EQ(mkdir("/other/on_x"), 0);
  ASSERT_EQ(mkdir("/mnt/on_b"), 0);
  ASSERT_EQ(errno_of(copy.bind(root, {AT_FDCWD, "/other"}, {AT_FDCWD, "/b/x"}, false)), 0);
  ASSERT_EQ(errno_of(copy.bind(root, {AT_FDCWD, "/mnt"}, {AT_FDCWD, "/b"}, false)), 0);
  ASSERT_EQ(lazy("/b"), 0);
  EXPECT_EQ(in_copy("/b/on_b"), 0) << "what was seen there is seen there";
  EXPECT_EQ(in_copy("/b/on_x"), ENOENT);
  ASSERT_EQ(errno_of(copy.umount(root, "/b", false)), 0);
  EXPECT_EQ(in_copy("/b/x/on_x"), 0);
  ASSERT_EQ(errno_of(copy.umount(root, "/b/x", false)), 0);
  EXPECT_EQ(in_copy("/b/x/on_x"), ENOENT);
  EXPECT_EQ(in_copy("/b/file"), 0) << "the copy of what was unmounted elsewhere";
  EXPECT_EQ(errno_of(copy.umount(root, "/b", false)), 0);
}

// --- the root of a task

TEST_F(BindTest, there_is_one_first_mount) {
  TaskStruct fresh(root.cred);
  Ref<SuperBlock> second = Ramfs::create({}, nullptr);
  ASSERT_TRUE(fresh.nsproxy->attach_first(Ramfs::create({}, nullptr), false, &fresh.fs).ok());
  EXPECT_EQ(errno_of(fresh.nsproxy->attach_first(second, false, &fresh.fs)), EBUSY);
  // Who comes second covers it.
  EXPECT_EQ(errno_of(fresh.mount(root, second, "/", false)), 0);
  EXPECT_EQ(&fresh.fs.root().mnt->mnt_sb(), second.get());
  EXPECT_EQ(errno_of(fresh.umount(root, "/", false)), 0);
  EXPECT_EQ(errno_of(fresh.umount(root, "/", false)), 0);
}

// Whoever changes directory while the root is synced stays there.
TEST_F(BindTest, an_umount_of_the_root_leaves_a_new_directory_alone) {
  int below = open("/a", O_RDONLY | O_DIRECTORY);
  Ramfs* over = mount("/");
  ASSERT_EQ(create("/f"), 0);
  int fd = -1;
  over->at_sync = [&] {
    EXPECT_EQ(errno_of(vfs_fchdir(root, task, below)), 0);
    fd = open("/f", O_RDONLY);
    return Errno();
  };
  EXPECT_EQ(umount("/"), EBUSY) << "a file of it is open";
  EXPECT_EQ(stat("in"), 0);
  ASSERT_EQ(close(fd), 0);
  ASSERT_EQ(chdir("/"), 0);
  over->at_sync = [&] {
    return errno_of(vfs_fchdir(root, task, below)) == 0 ? Errno() : Errno(EIO);
  };
  EXPECT_EQ(umount("/"), 0);
  EXPECT_EQ(stat("in"), 0);
  EXPECT_EQ(getcwd(), "/a");
  EXPECT_EQ(close(below), 0);
  ASSERT_EQ(chdir("/"), 0);
}

// --- freeze, remount

class SuperTest : public BindTest {
 protected:
  int freeze() { return errno_of(task.freeze(root, {AT_FDCWD, "/"})); }
  int thaw() { return errno_of(task.thaw(root, {AT_FDCWD, "/"})); }
  int remount(bool read_only) {
    Reconfigure change;
    change.read_only = read_only;
    return errno_of(task.remount(root, {AT_FDCWD, "/"}, change));
  }
  // Of a call that would wait.
  CallContext impatient() const {
    CallContext ctx = root;
    ctx.deadline_ns = boottime_ns();
    return ctx;
  }
};

TEST_F(SuperTest, a_frozen_super_block_is_not_changed) {
  int fd = open("/a/file", O_RDWR);
  ASSERT_EQ(freeze(), 0);
  EXPECT_EQ(freeze(), EBUSY);
  const CallContext brief = impatient();
  EXPECT_EQ(errno_of(vfs_mkdir(brief, task, {AT_FDCWD, "/x"}, 0755)), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_unlink(brief, task, {AT_FDCWD, "/a/file"})), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_rename(brief, task, {AT_FDCWD, "/a"}, {AT_FDCWD, "/c"}, 0)), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_link(brief, task, {AT_FDCWD, "/file"}, {AT_FDCWD, "/l"}, 0)), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_chmod(brief, task, {AT_FDCWD, "/a"}, 0700, 0)), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_truncate(brief, task, {AT_FDCWD, "/file"}, 0)), ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_pwrite(brief, task, fd, "x", 1, 0)), ETIMEDOUT);
  EXPECT_EQ(open_as(brief, "/new", O_CREAT | O_RDWR), -ETIMEDOUT);
  EXPECT_EQ(open_as(brief, "/file", O_TRUNC | O_RDWR), -ETIMEDOUT);
  EXPECT_EQ(errno_of(vfs_setxattr(brief, task, {AT_FDCWD, "/file"}, 0, "user.a", "1", 0)),
            ETIMEDOUT);
  // Looking is free, and so is opening.
  EXPECT_EQ(stat("/a/file"), 0);
  EXPECT_EQ(pread(fd, 10, 0), "");
  int other = open("/file", O_RDWR);
  EXPECT_GE(other, 0);
  EXPECT_EQ(close(other), 0);
  ASSERT_EQ(thaw(), 0);
  EXPECT_EQ(thaw(), EINVAL);
  EXPECT_EQ(mkdir("/x"), 0);
  EXPECT_EQ(close(fd), 0);
}

TEST_F(SuperTest, who_waits_goes_on_with_the_thaw) {
  ASSERT_EQ(freeze(), 0);
  Event begins;
  int made = -1;
  Thread waiter("waiter", [&] {
    begins.set();
    made = mkdir("/x");
  });
  begins.wait();
  EXPECT_EQ(stat("/x"), ENOENT);
  ASSERT_EQ(thaw(), 0);
  waiter.join();
  EXPECT_EQ(made, 0);
}

TEST_F(SuperTest, a_wait_is_cancelled) {
  ASSERT_EQ(freeze(), 0);
  CancelToken token;
  CallContext ctx = root;
  ctx.cancel = &token;
  Event begins;
  int made = -1;
  Thread waiter("waiter", [&] {
    begins.set();
    made = errno_of(vfs_mkdir(ctx, task, {AT_FDCWD, "/x"}, 0755));
  });
  begins.wait();
  token.cancel();
  waiter.join();
  EXPECT_EQ(made, EINTR);
  EXPECT_EQ(thaw(), 0);
}

TEST_F(SuperTest, freezing_waits_for_changes_under_way) {
  const Path place{task.nsproxy->root(), Ref<Dentry>(ramfs->sb().s_root())};
  auto writing = std::make_unique<WantWrite>(*WantWrite::get(root, place));
  EXPECT_EQ(errno_of(ramfs->sb().freeze(impatient())), ETIMEDOUT);
  EXPECT_EQ(mkdir("/x"), 0) << "a freeze that failed holds nobody up";
  Event begins;
  int frozen = -1;
  Thread freezer("freezer", [&] {
    begins.set();
    frozen = freeze();
  });
  begins.wait();
  writing = nullptr;
  freezer.join();
  EXPECT_EQ(frozen, 0);
  EXPECT_EQ(thaw(), 0);
}

TEST_F(SuperTest, the_end_of_the_last_mount_thaws) {
  Ramfs* inner = mount("/mnt");
  ASSERT_EQ(bind("/mnt", "/b"), 0);
  int fd = open("/b/f", O_CREAT | O_RDWR);
  ASSERT_EQ(errno_of(task.freeze(root, {AT_FDCWD, "/mnt"})), 0);
  ASSERT_EQ(umount("/mnt"), 0);
  EXPECT_TRUE(inner->sb().s_writers.is_frozen());
  ASSERT_EQ(lazy("/b"), 0);
  EXPECT_FALSE(inner->sb().s_writers.is_frozen());
  EXPECT_EQ(write(fd, "x"), 1);
  EXPECT_EQ(close(fd), 0);
}

// Until everything is durable it is not frozen, and nobody else's to thaw.
TEST_F(SuperTest, a_freeze_is_thawed_when_it_is_one) {
  int while_syncing[3] = {};
  ramfs->at_sync = [&] {
    while_syncing[0] = thaw();
    while_syncing[1] = freeze();
    while_syncing[2] = errno_of(vfs_mkdir(impatient(), task, {AT_FDCWD, "/x"}, 0755));
    return Errno();
  };
  ASSERT_EQ(freeze(), 0);
  EXPECT_EQ(while_syncing[0], EINVAL);
  EXPECT_EQ(while_syncing[1], EBUSY);
  EXPECT_EQ(while_syncing[2], ETIMEDOUT);
  EXPECT_TRUE(ramfs->sb().s_writers.is_frozen());
  ASSERT_EQ(thaw(), 0);
  ramfs->at_sync = [] { return Errno(EIO); };
  EXPECT_EQ(freeze(), EIO);
  EXPECT_EQ(thaw(), EINVAL);
  EXPECT_EQ(mkdir("/x"), 0);
}

TEST_F(SuperTest, a_freeze_that_loses_the_last_mount_is_none) {
  Ramfs* inner = mount("/mnt");
  int fd = open("/mnt/f", O_CREAT | O_RDWR);
  inner->at_sync = [&] { return Errno(lazy("/mnt")); };
  EXPECT_EQ(errno_of(task.freeze(root, {AT_FDCWD, "/mnt"})), ESHUTDOWN);
  EXPECT_EQ(errno_of(vfs_pwrite(impatient(), task, fd, "x", 1, 0)), 0);
  EXPECT_EQ(close(fd), 0);
}

// Somebody who finds out just now that he may not write does not keep a mount writable.
TEST_F(SuperTest, remount_read_only_is_whole_or_not_at_all) {
  const Path top = place("/");
  ASSERT_TRUE(top.mnt->write_count().get());
  EXPECT_EQ(remount(true), 0);
  EXPECT_TRUE(top.mnt->is_read_only());
  top.mnt->write_count().put();
  ASSERT_EQ(remount(false), 0);
  ramfs->at_reconfigure = [] { return Errno(EIO); };
  EXPECT_EQ(remount(true), EIO);
  EXPECT_EQ(create("/x"), 0);
}

TEST_F(SuperTest, remount_read_only_is_of_all_mounts) {
  ASSERT_EQ(bind("/a", "/b"), 0);
  int fd = open("/b/file", O_RDWR);
  EXPECT_EQ(remount(true), EBUSY);
  EXPECT_EQ(create("/x"), 0);
  ASSERT_EQ(close(fd), 0);
  ASSERT_EQ(remount(true), 0);
  EXPECT_EQ(create("/y"), EROFS);
  EXPECT_EQ(create("/b/y"), EROFS);
  ASSERT_EQ(remount(false), 0);
  EXPECT_EQ(create("/y"), 0);
  EXPECT_EQ(create("/b/y"), 0);
  Reconfigure nothing;
  EXPECT_EQ(errno_of(task.remount(root, {AT_FDCWD, "/a"}, nothing)), EINVAL);
}

}  // namespace
}  // namespace myfs::fs
