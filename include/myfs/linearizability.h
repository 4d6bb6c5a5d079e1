// Linearizability: whether a history (<myfs/history.h>) can be explained by a sequential object:
// whether each operation can be given a moment between its invocation and its return so that all
// results are those of executing the operations one after the other at these moments.
//
//   myfs::lin::History history;
//   myfs::lin::read_history("/tmp/client1.history", &history, nullptr);
//   myfs::lin::read_history("/tmp/client2.history", &history, nullptr);
//   myfs::lin::CheckResult result = myfs::lin::check(history);
//   if (result.outcome != myfs::lin::Outcome::kLinearizable) puts(result.report.c_str());
//
// The search is Wing and Gong's with Lowe's improvements: objects are checked one by one (a history
// is linearizable if that of each object is), and no configuration (the set of operations done, and
// the state) is visited twice. What is remembered is exact, no digest, and bounded in memory.
//
// What an operation means is told by a Specification for the type of its object, the part of
// Operation::object before ':'. Ready-made ones:
//
//   register:NAME  a cell, "" at the beginning
//     write V -> ok
//     read -> V
//   log:NAME       records that are appended (O_APPEND), each in one piece and once
//     append R -> ok
//     read -> R...                        the whole log
//   names:NAME     one directory, or a tree whose names are paths; identities are inode numbers or
//                  the like, do not begin with '?', and tell files apart that exist together
//     create A -> ok [ID] | EEXIST        O_CREAT | O_EXCL; without ID it is learned later
//     unlink A -> ok | ENOENT
//     rename A B -> ok | ENOENT           both of one identity: nothing happens
//     rename_noreplace A B -> ok | ENOENT | EEXIST
//     exchange A B -> ok | ENOENT
//     link A B -> ok | ENOENT | EEXIST
//     link_open ID B -> ok | EEXIST | ENOENT    of an open file; ENOENT: it has no name left, and B
//                                         is none
//     lookup A -> ID | ENOENT
//     list [PREFIX] -> (A ID)...          all names, or those that begin so; ID - is not known
//   lock:NAME      of fcntl(2): one range; who has a lock and takes another converts it
//     lock OWNER exclusive|shared -> ok | EAGAIN
//     unlock OWNER -> ok                  also of who has none
//     die OWNER -> ok                     OWNER loses what it has; left open for a moment unknown
//
// Thread safety: check() and the specifications from any thread, several at once.
#pragma once

#include <myfs/history.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace myfs::lin {

// Of a sequential object: any bytes; two states are the same if the bytes are.
using State = std::string;

// The sequential behaviour of one object, for the operations of one history of it.
class MYFS_API Model {
 public:
  virtual ~Model();
  virtual State initial() const = 0;
  // Whether operation number `operation` (of those that the model was made for) can happen in
  // `before` with its result, and the state then. An open operation: with some result that changes
  // the state; false if there is none. Same arguments, same answer. `after` is empty.
  virtual bool apply(size_t operation, const State& before, State* after) const = 0;
  // Whether operation number `operation`, with its result, leaves every state as it is; never asked
  // of an open one. Default: false. To say so makes the search much faster.
  virtual bool is_query(size_t operation) const;
  // For people. Default: the bytes.
  virtual std::string describe(const State& state) const;
};

class MYFS_API Specification {
 public:
  virtual ~Specification();
  // A model for `operations`, all of one object and in the order of their invocation, which outlive
  // it. Null: one of them is none that this type of object has; `*why` tells which and why.
  virtual std::unique_ptr<Model> model(const std::vector<const Operation*>& operations,
                                       std::string* why) const = 0;
};

// By type of object. The pointers belong to whoever made the map.
using Specifications = std::map<std::string, const Specification*, std::less<>>;

// Those above. Static storage.
MYFS_API const Specifications& ready_made();

struct CheckOptions {
  // Most memory that the search in one object may use, in bytes: 1 and more.
  size_t memory_bytes = size_t{256} << 20;
};

enum class Outcome {
  kLinearizable,
  kNotLinearizable,
  kGaveUp,     // an object needs more memory than given; no other is found to be wrong
  kMalformed,  // an operation or a type of object has no meaning
};

struct CheckResult {
  Outcome outcome = Outcome::kLinearizable;
  std::string object;  // of which `report` speaks; empty if linearizable
  // For people. kNotLinearizable: the shortest prefix of the object's history that cannot be
  // linearized, the longest order of operations of it that can, the state after that order, and
  // the operations of which none can come next.
  std::string report;
  std::vector<std::string> gave_up;  // objects that need more memory
  size_t objects = 0;                // checked
  size_t operations = 0;             // checked
  uint64_t steps = 0;                // operations tried
  size_t peak_bytes = 0;             // most memory that one object's search has used
};

// Checks all objects up to the first that is not linearizable or malformed. Never fails.
MYFS_API CheckResult check(const History& history, const CheckOptions& options = {},
                           const Specifications& specifications = ready_made());

}  // namespace myfs::lin
