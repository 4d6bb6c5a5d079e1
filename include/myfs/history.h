// History: what concurrent clients called and what they were told, in the order of one clock; the
// input of <myfs/linearizability.h>.
//
//   std::unique_ptr<myfs::lin::Recorder> recorder;
//   myfs::lin::Recorder::open("/tmp/client1.history", &recorder);
//   uint64_t id = recorder->invoke("client1", "register:7", {"write", "abc"});
//   if (myfs_pwrite(...) == 3) recorder->returned(id, {"ok"});
//   else recorder->unknown(id, "EIO");
//
// An operation has an invocation and a return. One without a return is *open*: its caller was
// killed, or was told that the outcome is unknown (EIO, ETIMEDOUT, ECANCELED). It may have taken
// effect, may take effect at any later time, or never.
//
// Times are CLOCK_BOOTTIME, so several processes of one machine record files of their own, which
// read_history() puts together. In a simulation (<myfs/testing.h>) they are the simulated clock's.
//
// FILES are text, a line an event, each appended by one write(2) before the recorder's function
// returns. So kill -9 of the process loses no event but that of the call it interrupts, and an
// operation that may have begun is in the file. Lines:
//
//   H myfs-history 1                          begins what one recorder wrote; numbers start anew
//   I NUMBER TIME_NS CLIENT OBJECT WORD...    invocation
//   R NUMBER TIME_NS WORD...                  return
//   U NUMBER TIME_NS NOTE                     open for good, with a remark for people
//   N NUMBER TIME_NS                          had no effect: as if it had never been called
//
// Words are separated by single spaces; '%' and bytes outside of '!'..'~' are %XX, the empty word
// is a single '%'. A last line without a newline was cut off and is passed over.
#pragma once

#include <myfs/myfs.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace myfs::lin {

// The return of an open operation.
inline constexpr int64_t kOpen = INT64_MAX;

struct Operation {
  std::string client;               // who called: for people
  std::string object;               // "TYPE:NAME": what it was done to; see linearizability.h
  std::vector<std::string> call;    // kind and arguments: "write", "abc"
  std::vector<std::string> result;  // of an operation that returned
  int64_t invoked_ns = 0;           // at the latest when the operation began
  int64_t returned_ns = kOpen;      // at the earliest when it had ended
  std::string note;                 // of an open one: why
  bool open() const { return returned_ns == kOpen; }
};

// A value; as its vector, not for use by several threads at once.
struct History {
  std::vector<Operation> operations;  // in any order
};

// Records operations. Thread safety: all functions, from any thread. A recorder is not usable in a
// child after fork().
class MYFS_API Recorder {
 public:
  // In memory: history() has what was recorded.
  Recorder();
  // Appends to the file `path`, made if it is missing (mode 0644). Returns 0 and stores the
  // recorder, which belongs to the caller, or -errno of open(2) or write(2).
  static int open(const std::string& path, std::unique_ptr<Recorder>* recorder);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Before the call. Returns the operation's number for one of the functions below. Without one of
  // these the operation stays open.
  uint64_t invoke(std::string_view client, std::string_view object,
                  const std::vector<std::string>& call);
  // After the call, once an operation.
  void returned(uint64_t number, const std::vector<std::string>& result);
  // Whether and when the call takes effect is not known. `note`: a word for people.
  void unknown(uint64_t number, std::string_view note);
  // The call has had no effect and never will: a refused query, a failure that is certain.
  void without_effect(uint64_t number);

  // 0, or -errno of the first write that failed; what was recorded since is incomplete.
  int error() const;
  // A copy of what a recorder in memory has; empty for one with a file.
  History history() const;

 private:
  struct Impl;
  explicit Recorder(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// Adds what recorders wrote to `path` to `history`. Returns 0, -errno of open(2) or read(2), or
// -EINVAL with the line and the fault in `*why` (may be null); then `history` is unchanged.
MYFS_API int read_history(const std::string& path, History* history, std::string* why);
// The same of a text.
MYFS_API int parse_history(std::string_view text, History* history, std::string* why);
// In the format of the files, by time.
MYFS_API std::string to_text(const History& history);
// One operation for people: "client1 write abc -> ok".
MYFS_API std::string to_text(const Operation& operation);

}  // namespace myfs::lin
