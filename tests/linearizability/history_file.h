// Histories on disk: a header of 64 bytes, then records (history_record.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "rdmakv/transport/status.h"
#include "tests/linearizability/history_record.h"

namespace rdmakv::linearizability {

struct FileHeader {
  char magic[8] = {'R', 'K', 'V', 'H', 'I', 'S', 'T', '1'};
  uint32_t record_bytes = sizeof(Record);
  uint32_t client = 0;  // number of the client thread, for humans
  uint8_t reserved[48] = {};
};
static_assert(sizeof(FileHeader) == 64);

// A file that is mapped into memory.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept { swap(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    Mapping(std::move(other)).swap(*this);
    return *this;
  }
  ~Mapping();
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void swap(Mapping& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Writes the history of one thread. What was written is in the page cache at once and so outlives
// the process, however it ends; not the machine. Recording makes no system call.
class HistoryWriter {
 public:
  // Creates (or overwrites) the file, with room for `capacity` records; pages that are not used
  // take no space.
  static Result<HistoryWriter> create(const std::string& path, uint32_t client, uint64_t capacity);

  bool full() const { return size_ == capacity_; }
  uint64_t size() const { return size_; }

  // The operation in `asked` begins now. Not when full(). The record stays the writer's; finish()
  // it.
  Record* begin(const Record& asked);
  // `answer` has the fields of the outcome: value (GET), version_out, value_bytes, path, outcome.
  static void finish(Record* record, const Record& answer);

 private:
  Mapping mapping_;
  uint64_t capacity_ = 0;
  uint64_t size_ = 0;
};

// The records of a file, mapped read only; they end with the first that is none.
class HistoryFile {
 public:
  static Result<HistoryFile> open(const std::string& path);

  uint32_t client() const { return client_; }
  std::span<const Record> records() const { return records_; }

 private:
  Mapping mapping_;
  uint32_t client_ = 0;
  std::span<const Record> records_;
};

// CLOCK_MONOTONIC.
uint64_t monotonic_ns();

}  // namespace rdmakv::linearizability
