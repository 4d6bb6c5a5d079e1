// Model test: random calls by two clients of one server, each compared with what a plain model in
// memory answers [fsx, with names, descriptors, attributes, locks and mappings].
//
// A run is a number of episodes; each has a server, two clients and 10 000 calls of its own, drawn
// from a seed, which is printed. MYFS_MODEL_SEED=N gives that of the first one (1), which the
// others count on from, MYFS_MODEL_OPS=N the number of calls; MYFS_LONG=1: a million. What differs
// is made smaller before it is told: calls are left out as long as it still differs, so that the
// last lines of a failure are a test that can be written down.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/model/ops.h"
#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

constexpr int kClients = 2;
constexpr size_t kEpisode = 10'000, kCompareEvery = 1000;
constexpr size_t kShort = 20'000, kLong = 1'000'000;
constexpr int kTriesMax = 250;  // of making a failure smaller

uint64_t number(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::vector<Op> draw_all(uint64_t seed, size_t count) {
  Dice dice(seed);
  std::vector<Op> ops;
  int client = 0;
  while (ops.size() < count) {
    ops.push_back(draw(dice, kClients, client));
    client = ops.back().client;
  }
  return ops;
}

// Runs `ops` on a new server. What differs, *at being the op; else "".
std::string differs(const std::vector<Op>& ops, size_t* at, bool check_store = true) {
  TempDir dir;
  MyfsdProcess server(dir / "data", {"--durability", "relaxed"});
  if (!server.start()) return "no server: " + server.output();
  std::string difference;
  {
    Client a(server.url()), b(server.url());
    Driver driver({a, b});
    for (*at = 0; *at < ops.size(); ++*at) {
      difference = driver.run(ops[*at]);
      if (difference.empty() && (*at + 1) % kCompareEvery == 0) difference = driver.compare_all();
      if (!difference.empty()) break;
    }
    if (difference.empty()) difference = driver.compare_all();
  }
  if (!check_store) return difference;
  const int status = server.terminate();
  const ProgramResult fsck = server.fsck();
  if (difference.empty() && (status != 0 || fsck.status != 0)) {
    difference = "the store is not sound: " + fsck.out + fsck.err + server.output();
  }
  return difference;
}

// The same with as few calls as a few hundred tries find.
std::string make_smaller(std::vector<Op>* ops, std::string difference, size_t at) {
  ops->resize(std::min(ops->size(), at + 1));
  const Call failing = ops->back().call;
  int tries = 0;
  for (size_t piece = std::max<size_t>(ops->size() / 2, 1); tries < kTriesMax;) {
    bool smaller = false;
    for (size_t from = 0; from < ops->size() && tries < kTriesMax; ++tries) {
      std::vector<Op> fewer(ops->begin(), ops->begin() + static_cast<ptrdiff_t>(from));
      const size_t rest = std::min(from + piece, ops->size());
      fewer.insert(fewer.end(), ops->begin() + static_cast<ptrdiff_t>(rest), ops->end());
      std::string still = fewer.empty() ? "" : differs(fewer, &at, false);
      // Another difference would lead away.
      if (still.empty() || fewer[std::min(at, fewer.size() - 1)].call != failing) {
        from += piece;
        continue;
      }
      smaller = true;
      difference = still;
      fewer.resize(std::min(fewer.size(), at + 1));
      *ops = std::move(fewer);
    }
    if (piece == 1 && !smaller) break;
    piece = std::max<size_t>(piece / 2, 1);
  }
  return difference;
}

void check_episode(uint64_t seed, size_t count) {
  std::printf("MYFS_MODEL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::vector<Op> ops = draw_all(seed, count);
  size_t at = 0;
  std::string difference = differs(ops, &at);
  if (difference.empty()) return;
  std::printf("op %zu: %s\n%s\nmaking it smaller\n", at, difference.c_str(),
              at < ops.size() ? ops[at].text().c_str() : "");
  std::fflush(stdout);
  difference = make_smaller(&ops, difference, at);
  std::string last;
  for (size_t i = ops.size() > 40 ? ops.size() - 40 : 0; i < ops.size(); ++i) {
    last += "  " + ops[i].text() + "\n";
  }
  FAIL() << "MYFS_MODEL_SEED=" << seed << ", made smaller to " << ops.size() << " calls:\n"
         << last << difference;
}

// Runs `ops`, then looks at everything, then runs `after`.
std::string differs_around_a_look(const std::vector<Op>& ops, const std::vector<Op>& after) {
  TempDir dir;
  MyfsdProcess server(dir / "data", {"--durability", "relaxed"});
  if (!server.start()) return "no server: " + server.output();
  Client a(server.url()), b(server.url());
  Driver driver({a, b});
  std::string difference;
  for (const Op& op : ops) difference += driver.run(op);
  difference += driver.compare_all();
  for (const Op& op : after) difference += driver.run(op);
  return difference;
}

Op open_op(int client, uint64_t flags) {
  return {.call = Call::kOpen, .client = client, .fd = AT_FDCWD, .path = "/f0", .flags = flags};
}

// Of byte 1, by the client (odd flags: F_SETLK) and for writing (seed 1: F_WRLCK).
Op lock_op(int client) {
  return {.call = Call::kLock, .client = client, .offset = 1, .size = 4, .flags = 1, .seed = 1};
}

TEST(Model, ALookAtEverythingLeavesTheLocksOfTheClients) {
  EXPECT_EQ("", differs_around_a_look({open_op(0, O_RDWR | O_CREAT), lock_op(0)},
                                      {open_op(1, O_RDWR), lock_op(1)}));
}

TEST(Model, LocksOutliveTheCloseOfAPathDescriptor) {
  const Op close_path{.call = Call::kClose, .client = 0, .to = 1};
  size_t at = 0;
  EXPECT_EQ("", differs({open_op(0, O_RDWR | O_CREAT), lock_op(0), open_op(0, O_PATH), close_path,
                         open_op(1, O_RDWR), lock_op(1)},
                        &at));
}

TEST(Model, ALinkThatEndsInASlashIsNoPlaceForAFile) {
  std::vector<Op> ops;
  for (const char* target : {"s0/", "f0/", "none/", "d0/"}) {
    ops.push_back({.call = Call::kSymlink, .fd = AT_FDCWD, .path = "/s0", .other = target});
    ops.push_back({.call = Call::kOpen, .client = 1, .fd = AT_FDCWD, .path = "/s0"});
    ops.back().flags = O_RDWR | O_CREAT | O_TRUNC;
    ops.push_back({.call = Call::kUnlink, .fd = AT_FDCWD, .path = "/s0"});
  }
  size_t at = 0;
  EXPECT_EQ("", differs(ops, &at));
}

TEST(Model, OneEpisode) { check_episode(number("MYFS_MODEL_SEED", 1), kEpisode); }

TEST(Model, TwoClientsAnswerAsOneFileSystem) {
  const char* length = std::getenv("MYFS_LONG");
  const bool is_long = length != nullptr && std::string(length) != "0";
  const uint64_t total = number("MYFS_MODEL_OPS", is_long ? kLong : kShort);
  uint64_t seed = number("MYFS_MODEL_SEED", 1) + 1;
  for (uint64_t done = 0; done < total && !testing::Test::HasFatalFailure();
       done += kEpisode, ++seed) {
    check_episode(seed, std::min<uint64_t>(kEpisode, total - done));
  }
}

}  // namespace
}  // namespace myfs::test
