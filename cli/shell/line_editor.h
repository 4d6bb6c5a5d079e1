// LineEditor: reads lines from a terminal with history and completion of commands, by libedit.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace shell {

class LineEditor {
 public:
  // History is kept in `history_file`; empty: not kept.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  Outcome read(const std::string& prompt, std::string* line);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shell
