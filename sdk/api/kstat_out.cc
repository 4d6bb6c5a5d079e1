#include "sdk/api/kstat_out.h"

#include <sys/sysmacros.h>

namespace myfs::api {
namespace {

// "MyFS", as the f_type of statfs(2).
constexpr long kSuperMagic = 0x4d794653;

timespec to_timespec(const Time& time) { return {time.sec, static_cast<long>(time.nsec)}; }

statx_timestamp to_timestamp(const Time& time) {
  statx_timestamp out = {};
  out.tv_sec = time.sec;
  out.tv_nsec = time.nsec;
  return out;
}

}  // namespace

void to_stat(const Kstat& from, struct stat* to) {
  *to = {};
  to->st_dev = from.dev;
  to->st_ino = from.ino;
  to->st_mode = from.mode;
  to->st_nlink = from.nlink;
  to->st_uid = from.uid;
  to->st_gid = from.gid;
  to->st_rdev = from.rdev;
  to->st_size = static_cast<off_t>(from.size);
  to->st_blksize = from.blksize;
  to->st_blocks = static_cast<blkcnt_t>(from.blocks);
  to->st_atim = to_timespec(from.atime);
  to->st_mtim = to_timespec(from.mtime);
  to->st_ctim = to_timespec(from.ctime);
}

void to_statx(const Kstat& from, struct statx* to) {
  *to = {};
  to->stx_mask = STATX_BASIC_STATS | STATX_BTIME;
  to->stx_blksize = from.blksize;
  to->stx_nlink = from.nlink;
  to->stx_uid = from.uid;
  to->stx_gid = from.gid;
  to->stx_mode = static_cast<uint16_t>(from.mode);
  to->stx_ino = from.ino;
  to->stx_size = from.size;
  to->stx_blocks = from.blocks;
  to->stx_atime = to_timestamp(from.atime);
  to->stx_btime = to_timestamp(from.btime);
  to->stx_ctime = to_timestamp(from.ctime);
  to->stx_mtime = to_timestamp(from.mtime);
  to->stx_dev_major = major(from.dev);
  to->stx_dev_minor = minor(from.dev);
  to->stx_rdev_major = major(from.rdev);
  to->stx_rdev_minor = minor(from.rdev);
}

void to_statfs(const fs::Kstatfs& from, struct statfs* to) {
  *to = {};
  to->f_type = kSuperMagic;
  to->f_bsize = static_cast<long>(from.f_bsize);
  to->f_frsize = to->f_bsize;
  to->f_blocks = from.f_blocks;
  to->f_bfree = from.f_bfree;
  to->f_bavail = from.f_bavail;
  to->f_files = from.f_files;
  to->f_ffree = from.f_ffree;
  to->f_fsid.__val[0] = static_cast<int>(from.f_fsid);
  to->f_fsid.__val[1] = static_cast<int>(from.f_fsid >> 32);
  to->f_namelen = from.f_namelen;
  to->f_flags = from.f_flags;
}

void to_statvfs(const fs::Kstatfs& from, struct statvfs* to) {
  *to = {};
  to->f_bsize = from.f_bsize;
  to->f_frsize = from.f_bsize;
  to->f_blocks = from.f_blocks;
  to->f_bfree = from.f_bfree;
  to->f_bavail = from.f_bavail;
  to->f_files = from.f_files;
  to->f_ffree = from.f_ffree;
  to->f_favail = from.f_ffree;
  to->f_fsid = from.f_fsid;
  to->f_flag = from.f_flags;
  to->f_namemax = from.f_namelen;
}

}  // namespace myfs::api
