// The commands of kv_client.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "rdmakv/client/client.h"
#include "rdmakv/client/future.h"

namespace rdmakv {

// How a command went: the exit status of a one-shot kv_client.
enum ExitStatus : int {
  kDone = 0,
  kNo = 1,       // no such key, or the CAS was lost
  kUsage = 2,    // the command or an option makes no sense
  kTrouble = 3,  // no connection, or the server reported an error
};

using Words = std::vector<std::string>;

// What is wrong with a command, in words for the user; empty: nothing.
std::string command_error(const Words& words);
// The list of commands.
const char* command_help();

class CommandRunner {
 public:
  struct Options {
    bool raw = false;             // get: the value's bytes and nothing else
    bool value_on_stdin = false;  // `put KEY -` reads standard input
    uint32_t bench_depth = 1;
  };
  CommandRunner(Client& client, const Options& options, std::ostream& out, std::ostream& errors)
      : client_(client), options_(options), out_(out), errors_(errors) {}

  ExitStatus run(const Words& words);
  bool quit() const { return quit_; }

 private:
  ExitStatus put(const Words& words);
  ExitStatus get(const Words& words);
  ExitStatus cas(const Words& words);
  ExitStatus remove(const Words& words);
  ExitStatus count();
  ExitStatus ping();
  ExitStatus stats();
  ExitStatus worker_stats(uint16_t server, uint16_t worker);
  ExitStatus bench(const Words& words);
  bool read_value(const std::string& word, std::string& value);
  template <typename Begin>
  Answer ask(Begin&& begin);
  ExitStatus failed(const Answer& answer);
  ExitStatus failed(Code code, uint16_t server);

  Client& client_;
  const Options options_;
  std::ostream& out_;
  std::ostream& errors_;
  bool quit_ = false;
};

}  // namespace rdmakv
