// What is drawn, and how often: names few enough that calls meet, offsets where bugs live.
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/model/ops.h"

namespace myfs::test {
namespace {

constexpr int64_t kPage = 4096;
constexpr int64_t kChunk = 4 << 20;  // of the server's store
constexpr int64_t kUnit = 64 << 10;  // of what it shares
constexpr int64_t kSpan = 192 << 10;
constexpr int kFds = 7;

struct Row {
  Call call;
  const char* name;
  unsigned weight;
};
constexpr Row kRows[] = {
    {Call::kOpen, "open", 110},
    {Call::kClose, "close", 40},
    {Call::kDup, "dup", 8},
    {Call::kDup2, "dup2", 8},
    {Call::kRead, "read", 30},
    {Call::kPread, "pread", 70},
    {Call::kPreadv, "preadv", 30},
    {Call::kWrite, "write", 40},
    {Call::kPwrite, "pwrite", 80},
    {Call::kPwritev2, "pwritev2", 30},
    {Call::kCopy, "copy", 30},
    {Call::kClone, "clone", 15},
    {Call::kTruncate, "truncate", 15},
    {Call::kFtruncate, "ftruncate", 30},
    {Call::kFallocate, "fallocate", 35},
    {Call::kLseek, "lseek", 30},
    {Call::kFsync, "fsync", 15},
    {Call::kFadvise, "fadvise", 10},
    {Call::kMkdir, "mkdir", 25},
    {Call::kMknod, "mknod", 8},
    {Call::kSymlink, "symlink", 12},
    {Call::kReadlink, "readlink", 10},
    {Call::kUnlink, "unlink", 30},
    {Call::kRmdir, "rmdir", 12},
    {Call::kLink, "link", 20},
    {Call::kLinkTmpfile, "linkat", 8},
    {Call::kRename, "rename", 40},
    {Call::kStat, "stat", 60},
    {Call::kFstat, "fstat", 40},
    {Call::kChmod, "chmod", 12},
    {Call::kFchmod, "fchmod", 8},
    {Call::kUtimens, "utimens", 12},
    {Call::kSetxattr, "setxattr", 15},
    {Call::kGetxattr, "getxattr", 12},
    {Call::kListxattr, "listxattr", 6},
    {Call::kRemovexattr, "removexattr", 8},
    {Call::kReaddir, "readdir", 25},
    {Call::kFlock, "flock", 15},
    {Call::kLock, "lock", 20},
    {Call::kTestLock, "getlk", 8},
    {Call::kMmap, "mmap", 35},
    {Call::kStore, "store", 80},
    {Call::kLoad, "load", 30},
    {Call::kMsync, "msync", 25},
    {Call::kMunmap, "munmap", 5},
};
static_assert(std::size(kRows) == static_cast<size_t>(Call::kCount));

// Kinds of names, so that most calls find what they are about.
enum class Want { kFile, kDir, kAny };

std::string name(Dice& dice, Want want) {
  const uint64_t kind = dice.below(100);
  const char letter = want == Want::kAny   ? "fds"[dice.below(3)]
                      : kind < 80          ? (want == Want::kDir ? 'd' : 'f')
                      : kind < 92          ? 's'
                      : want == Want::kDir ? 'f'
                                           : 'd';
  return absl::StrCat(std::string(1, letter), dice.below(letter == 'f' ? 3 : 2));
}

std::string path(Dice& dice, Want want) {
  if (dice.below(300) == 0) return "";
  std::string result = dice.percent(80) ? "/" : "";
  uint64_t above = dice.below(100);
  for (above = above < 50 ? 0 : above < 85 ? 1 : 2; above > 0; --above) {
    const uint64_t dots = dice.below(60);
    absl::StrAppend(&result, dots == 0 ? ".." : dots == 1 ? "." : name(dice, Want::kDir), "/");
  }
  absl::StrAppend(&result, dice.below(100) == 0 ? ".." : name(dice, want));
  if (dice.below(60) == 0) result += "/";
  return result;
}

// Where a relative path begins: often enough at something that is no directory.
int dirfd(Dice& dice) { return dice.percent(50) ? AT_FDCWD : static_cast<int>(dice.below(kFds)); }

int64_t offset(Dice& dice) {
  const int64_t base = dice.below(25) == 0 ? kChunk - kSpan / 2 : 0;
  const auto at = static_cast<int64_t>(dice.below(kSpan));
  switch (dice.below(4)) {
    case 0:
      return base + at;
    case 1:
      return base + at / kPage * kPage;
    case 2:
      return base + at / kPage * kPage + static_cast<int64_t>(dice.below(3));
    default:
      return base + at % (2 * kPage);
  }
}

int64_t size(Dice& dice) {
  switch (dice.below(8)) {
    case 0:
      return static_cast<int64_t>(dice.below(8));
    case 1:
      return kPage;
    case 2:
      return kPage * static_cast<int64_t>(dice.below(9));
    case 3:
      return static_cast<int64_t>(dice.below(64 << 10));
    default:
      return static_cast<int64_t>(dice.below(6000));
  }
}

int open_flags(Dice& dice) {
  constexpr int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR};
  int flags = kAccess[dice.below(std::size(kAccess))];
  if (dice.below(40) == 0) return flags | O_TMPFILE | (dice.percent(25) ? O_EXCL : 0);
  if (dice.below(40) == 0) return O_PATH | (dice.percent(50) ? O_NOFOLLOW : 0);
  if (dice.percent(60)) flags |= O_CREAT;
  if (dice.percent(8)) flags |= O_EXCL;
  if (dice.percent(12)) flags |= O_TRUNC;
  if (dice.percent(6)) flags |= O_NOFOLLOW;
  if (dice.percent(4)) flags |= O_SYNC;
  if (dice.percent(2)) flags |= O_DIRECTORY;
  if (dice.percent(15)) return flags | O_APPEND;
  if (dice.percent(8)) flags |= O_DIRECT;
  return (flags & (O_CREAT | O_EXCL)) == O_EXCL ? flags & ~O_EXCL : flags;
}

uint64_t fallocate_mode(Dice& dice) {
  constexpr int kModes[] = {0,
                            FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_ZERO_RANGE,
                            FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_COLLAPSE_RANGE};
  return static_cast<uint64_t>(kModes[dice.below(std::size(kModes))]);
}

void draw_names(Dice& dice, Op* op) {
  op->fd = dirfd(dice);
  op->to = dirfd(dice);
  const bool dir = op->call == Call::kMkdir || op->call == Call::kRmdir;
  op->path = path(dice, dir ? Want::kDir : op->call == Call::kRename ? Want::kAny : Want::kFile);
  op->other = path(dice, op->path.find("/d") != std::string::npos ? Want::kDir : Want::kFile);
  op->flags = dice.next();
  switch (op->call) {
    case Call::kSymlink:
      // other: the target.
      op->path = absl::StrCat("/s", dice.below(2));
      if (dice.percent(50)) op->path = absl::StrCat("/", name(dice, Want::kDir), op->path);
      if (op->other.empty()) op->other = "f0";
      break;
    case Call::kMknod:
      op->flags = dice.percent(30) ? S_IFIFO : S_IFREG;
      break;
    case Call::kRename: {
      constexpr unsigned kHow[] = {0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE};
      op->flags = kHow[dice.below(std::size(kHow))];
      break;
    }
    case Call::kLink:
      op->flags = dice.percent(30) ? AT_SYMLINK_FOLLOW : 0;
      break;
    case Call::kLinkTmpfile:
      op->fd = static_cast<int>(dice.below(kFds));
      break;
    case Call::kOpen:
      op->flags = static_cast<uint64_t>(open_flags(dice));
      if (dice.percent(10)) op->flags &= ~uint64_t{O_CREAT | O_TRUNC | O_ACCMODE};
      if ((op->flags & (O_CREAT | O_ACCMODE)) == 0) op->path = path(dice, Want::kDir);
      break;
    default:
      break;
  }
}

bool takes_names(Call call) {
  switch (call) {
    case Call::kOpen:
    case Call::kMkdir:
    case Call::kMknod:
    case Call::kSymlink:
    case Call::kReadlink:
    case Call::kUnlink:
    case Call::kRmdir:
    case Call::kLink:
    case Call::kLinkTmpfile:
    case Call::kRename:
    case Call::kStat:
    case Call::kChmod:
    case Call::kUtimens:
      return true;
    default:
      return false;
  }
}

Call draw_call(Dice& dice) {
  static const unsigned total = [] {
    unsigned sum = 0;
    for (const Row& row : kRows) sum += row.weight;
    return sum;
  }();
  uint64_t at = dice.below(total);
  for (const Row& row : kRows) {
    if (at < row.weight) return row.call;
    at -= row.weight;
  }
  return Call::kStat;
}

// Copies between whole blocks, which the server does by sharing them; of clones now and then not.
void make_shareable(Dice& dice, Op* op) {
  op->offset = op->offset / kUnit * kUnit;
  op->size = kUnit * static_cast<int64_t>(dice.below(3) + (op->call == Call::kCopy ? 1 : 0));
  op->flags = op->flags / 6 * 6 + 4;  // both offsets of a copy are given
  op->seed = op->seed / kUnit * kUnit;
  if (op->call != Call::kClone) return;
  if (dice.percent(50)) op->offset = 0;
  if (dice.below(20) == 0) op->offset += kPage;
  if (dice.below(20) == 0) op->size += kPage;
}

}  // namespace

uint64_t Dice::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Op draw(Dice& dice, int clients, int before) {
  Op op;
  op.call = draw_call(dice);
  op.client =
      dice.percent(60) ? before : static_cast<int>(dice.below(static_cast<uint64_t>(clients)));
  op.fd = static_cast<int>(dice.below(kFds));
  op.to = static_cast<int>(dice.below(kFds));
  op.offset = offset(dice);
  op.size = size(dice);
  op.flags = dice.next();
  op.seed = dice.next();
  if (takes_names(op.call)) {
    draw_names(dice, &op);
  } else {
    op.path = path(dice, dice.percent(70) ? Want::kFile : Want::kDir);
    op.other = dice.percent(50) ? "user.a" : "user.b";
  }
  if ((op.call == Call::kCopy && dice.percent(50)) || op.call == Call::kClone)
    make_shareable(dice, &op);
  // Where most files have something.
  if (op.call == Call::kMmap && dice.percent(75)) op.offset %= 4 * kPage;
  if (op.call == Call::kFallocate) op.flags = fallocate_mode(dice);
  if (op.call == Call::kReaddir) op.path = dice.percent(30) ? "/" : path(dice, Want::kDir);
  return op;
}

std::string Op::text() const {
  return absl::StrCat("client ", client, " ", kRows[static_cast<size_t>(call)].name, " fd ", fd,
                      " to ", to, " '", path, "' '", other, "' offset ", offset, " size ", size,
                      " flags ", absl::Hex(flags), " seed ", seed);
}

}  // namespace myfs::test
