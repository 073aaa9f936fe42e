// The histories of several threads, merged by the time of invocation, and what has to be known of
// the whole before the first operation is checked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rdmakv/transport/status.h"
#include "tests/linearizability/history_file.h"
#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {

// A record and who wrote it.
struct Entry {
  const Record* record = nullptr;
  uint32_t client = 0;
};

// When the server was down: everything stored went at some moment of this interval.
struct Restart {
  uint64_t from_ns = 0, to_ns = 0;
};

// A GET saw the value of a change whose own outcome is unknown. So the change took effect, as this
// version, and before the GET had returned.
struct Sighting {
  uint64_t key = 0;
  uint64_t version = 0;
  uint64_t by_ns = 0;  // the first such GET returned
  // The version is the lowest that such a GET saw: higher ones are EXPIREs' (Kind::kExpire).
};

class History {
 public:
  // The memory stays the caller's, and as it is while the History is used.
  void add(std::span<const Record> records, uint32_t client);
  Status add_file(const std::string& path);

  uint64_t size() const { return size_; }

  // Looks through all of it, once everything was added: restarts, sightings, order. Fails with a
  // sentence on a history that cannot be: a thread's invocations out of order, an answer before its
  // question, an operation that does not exist.
  Status prepare();
  const std::vector<Restart>& restarts() const { return restarts_; }
  const Sighting* sighting(const Record& unknown) const;
  uint64_t unknown() const { return unknown_; }

  // Goes through the records in the order of invocation.
  class Cursor {
   public:
    explicit Cursor(const History& history);
    bool next(Entry& out);

   private:
    struct Head {
      uint64_t invoke_ns;
      uint32_t source;
    };
    static bool later(const Head& a, const Head& b) { return a.invoke_ns > b.invoke_ns; }
    const History& history_;
    std::vector<size_t> at_;
    std::vector<Head> heap_;
  };

 private:
  struct Source {
    std::span<const Record> records;
    uint32_t client = 0;
  };
  Status look_through(const Source& source, uint64_t& last);

  std::vector<HistoryFile> files_;
  std::vector<Source> sources_;
  uint64_t size_ = 0;
  uint64_t unknown_ = 0;
  std::vector<Restart> restarts_;
  std::unordered_map<uint64_t, Sighting> sightings_;  // of every unknown change with a value of its
                                                      // own; version 0: not seen
};

}  // namespace rdmakv::linearizability
