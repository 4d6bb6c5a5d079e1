#include "cli/shell/shell.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cli/shell/line/glob.h"
#include "cli/shell/run/local_program.h"
#include "cli/shell/tree/side.h"

namespace shell {
namespace {

bool asks_for_help(const Command& command, const std::vector<std::string>& words) {
  if (command.name[0] == '!') return false;
  auto end = std::find(words.begin(), words.end(), "--");
  return std::find(words.begin(), end, "--help") != end;
}

}  // namespace

Shell::Shell(myfs::Task task, const std::string& url, const std::string& options)
    : task_(std::move(task)) {
  auto writable = ("," + options + ",").find(",ro,") == std::string::npos;
  mounts_.push_back({"/", url, !writable});
}

int Shell::run(std::string_view text) {
  LexResult lexed = lex(text);
  int status = 0, before = 0;
  for (const Statement& statement : lexed.statements) {
    if (statement.when == Statement::When::kAfterSuccess && before != 0) continue;
    if (statement.when == Statement::When::kAfterFailure && before == 0) continue;
    before = run_statement(statement);
    if (before != 0) status = before;
    if (done_ || before == kInterrupted) return status;
  }
  if (lexed.error.empty()) return status;
  complain(lexed.error);
  return kUsage;
}

int Shell::run_statement(const Statement& statement) {
  std::string name = statement.words[0].text();
  const Command* command = find_command(name);
  if (command == nullptr) {
    complain(name + ": unknown command; `help` lists them");
    return kUsage;
  }
  scope_ = std::make_unique<CommandScope>();
  Args args;
  args.command = command->name;
  int status = 0;
  if (take_words(statement, *command, &args, &status)) {
    status = run_into_sink(statement, *command, args);
  }
  if (interrupted()) status = kInterrupted;
  scope_.reset();
  return status;
}

// False: the command is not to be run, and *status tells how that ends.
bool Shell::take_words(const Statement& statement, const Command& command, Args* args,
                       int* status) {
  std::vector<std::string> words;
  for (size_t i = 1; i < statement.words.size(); ++i) words.push_back(statement.words[i].text());
  if (asks_for_help(command, words)) {
    Output out(STDOUT_FILENO);
    out.write(help_text(command));
    *status = out.flush() ? 0 : kFailed;
    return false;
  }
  std::vector<size_t> operands;
  std::string error = parse_options(command, words, args, &operands);
  if (error.empty() && !expand_operands(statement, command, operands, args)) {
    *status = kFailed;
    return false;
  }
  auto count = static_cast<int>(args->words.size());
  bool counted =
      count >= command.min_words && (command.max_words < 0 || count <= command.max_words);
  if (error.empty() && counted) return true;
  if (!error.empty()) complain(args->command + ": " + error);
  std::fprintf(stderr, "usage: %s\n", usage(command).c_str());
  *status = kUsage;
  return false;
}

bool Shell::expand_operands(const Statement& statement, const Command& command,
                            const std::vector<size_t>& operands, Args* args) {
  auto remote = task_side(*this), local = local_side();
  std::vector<std::string> texts;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Word& word = statement.words[operands[i] + 1];
    texts.push_back(word.text());
    Operand kind = operand_kind(command, texts, i, i + 1 == operands.size());
    if (kind == Operand::kText) {
      args->words.push_back(texts.back());
      continue;
    }
    std::string failed;
    auto paths = expand(word.pattern, kind == Operand::kRemote ? *remote : *local, &failed);
    if (!paths) {
      if (interrupted()) return false;
      fail(*args, failed, "matches nothing (quote it if it is a name)");
      return false;
    }
    args->words.insert(args->words.end(), paths->begin(), paths->end());
  }
  return true;
}

int Shell::run_into_sink(const Statement& statement, const Command& command, const Args& args) {
  switch (statement.sink) {
    case Statement::Sink::kProgram:
      return run_into_program(statement, command, args);
    case Statement::Sink::kFile:
    case Statement::Sink::kFileAppend:
      return run_into_file(statement, command, args);
    case Statement::Sink::kStdout:
      break;
  }
  return run_into(STDOUT_FILENO, false, command, args);
}

int Shell::run_into(int fd, bool piped, const Command& command, const Args& args) {
  Output out(fd);
  out_ = &out;
  int status = command.run(*this, args);
  out.flush();
  out_ = nullptr;
  int error = out.error();
  if (error == 0 || error == ECANCELED) return status;
  if (error != EPIPE) {
    complain(args.command + ": output: " + ::strerrordesc_np(error));
    return kFailed;
  }
  // A reader that has had enough is no failure of what it read from. If it was ours, nobody is
  // left.
  if (piped) return 0;
  quit();
  return kBrokenPipe;
}

int Shell::run_into_file(const Statement& statement, const Command& command, const Args& args) {
  bool append = statement.sink == Statement::Sink::kFileAppend;
  std::string path = statement.file.text();
  int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
  if (fd < 0) return fail_errno(args, path, errno);
  int status = run_into(fd, false, command, args);
  if (::close(fd) == 0 || status != 0) return status;
  return fail_errno(args, path, errno);
}

int Shell::run_into_program(const Statement& statement, const Command& command, const Args& args) {
  Pipe pipe;
  if (int error = pipe.open(); error != 0) return fail_errno(args, "|", error);
  std::fflush(stdout);
  LocalProgram program(statement.program, pipe.read_end);
  if (program.error() != 0) return fail_errno(args, statement.program, program.error());
  pipe.close_read_end();
  int status = run_into(pipe.write_end, true, command, args);
  pipe.close_write_end();
  int program_status = program.wait();
  return status != 0 ? status : program_status;
}

Completion Shell::complete(const std::string& typed) {
  constexpr int64_t kPatience_ms = 2000;
  scope_ = std::make_unique<CommandScope>();
  deadline_ms_ = kPatience_ms;
  Completion result = shell::complete(typed, *task_side(*this), *local_side());
  deadline_ms_ = 0;
  scope_.reset();
  return result;
}

int Shell::close() {
  if (auto closed = task_.close(); !closed) {
    complain(url() + ": " + closed.error().message());
    return kFailed;
  }
  return 0;
}

std::string Shell::absolute(const std::string& path) {
  std::string from = "/";
  if (path.empty() || path[0] != '/') {
    if (auto cwd = task_.getcwd()) from = *cwd;
  }
  std::vector<std::string> parts;
  std::string all = join(from, path) + "/";
  for (size_t at = 0, slash; (slash = all.find('/', at)) != std::string::npos; at = slash + 1) {
    std::string part = all.substr(at, slash - at);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  std::string result;
  for (const std::string& part : parts) result += "/" + part;
  return result.empty() ? "/" : result;
}

// What was printed before comes before.
void Shell::complain(const std::string& text) const {
  if (out_ != nullptr && out_->is_terminal()) out_->flush();
  if (bar_ != nullptr) bar_->clear();
  std::fprintf(stderr, "myfs-shell: %s\n", text.c_str());
}

int Shell::fail(const Args& args, const std::string& what, const myfs::Error& error) const {
  if (error.value() == ECANCELED && interrupted()) return kInterrupted;
  return fail(args, what, error.message());
}

int Shell::fail(const Args& args, const std::string& what, const std::string& reason) const {
  complain(args.command + ": " + what + ": " + reason);
  return kFailed;
}

int Shell::fail_errno(const Args& args, const std::string& what, int error) const {
  if (error == ECANCELED && interrupted()) return kInterrupted;
  const char* text = ::strerrordesc_np(error);
  return fail(args, what, text != nullptr ? std::string(text) : std::to_string(error));
}

int Shell::wrong(const Args& args, const std::string& reason) const {
  complain(args.command + ": " + reason);
  return kUsage;
}

std::string join(const std::string& dir, std::string_view name) {
  std::string result = dir;
  if (!result.empty() && result.back() != '/') result.push_back('/');
  return result.append(name);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace shell
