#include "tests/integration/load.h"

#include <cerrno>

namespace myfs::test {
namespace {

constexpr size_t kErrorsMax = 20;

std::string content_of(const std::string& path, uint64_t number) {
  // Inline, one chunk, several requests.
  static constexpr size_t kSizes[] = {100, 3000, 5000, 20'000, 70'000, 300'000};
  std::string text;
  size_t size = kSizes[number % std::size(kSizes)];
  text.reserve(size + 100);
  for (size_t i = 0; text.size() < size; ++i) text += path + ":" + std::to_string(i) + ";";
  text.resize(size);
  return text;
}

bool is_mix(const std::string& found, const Version& version) {
  if (found.size() > std::max(version.content.size(), version.old.size())) return false;
  for (size_t i = 0; i < found.size(); ++i) {
    char old = i < version.old.size() ? version.old[i] : '\0';
    char fresh = i < version.content.size() ? version.content[i] : '\0';
    if (found[i] != old && found[i] != fresh) return false;
  }
  return true;
}

bool matches(Client& client, const std::string& path, const struct stat* st,
             const Version& version) {
  switch (version.kind) {
    case Version::Kind::kAbsent:
      return st == nullptr;
    case Version::Kind::kDirectory:
      return st != nullptr && S_ISDIR(st->st_mode);
    case Version::Kind::kSymlink:
      return st != nullptr && S_ISLNK(st->st_mode);
    case Version::Kind::kFile:
      return st != nullptr && S_ISREG(st->st_mode) && client.get(path) == version.content;
    case Version::Kind::kUnsynced:
      return st != nullptr && S_ISREG(st->st_mode) && is_mix(client.get(path), version);
  }
  return false;
}

}  // namespace

Load::Load(Client& client, std::string dir, uint64_t salt)
    : client_(client), dir_(std::move(dir)), salt_(salt), thread_([this] { run(); }) {}

void Load::stop() {
  stop_.store(true);
  if (thread_.joinable()) thread_.join();
}

bool Load::wait_for(uint64_t count) {
  uint64_t goal = acknowledged_.load() + count;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return acknowledged_.load() >= goal || errors_.size() >= kErrorsMax; });
  return acknowledged_.load() >= goal;
}

std::vector<std::string> Load::errors() const {
  std::lock_guard lock(mutex_);
  return errors_;
}

bool Load::check(const char* operation, const std::string& path, int64_t result) {
  std::lock_guard lock(mutex_);
  if (result >= 0) {
    acknowledged_.fetch_add(1);
  } else if (result == -EIO) {
    lost_.fetch_add(1);
  } else {
    errors_.push_back(std::string(operation) + " " + path + ": " + error_text(result) + " " +
                      last_message());
  }
  changed_.notify_all();
  return result >= 0;
}

void Load::expect(const std::string& path, Version next) {
  auto [entry, fresh] = manifest_.try_emplace(path);
  if (fresh) entry->second.emplace_back();
  entry->second.push_back(std::move(next));
}

bool Load::settle(const std::string& path, const char* operation, int64_t result) {
  if (!check(operation, path, result)) return false;
  auto& possible = manifest_.at(path);
  possible = {std::move(possible.back())};
  return true;
}

const std::string* Load::known(const std::string& path) const {
  auto found = manifest_.find(path);
  bool sure = found != manifest_.end() && found->second.size() == 1 &&
              found->second[0].kind == Version::Kind::kFile;
  return sure ? &found->second[0].content : nullptr;
}

void Load::write_file(uint64_t number) {
  std::string path = path_of("f", number), text = content_of(path, number + salt_);
  expect(path, {Version::Kind::kUnsynced, text, {}});
  int fd = client_.open(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!settle(path, "create", fd)) return;
  bool written = true;
  for (size_t at = 0; at < text.size() && written;) {
    ssize_t n = myfs_write(client_, fd, text.data() + at, text.size() - at);
    written = check("write", path, n);
    if (written) at += static_cast<size_t>(n);
  }
  if (written) {
    expect(path, {Version::Kind::kFile, text, {}});
    settle(path, "fsync", myfs_fsync(client_, fd));
  }
  check("close", path, myfs_close(client_, fd));
}

// The middle of an older file; what is around it stays as it was made durable.
void Load::overwrite(uint64_t number) {
  std::string path = path_of("f", number);
  const std::string* old = known(path);
  if (old == nullptr || old->size() < 3000) return;
  std::string text = *old, before = *old;
  std::string piece(text.size() / 3, static_cast<char>('A' + number % 26));
  text.replace(text.size() / 3, piece.size(), piece);
  expect(path, {Version::Kind::kUnsynced, text, before});
  int fd = client_.open(path, O_WRONLY);
  if (!check("open", path, fd)) return;
  ssize_t n =
      myfs_pwrite(client_, fd, piece.data(), piece.size(), static_cast<off_t>(before.size() / 3));
  if (check("pwrite", path, n) && n == static_cast<ssize_t>(piece.size())) {
    expect(path, {Version::Kind::kFile, text, {}});
    settle(path, "fsync", myfs_fsync(client_, fd));
  }
  check("close", path, myfs_close(client_, fd));
}

void Load::rename_file(uint64_t number) {
  std::string from = path_of("f", number), to = path_of("r", number);
  const std::string* text = known(from);
  if (text == nullptr) return;
  std::string content = *text;
  expect(from, {});
  expect(to, {Version::Kind::kFile, content, {}});
  int result = myfs_rename(client_, from.c_str(), to.c_str());
  if (!settle(from, "rename", result)) return;
  manifest_[to] = {{Version::Kind::kFile, content, {}}};
}

void Load::remove_file(uint64_t number) {
  std::string path = path_of("f", number);
  if (known(path) == nullptr) return;
  expect(path, {});
  settle(path, "unlink", myfs_unlink(client_, path.c_str()));
}

void Load::make_names(uint64_t number) {
  std::string dir = path_of("d", number), link = path_of("l", number), hard = path_of("h", number);
  expect(dir, {Version::Kind::kDirectory, {}, {}});
  if (settle(dir, "mkdir", myfs_mkdir(client_, dir.c_str(), 0755)) && number % 8 == 0) {
    expect(dir, {});
    settle(dir, "rmdir", myfs_rmdir(client_, dir.c_str()));
  }
  expect(link, {Version::Kind::kSymlink, {}, {}});
  settle(link, "symlink", myfs_symlink(client_, "target", link.c_str()));
  std::string file = path_of("f", number);
  const std::string* text = known(file);
  if (text == nullptr) return;
  // Nothing writes to a file of this number any more.
  expect(hard, {Version::Kind::kFile, *text, {}});
  settle(hard, "link", myfs_link(client_, file.c_str(), hard.c_str()));
}

void Load::read_back(uint64_t number) {
  std::string path = path_of("f", number);
  const std::string* text = known(path);
  if (text == nullptr) return;
  std::string found = client_.get(path);
  if (found == "<EIO>") return;
  if (found == *text) return;
  std::lock_guard lock(mutex_);
  errors_.push_back("read " + path + ": " + std::to_string(found.size()) + " bytes " +
                    found.substr(0, 20) + ", expected " + std::to_string(text->size()));
}

void Load::step(uint64_t number) {
  write_file(number);
  if (number >= 4) read_back(number - 4);
  switch (number % 5) {
    case 0:
      rename_file(number);
      break;
    case 1:
      if (number > 5) remove_file(number - 4);
      break;
    case 2:
      overwrite(number);
      break;
    case 3:
      make_names(number);
      break;
    default:
      break;
  }
}

void Load::run() {
  for (uint64_t number = 1; !stop_.load(); ++number) {
    step(number);
    std::lock_guard lock(mutex_);
    if (errors_.size() >= kErrorsMax) return;
  }
}

std::vector<std::string> Load::verify(Client& client) const {
  std::vector<std::string> differences;
  for (const auto& [path, possible] : manifest_) {
    struct stat st;
    int found = myfs_lstat(client, path.c_str(), &st);
    if (found < 0 && found != -ENOENT) {
      differences.push_back(path + ": " + error_text(found));
      continue;
    }
    bool good = false;
    for (const Version& version : possible) {
      good = good || matches(client, path, found == 0 ? &st : nullptr, version);
    }
    if (good) continue;
    std::string text = found < 0 ? "is gone"
                                 : "mode " + std::to_string(st.st_mode) + ", " +
                                       std::to_string(st.st_size) + " bytes";
    differences.push_back(path + ": " + text + "; " + std::to_string(possible.size()) +
                          " possible states, the last of kind " +
                          std::to_string(static_cast<int>(possible.back().kind)) + " with " +
                          std::to_string(possible.back().content.size()) + " bytes");
  }
  return differences;
}

void strike_again_and_again(int rounds, MyfsdProcess& server, Load& first, Load& second,
                            const std::function<void()>& strike) {
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    // The moment differs from round to round.
    EXPECT_TRUE(first.wait_for(20 + static_cast<uint64_t>(round) * 37 % 150));
    EXPECT_TRUE(second.wait_for(1 + static_cast<uint64_t>(round) * 53 % 40));
    strike();
    expect_clean(server);
    ASSERT_TRUE(server.start()) << server.output();
    EXPECT_TRUE(first.wait_for(20)) << "the first client does not go on";
    EXPECT_TRUE(second.wait_for(20)) << "the second client does not go on";
  }
}

}  // namespace myfs::test
