// LineEditor: reads lines from a terminal with history and completion, by libedit.
// Thread safety: the main thread alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/shell/line/completion.h"
#include "cli/shell/shell.h"

namespace shell {

class LineEditor final : public LineHistory {
 public:
  using Completer = std::function<Completion(const std::string& typed)>;

  // History is kept in `history_file`; empty: not kept.
  LineEditor(std::string history_file, Completer completer);
  ~LineEditor() override;
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome { kLine, kInterrupted, kEnd };
  Outcome read(const std::string& prompt, std::string* line);

  std::vector<std::string> lines() const override;
  void clear_lines() override;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shell
