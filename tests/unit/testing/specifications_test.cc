// Each ready-made specification: histories that are its own, and histories that are not.
#include <gmock/gmock.h>

#include "tests/unit/testing/histories.h"

namespace myfs::lin {
namespace {

using ::testing::HasSubstr;

constexpr Outcome kYes = Outcome::kLinearizable, kNo = Outcome::kNotLinearizable;

// One after the other, each with its result.
using Calls = std::vector<std::pair<Words, Words>>;
Outcome sequence(const std::string& object, const Calls& calls) {
  std::vector<Operation> operations;
  int64_t now = 0;
  for (const auto& [call, result] : calls) {
    operations.push_back(done("a", now, now + 1, call, result));
    now += 2;
  }
  return outcome(object, operations);
}

Outcome names(const Calls& calls) { return sequence("names:1", calls); }
Outcome locks(const Calls& calls) { return sequence("lock:1", calls); }

TEST(Register, AReadGivesTheLastWrite) {
  EXPECT_EQ(kYes, sequence("register:1", {{{"read"}, {""}},
                                          {{"write", "x"}, {"ok"}},
                                          {{"read"}, {"x"}},
                                          {{"write", ""}, {"ok"}},
                                          {{"read"}, {""}}}));
  EXPECT_EQ(kNo, sequence("register:1", {{{"write", "x"}, {"ok"}}, {{"read"}, {""}}}));
  EXPECT_EQ(kNo, sequence("register:1", {{{"read"}, {"x"}}, {{"write", "x"}, {"ok"}}}));
}

TEST(Register, ConcurrentWritesHaveOneOrderForAll) {
  std::vector<Operation> writes = {done("a", 0, 10, {"write", "x"}),
                                   done("b", 0, 10, {"write", "y"})};
  auto with = [&](const std::string& first, const std::string& second) {
    std::vector<Operation> all = writes;
    all.push_back(done("c", 11, 12, {"read"}, {first}));
    all.push_back(done("d", 13, 14, {"read"}, {second}));
    return outcome("register:1", all);
  };
  EXPECT_EQ(kYes, with("x", "x"));
  EXPECT_EQ(kYes, with("y", "y"));
  EXPECT_EQ(kNo, with("x", "y"));
}

TEST(Register, AWriteOfUnknownOutcomeHappensAtAnyTimeOrNever) {
  auto with = [](const std::string& first, const std::string& second) {
    return outcome("register:1",
                   {done("a", 0, 1, {"write", "old"}), open("b", 2, {"write", "new"}),
                    done("c", 50, 51, {"read"}, {first}), done("c", 90, 91, {"read"}, {second})});
  };
  EXPECT_EQ(kYes, with("old", "old"));
  EXPECT_EQ(kYes, with("old", "new"));
  EXPECT_EQ(kYes, with("new", "new"));
  EXPECT_EQ(kNo, with("new", "old")) << "not undone";
  EXPECT_EQ(kNo, outcome("register:1",
                         {done("c", 0, 1, {"read"}, {"new"}), open("b", 2, {"write", "new"})}))
      << "not before it was called";
}

TEST(Log, AReadGivesAllRecordsInTheirOrder) {
  EXPECT_EQ(kYes, sequence("log:1", {{{"read"}, {}},
                                     {{"append", "x"}, {"ok"}},
                                     {{"append", "y"}, {"ok"}},
                                     {{"read"}, {"x", "y"}},
                                     {{"append", "z"}, {"ok"}}}));
  EXPECT_EQ(kNo, sequence("log:1", {{{"append", "x"}, {"ok"}},
                                    {{"append", "y"}, {"ok"}},
                                    {{"read"}, {"y", "x"}}}));
  EXPECT_EQ(kNo, sequence("log:1", {{{"append", "x"}, {"ok"}}, {{"read"}, {}}})) << "lost";
  EXPECT_EQ(kNo, sequence("log:1", {{{"append", "x"}, {"ok"}}, {{"read"}, {"x", "x"}}})) << "twice";
  EXPECT_EQ(kNo, sequence("log:1", {{{"read"}, {"x"}}})) << "out of nothing";
}

TEST(Log, ConcurrentAppendsHaveOneOrderForAll) {
  auto with = [&](Words early, Words late) {
    return outcome("log:1", {done("a", 0, 9, {"append", "x"}), done("b", 0, 9, {"append", "y"}),
                             done("d", 3, 5, {"read"}, early), done("c", 11, 12, {"read"}, late)});
  };
  EXPECT_EQ(kYes, with({}, {"x", "y"}));
  EXPECT_EQ(kYes, with({"x"}, {"x", "y"}));
  EXPECT_EQ(kYes, with({"y", "x"}, {"y", "x"}));
  EXPECT_EQ(kNo, with({"y"}, {"x", "y"}));
  EXPECT_EQ(kNo, with({"x", "y"}, {"x"}));
}

TEST(Log, AnAppendOfUnknownOutcomeHappensAtMostOnce) {
  auto with = [](Words seen) {
    return outcome("log:1", {open("a", 0, {"append", "u"}), done("b", 2, 3, {"append", "x"}),
                             done("b", 4, 5, {"append", "y"}), done("c", 6, 7, {"read"}, seen)});
  };
  EXPECT_EQ(kYes, with({"x", "y"}));
  EXPECT_EQ(kYes, with({"u", "x", "y"}));
  EXPECT_EQ(kYes, with({"x", "u", "y"}));
  EXPECT_EQ(kYes, with({"x", "y", "u"}));
  EXPECT_EQ(kNo, with({"u", "x", "y", "u"}));
  EXPECT_EQ(kNo, with({"u", "x"}));
}

TEST(Names, ChangesAndLookUps) {
  EXPECT_EQ(kYes, names({{{"lookup", "f"}, {"ENOENT"}},
                         {{"create", "f"}, {"ok", "1"}},
                         {{"create", "f"}, {"EEXIST"}},
                         {{"lookup", "f"}, {"1"}},
                         {{"link", "f", "g"}, {"ok"}},
                         {{"link", "f", "g"}, {"EEXIST"}},
                         {{"link", "none", "h"}, {"ENOENT"}},
                         {{"list"}, {"g", "1", "f", "1"}},
                         {{"rename", "f", "g"}, {"ok"}},  // one file: nothing happens
                         {{"lookup", "f"}, {"1"}},
                         {{"unlink", "f"}, {"ok"}},
                         {{"unlink", "f"}, {"ENOENT"}},
                         {{"rename", "g", "d/h"}, {"ok"}},
                         {{"rename", "g", "x"}, {"ENOENT"}},
                         {{"list", "d/"}, {"d/h", "-"}},
                         {{"list", "e/"}, {}},
                         {{"create", "f"}, {"ok", "2"}},
                         {{"rename_noreplace", "f", "d/h"}, {"EEXIST"}},
                         {{"rename_noreplace", "g", "i"}, {"ENOENT"}},
                         {{"exchange", "f", "d/h"}, {"ok"}},
                         {{"exchange", "f", "g"}, {"ENOENT"}},
                         {{"link_open", "2", "k"}, {"ok"}},
                         {{"link_open", "3", "l"}, {"ENOENT"}},
                         {{"link_open", "2", "f"}, {"EEXIST"}},
                         {{"link_open", "3", "f"}, {"EEXIST"}},  // as Linux, before ENOENT
                         {{"list"}, {"f", "1", "d/h", "2", "k", "2"}},
                         {{"rename", "f", "d/h"}, {"ok"}},
                         {{"rename_noreplace", "k", "f"}, {"ok"}},
                         {{"list"}, {"f", "2", "d/h", "1"}}}));
}

TEST(Names, ResultsThatNoOrderGives) {
  const std::pair<Words, Words> made = {{"create", "f"}, {"ok", "1"}};
  EXPECT_EQ(kNo, names({made, {{"create", "f"}, {"ok", "2"}}}));
  EXPECT_EQ(kNo, names({made, {{"create", "g"}, {"ok", "1"}}})) << "one identity for two files";
  EXPECT_EQ(kNo, names({made, {{"lookup", "f"}, {"ENOENT"}}}));
  EXPECT_EQ(kNo, names({made, {{"lookup", "f"}, {"2"}}}));
  EXPECT_EQ(kNo, names({made, {{"unlink", "f"}, {"ENOENT"}}}));
  EXPECT_EQ(kNo, names({made, {{"unlink", "f"}, {"ok"}}, {{"lookup", "f"}, {"1"}}}));
  EXPECT_EQ(kNo, names({made, {{"rename", "f", "g"}, {"ok"}}, {{"lookup", "f"}, {"1"}}}));
  EXPECT_EQ(kNo, names({made, {{"rename", "f", "g"}, {"ok"}}, {{"lookup", "g"}, {"ENOENT"}}}));
  EXPECT_EQ(kNo, names({made, {{"list"}, {}}}));
  EXPECT_EQ(kNo, names({made, {{"list"}, {"f", "1", "f", "1"}}}));
  EXPECT_EQ(kNo, names({made, {{"list"}, {"g", "1"}}}));
  EXPECT_EQ(kNo, names({made, {{"list", "d/"}, {"f", "1"}}}));
  EXPECT_EQ(kNo, names({made, {{"exchange", "f", "g"}, {"ok"}}}));
  EXPECT_EQ(kNo, names({made, {{"link_open", "1", "g"}, {"ENOENT"}}}));
}

// Both names, or none, at every moment.
TEST(Names, ARenameShowsNoMomentBetween) {
  auto with = [](Words seen) {
    return outcome("names:1",
                   {done("a", 0, 1, {"create", "f"}, {"ok", "1"}),
                    done("a", 2, 9, {"rename", "f", "g"}), done("b", 3, 4, {"list"}, seen)});
  };
  EXPECT_EQ(kYes, with({"f", "1"}));
  EXPECT_EQ(kYes, with({"g", "1"}));
  EXPECT_EQ(kNo, with({}));
  EXPECT_EQ(kNo, with({"f", "1", "g", "1"}));
}

TEST(Names, AnUnknownIdentityIsLearnedOnceForAllItsNames) {
  auto with = [](const std::string& f, const std::string& g) {
    return outcome("names:1",
                   {open("a", 0, {"create", "f"}), done("b", 2, 3, {"link", "f", "g"}),
                    done("b", 4, 5, {"lookup", "f"}, {f}), done("b", 6, 7, {"lookup", "g"}, {g})});
  };
  EXPECT_EQ(kYes, with("7", "7"));
  EXPECT_EQ(kNo, with("7", "8"));
  EXPECT_EQ(kNo, with("ENOENT", "7"));
  EXPECT_EQ(kYes, sequence("names:1", {{{"create", "f"}, {"ok"}}, {{"lookup", "f"}, {"7"}}}));
  EXPECT_EQ(kNo, sequence("names:1", {{{"create", "f"}, {"ok", "7"}},
                                      {{"create", "g"}, {"ok"}},
                                      {{"list"}, {"f", "7", "g", "7"}}}));
}

TEST(Names, ChangesOfUnknownOutcome) {
  auto with = [](Words call, Words first, Words second) {
    return outcome("names:1",
                   {done("a", 0, 1, {"create", "f"}, {"ok", "1"}), open("b", 2, call),
                    done("a", 3, 4, {"list"}, first), done("a", 5, 6, {"list"}, second)});
  };
  const Words f = {"f", "1"}, g = {"g", "1"}, both = {"f", "1", "g", "1"};
  EXPECT_EQ(kYes, with({"unlink", "f"}, f, {}));
  EXPECT_EQ(kYes, with({"unlink", "f"}, f, f));
  EXPECT_EQ(kNo, with({"unlink", "f"}, {}, f));
  EXPECT_EQ(kYes, with({"rename", "f", "g"}, f, g));
  EXPECT_EQ(kNo, with({"rename", "f", "g"}, g, f));
  EXPECT_EQ(kNo, with({"rename", "f", "g"}, f, both));
  EXPECT_EQ(kYes, with({"link", "f", "g"}, f, both));
  EXPECT_EQ(kNo, with({"link", "f", "g"}, both, f));
  EXPECT_EQ(kNo, with({"lookup", "f"}, f, {})) << "a query changes nothing";
  EXPECT_EQ(kNo, with({"list"}, f, {}));
}

TEST(Lock, WhoHasItKeepsOthersOut) {
  EXPECT_EQ(kYes, locks({{{"lock", "a", "exclusive"}, {"ok"}},
                         {{"lock", "b", "exclusive"}, {"EAGAIN"}},
                         {{"lock", "b", "shared"}, {"EAGAIN"}},
                         {{"unlock", "b"}, {"ok"}},
                         {{"lock", "a", "shared"}, {"ok"}},
                         {{"lock", "b", "shared"}, {"ok"}},
                         {{"lock", "a", "exclusive"}, {"EAGAIN"}},
                         {{"lock", "c", "shared"}, {"ok"}},
                         {{"unlock", "b"}, {"ok"}},
                         {{"unlock", "c"}, {"ok"}},
                         {{"lock", "a", "exclusive"}, {"ok"}},
                         {{"die", "a"}, {"ok"}},
                         {{"lock", "b", "exclusive"}, {"ok"}}}));
  EXPECT_EQ(kNo, locks({{{"lock", "a", "exclusive"}, {"EAGAIN"}}}));
  for (const char* first : {"exclusive", "shared"}) {
    EXPECT_EQ(kNo, locks({{{"lock", "a", first}, {"ok"}}, {{"lock", "b", "exclusive"}, {"ok"}}}));
  }
  EXPECT_EQ(kNo, locks({{{"lock", "a", "exclusive"}, {"ok"}}, {{"lock", "b", "shared"}, {"ok"}}}));
  EXPECT_EQ(kNo, locks({{{"lock", "a", "shared"}, {"ok"}}, {{"lock", "b", "shared"}, {"EAGAIN"}}}));
  EXPECT_EQ(kNo, locks({{{"lock", "a", "shared"}, {"ok"}},
                        {{"lock", "b", "shared"}, {"ok"}},
                        {{"lock", "a", "exclusive"}, {"EAGAIN"}},
                        {{"unlock", "a"}, {"ok"}},
                        {{"lock", "b", "exclusive"}, {"EAGAIN"}}}));
}

TEST(Lock, OneWhoHasNotUnlockedHasNotLetGo) {
  auto with = [](int64_t unlocked_at) {
    return outcome("lock:1", {done("a", 0, 1, {"lock", "a", "exclusive"}),
                              done("a", unlocked_at, 20, {"unlock", "a"}),
                              done("b", 5, 6, {"lock", "b", "exclusive"})});
  };
  EXPECT_EQ(kYes, with(4));
  EXPECT_EQ(kNo, with(7));
}

TEST(Lock, ADeadOwnerLetsGoAtSomeTimeAndOnce) {
  auto with = [](const std::string& first, const std::string& second) {
    return outcome("lock:1",
                   {done("a", 0, 1, {"lock", "a", "exclusive"}), open("a", 2, {"die", "a"}),
                    done("b", 5, 6, {"lock", "b", "exclusive"}, {first}),
                    done("c", 7, 8, {"lock", "c", "exclusive"}, {second})});
  };
  EXPECT_EQ(kYes, with("EAGAIN", "EAGAIN"));
  EXPECT_EQ(kYes, with("EAGAIN", "ok"));
  EXPECT_EQ(kYes, with("ok", "EAGAIN"));
  EXPECT_EQ(kNo, with("ok", "ok"));
}

TEST(Lock, ALockOfUnknownOutcomeMayBeHeld) {
  auto with = [](const std::string& result) {
    return outcome("lock:1", {open("a", 0, {"lock", "a", "shared"}),
                              done("b", 5, 6, {"lock", "b", "exclusive"}, {result})});
  };
  EXPECT_EQ(kYes, with("ok"));
  EXPECT_EQ(kYes, with("EAGAIN"));
}

TEST(Specifications, WhatTheyDoNotUnderstandIsNamed) {
  auto report = [](const std::string& object, Words call, Words result) {
    CheckResult checked = check(of(object, {done("a", 0, 1, std::move(call), std::move(result))}));
    EXPECT_EQ(Outcome::kMalformed, checked.outcome);
    EXPECT_EQ(object, checked.object);
    return checked.report;
  };
  EXPECT_THAT(report("queue:1", {"read"}, {""}), HasSubstr("queue:1: no specification"));
  EXPECT_THAT(report("register:1", {"write"}, {"ok"}), HasSubstr("a write -> ok"));
  EXPECT_THAT(report("register:1", {"write", "x"}, {"EIO"}), HasSubstr("a write x -> EIO"));
  EXPECT_THAT(report("register:1", {"read"}, {}), HasSubstr("a read ->"));
  EXPECT_THAT(report("log:1", {"append", "x"}, {"no"}), HasSubstr("append x -> no"));
  EXPECT_THAT(report("names:1", {"rename", "x"}, {"ok"}), HasSubstr("rename x"));
  EXPECT_THAT(report("names:1", {"create", "x"}, {"ok", "?1"}), HasSubstr("?1"));
  EXPECT_THAT(report("names:1", {"list"}, {"x"}), HasSubstr("list -> x"));
  EXPECT_THAT(report("names:1", {"unlink", std::string("a\0b", 3)}, {"ok"}), HasSubstr("a%00b"));
  EXPECT_THAT(report("lock:1", {"lock", "a", "rw"}, {"ok"}), HasSubstr("lock a rw"));
}

}  // namespace
}  // namespace myfs::lin
