#include "tests/sim/workload.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace myfs::simtest {
namespace {

constexpr size_t kStamp_bytes = 16;
constexpr size_t kPage_bytes = 4096;
constexpr size_t kLogMax_bytes = 256 << 10;
constexpr uint64_t kTorn = UINT64_MAX;  // not a stamp
constexpr uint64_t kSeal = 0x9e3779b97f4a7c15;
constexpr uint64_t kNameWindow = 6;  // names of a kind in use at a time
constexpr uint64_t kNameLife = 40;   // operations on names until the window moves on
constexpr size_t kHeldMax = 4;
constexpr off_t kCutOffsets[kTruncatedCells] = {0, 5000, 9000, 70000};

using Stamp = std::array<char, kStamp_bytes>;

Stamp encode(uint64_t value) {
  Stamp stamp;
  uint64_t seal = value * kSeal;
  std::memcpy(stamp.data(), &value, sizeof value);
  std::memcpy(stamp.data() + sizeof value, &seal, sizeof seal);
  return stamp;
}

uint64_t decode(const char* bytes) {
  uint64_t value, seal;
  std::memcpy(&value, bytes, sizeof value);
  std::memcpy(&seal, bytes + sizeof value, sizeof seal);
  return seal == value * kSeal ? value : kTorn;
}

std::string register_path(size_t file) { return absl::StrCat("/r", file); }
std::string log_path(size_t log) { return absl::StrCat("/log", log); }
std::string lock_path(size_t lock) { return absl::StrCat("/lock", lock); }
constexpr char kSizePath[] = "/size";
constexpr char kCutPath[] = "/cut";

off_t cell_offset(size_t cell) {
  size_t in_file = cell % kCellsPerFile;
  return static_cast<off_t>(in_file / 2 * 4096 + in_file % 2 * 2048);
}

}  // namespace

Shared::Shared(sim::Simulation& sim, const Weights& w, uint64_t wanted)
    : simulation(sim), weights(w), operations_wanted(wanted) {
  for (size_t i = 0; i < size_t{kRegisterFiles} * kCellsPerFile; ++i) {
    cells.emplace_back(
        absl::StrCat("cell ", i % kCellsPerFile, " of ", register_path(i / kCellsPerFile)));
  }
  for (size_t i = 0; i < kLogs; ++i) logs.emplace_back(log_path(i));
  for (size_t i = 0; i < kTruncatedCells; ++i)
    cut_cells.emplace_back(absl::StrCat("/cut cell ", i));
  for (size_t i = 0; i < kLocks; ++i) locks.emplace_back(lock_path(i));
}

int prepare(Shared& shared) {
  myfs_task* task = shared.simulation.client(0);
  std::vector<std::string> files = {kSizePath, kCutPath};
  for (size_t i = 0; i < kRegisterFiles; ++i) files.push_back(register_path(i));
  for (size_t i = 0; i < kLogs; ++i) files.push_back(log_path(i));
  for (size_t i = 0; i < kLocks; ++i) files.push_back(lock_path(i));
  for (const std::string& path : files) {
    int fd = myfs_open(task, path.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
    if (fd < 0) return fd;
    if (path[1] == 'r') {
      int error = myfs_ftruncate(task, fd, 4 * 4096);
      if (error < 0) return error;
    }
    if (int error = myfs_close(task, fd); error < 0) return error;
  }
  for (size_t i = 0; i < kDirs; ++i) {
    if (int error = myfs_mkdir(task, absl::StrCat("/d", i).c_str(), 0755); error < 0) return error;
  }
  return 0;
}

Worker::Worker(Shared& shared, int client, Process process)
    : shared_(shared),
      task_(shared.simulation.client(client)),
      client_(client),
      process_(process) {}

void Worker::note(const std::string& line) {
  shared_.simulation.note(
      absl::StrCat(shared_.clock.now(), " client ", client_, ".", process_, " ", line));
}

bool Worker::failed(const char* what, int64_t result) {
  if (result >= 0) return false;
  shared_.failures.push_back({.process = process_,
                              .client = client_,
                              .at = shared_.clock.now(),
                              .error = static_cast<int>(-result),
                              .what = what});
  return true;
}

void Worker::work() {
  while (!shared_.over && shared_.operations < shared_.operations_wanted) {
    ++shared_.operations;
    step();
  }
  for (auto& [key, open] : files_) close_file(open);
  for (const Held& held : held_) (void)myfs_close(task_, held.fd);
  shared_.sessions_lost[process_] = shared_.simulation.sessions_lost(client_);
}

void Worker::step() {
  const Weights& w = shared_.weights;
  const std::pair<uint32_t, void (Worker::*)()> table[] = {
      {w.read, &Worker::read_cell},
      {w.write, &Worker::write_cell},
      {w.sync, &Worker::sync_one},
      {w.reopen, &Worker::reopen_one},
      {w.append, &Worker::append},
      {w.read_log, &Worker::read_log},
      {w.create, &Worker::create_name},
      {w.unlink, &Worker::unlink_name},
      {w.rename, &Worker::rename_name},
      {w.link, &Worker::link_name},
      {w.stat, &Worker::stat_name},
      {w.list, &Worker::list_names},
      {w.directory, &Worker::make_or_remove_directory},
      {w.hold, &Worker::hold_name},
      {w.read_held, &Worker::read_held},
      {w.resize, &Worker::resize},
      {w.size, &Worker::read_size},
      {w.cut, &Worker::cut_file},
      {w.write_cut, &Worker::write_cut_cell},
      {w.lock, &Worker::use_lock},
  };
  uint64_t total = w.read_cut;
  for (const auto& [weight, operation] : table) total += weight;
  uint64_t dice = draw(total);
  for (const auto& [weight, operation] : table) {
    if (dice < weight) return (this->*operation)();
    dice -= weight;
  }
  read_cut_cell(draw(kTruncatedCells));
}

// ---- open files

Worker::OpenFile* Worker::file(const std::string& path, int flags) {
  OpenFile& open = files_[{path, flags}];
  if (open.fd < 0) {
    open.path = path;
    Moment begin = tick();
    open.fd = myfs_open(task_, path.c_str(), flags, 0);
    note(absl::StrCat("open ", path, " ", flags, " = ", open.fd, " since ", begin));
  }
  return failed("open", open.fd) ? nullptr : &open;
}

void Worker::settle(OpenFile& open, bool good) {
  if (good) {
    for (auto& [cell, write] : open.cells) cell->make_sure(write);
    for (auto& [log, append] : open.appends) log->make_sure(append);
    for (auto& [cell, write] : open.cuts) cell->make_sure(write);
  }
  open.cells.clear();
  open.appends.clear();
  open.cuts.clear();
}

void Worker::close_file(OpenFile& open) {
  if (open.fd < 0) return;
  Moment begin = tick();
  int result = myfs_close(task_, std::exchange(open.fd, -1));
  (void)tick();
  note(absl::StrCat("close ", open.path, " = ", result, " since ", begin));
  settle(open, !failed("close", result));
}

void Worker::sync_one() {
  if (files_.empty()) return;
  auto it = std::next(files_.begin(), static_cast<std::ptrdiff_t>(draw(files_.size())));
  OpenFile& open = it->second;
  if (open.fd < 0) return;
  Moment begin = tick();
  int result = myfs_fsync(task_, open.fd);
  (void)tick();
  note(absl::StrCat("fsync ", open.path, " = ", result, " since ", begin));
  settle(open, !failed("fsync", result));
}

void Worker::reopen_one() {
  if (files_.empty()) return;
  auto it = std::next(files_.begin(), static_cast<std::ptrdiff_t>(draw(files_.size())));
  close_file(it->second);
}

// The error may be the one report of what was lost before.
void Worker::give_up(OpenFile& open) {
  settle(open, false);
  close_file(open);
}

// ---- registers

void Worker::read_cell_at(size_t cell, OpenFile& open, int flags) {
  // A whole page, as O_DIRECT wants it.
  alignas(kPage_bytes) char page[kPage_bytes];
  off_t at = cell_offset(cell);
  bool whole = (flags & O_DIRECT) != 0;
  off_t first = whole ? at / static_cast<off_t>(kPage_bytes) * static_cast<off_t>(kPage_bytes) : at;
  size_t wanted = whole ? kPage_bytes : kStamp_bytes;
  Moment begin = tick();
  ssize_t got = myfs_pread(task_, open.fd, page, wanted, first);
  Moment end = tick();
  uint64_t value = got < 0 ? 0 : decode(page + (at - first));
  note(absl::StrCat("read cell ", cell, " = ", got, ": ", value, " since ", begin));
  if (failed("pread", got)) return give_up(open);
  if (got != static_cast<ssize_t>(wanted) || value == kTorn) {
    shared_.faults.push_back(absl::StrCat("cell ", cell, ": a read until ", end, " brings ", got,
                                          " bytes, torn or short"));
    return;
  }
  shared_.cells[cell].read(value, process_, begin, end);
}

void Worker::read_cell() {
  size_t cell = draw(shared_.cells.size());
  int flags = one_in(2) ? O_RDWR : one_in(8) ? O_RDONLY | O_DIRECT : O_RDONLY;
  OpenFile* open = file(register_path(cell / kCellsPerFile), flags);
  if (open != nullptr) read_cell_at(cell, *open, flags);
}

void Worker::write_cell() {
  size_t cell = draw(shared_.cells.size());
  OpenFile* open = file(register_path(cell / kCellsPerFile), O_RDWR);
  if (open == nullptr) return;
  uint64_t value = shared_.next_value++;
  Stamp stamp = encode(value);
  Moment begin = tick();
  size_t write = shared_.cells[cell].begin_write(value, process_, begin);
  ssize_t put = myfs_pwrite(task_, open->fd, stamp.data(), stamp.size(), cell_offset(cell));
  Moment end = tick();
  note(absl::StrCat("write cell ", cell, " value ", value, " = ", put, " since ", begin));
  if (failed("pwrite", put)) return give_up(*open);
  shared_.cells[cell].end_write(write, end);
  open->cells.emplace_back(&shared_.cells[cell], write);
}

// ---- logs

void Worker::append() {
  size_t log = draw(kLogs);
  OpenFile* open = file(log_path(log), O_WRONLY | O_APPEND);
  if (open == nullptr) return;
  uint64_t value = shared_.next_value++;
  Stamp stamp = encode(value);
  Moment begin = tick();
  size_t append = shared_.logs[log].begin_append(value, process_, begin);
  ssize_t put = myfs_write(task_, open->fd, stamp.data(), stamp.size());
  Moment end = tick();
  note(absl::StrCat("append ", value, " to ", log_path(log), " = ", put, " since ", begin));
  if (failed("append", put)) return give_up(*open);
  shared_.logs[log].end_append(append, end);
  open->appends.emplace_back(&shared_.logs[log], append);
}

void Worker::read_log() { read_whole_log(draw(kLogs)); }

void Worker::read_whole_log(size_t log) {
  OpenFile* open = file(log_path(log), O_RDONLY);
  if (open == nullptr) return;
  std::string bytes(kLogMax_bytes, '\0');
  Moment begin = tick();
  ssize_t got = myfs_pread(task_, open->fd, bytes.data(), bytes.size(), 0);
  Moment end = tick();
  note(absl::StrCat("read ", log_path(log), " = ", got, " since ", begin));
  if (failed("read of a log", got)) return give_up(*open);
  std::vector<uint64_t> values;
  for (size_t at = 0; at + kStamp_bytes <= static_cast<size_t>(got); at += kStamp_bytes) {
    uint64_t value = decode(bytes.data() + at);
    if (value == kTorn) {
      shared_.faults.push_back(
          absl::StrCat(log_path(log), ": a read until ", end, " brings a torn record at ", at));
      return;
    }
    values.push_back(value);
  }
  if (static_cast<size_t>(got) % kStamp_bytes != 0) {
    shared_.faults.push_back(absl::StrCat(log_path(log), ": half a record, until ", end));
  }
  shared_.logs[log].read(std::move(values), process_, begin, end);
}

// ---- names

std::string Worker::draw_name(char kind) {
  uint64_t first = shared_.next_name++ / kNameLife * (kNameWindow / 2);
  return absl::StrCat("/d", draw(kDirs), "/", std::string(1, kind), first + draw(kNameWindow));
}

void Worker::see(const std::string& path, uint64_t ino, Moment begin, Moment end,
                 const char* what) {
  shared_.name(path).seen(ino, begin, end, what);
}

// Gives a new file its content, durably.
void Worker::fill(int fd, uint64_t ino, Moment begin) {
  uint64_t value = shared_.next_value++;
  Stamp stamp = encode(value);
  ssize_t put = myfs_pwrite(task_, fd, stamp.data(), stamp.size(), 0);
  bool good = !failed("pwrite to a new file", put);
  int closed = myfs_close(task_, fd);
  note(absl::StrCat("fill inode ", ino, " with ", value, " = ", put, ", ", closed, " since ",
                    begin));
  good = !failed("close of a new file", closed) && good;
  if (good && ino != Name::kAnything) shared_.contents[ino] = value;
}

void Worker::create_name() {
  std::string path = draw_name('n');
  Name& name = shared_.name(path);
  Moment begin = tick();
  size_t change = name.begin(begin, "create");
  int fd = myfs_open(task_, path.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
  Moment end = tick();
  note(absl::StrCat("create ", path, " = ", fd, " since ", begin));
  if (fd == -EEXIST) {
    name.refused(change);
    return name.seen(Name::kAnything, begin, end, "create");
  }
  if (failed("create", fd)) return;
  struct stat status {};
  bool known = !failed("fstat", myfs_fstat(task_, fd, &status));
  uint64_t ino = known ? status.st_ino : Name::kAnything;
  name.changed(change, 0, ino, end);
  fill(fd, ino, begin);
}

void Worker::unlink_name() {
  std::string path = draw_name(one_in(4) ? 'l' : 'n');
  Name& name = shared_.name(path);
  Moment begin = tick();
  size_t change = name.begin(begin, "unlink");
  int result = myfs_unlink(task_, path.c_str());
  Moment end = tick();
  note(absl::StrCat("unlink ", path, " = ", result, " since ", begin));
  if (result == -ENOENT) {
    name.refused(change);
    return name.seen(0, begin, end, "unlink");
  }
  if (!failed("unlink", result)) name.changed(change, Name::kAnything, 0, end);
}

void Worker::rename_name() {
  std::string from = draw_name('n'), to = draw_name('n');
  if (from == to) return;
  Name& source = shared_.name(from);
  Name& target = shared_.name(to);
  Moment begin = tick();
  size_t leaves = source.begin(begin, "rename from"), comes = target.begin(begin, "rename to");
  int result = myfs_rename(task_, from.c_str(), to.c_str());
  Moment end = tick();
  note(absl::StrCat("rename ", from, " ", to, " = ", result, " since ", begin));
  if (result == -ENOENT) {
    source.refused(leaves);
    target.refused(comes);
    return source.seen(0, begin, end, "rename");
  }
  if (failed("rename", result)) return;
  source.changed(leaves, Name::kAnything, 0, end);
  target.replaced(comes, Name::kAnything, end);
}

// Links have names of their own kind, which are never renamed: a rename between two links of one
// inode does nothing.
void Worker::link_name() {
  std::string from = draw_name('n'), to = draw_name('l');
  Name& source = shared_.name(from);
  Name& target = shared_.name(to);
  Moment begin = tick();
  size_t comes = target.begin(begin, "link");
  int result = myfs_link(task_, from.c_str(), to.c_str());
  Moment end = tick();
  note(absl::StrCat("link ", from, " ", to, " = ", result, " since ", begin));
  if (result == -ENOENT || result == -EEXIST) target.refused(comes);
  if (result == -ENOENT) return source.seen(0, begin, end, "link");
  if (result == -EEXIST) return target.seen(Name::kAnything, begin, end, "link");
  if (failed("link", result)) return;
  source.seen(Name::kAnything, begin, end, "link");
  target.changed(comes, 0, Name::kAnything, end);
}

void Worker::stat_name() {
  std::string path = draw_name(one_in(6) ? 'l' : one_in(6) ? 'm' : 'n');
  struct stat status {};
  Moment begin = tick();
  int result = myfs_stat(task_, path.c_str(), &status);
  Moment end = tick();
  note(absl::StrCat("stat ", path, " = ", result, ", inode ", status.st_ino, " since ", begin));
  if (result == -ENOENT) return see(path, 0, begin, end, "stat");
  if (!failed("stat", result)) see(path, status.st_ino, begin, end, "stat");
}

void Worker::list_names() {
  std::string dir = absl::StrCat("/d", draw(kDirs));
  std::map<std::string, uint64_t> there;
  Moment begin = tick();
  myfs_dir* stream = nullptr;
  if (failed("opendir", myfs_opendir(task_, dir.c_str(), &stream))) return;
  myfs_dirent entry;
  int more;
  while ((more = myfs_readdir(stream, &entry)) > 0) {
    there[absl::StrCat(dir, "/", entry.name)] = entry.ino;
  }
  Moment end = tick();
  (void)myfs_closedir(stream);
  note(absl::StrCat("list ", dir, " = ", more, ", ", there.size(), " names since ", begin));
  if (failed("readdir", more)) return;
  for (auto& [path, name] : shared_.names) {
    if (!path.starts_with(dir + "/")) continue;
    auto found = there.find(path);
    name.seen(found == there.end() ? 0 : found->second, begin, end, "readdir");
  }
}

void Worker::make_or_remove_directory() {
  std::string path = draw_name('m');
  Name& name = shared_.name(path);
  bool make = one_in(2);
  const char* what = make ? "mkdir" : "rmdir";
  Moment begin = tick();
  size_t change = name.begin(begin, what);
  int result = make ? myfs_mkdir(task_, path.c_str(), 0755) : myfs_rmdir(task_, path.c_str());
  Moment end = tick();
  note(absl::StrCat(what, " ", path, " = ", result, " since ", begin));
  if (result == -ENOENT || result == -EEXIST) {
    name.refused(change);
    return name.seen(result == -ENOENT ? 0 : Name::kAnything, begin, end, what);
  }
  if (failed(what, result)) return;
  uint64_t before = make ? 0 : Name::kAnything, after = make ? Name::kAnything : 0;
  name.changed(change, before, after, end);
}

// ---- files that are open while others remove their names

void Worker::hold_name() {
  std::string path = draw_name('n');
  Moment begin = tick();
  int fd = myfs_open(task_, path.c_str(), O_RDONLY, 0);
  Moment end = tick();
  note(absl::StrCat("hold ", path, " = ", fd, " since ", begin));
  if (fd == -ENOENT) return see(path, 0, begin, end, "open");
  if (failed("open", fd)) return;
  struct stat status {};
  if (failed("fstat", myfs_fstat(task_, fd, &status))) {
    (void)myfs_close(task_, fd);
    return;
  }
  see(path, status.st_ino, begin, end, "open");
  auto content = shared_.contents.find(status.st_ino);
  held_.push_back({fd, status.st_ino, content == shared_.contents.end() ? 0 : content->second});
  if (held_.size() <= kHeldMax) return;
  (void)failed("close of a held file", myfs_close(task_, held_.front().fd));
  held_.pop_front();
}

void Worker::read_held() {
  if (held_.empty()) return;
  const Held& held = held_[draw(held_.size())];
  Stamp stamp{};
  Moment begin = tick();
  ssize_t got = myfs_pread(task_, held.fd, stamp.data(), stamp.size(), 0);
  (void)tick();
  note(absl::StrCat("read held inode ", held.ino, " = ", got, " since ", begin));
  if (failed("read of a held file", got) || held.stamp == 0) return;
  if (got == static_cast<ssize_t>(stamp.size()) && decode(stamp.data()) == held.stamp) return;
  shared_.faults.push_back(absl::StrCat("inode ", held.ino, ": a read ", begin, " brings ", got,
                                        " bytes, ", decode(stamp.data()), ", not ", held.stamp));
}

// ---- sizes

void Worker::resize() {
  uint64_t size = shared_.next_size++;
  Moment begin = tick();
  size_t write = shared_.size.begin_write(size, process_, begin);
  int result = myfs_truncate(task_, kSizePath, static_cast<off_t>(size));
  Moment end = tick();
  note(absl::StrCat("truncate to ", size, " = ", result, " since ", begin));
  if (failed("truncate", result)) return;
  shared_.size.end_write(write, end);
  shared_.size.make_sure(write);
}

void Worker::read_size() {
  struct stat status {};
  OpenFile* open = one_in(2) ? file(kSizePath, O_RDWR) : nullptr;
  Moment begin = tick();
  // Dirty pages of those that look: a truncation has to take them back.
  if (open != nullptr && one_in(2)) {
    Stamp stamp = encode(1);
    (void)failed("pwrite", myfs_pwrite(task_, open->fd, stamp.data(), stamp.size(), 0));
    begin = tick();
  }
  int result =
      open != nullptr ? myfs_fstat(task_, open->fd, &status) : myfs_stat(task_, kSizePath, &status);
  Moment end = tick();
  note(absl::StrCat("size = ", result, ": ", status.st_size, " since ", begin));
  if (failed("stat", result)) return;
  // Before the first truncation a write has made it as long as a stamp.
  auto size = static_cast<uint64_t>(status.st_size);
  shared_.size.read(size <= kStamp_bytes ? 0 : size, process_, begin, end);
}

// ---- truncation against write-back

void Worker::cut_file() {
  std::vector<size_t> cuts;
  Moment begin = tick();
  for (TruncatedCell& cell : shared_.cut_cells) cuts.push_back(cell.begin_truncation(begin));
  int result = 0;
  if (one_in(2)) {
    result = myfs_truncate(task_, kCutPath, 0);
  } else {
    result = myfs_open(task_, kCutPath, O_WRONLY | O_TRUNC, 0);
    if (result >= 0) (void)failed("close", myfs_close(task_, result));
  }
  Moment end = tick();
  note(absl::StrCat("cut = ", result, " since ", begin));
  if (failed("truncate", result)) return;
  for (size_t i = 0; i < cuts.size(); ++i) shared_.cut_cells[i].end_truncation(cuts[i], end);
}

void Worker::write_cut_cell() {
  OpenFile* open = file(kCutPath, O_RDWR);
  if (open == nullptr) return;
  size_t cell = draw(kTruncatedCells);
  uint64_t value = shared_.next_value++;
  Stamp stamp = encode(value);
  Moment begin = tick();
  size_t write = shared_.cut_cells[cell].begin_write(value, process_, begin);
  ssize_t put = myfs_pwrite(task_, open->fd, stamp.data(), stamp.size(), kCutOffsets[cell]);
  Moment end = tick();
  note(absl::StrCat("write cut cell ", cell, " value ", value, " = ", put, " since ", begin));
  if (failed("pwrite", put)) return give_up(*open);
  shared_.cut_cells[cell].end_write(write, end);
  open->cuts.emplace_back(&shared_.cut_cells[cell], write);
}

void Worker::read_cut_cell(size_t cell) {
  OpenFile* open = file(kCutPath, O_RDWR);
  if (open == nullptr) return;
  Stamp stamp{};
  Moment begin = tick();
  ssize_t got = myfs_pread(task_, open->fd, stamp.data(), stamp.size(), kCutOffsets[cell]);
  Moment end = tick();
  uint64_t value = decode(stamp.data());
  note(absl::StrCat("read cut cell ", cell, " = ", got, ": ", value, " since ", begin));
  if (failed("pread", got)) return give_up(*open);
  if (value == kTorn) {
    shared_.faults.push_back(absl::StrCat("/cut cell ", cell, ": torn, until ", end));
    return;
  }
  shared_.cut_cells[cell].read(value, process_, begin, end);
}

// ---- locks

void Worker::use_lock() {
  size_t lock = draw(kLocks);
  int fd = myfs_open(task_, lock_path(lock).c_str(), O_RDWR, 0);
  if (failed("open", fd)) return;
  bool waits = one_in(3);
  myfs_call call{};
  call.size = sizeof call;
  call.deadline_ms = 5000;
  int result = myfs_flock_x(task_, &call, fd, LOCK_EX | (waits ? 0 : LOCK_NB));
  Moment from = tick();
  note(absl::StrCat("flock ", lock_path(lock), " = ", result));
  bool refused = result == -EAGAIN || result == -ETIMEDOUT;
  if (!refused && !failed("flock", result)) {
    if (one_in(2)) shared_.simulation.sleep(static_cast<int64_t>(draw(2'000'000)));
    Moment until = tick();
    // Who has lost the lock is told when he uses the file.
    char byte;
    ssize_t got = myfs_pread(task_, fd, &byte, 1, 0);
    if (!failed("pread under a lock", got)) shared_.locks[lock].held(process_, from, until);
    (void)failed("unlock", myfs_flock(task_, fd, LOCK_UN));
    note(absl::StrCat("unlock ", lock_path(lock), ", held since ", from));
  }
  (void)failed("close", myfs_close(task_, fd));
}

void Worker::read_everything() {
  for (size_t cell = 0; cell < shared_.cells.size(); ++cell) {
    OpenFile* open = file(register_path(cell / kCellsPerFile), O_RDONLY);
    if (open != nullptr) read_cell_at(cell, *open, O_RDONLY);
  }
  for (size_t log = 0; log < kLogs; ++log) read_whole_log(log);
  for (size_t cell = 0; cell < kTruncatedCells; ++cell) read_cut_cell(cell);
  for (int i = 0; i < 2 * kDirs; ++i) list_names();
  read_size();
  for (auto& [key, open] : files_) close_file(open);
  shared_.sessions_lost[process_] = 0;  // nothing excuses an error any more
}

}  // namespace myfs::simtest
