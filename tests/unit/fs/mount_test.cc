#include "sdk/fs/mount.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace myfs::fs
