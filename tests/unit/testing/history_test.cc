#include <gmock/gmock.h>
#include <myfs/history.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <thread>

#include "tests/support/myfsd/temp_dir.h"
#include "tests/unit/testing/histories.h"

namespace myfs::lin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

History read(const std::string& path) {
  History history;
  std::string why;
  EXPECT_EQ(0, read_history(path, &history, &why)) << why;
  return history;
}

std::string fault(const std::string& text) {
  History history;
  std::string why;
  EXPECT_EQ(-EINVAL, parse_history("H myfs-history 1\n" + text, &history, &why)) << text;
  EXPECT_THAT(history.operations, IsEmpty());
  return why;
}

TEST(History, ARecorderInMemoryHasWhatWasCalledAndTold) {
  Recorder recorder;
  uint64_t write = recorder.invoke("a", "register:1", {"write", "x"});
  uint64_t read = recorder.invoke("b", "register:1", {"read"});
  recorder.returned(read, {""});
  recorder.returned(write, {"ok"});
  uint64_t lost = recorder.invoke("b", "log:2", {"append", "r"});
  recorder.unknown(lost, "EIO");
  recorder.without_effect(recorder.invoke("a", "log:2", {"read"}));
  recorder.invoke("a", "log:2", {"append", "s"});
  History history = recorder.history();
  ASSERT_THAT(history.operations, SizeIs(4));
  const Operation& first = history.operations[0];
  const Operation& second = history.operations[1];
  EXPECT_EQ("a write x -> ok", to_text(first));
  EXPECT_EQ("b read -> %", to_text(second));
  EXPECT_EQ("register:1", first.object);
  EXPECT_LE(first.invoked_ns, second.invoked_ns);
  EXPECT_LE(second.invoked_ns, second.returned_ns);
  EXPECT_LE(second.returned_ns, first.returned_ns);
  EXPECT_EQ("b append r -> ? (EIO)", to_text(history.operations[2]));
  EXPECT_EQ("a append s -> ?", to_text(history.operations[3]));
  EXPECT_EQ(0, recorder.error());
}

TEST(History, AFileKeepsEveryByteOfEveryWord) {
  test::TempDir dir;
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  {
    std::unique_ptr<Recorder> recorder;
    ASSERT_EQ(0, Recorder::open(dir / "h", &recorder));
    recorder->returned(recorder->invoke(all, "log:" + all, {"append", all, "", " "}), {"", all});
    EXPECT_THAT(recorder->history().operations, IsEmpty());
  }
  History history = read(dir / "h");
  ASSERT_THAT(history.operations, SizeIs(1));
  const Operation& operation = history.operations[0];
  EXPECT_EQ(all, operation.client);
  EXPECT_EQ("log:" + all, operation.object);
  EXPECT_THAT(operation.call, ElementsAre("append", all, "", " "));
  EXPECT_THAT(operation.result, ElementsAre("", all));
}

TEST(History, TextGivesTheSameHistoryAgain) {
  History before = of("log:1", {done("a", 5, 9, {"append", "x"}), open("b", 6, {"append", "y"}),
                                done("c", 9, 9, {"read"}, {"x"})});
  std::string text = to_text(before);
  History after;
  std::string why;
  ASSERT_EQ(0, parse_history(text, &after, &why)) << why;
  EXPECT_EQ(text, to_text(after));
  ASSERT_THAT(after.operations, SizeIs(3));
  EXPECT_EQ("EIO", after.operations[1].note);
  EXPECT_EQ(9, after.operations[2].invoked_ns);
  EXPECT_EQ(kOpen, after.operations[1].returned_ns);
}

// Two processes, one clock: what one did before the other began stands before it.
TEST(History, FilesOfSeveralProcessesAreMergedByTheClock) {
  test::TempDir dir;
  for (const char* name : {"one", "two"}) {
    pid_t child = ::fork();
    if (child == 0) {
      std::unique_ptr<Recorder> recorder;
      if (Recorder::open(dir / name, &recorder) != 0) ::_exit(1);
      recorder->returned(recorder->invoke(name, "register:1", {"write", name}), {"ok"});
      ::_exit(0);
    }
    int status = -1;
    ASSERT_EQ(child, ::waitpid(child, &status, 0));
    ASSERT_EQ(0, status);
  }
  History history = read(dir / "two");
  ASSERT_EQ(0, read_history(dir / "one", &history, nullptr));
  ASSERT_THAT(history.operations, SizeIs(2));
  EXPECT_LT(history.operations[1].returned_ns, history.operations[0].invoked_ns);
}

TEST(History, Kill9LosesNothingButTheReturnOfWhatWasUnderWay) {
  test::TempDir dir;
  pid_t child = ::fork();
  if (child == 0) {
    std::unique_ptr<Recorder> recorder;
    if (Recorder::open(dir / "h", &recorder) != 0) ::_exit(1);
    for (int i = 0; i < 10; ++i) {
      recorder->returned(recorder->invoke("a", "log:1", {"append", std::to_string(i)}), {"ok"});
    }
    recorder->invoke("a", "log:1", {"append", "last"});
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(child, ::waitpid(child, &status, 0));
  ASSERT_TRUE(WIFSIGNALED(status));
  History history = read(dir / "h");
  ASSERT_THAT(history.operations, SizeIs(11));
  EXPECT_TRUE(std::none_of(history.operations.begin(), history.operations.end() - 1,
                           [](const Operation& operation) { return operation.open(); }));
  EXPECT_TRUE(history.operations.back().open());
}

// The next process of the same client goes on in the same file.
TEST(History, ALineThatWasCutOffIsNoEventAndNotPartOfTheNext) {
  test::TempDir dir;
  const std::string path = dir / "h";
  {
    std::ofstream out(path);
    out << "H myfs-history 1\nI 0 5 a log:1 append x\nR 0 7 o";
  }
  ASSERT_THAT(read(path).operations, SizeIs(1));
  EXPECT_TRUE(read(path).operations[0].open());
  std::unique_ptr<Recorder> recorder;
  ASSERT_EQ(0, Recorder::open(path, &recorder));
  recorder->returned(recorder->invoke("a", "log:1", {"append", "y"}), {"ok"});
  History history = read(path);
  ASSERT_THAT(history.operations, SizeIs(2));
  EXPECT_EQ("a append x -> ?", to_text(history.operations[0]));
  EXPECT_EQ("a append y -> ok", to_text(history.operations[1]));
}

TEST(History, ThreadsShareARecorder) {
  test::TempDir dir;
  std::unique_ptr<Recorder> recorder;
  ASSERT_EQ(0, Recorder::open(dir / "h", &recorder));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        std::string name = std::to_string(t);
        recorder->returned(recorder->invoke(name, "log:" + name, {"append", name}), {name});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  History history = read(dir / "h");
  ASSERT_THAT(history.operations, SizeIs(400));
  for (const Operation& operation : history.operations) {
    EXPECT_THAT(operation.result, ElementsAre(operation.client));
  }
}

TEST(History, FaultsOfATextAreNamed) {
  History history;
  std::string why;
  EXPECT_EQ(-EINVAL, parse_history("I 0 5 a log:1 read\n", &history, &why));
  EXPECT_EQ("line 1: no header before it", why);
  EXPECT_EQ("line 2: an invocation without client, object or call", fault("I 0 5 a log:1\n"));
  EXPECT_EQ("line 2: no event, number and time", fault("I 0 x a log:1 read\n"));
  EXPECT_EQ("line 2: a malformed word", fault("I 0 5 a log:1 re%4\n"));
  EXPECT_EQ("line 2: a malformed word", fault("I 0 5  log:1 read\n"));
  EXPECT_EQ("line 2: the end of an operation that has not begun", fault("R 0 5 ok\n"));
  EXPECT_THAT(fault("I 0 5 a b c\nI 0 6 a b c\n"), HasSubstr("line 3: a number used twice"));
  EXPECT_THAT(fault("I 0 5 a b c\nR 0 4 ok\n"), HasSubstr("an end before its begin"));
  EXPECT_THAT(fault("I 0 5 a b c\nX 0 6\n"), HasSubstr("an event that is none"));
  EXPECT_THAT(fault("I 0 5 a b c\nR 0 6 ok\nU 0 7 EIO\n"), HasSubstr("ends twice"));
}

TEST(History, FailuresOfTheFileAreTold) {
  test::TempDir dir;
  std::unique_ptr<Recorder> recorder;
  EXPECT_EQ(-ENOENT, Recorder::open(dir / "no/h", &recorder));
  EXPECT_EQ(-EISDIR, Recorder::open(dir.path(), &recorder));
  History history;
  EXPECT_EQ(-ENOENT, read_history(dir / "no", &history, nullptr));
  EXPECT_EQ(-ENOSPC, Recorder::open("/dev/full", &recorder));
  EXPECT_EQ(nullptr, recorder);
}

}  // namespace
}  // namespace myfs::lin
