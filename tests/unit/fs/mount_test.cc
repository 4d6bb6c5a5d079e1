#include "sdk/fs/mount.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

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
  EXPECT_EQ(move("/mnt", "/file"), ENOTDIR);
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
  auto copy = std::make_unique<TaskStruct>(root.cred, task);
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
  TaskStruct copy(root.cred, task);
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
