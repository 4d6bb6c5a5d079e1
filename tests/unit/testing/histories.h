// Histories by hand: operations with the times of their begin and end.
#pragma once

#include <myfs/linearizability.h>

#include <string>
#include <utility>
#include <vector>

namespace myfs::lin {

using Words = std::vector<std::string>;

inline Operation done(const std::string& client, int64_t begin, int64_t end, Words call,
                      Words result = {"ok"}) {
  Operation operation;
  operation.client = client;
  operation.call = std::move(call);
  operation.result = std::move(result);
  operation.invoked_ns = begin;
  operation.returned_ns = end;
  return operation;
}

// Without a return.
inline Operation open(const std::string& client, int64_t begin, Words call) {
  Operation operation = done(client, begin, kOpen, std::move(call), {});
  operation.note = "EIO";
  return operation;
}

inline History of(const std::string& object, std::vector<Operation> operations) {
  for (Operation& operation : operations) operation.object = object;
  return History{std::move(operations)};
}

inline Outcome outcome(const std::string& object, std::vector<Operation> operations) {
  return check(of(object, std::move(operations))).outcome;
}

}  // namespace myfs::lin
