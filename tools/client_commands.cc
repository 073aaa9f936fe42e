#include "tools/client_commands.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "protocol/kv_layout.h"
#include "rdmakv/client/client_counters.h"
#include "tools/client_bench.h"
#include "tools/command_words.h"
#include "tools/count_text.h"

namespace rdmakv {
namespace {

constexpr uint64_t kMostOperations = 1'000'000'000;
constexpr uint64_t kPatienceNs = 100'000'000;  // with a server that is being connected to

struct CommandRow {
  std::string_view name;
  size_t least, most;  // words behind the name
  std::string_view usage;
};

constexpr CommandRow kCommands[] = {
    {"put", 2, 2, "put KEY VALUE"},
    {"get", 1, 3, "get KEY [> FILE]"},
    {"cas", 3, 3, "cas KEY VERSION VALUE"},
    {"del", 1, 1, "del KEY"},
    {"count", 0, 0, "count"},
    {"ping", 0, 0, "ping"},
    {"stats", 0, 0, "stats"},
    {"bench", 0, 64, "bench [N] [SIZE...]"},
    {"help", 0, 1, "help"},
    {"quit", 0, 0, "quit"},
    {"exit", 0, 0, "exit"},
};

const CommandRow* find_command(std::string_view name) {
  for (const CommandRow& row : kCommands) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

const char* command_help() {
  return "  put KEY VALUE           store; VALUE `-` is standard input (one-shot only), `<FILE` a "
         "file\n"
         "  get KEY [> FILE]        value and version; into FILE: the bytes alone\n"
         "  cas KEY VERSION VALUE   store if the key's version is VERSION (0: if there is no such "
         "key)\n"
         "  del KEY                 delete\n"
         "  count                   how many keys there are\n"
         "  ping                    ask every server's first worker for an answer\n"
         "  stats                   the servers' counters, and this client's\n"
         "  bench [N] [SIZE...]     N puts, gets and cas of each size (4k, 1m); default 1000\n"
         "  help, quit\n"
         "Words may be quoted: \"a b\\n\\x00\" or 'a b'.\n";
}

std::string command_error(const Words& words) {
  if (words.empty()) return "no command";
  const CommandRow* row = find_command(words[0]);
  if (row == nullptr) return "unknown command '" + words[0] + "'; `help` lists the commands";
  const size_t given = words.size() - 1;
  if (given < row->least || given > row->most) return "usage: " + std::string(row->usage);
  if (words[0] == "get" && given > 1 && (given != 3 || words[2] != ">")) {
    return "usage: " + std::string(row->usage);
  }
  if (words[0] == "cas" && !parse_number(words[2])) {
    return "'" + words[2] + "' is not a version (a whole number)";
  }
  if (words[0] == "bench" && given >= 1) {
    const std::optional<uint64_t> count = parse_number(words[1]);
    if (!count || *count == 0 || *count > kMostOperations) {
      return "'" + words[1] + "' is not a number of operations (1 to 1000000000)";
    }
    for (size_t i = 2; i < words.size(); ++i) {
      Result<uint64_t> size = parse_bytes(words[i]);
      if (!size) return size.status().message();
      if (*size > wire::kMaxValueBytes) return "'" + words[i] + "' is beyond 512 MB";
    }
  }
  return {};
}

ExitStatus CommandRunner::run(const Words& words) {
  if (const std::string error = command_error(words); !error.empty()) {
    errors_ << error << std::endl;
    return kUsage;
  }
  // Notice first what became of the connection since the last command.
  client_.poll();
  const std::string& name = words[0];
  if (name == "put") return put(words);
  if (name == "get") return get(words);
  if (name == "cas") return cas(words);
  if (name == "del") return remove(words);
  if (name == "count") return count();
  if (name == "ping") return ping();
  if (name == "stats") return stats();
  if (name == "bench") return bench(words);
  if (name == "help") {
    out_ << command_help() << std::flush;
  } else {
    quit_ = true;
  }
  return kDone;
}

// What `begin` begins. Between two commands nobody has looked whether a server came back; so it is
// begun again if it has.
template <typename Begin>
Answer CommandRunner::ask(Begin&& begin) {
  Answer answer = begin().wait();
  if (answer.code == Code::kUnavailable && client_.await_server(answer.server, kPatienceNs)) {
    answer = begin().wait();
  }
  return answer;
}

ExitStatus CommandRunner::failed(const Answer& answer) {
  return failed(answer.code, answer.server);
}

ExitStatus CommandRunner::failed(Code code, uint16_t server) {
  errors_ << "error: ";
  const ServerState state = client_.server(server);
  if (code == Code::kUnavailable) {
    errors_ << state.unreachable_text();
  } else {
    errors_ << code_name(code);
    if (code == Code::kUnknownOutcome || code == Code::kTimeout) {
      errors_ << "; " << state.name << (state.last_error.empty() ? "" : ": ") << state.last_error;
    }
  }
  if (code == Code::kTooLarge) {
    errors_ << ": a key has at most " << wire::kMaxKeyBytes << " bytes, a value at most "
            << (wire::kMaxValueBytes >> 20)
            << " MB, and no more than one worker's pool has room for";
  }
  errors_ << std::endl;
  return kTrouble;
}

bool CommandRunner::read_value(const std::string& word, std::string& value) {
  if (word == "-" && options_.value_on_stdin) {
    value.assign(std::istreambuf_iterator<char>(std::cin), {});
    return true;
  }
  if (word.size() > 1 && word[0] == '<') {
    std::ifstream file(word.substr(1), std::ios::binary);
    if (!file) {
      errors_ << "error: cannot read " << word.substr(1) << std::endl;
      return false;
    }
    value.assign(std::istreambuf_iterator<char>(file), {});
    return true;
  }
  value = word;
  return true;
}

ExitStatus CommandRunner::put(const Words& words) {
  std::string value;
  if (!read_value(words[2], value)) return kUsage;
  const Answer answer = ask([&] { return async_put(client_, words[1], value); });
  if (answer.code != Code::kOk) return failed(answer);
  out_ << "ok version " << answer.version << std::endl;
  return kDone;
}

ExitStatus CommandRunner::get(const Words& words) {
  const Answer answer = ask([&] { return async_get(client_, words[1]); });
  if (answer.code == Code::kNotFound) {
    errors_ << "not found" << std::endl;
    return kNo;
  }
  if (answer.code != Code::kOk) return failed(answer);
  if (words.size() == 4) {
    std::ofstream file(words[3], std::ios::binary | std::ios::trunc);
    file.write(answer.value.data(), static_cast<std::streamsize>(answer.value.size()));
    file.close();
    if (!file) {
      errors_ << "error: cannot write " << words[3] << std::endl;
      return kUsage;
    }
    out_ << answer.value.size() << " bytes, version " << answer.version << std::endl;
  } else if (options_.raw) {
    out_.write(answer.value.data(), static_cast<std::streamsize>(answer.value.size()));
    out_.flush();
    if (!out_) return kTrouble;
  } else {
    out_ << quote_bytes(answer.value) << " version " << answer.version << std::endl;
  }
  return kDone;
}

ExitStatus CommandRunner::cas(const Words& words) {
  std::string value;
  if (!read_value(words[3], value)) return kUsage;
  const Answer answer =
      ask([&] { return async_cas(client_, words[1], *parse_number(words[2]), value); });
  if (answer.code == Code::kVersionMismatch) {
    if (answer.version == 0) {
      out_ << "lost: there is no such key (version 0)" << std::endl;
    } else {
      out_ << "lost: the version is " << answer.version << std::endl;
    }
    return kNo;
  }
  if (answer.code != Code::kOk) return failed(answer);
  out_ << "ok version " << answer.version << std::endl;
  return kDone;
}

ExitStatus CommandRunner::remove(const Words& words) {
  const Answer answer = ask([&] { return async_delete(client_, words[1]); });
  if (answer.code == Code::kNotFound) {
    errors_ << "not found" << std::endl;
    return kNo;
  }
  if (answer.code != Code::kOk) return failed(answer);
  out_ << "ok" << std::endl;
  return kDone;
}

ExitStatus CommandRunner::count() {
  const Answer answer = ask([&] {
    return async(client_, {}, {}, [](Operation& op) { op.kind = OperationKind::kCount; });
  });
  if (answer.code != Code::kOk) return failed(answer);
  out_ << answer.number << std::endl;
  return kDone;
}

// All of them, also when one does not answer.
ExitStatus CommandRunner::ping() {
  const auto servers = static_cast<uint16_t>(client_.servers().size());
  ExitStatus status = kDone;
  for (uint16_t server = 0; server < servers; ++server) {
    const Answer answer = ask([&] {
      return async(client_, {}, {}, [server](Operation& op) {
        op.kind = OperationKind::kPing;
        op.server = server;
      });
    });
    if (answer.code != Code::kOk) status = failed(answer);
  }
  if (status == kDone) out_ << "ok" << std::endl;
  return status;
}

ExitStatus CommandRunner::worker_stats(uint16_t server, uint16_t worker) {
  const Answer answer = ask([&] {
    return async(client_, {}, {}, [server, worker](Operation& op) {
      op.kind = OperationKind::kStats;
      op.server = server;
      op.worker = worker;
    });
  });
  if (answer.code != Code::kOk) return failed(answer);
  out_ << "# worker " << worker << "\n" << answer.value;
  return kDone;
}

ExitStatus CommandRunner::stats() {
  const size_t count = client_.servers().size();
  for (uint16_t i = 0; i < count; ++i) client_.await_server(i, kPatienceNs);
  const std::vector<ServerState> servers = client_.servers();
  ExitStatus status = kDone;
  for (uint16_t i = 0; i < servers.size(); ++i) {
    const ServerState& server = servers[i];
    if (!server.reachable) {
      status = failed(Code::kUnavailable, i);
      continue;
    }
    out_ << "# server " << server.name << ", epoch " << server.epoch << ", " << server.workers
         << " workers\n";
    ExitStatus told = kDone;
    for (uint16_t worker = 0; worker < server.workers && told == kDone; ++worker) {
      told = worker_stats(i, worker);
    }
    if (told != kDone) status = told;
  }
  out_ << "# this client\n";
  for (const NamedCounter& counter : named_counters(client_.counters())) {
    out_ << counter.name << " " << counter.value << "\n";
  }
  out_ << "# per operation\n"
       << per_operation_head() << "\n"
       << per_operation_row(client_.counters()) << std::endl;
  return status;
}

ExitStatus CommandRunner::bench(const Words& words) {
  BenchOptions options;
  options.depth = options_.bench_depth;
  if (words.size() > 1) options.operations = static_cast<uint32_t>(*parse_number(words[1]));
  if (words.size() > 2) options.sizes.clear();
  for (size_t i = 2; i < words.size(); ++i) options.sizes.push_back(*parse_bytes(words[i]));
  const Code code = run_bench(client_, options, out_);
  if (code == Code::kOk) return kDone;
  // Its keys are spread over all servers.
  const std::vector<ServerState> servers = client_.servers();
  const auto down = std::find_if(servers.begin(), servers.end(),
                                 [](const ServerState& server) { return !server.reachable; });
  return failed(code, down == servers.end() ? 0 : static_cast<uint16_t>(down - servers.begin()));
}

}  // namespace rdmakv
