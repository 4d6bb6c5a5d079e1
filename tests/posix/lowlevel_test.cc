// Inodes, open files and directories of <myfs/lowlevel.h>.

#include "tests/posix/lowlevel_test.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/support/myfsd/acl_bytes.h"

namespace myfs::test {
namespace {

TEST_F(LowLevel, one_object_for_all_names_of_an_inode) {
  myfs_inode* f = file("f");
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_link(f, nullptr, dir_, "g", &entry));
  EXPECT_EQ(f, entry.inode);
  EXPECT_EQ(2u, entry.attr.st_nlink);
  EXPECT_EQ(f, child(dir_, "g"));
  EXPECT_EQ(f, inode(home() + "/f"));
  EXPECT_EQ(dir_, child(dir_, "."));
}

TEST_F(LowLevel, the_root_is_its_own_parent) {
  myfs_inode* root = inode("/");
  EXPECT_EQ(root, child(root, ".."));
  EXPECT_EQ(root, child(dir_, ".."));
}

TEST_F(LowLevel, an_entry_tells_the_attributes_of_what_was_made) {
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_mkdir(dir_, nullptr, "d", 0750, 0, &entry));
  EXPECT_EQ(mode_t{S_IFDIR | 0750}, entry.attr.st_mode);
  EXPECT_EQ(2u, entry.attr.st_nlink);
  EXPECT_EQ(entry.attr.st_ino, stat("d").st_ino);
  EXPECT_EQ(entry.attr.st_dev, stat("d").st_dev);
}

TEST_F(LowLevel, the_umask_of_a_call_yields_to_a_default_acl) {
  myfs_inode* d = directory("d", 0777);
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_mkdir(d, nullptr, "before", 0777, 027, &entry));
  EXPECT_EQ(mode_t{S_IFDIR | 0750}, entry.attr.st_mode);
  const std::string list = acl_bytes({{1, 7}, {4, 7}, {32, 5}});
  ASSERT_EQ(0, myfs_ll_setxattr(d, nullptr, kAclDefault, list.data(), list.size(), 0));
  ASSERT_EQ(0, myfs_ll_mkdir(d, nullptr, "d", 0777, 027, &entry));
  EXPECT_EQ(mode_t{S_IFDIR | 0775}, entry.attr.st_mode);
  ASSERT_EQ(0, myfs_ll_mknod(d, nullptr, "f", 0666, 027, 0, &entry));
  EXPECT_EQ(mode_t{S_IFREG | 0664}, entry.attr.st_mode);
  myfs_file* opened;
  ASSERT_EQ(0, myfs_ll_create(d, nullptr, "g", O_RDWR, 0666, 027, &entry, &opened));
  EXPECT_EQ(mode_t{S_IFREG | 0664}, entry.attr.st_mode);
}

TEST_F(LowLevel, modes_are_taken_as_they_are_given) {
  myfs_umask(task_, 077);
  myfs_entry entry = new_entry();
  myfs_file* opened;
  ASSERT_EQ(0, myfs_ll_create(dir_, nullptr, "f", O_RDWR, 0666, 0, &entry, &opened));
  EXPECT_EQ(mode_t{S_IFREG | 0666}, entry.attr.st_mode);
  EXPECT_EQ(mode_t{S_IFDIR | 0777}, attributes(directory("d", 0777)).st_mode);
}

TEST_F(LowLevel, a_file_without_a_name_goes_with_its_last_close_or_gets_one) {
  myfs_entry entry = new_entry(), linked = new_entry();
  myfs_file* opened;
  ASSERT_EQ(0, myfs_ll_tmpfile(dir_, nullptr, O_RDWR, 0666, 022, &entry, &opened));
  EXPECT_EQ(mode_t{S_IFREG | 0644}, entry.attr.st_mode);
  EXPECT_EQ(0u, entry.attr.st_nlink);
  ASSERT_EQ(4, write_at(opened, "text", 0));
  ASSERT_EQ(0, myfs_ll_link(entry.inode, nullptr, dir_, "f", &linked)) << last_message();
  EXPECT_EQ(entry.inode, linked.inode);
  EXPECT_EQ(1u, linked.attr.st_nlink);
  EXPECT_EQ("text", read_at(opened, 10, 0));

  ASSERT_EQ(0, myfs_ll_tmpfile(dir_, nullptr, O_RDWR | O_EXCL, 0600, 0, &entry, &opened));
  EXPECT_EQ(-ENOENT, myfs_ll_link(entry.inode, nullptr, dir_, "g", &linked));
  EXPECT_EQ(-EINVAL, myfs_ll_tmpfile(dir_, nullptr, O_RDONLY, 0600, 0, &entry, &opened));
  EXPECT_EQ(-EACCES,
            myfs_ll_tmpfile(directory("closed", 0755), user(), O_RDWR, 0600, 0, &entry, &opened));
  EXPECT_EQ(-ENOTDIR, myfs_ll_tmpfile(file("h"), nullptr, O_RDWR, 0600, 0, &entry, &opened));
}

TEST_F(LowLevel, an_inode_goes_on_without_a_name_while_it_is_open) {
  myfs_inode* f = file("f");
  myfs_file* opened = open_inode(f);
  ASSERT_EQ(4, write_at(opened, "text", 0));
  ASSERT_EQ(0, myfs_ll_unlink(dir_, nullptr, "f"));
  EXPECT_EQ(0u, attributes(f).st_nlink);
  EXPECT_EQ("text", read_at(opened, 10, 0));
  EXPECT_EQ(0, set(f, MYFS_SET_SIZE, 0, 2));
  EXPECT_EQ(0, set(f, MYFS_SET_MODE, 0600));
  EXPECT_EQ(2, attributes(f).st_size);
  EXPECT_EQ("te", read_at(opened, 10, 0));
  // It outlives its inode object, too.
  EXPECT_EQ(0, myfs_ll_forget(f, 1));
  EXPECT_EQ("te", read_at(opened, 10, 0));
  EXPECT_EQ(0, myfs_ll_release(opened));
}

TEST_F(LowLevel, a_removed_directory_has_no_names) {
  myfs_inode* d = directory("d");
  ASSERT_EQ(0, myfs_ll_rmdir(dir_, nullptr, "d"));
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENOENT, look_up(d, "x"));
  EXPECT_EQ(-ENOENT, myfs_ll_mkdir(d, nullptr, "x", 0755, 0, &entry));
  EXPECT_EQ(0u, attributes(d).st_nlink);
}

TEST_F(LowLevel, a_directory_stays_itself_wherever_others_move_it) {
  myfs_inode* d = directory("d");
  myfs_inode* e = directory("e");
  make_file("d/f", "content");
  Client other(server_->url());
  ASSERT_EQ(0, myfs_rename(other, (home() + "/d").c_str(), (home() + "/e/moved").c_str()));
  EXPECT_EQ(e, child(d, ".."));
  EXPECT_EQ("content", read_at(open_inode(child(d, "f")), 10, 0));
  ASSERT_EQ(0, myfs_rename(other, (home() + "/e").c_str(), (home() + "/e2").c_str()));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_mkdir(d, nullptr, "new", 0755, 0, &entry));
  EXPECT_EQ(entry.inode, inode(home() + "/e2/moved/new"));
}

TEST_F(LowLevel, renames_between_a_directory_and_one_below_it) {
  myfs_inode* d = directory("d");
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_mkdir(d, nullptr, "below", 0755, 0, &entry));
  myfs_inode* below = entry.inode;
  file("f");
  EXPECT_EQ(0, myfs_ll_rename(dir_, nullptr, "f", below, "f", 0));
  EXPECT_EQ(0, myfs_ll_rename(below, nullptr, "f", dir_, "g", 0));
  EXPECT_EQ(0, myfs_ll_rename(d, nullptr, "below", dir_, "g2", 0));
  EXPECT_EQ(dir_, child(below, ".."));
  EXPECT_EQ(0, myfs_ll_rename(dir_, nullptr, "g", dir_, "g2", 2));
  EXPECT_EQ(below, child(dir_, "g"));
}

TEST_F(LowLevel, rename_replaces_and_the_replaced_is_gone) {
  myfs_inode* f = file("f");
  myfs_inode* g = file("g");
  EXPECT_EQ(0, myfs_ll_rename(dir_, nullptr, "f", dir_, "g", 0));
  EXPECT_EQ(f, child(dir_, "g"));
  EXPECT_EQ(0u, attributes(g).st_nlink);
}

TEST_F(LowLevel, what_others_do_is_seen_at_once) {
  Client other(server_->url());
  EXPECT_EQ(-ENOENT, look_up(dir_, "f"));
  ASSERT_EQ(0, other.put(home() + "/f", "one"));
  myfs_inode* f = child(dir_, "f");
  myfs_file* opened = open_inode(f, O_RDONLY);
  EXPECT_EQ("one", read_at(opened, 10, 0));
  ASSERT_EQ(0, other.put(home() + "/f", "other"));
  EXPECT_EQ("other", read_at(opened, 10, 0));
  EXPECT_EQ(5, attributes(f).st_size);
  ASSERT_EQ(0, myfs_unlink(other, (home() + "/f").c_str()));
  EXPECT_EQ(-ENOENT, look_up(dir_, "f"));
}

TEST_F(LowLevel, the_credentials_of_the_call_decide) {
  const myfs_cred member{sizeof member, 1000, 1000, nullptr, 0};
  const gid_t groups[] = {2000};
  const myfs_cred in_group{sizeof in_group, 1001, 1001, groups, 1};
  const myfs_call as_owner{sizeof as_owner, &member, 0, nullptr};
  const myfs_call as_group{sizeof as_group, &in_group, 0, nullptr};
  myfs_inode* open_to_all = directory("d");
  ASSERT_EQ(0, set(open_to_all, MYFS_SET_MODE, 0777));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_mknod(open_to_all, &as_owner, "f", 0640, 0, 0, &entry));
  EXPECT_EQ(1000u, entry.attr.st_uid);
  EXPECT_EQ(-EACCES, myfs_ll_access(entry.inode, &as_group, R_OK));
  myfs_setattr owner{};
  owner.size = sizeof owner;
  owner.valid = MYFS_SET_GID;
  owner.gid = 2000;
  ASSERT_EQ(0, myfs_ll_setattr(entry.inode, nullptr, nullptr, &owner, nullptr));
  EXPECT_EQ(0, myfs_ll_access(entry.inode, &as_group, R_OK));
}

TEST_F(LowLevel, a_change_of_owner_takes_privileges_away) {
  myfs_inode* f = file("f", 06755);
  EXPECT_EQ(mode_t{S_IFREG | 06755}, attributes(f).st_mode);
  ASSERT_EQ(0, set(f, MYFS_SET_KILL_PRIV));
  EXPECT_EQ(mode_t{S_IFREG | 0755}, attributes(f).st_mode);
}

TEST_F(LowLevel, several_attributes_change_together) {
  myfs_inode* f = file("f");
  myfs_setattr attr{};
  attr.size = sizeof attr;
  attr.valid = MYFS_SET_MODE | MYFS_SET_UID | MYFS_SET_SIZE | MYFS_SET_MTIME;
  attr.mode = 0600;
  attr.uid = 1000;
  attr.length = 100;
  attr.mtime = {1234567890, 123456789};
  struct stat now;
  ASSERT_EQ(0, myfs_ll_setattr(f, nullptr, nullptr, &attr, &now)) << last_message();
  EXPECT_EQ(mode_t{S_IFREG | 0600}, now.st_mode);
  EXPECT_EQ(1000u, now.st_uid);
  EXPECT_EQ(100, now.st_size);
  EXPECT_EQ(1234567890, now.st_mtim.tv_sec);
  EXPECT_EQ(123456789, now.st_mtim.tv_nsec);
}

TEST_F(LowLevel, an_open_for_writing_may_cut_what_its_mode_forbids) {
  myfs_inode* open_to_all = directory("d");
  ASSERT_EQ(0, set(open_to_all, MYFS_SET_MODE, 0777));
  myfs_entry entry = new_entry();
  myfs_file* opened;
  ASSERT_EQ(0, myfs_ll_create(open_to_all, user(), "f", O_RDWR, 0400, 0, &entry, &opened));
  myfs_setattr attr{};
  attr.size = sizeof attr;
  attr.valid = MYFS_SET_SIZE;
  attr.length = 3;
  EXPECT_EQ(-EACCES, myfs_ll_setattr(entry.inode, user(), nullptr, &attr, nullptr));
  EXPECT_EQ(0, myfs_ll_setattr(entry.inode, user(), opened, &attr, nullptr));
}

TEST_F(LowLevel, appends_go_to_the_end_whatever_the_offset) {
  myfs_inode* f = file("f");
  myfs_file* a = open_inode(f, O_RDWR | O_APPEND);
  myfs_file* b = open_inode(f);
  EXPECT_EQ(3, write_at(a, "one", 0));
  EXPECT_EQ(3, write_at(b, "two", 3));
  EXPECT_EQ(5, write_at(a, "three", 0));
  EXPECT_EQ("onetwothree", read_at(a, 20, 0));
  EXPECT_EQ(0, myfs_ll_set_flags(a, 0));
  EXPECT_EQ(3, write_at(a, "ONE", 0));
  EXPECT_EQ("ONEtwothree", read_at(a, 20, 0));
}

TEST_F(LowLevel, a_page_goes_to_its_place_however_the_file_is_open) {
  for (int flags : {O_APPEND, O_DIRECT}) {
    myfs_inode* f = file(flags == O_APPEND ? "append" : "direct");
    myfs_file* plain = open_inode(f);
    EXPECT_EQ(9, write_at(plain, "onetwosix", 0));
    const std::string text = "TWO";
    const iovec from{const_cast<char*>(text.data()), text.size()};
    myfs_file* opened = open_inode(f, O_RDWR | flags);
    EXPECT_EQ(3, myfs_ll_pwritev2(opened, nullptr, &from, 1, 3, MYFS_RWF_PAGE)) << last_message();
    EXPECT_EQ("oneTWOsix", read_at(plain, 20, 0));
  }
}

TEST_F(LowLevel, who_may_execute_opens_to_execute_and_reads) {
  const myfs_cred user{sizeof user, 1000, 1000, nullptr, 0};
  const myfs_call call{sizeof call, &user, 0, nullptr};
  myfs_inode* f = file("f");
  EXPECT_EQ(4, write_at(open_inode(f), "text", 0));
  myfs_file* opened = nullptr;
  ASSERT_EQ(0, set(f, MYFS_SET_MODE, 0711));
  EXPECT_EQ(-EACCES, myfs_ll_open(f, &call, O_RDONLY, &opened));
  ASSERT_EQ(0, myfs_ll_open(f, &call, O_RDONLY | MYFS_O_EXEC, &opened)) << last_message();
  EXPECT_EQ("text", read_at(opened, 9, 0));
  Client other(server_->url());
  ASSERT_EQ(0, other.put(home() + "/f", "more"));
  EXPECT_EQ("more", read_at(opened, 9, 0));
  ASSERT_EQ(0, set(f, MYFS_SET_MODE, 0744));
  EXPECT_EQ(-EACCES, myfs_ll_open(f, &call, O_RDONLY | MYFS_O_EXEC, &opened));
  ASSERT_EQ(0, myfs_chmod(other, (home() + "/f").c_str(), 0755));
  EXPECT_EQ(0, myfs_ll_open(f, &call, O_RDONLY | MYFS_O_EXEC, &opened)) << last_message();
  ASSERT_EQ(0, myfs_chmod(other, (home() + "/f").c_str(), 0644));
  EXPECT_EQ(-EACCES, myfs_ll_open(f, &call, O_RDONLY | MYFS_O_EXEC, &opened));
  EXPECT_EQ(-EACCES, myfs_ll_open(dir_, nullptr, O_RDONLY | MYFS_O_EXEC, &opened));
}

TEST_F(LowLevel, truncation_at_open) {
  myfs_inode* f = file("f");
  myfs_file* a = open_inode(f);
  ASSERT_EQ(4, write_at(a, "text", 0));
  myfs_file* b = open_inode(f, O_WRONLY | O_TRUNC);
  EXPECT_EQ("", read_at(a, 10, 0));
  EXPECT_EQ(0, attributes(f).st_size);
  EXPECT_EQ(0, myfs_ll_release(b));
}

TEST_F(LowLevel, holes_are_found_and_made) {
  myfs_file* f = open_inode(file("f"));
  ASSERT_EQ(4, write_at(f, "data", 1 << 20));
  ASSERT_EQ(0, myfs_ll_fsync(f, nullptr, 0));
  const off_t data = myfs_ll_lseek(f, nullptr, 0, SEEK_DATA);
  EXPECT_GT(data, 0);
  EXPECT_LE(data, 1 << 20);
  EXPECT_EQ(0, myfs_ll_lseek(f, nullptr, 0, SEEK_HOLE));
  EXPECT_EQ(0, myfs_ll_fallocate(f, nullptr, 0, 0, 2 << 20)) << last_message();
  EXPECT_EQ(std::string("data") + std::string(6, '\0'), read_at(f, 10, 1 << 20));
}

TEST_F(LowLevel, a_listing_in_steps_of_any_size_is_the_same) {
  std::vector<std::string> expected{".", ".."};
  for (int i = 0; i < 50; ++i) {
    expected.push_back("f" + std::to_string(i));
    file(expected.back().c_str());
  }
  std::sort(expected.begin(), expected.end());
  for (int step : {1, 7, 100}) {
    myfs_file* d = open_inode(dir_, O_RDONLY);
    std::vector<std::string> found = names(d, step);
    std::vector<std::string> again = names(d, step);
    EXPECT_EQ(found, again);
    std::sort(found.begin(), found.end());
    EXPECT_EQ(expected, found);
    EXPECT_EQ(0, myfs_ll_release(d));
  }
}

TEST_F(LowLevel, a_handle_leads_to_its_inode_after_a_restart) {
  file("f");
  myfs_inode* d = directory("d");
  make_file("d/g", "content");
  char of_file[128], of_dir[128];
  const ssize_t file_size =
      myfs_ll_name_to_handle(child(dir_, "f"), nullptr, of_file, sizeof of_file);
  const ssize_t dir_size = myfs_ll_name_to_handle(d, nullptr, of_dir, sizeof of_dir);
  ASSERT_EQ(0, myfs_ll_rename(dir_, nullptr, "d", dir_, "moved", 0));
  restart_server();
  Client other(server_->url());  // knows nothing yet
  myfs_entry root = new_entry(), entry = new_entry();
  ASSERT_EQ(0, myfs_ll_open_path(other, nullptr, "/", &root));
  ASSERT_EQ(0, myfs_ll_open_by_handle(root.inode, nullptr, of_file, static_cast<size_t>(file_size),
                                      &entry))
      << last_message();
  EXPECT_EQ(stat("f").st_ino, entry.attr.st_ino);
  ASSERT_EQ(0, myfs_ll_open_by_handle(root.inode, nullptr, of_dir, static_cast<size_t>(dir_size),
                                      &entry));
  EXPECT_EQ("content", read_at(open_inode(child(entry.inode, "g"), O_RDONLY), 10, 0));
  EXPECT_EQ(stat(".").st_ino, attributes(child(entry.inode, "..")).st_ino);
}

// What a listener was told.
struct Heard {
  static void hear(void* self, const myfs_invalidation* what) {
    auto* heard = static_cast<Heard*>(self);
    if (what->ino == heard->ino) heard->what |= what->what;
    if (what->ino == 0) heard->all = true;
  }
  uint64_t ino = 0;
  std::atomic<unsigned> what{0};
  std::atomic<bool> all{false};
};

TEST_F(LowLevel, nothing_is_kept_where_nobody_listens) {
  file("f");
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_lookup(dir_, nullptr, "f", &entry));
  EXPECT_EQ(0, entry.keep_name_ms);
  EXPECT_EQ(0, entry.keep_attr_ms);
}

TEST_F(LowLevel, a_listener_is_called_before_others_make_their_change) {
  myfs_inode* f = file("f");
  Heard of_file, of_dir;
  of_file.ino = attributes(f).st_ino;
  of_dir.ino = attributes(dir_).st_ino;
  myfs_listener *file_listener, *dir_listener;
  ASSERT_EQ(0, myfs_ll_listen(f, &Heard::hear, &of_file, &file_listener));
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &of_dir, &dir_listener));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_lookup(dir_, nullptr, "f", &entry));
  EXPECT_GT(entry.keep_name_ms, 0);
  EXPECT_GT(entry.keep_attr_ms, 0);
  EXPECT_EQ(-ENOENT, myfs_ll_lookup(dir_, nullptr, "missing", &entry));
  EXPECT_EQ(-ENOENT, myfs_ll_lookup(dir_, nullptr, "missing", &entry));
  EXPECT_GT(entry.keep_name_ms, 0);
  EXPECT_EQ(0u, of_file.what);
  EXPECT_EQ(0u, of_dir.what);

  Client other(server_->url());
  ASSERT_EQ(0, myfs_chmod(other, (home() + "/f").c_str(), 0600));
  EXPECT_NE(0u, of_file.what & MYFS_INVAL_ATTR);
  EXPECT_EQ(0u, of_dir.what & MYFS_INVAL_NAMES);
  ASSERT_EQ(0, other.put(home() + "/missing", "text"));
  EXPECT_NE(0u, of_dir.what & MYFS_INVAL_NAMES);
  EXPECT_EQ(0, myfs_ll_unlisten(file_listener));
  EXPECT_EQ(0, myfs_ll_unlisten(dir_listener));
}

TEST_F(LowLevel, content_that_others_write_is_told) {
  myfs_inode* f = file("f");
  Heard heard;
  heard.ino = attributes(f).st_ino;
  myfs_listener* listener;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  EXPECT_EQ("", read_at(open_inode(f, O_RDONLY), 10, 0));
  Client other(server_->url());
  ASSERT_EQ(0, other.put(home() + "/f", "text", 0));
  EXPECT_NE(0u, heard.what & MYFS_INVAL_DATA);
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
}

TEST_F(LowLevel, after_unlisten_nobody_is_called) {
  file("f");
  Heard heard;
  heard.ino = attributes(dir_).st_ino;
  myfs_listener* listener;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  EXPECT_EQ(0, look_up(dir_, "f"));
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
  Client other(server_->url());
  ASSERT_EQ(0, other.put(home() + "/g", "text"));
  EXPECT_EQ(0u, heard.what);
  EXPECT_EQ(0, myfs_ll_unlisten(nullptr));
}

TEST_F(LowLevel, names_are_not_kept_where_not_everybody_may_search) {
  myfs_inode* d = directory("d", 0700);
  make_file("d/f");
  Heard heard;
  myfs_listener* listener;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_lookup(d, nullptr, "f", &entry));
  EXPECT_EQ(0, entry.keep_name_ms);
  EXPECT_EQ(-ENOENT, myfs_ll_lookup(d, nullptr, "missing", &entry));
  EXPECT_EQ(0, entry.keep_name_ms);
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
}

TEST_F(LowLevel, a_new_name_is_not_kept_because_the_old_one_is) {
  myfs_inode* f = file("f");
  myfs_inode* d = directory("d", 0700);
  Heard heard;
  myfs_listener* listener;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_lookup(dir_, nullptr, "f", &entry));
  EXPECT_GT(entry.keep_name_ms, 0);
  ASSERT_EQ(0, myfs_ll_link(f, nullptr, d, "g", &entry));
  EXPECT_EQ(0, entry.keep_name_ms);
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
}

TEST_F(LowLevel, the_end_of_the_session_is_told) {
  Heard heard;
  myfs_listener* listener;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  restart_server();
  EXPECT_EQ(-ENOENT, look_up(dir_, "missing"));  // in the new session
  // A worker tells it.
  while (!heard.all) std::this_thread::yield();
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
}

TEST_F(LowLevel, inodes_and_files_keep_the_mount_busy) {
  make_dir("mnt");
  const std::string at = home() + "/mnt";
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), at.c_str(), nullptr));
  myfs_inode* held = child(child(dir_, "mnt"), home().c_str() + 1);
  EXPECT_EQ(-EBUSY, myfs_umount(task_, at.c_str(), 0));
  myfs_file* opened = open_inode(held, O_RDONLY);
  ASSERT_EQ(0, myfs_umount(task_, at.c_str(), MNT_DETACH)) << last_message();
  EXPECT_EQ(0, look_up(held, "mnt"));
  EXPECT_FALSE(names(opened, 10).empty());
}

TEST_F(LowLevel, after_a_forced_unmount_calls_fail) {
  make_dir("mnt");
  const std::string at = home() + "/mnt";
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), at.c_str(), nullptr));
  myfs_inode* held = child(dir_, "mnt");
  ASSERT_EQ(0, myfs_umount(task_, at.c_str(), MNT_FORCE)) << last_message();
  EXPECT_EQ(-ENOTCONN, look_up(held, "anything"));
  EXPECT_EQ(0, myfs_ll_forget(held, 1));
}

TEST_F(LowLevel, destroying_the_task_writes_what_is_open) {
  Client other(server_->url());
  myfs_entry entry = new_entry(), made = new_entry();
  ASSERT_EQ(0, myfs_ll_open_path(other, nullptr, home().c_str(), &entry));
  myfs_file* opened;
  ASSERT_EQ(0, myfs_ll_create(entry.inode, nullptr, "f", O_WRONLY, 0644, 0, &made, &opened));
  ASSERT_EQ(4, write_at(opened, "text", 0));
  ASSERT_EQ(0, other.end());
  EXPECT_EQ("text", content("f"));
}

TEST_F(LowLevel, many_threads_look_up_and_forget_one_inode) {
  file("f");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        myfs_entry entry = new_entry();
        ASSERT_EQ(0, myfs_ll_lookup(dir_, nullptr, "f", &entry));
        ASSERT_EQ(0, myfs_ll_forget(entry.inode, 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  myfs_inode* f = child(dir_, "f");
  EXPECT_EQ(0, myfs_ll_forget(f, 1));
}

}  // namespace
}  // namespace myfs::test
