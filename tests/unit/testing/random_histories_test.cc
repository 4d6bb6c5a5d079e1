// Random histories: those that a sequential object made are accepted, also with outcomes that
// nobody knows; small ones of any kind are judged as trying all orders judges them; long ones with
// one result that cannot be are rejected.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <random>

#include "tests/unit/testing/histories.h"

namespace myfs::lin {
namespace {

// What four types of objects do, one call after the other, in C++ and not in their specification's
// terms.
class Real {
 public:
  Words run(const std::string& type, const Words& call, uint64_t number) {
    if (type == "register") return cell(call);
    if (type == "log") return log(call);
    return type == "names" ? name(call, number) : lock(call);
  }

 private:
  Words cell(const Words& call) {
    if (call[0] == "read") return {value_};
    value_ = call[1];
    return {"ok"};
  }
  Words log(const Words& call) {
    if (call[0] == "read") return records_;
    records_.push_back(call[1]);
    return {"ok"};
  }
  Words name(const Words& call, uint64_t number) {
    const std::string& kind = call[0];
    if (kind == "list") {
      Words all;
      for (const auto& [name, id] : names_) all.insert(all.end(), {name, std::to_string(id)});
      return all;
    }
    auto found = names_.find(call[1]);
    bool exists = found != names_.end();
    if (kind == "create") {
      if (exists) return {"EEXIST"};
      names_[call[1]] = number;
      return {"ok", std::to_string(number)};
    }
    if (!exists) return {"ENOENT"};
    uint64_t id = found->second;
    if (kind == "lookup") return {std::to_string(id)};
    if (kind == "link" && names_.count(call[2]) > 0) return {"EEXIST"};
    bool same = kind == "rename" && names_.count(call[2]) > 0 && names_[call[2]] == id;
    if (kind != "link" && !same) names_.erase(found);
    if (kind != "unlink") names_[call[2]] = id;
    return {"ok"};
  }
  Words lock(const Words& call) {
    if (call[0] == "lock") {
      for (const auto& [owner, type] : holders_) {
        bool shared = type == "shared" && call[2] == "shared";
        if (owner != call[1] && !shared) return {"EAGAIN"};
      }
      holders_[call[1]] = call[2];
    } else {
      holders_.erase(call[1]);
    }
    return {"ok"};
  }

  std::string value_;
  Words records_;
  std::map<std::string, uint64_t> names_;
  std::map<std::string, std::string> holders_;
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t bound) { return random_() % bound; }

  Words call(const std::string& type, const std::string& client, uint64_t number) {
    if (type == "register") {
      return below(2) == 0 ? Words{"read"} : Words{"write", "v" + std::to_string(number)};
    }
    if (type == "log") {
      return below(3) == 0 ? Words{"read"} : Words{"append", "r" + std::to_string(number)};
    }
    if (type == "lock") {
      if (below(2) == 0) return {"unlock", client};
      return {"lock", client, below(2) == 0 ? "exclusive" : "shared"};
    }
    std::string a = "n" + std::to_string(below(3)), b = "n" + std::to_string(below(3));
    switch (below(6)) {
      case 0:
        return {"create", a};
      case 1:
        return {"unlink", a};
      case 2:
        return {"rename", a, b};
      case 3:
        return {"link", a, b};
      case 4:
        return {"lookup", a};
      default:
        return {"list"};
    }
  }

  // Clients call one after the other each, all at the same time; what they call happens at some
  // moment of the call. One call in `unknown` is cut off: it happens then, much later or never.
  History make(const std::string& type, int clients, int calls, uint64_t unknown) {
    struct Call {
      int64_t moment;
      Operation operation;
    };
    std::vector<Call> all;
    for (int c = 0; c < clients; ++c) {
      int64_t now = static_cast<int64_t>(below(10));
      for (int i = 0; i < calls; ++i) {
        int64_t begin = now + 1 + static_cast<int64_t>(below(5));
        int64_t moment = begin + static_cast<int64_t>(below(10));
        now = moment + static_cast<int64_t>(below(10));
        std::string client = "c" + std::to_string(c);
        Words words = call(type, client, all.size());
        Operation operation = done(client, begin, now, words, {});
        if (unknown > 0 && below(unknown) == 0) {
          operation = open(client, begin, words);
          if (below(3) == 0) moment += 100;
          if (below(3) == 0) moment = kOpen;
        }
        operation.object = type + ":1";
        all.push_back({moment, operation});
      }
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Call& a, const Call& b) { return a.moment < b.moment; });
    Real real;
    History history;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].moment == kOpen) {
        history.operations.push_back(all[i].operation);
        continue;
      }
      Words result = real.run(type, all[i].operation.call, i + 100);
      if (!all[i].operation.open()) all[i].operation.result = result;
      history.operations.push_back(all[i].operation);
    }
    return history;
  }

 private:
  std::mt19937_64 random_;
};

// Whether some order of these operations, and of some of the open ones, explains all results.
bool try_all_orders(const std::vector<const Operation*>& operations, const Model& model,
                    const State& state, std::vector<bool>* placed) {
  bool complete = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    complete = complete && ((*placed)[i] || operations[i]->open());
  }
  if (complete) return true;
  for (size_t i = 0; i < operations.size(); ++i) {
    bool first = !(*placed)[i];
    for (size_t j = 0; j < operations.size() && first; ++j) {
      first = (*placed)[j] || operations[j]->returned_ns >= operations[i]->invoked_ns;
    }
    State after;
    if (!first || !model.apply(i, state, &after)) continue;
    (*placed)[i] = true;
    bool found = try_all_orders(operations, model, after, placed);
    (*placed)[i] = false;
    if (found) return true;
  }
  return false;
}

bool has_order(const History& history) {
  std::vector<const Operation*> operations;
  for (const Operation& operation : history.operations) operations.push_back(&operation);
  std::stable_sort(operations.begin(), operations.end(),
                   [](auto* a, auto* b) { return a->invoked_ns < b->invoked_ns; });
  const std::string& object = operations.front()->object;
  const Specification* specification = ready_made().at(object.substr(0, object.find(':')));
  std::string why;
  std::unique_ptr<Model> model = specification->model(operations, &why);
  std::vector<bool> placed(operations.size(), false);
  return try_all_orders(operations, *model, model->initial(), &placed);
}

// Exchanges the results of two operations that are called the same and were told different things.
bool swap_results(History* history, Generator* generator) {
  auto& all = history->operations;
  for (int attempt = 0; attempt < 50; ++attempt) {
    Operation &a = all[generator->below(all.size())], &b = all[generator->below(all.size())];
    if (a.open() || b.open() || a.call[0] != b.call[0] || a.result == b.result) continue;
    std::swap(a.result, b.result);
    return true;
  }
  return false;
}

class RandomHistories : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Types, RandomHistories,
                         ::testing::Values("register", "log", "names", "lock"),
                         [](const auto& type) { return type.param; });

TEST_P(RandomHistories, WhatASequentialObjectMadeIsAccepted) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    History history = Generator(seed).make(GetParam(), 4, 200, seed % 2 == 0 ? 100 : 0);
    CheckResult result = check(history);
    ASSERT_EQ(Outcome::kLinearizable, result.outcome) << "seed " << seed << "\n" << result.report;
    ASSERT_EQ(800u, result.operations);
  }
}

TEST_P(RandomHistories, SmallOnesAreJudgedAsAllOrdersJudgeThem) {
  int accepted = 0, rejected = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    Generator generator(seed);
    History history = generator.make(GetParam(), 3, 2 + static_cast<int>(seed % 2), 5);
    if (!swap_results(&history, &generator) && seed % 8 != 0) continue;
    bool expected = has_order(history);
    (expected ? accepted : rejected)++;
    CheckResult result = check(history);
    Outcome wanted = expected ? Outcome::kLinearizable : Outcome::kNotLinearizable;
    ASSERT_EQ(wanted, result.outcome) << "seed " << seed << "\n"
                                      << to_text(history) << result.report;
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(rejected, 100);
}

// The index of an operation that was told something it cannot have been told, after a change.
bool make_impossible(History* history, Generator* generator) {
  auto& all = history->operations;
  Operation& a = all[generator->below(all.size())];
  if (a.open()) return false;
  const std::string type = a.object.substr(0, a.object.find(':'));
  if (type == "register" && a.call[0] == "read") {
    // A value that somebody had overwritten before.
    const Operation *old = nullptr, *fresh = nullptr;
    for (const Operation& write : all) {
      if (write.call[0] != "write" || write.open() || write.returned_ns >= a.invoked_ns) continue;
      if (fresh == nullptr || write.invoked_ns > fresh->invoked_ns) fresh = &write;
    }
    for (const Operation& write : all) {
      if (fresh == nullptr || write.call[0] != "write" || write.open()) continue;
      if (write.returned_ns < fresh->invoked_ns) old = &write;
    }
    if (old == nullptr) return false;
    a.result = {old->call[1]};
    return true;
  }
  if (type == "log" && a.call[0] == "read" && a.result.size() >= 20) {
    // Records whose appends did not overlap.
    std::swap(a.result.front(), a.result.back());
    return true;
  }
  if (type == "names" && a.call[0] == "list" && a.result.size() >= 2) {
    // Names that stand there now stand for other files than before.
    a.result[1] = "7";
    return true;
  }
  if (type == "lock" && a.call[0] == "lock" && a.result[0] == "EAGAIN") {
    // Told that he has got it, while somebody has it for sure.
    for (const Operation& other : all) {
      if (other.call[0] != "lock" || other.open() || other.result[0] != "ok") continue;
      if (other.call[1] == a.call[1] || other.returned_ns >= a.invoked_ns) continue;
      if (other.call[2] == "shared" && a.call[2] == "shared") continue;
      bool unlocks = std::any_of(all.begin(), all.end(), [&](const Operation& later) {
        return later.client == other.client && later.invoked_ns > other.invoked_ns &&
               later.invoked_ns <= a.returned_ns;
      });
      if (unlocks) continue;
      a.result = {"ok"};
      return true;
    }
  }
  return false;
}

TEST_P(RandomHistories, OneImpossibleResultInALongHistoryIsFound) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Generator generator(seed);
    History history = generator.make(GetParam(), 4, 100, 0);
    bool made = false;
    for (int attempt = 0; attempt < 1000 && !made; ++attempt) {
      made = make_impossible(&history, &generator);
    }
    if (!made) continue;
    ++found;
    CheckResult result = check(history);
    ASSERT_EQ(Outcome::kNotLinearizable, result.outcome) << "seed " << seed;
    ASSERT_NE("", result.report);
  }
  EXPECT_GE(found, 12);
}

// Four clients, 10 000 operations each, on objects of all types.
TEST(RandomHistories, FortyThousandOperations) {
  History history;
  uint64_t seed = 1;
  for (const char* type : {"register", "log", "names", "lock"}) {
    for (int object = 0; object < 25; ++object) {
      History part = Generator(seed++).make(type, 4, 100, 200);
      for (Operation& operation : part.operations) {
        operation.object = std::string(type) + ":" + std::to_string(object);
        history.operations.push_back(std::move(operation));
      }
    }
  }
  auto begin = std::chrono::steady_clock::now();
  CheckResult result = check(history);
  std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(Outcome::kLinearizable, result.outcome) << result.report;
  EXPECT_EQ(40'000u, result.operations);
  std::cout << result.operations << " operations, " << result.objects
            << " objects: " << time.count() << " ms, " << result.steps << " steps, "
            << result.peak_bytes << " bytes\n";
}

TEST_P(RandomHistories, FortyThousandOperationsOnOneObject) {
  // A read of a log shows all of it, which is the writer of this test's memory.
  int calls = GetParam() == "log" ? 1000 : 10'000;
  History history = Generator(1).make(GetParam(), 4, calls, 2000);
  auto begin = std::chrono::steady_clock::now();
  CheckResult result = check(history);
  std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(Outcome::kLinearizable, result.outcome) << result.report;
  std::cout << result.operations << " operations: " << time.count() << " ms, " << result.steps
            << " steps, " << result.peak_bytes << " bytes\n";
}

}  // namespace
}  // namespace myfs::lin
