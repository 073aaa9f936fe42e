#include "tools/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace rdmakv {
namespace {

constexpr int kHistoryLines = 1000;

std::string history_file(const std::string& name) {
  namespace fs = std::filesystem;
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  fs::path folder;
  // The XDG specification: relative paths are invalid and to be ignored.
  if (state != nullptr && fs::path(state).is_absolute()) {
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = fs::path(home) / ".local" / "state";
  } else {
    return {};
  }
  folder /= "rdmakv";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return {};
  fs::permissions(folder, fs::perms::owner_all, error);  // values are in it
  return folder / (name + "_history");
}

}  // namespace

struct LineEditor::Terminal {
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string prompt;
  std::string file;

  // libedit hands the callback nothing but the editor.
  static char* show_prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<Terminal*>(self)->prompt.data();
  }

  Terminal(const std::string& name, std::string text) : prompt(std::move(text)) {
    editor = el_init(name.c_str(), stdin, stdout, stderr);
    history = history_init();
    el_set(editor, EL_CLIENTDATA, this);
    el_set(editor, EL_PROMPT, &Terminal::show_prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 1);
    ::history(history, &event, H_SETSIZE, kHistoryLines);
    ::history(history, &event, H_SETUNIQUE, 1);
    el_set(editor, EL_HIST, ::history, history);
    el_source(editor, nullptr);  // ~/.editrc
    file = history_file(name);
    if (!file.empty()) ::history(history, &event, H_LOAD, file.c_str());
  }
  ~Terminal() {
    history_end(history);
    el_end(editor);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool read_line(std::string& line) {
    int length = 0;
    const char* typed = el_gets(editor, &length);
    if (typed == nullptr || length <= 0) return false;
    line.assign(typed, static_cast<size_t>(length));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    if (line.find_first_not_of(" \t") != std::string::npos) {
      ::history(history, &event, H_ENTER, line.c_str());
      if (!file.empty()) ::history(history, &event, H_SAVE, file.c_str());
    }
    return true;
  }
};

LineEditor::LineEditor(const std::string& name, std::string prompt) {
  if (isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0) {
    terminal_ = std::make_unique<Terminal>(name, std::move(prompt));
  }
}

LineEditor::~LineEditor() = default;

bool LineEditor::interactive() const {
  return terminal_ != nullptr;
}

bool LineEditor::read_line(std::string& line) {
  if (terminal_ != nullptr) return terminal_->read_line(line);
  return static_cast<bool>(std::getline(std::cin, line));
}

}  // namespace rdmakv
