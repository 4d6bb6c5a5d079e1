#include "cli/shell/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cwchar>

#include "cli/shell/interrupt.h"
#include "cli/shell/shell.h"

namespace shell {
namespace {

constexpr int kHistorySize = 1000;

}  // namespace

struct LineEditor::Impl {
  EditLine* edit = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string history_file;
  std::string prompt;

  static char* show_prompt(EditLine* edit) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  // libedit's own reader tries again after the first interrupt.
  static int read_char(EditLine*, wchar_t* wide) {
    std::mbstate_t state{};
    while (true) {
      pollfd sources[2] = {{interrupt_fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
      if (::poll(sources, 2, -1) < 0 && errno != EINTR) return -1;
      if (sources[0].revents != 0) {
        errno = EINTR;
        return -1;
      }
      if (sources[1].revents == 0) continue;
      char byte;
      ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return static_cast<int>(n);
      size_t taken = std::mbrtowc(wide, &byte, 1, &state);
      if (taken <= 1) return 1;
      if (taken == static_cast<size_t>(-1)) state = {};  // not a character: left out
    }
  }

  // Completes the first word of the line; with several candidates lists them.
  static unsigned char complete(EditLine* edit, int) {
    const LineInfo* info = el_line(edit);
    std::string_view typed(info->buffer, static_cast<size_t>(info->cursor - info->buffer));
    if (typed.find(' ') != std::string_view::npos) return CC_ERROR;
    std::vector<std::string_view> found;
    for (const Command& command : commands()) {
      std::string_view name = command.name;
      if (name.substr(0, typed.size()) == typed) found.push_back(name);
    }
    if (found.empty()) return CC_ERROR;
    if (found.size() == 1) {
      std::string rest(found[0].substr(typed.size()));
      el_insertstr(edit, (rest + " ").c_str());
      return CC_REFRESH;
    }
    std::printf("\n");
    for (std::string_view name : found)
      std::printf("%.*s  ", static_cast<int>(name.size()), name.data());
    std::printf("\n");
    return CC_REDISPLAY;
  }
};

LineEditor::LineEditor(std::string history_file) : impl_(std::make_unique<Impl>()) {
  impl_->history_file = std::move(history_file);
  impl_->edit = el_init("myfs-shell", stdin, stdout, stderr);
  impl_->history = history_init();
  history(impl_->history, &impl_->event, H_SETSIZE, kHistorySize);
  history(impl_->history, &impl_->event, H_SETUNIQUE, 1);
  if (!impl_->history_file.empty()) {
    history(impl_->history, &impl_->event, H_LOAD, impl_->history_file.c_str());
  }
  el_set(impl_->edit, EL_CLIENTDATA, impl_.get());
  el_set(impl_->edit, EL_PROMPT, &Impl::show_prompt);
  el_set(impl_->edit, EL_EDITOR, "emacs");
  el_set(impl_->edit, EL_GETCFN, &Impl::read_char);
  el_set(impl_->edit, EL_HIST, history, impl_->history);
  el_set(impl_->edit, EL_ADDFN, "myfs-complete", "complete a command", &Impl::complete);
  el_set(impl_->edit, EL_BIND, "^I", "myfs-complete", nullptr);
  el_source(impl_->edit, nullptr);
}

LineEditor::~LineEditor() {
  if (!impl_->history_file.empty()) {
    history(impl_->history, &impl_->event, H_SAVE, impl_->history_file.c_str());
  }
  history_end(impl_->history);
  el_end(impl_->edit);
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string* line) {
  impl_->prompt = prompt;
  int length = 0;
  // Before the prompt is printed: a Ctrl-D that the terminal's own line mode took would be lost.
  el_set(impl_->edit, EL_PREP_TERM, 1);
  errno = 0;
  const char* text = el_gets(impl_->edit, &length);
  if (text == nullptr || length <= 0) {
    if (errno != EINTR) return Outcome::kEnd;
    forget_interrupt();
    el_reset(impl_->edit);
    std::printf("\n");
    return Outcome::kInterrupted;
  }
  line->assign(text, static_cast<size_t>(length));
  if (line->find_first_not_of(" \t\n") != std::string::npos) {
    history(impl_->history, &impl_->event, H_ENTER, text);
  }
  return Outcome::kLine;
}

}  // namespace shell
