#include "cli/shell/line/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <cwchar>

#include "cli/shell/run/interrupt.h"
#include "cli/shell/text/columns.h"

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
  Completer completer;

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

  // Inserts what is certain; with several candidates lists them.
  static unsigned char complete(EditLine* edit, int) {
    Impl* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    const LineInfo* info = el_line(edit);
    std::string typed(info->buffer, static_cast<size_t>(info->cursor - info->buffer));
    Completion found = self->completer(typed);
    if (!found.insert.empty()) {
      return el_insertstr(edit, found.insert.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
    }
    if (found.choices.empty()) return CC_ERROR;
    winsize size{};
    bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    std::printf("\n%s", in_columns(found.choices, known ? size.ws_col : 80).c_str());
    std::fflush(stdout);
    return CC_REDISPLAY;
  }
};

LineEditor::LineEditor(std::string history_file, Completer completer)
    : impl_(std::make_unique<Impl>()) {
  impl_->completer = std::move(completer);
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
  el_set(impl_->edit, EL_ADDFN, "myfs-complete", "complete the word", &Impl::complete);
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

std::vector<std::string> LineEditor::lines() const {
  std::vector<std::string> result;
  HistEvent event;
  // The last one is the oldest, and the one before it is newer.
  for (int good = history(impl_->history, &event, H_LAST); good != -1;
       good = history(impl_->history, &event, H_PREV)) {
    std::string line = event.str;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    result.push_back(line);
  }
  return result;
}

void LineEditor::clear_lines() {
  HistEvent event;
  history(impl_->history, &event, H_CLEAR);
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
