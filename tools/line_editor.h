// Lines from a person at a terminal, with editing and history (libedit), or from a pipe, without
// either.
#pragma once

#include <memory>
#include <string>

namespace rdmakv {

class LineEditor {
 public:
  // `prompt` is shown when standard input and output are terminals. History is kept in
  // $XDG_STATE_HOME/rdmakv/`name`_history (default ~/.local/state); where that can't be written, it
  // lasts as long as the program.
  LineEditor(const std::string& name, std::string prompt);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  bool interactive() const;
  // The next line, without its end. False at the end of input.
  bool read_line(std::string& line);

 private:
  struct Terminal;
  std::unique_ptr<Terminal> terminal_;  // null: not interactive
};

}  // namespace rdmakv
