#include "tests/linearizability/history_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace rdmakv::linearizability {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

Result<HistoryWriter> HistoryWriter::create(const std::string& path, uint32_t client,
                                            uint64_t capacity) {
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) return Status::from_errno(path, errno);
  const size_t bytes = sizeof(FileHeader) + capacity * sizeof(Record);
  if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) {
    return Status::from_errno(path, errno);
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return Status::from_errno(path + ": mmap", errno);
  HistoryWriter writer;
  writer.mapping_ = Mapping(memory, bytes);
  writer.capacity_ = capacity;
  FileHeader header;
  header.client = client;
  std::memcpy(memory, &header, sizeof(header));
  return writer;
}

Record* HistoryWriter::begin(const Record& asked) {
  auto* records = reinterpret_cast<Record*>(mapping_.data() + sizeof(FileHeader));
  Record* record = &records[size_++];
  Record fresh = asked;
  fresh.invoke_ns = 0;
  fresh.return_ns = 0;
  fresh.outcome = Outcome::kOpen;
  *record = fresh;
  std::atomic_ref<uint64_t>(record->invoke_ns).store(monotonic_ns(), std::memory_order_release);
  return record;
}

void HistoryWriter::finish(Record* record, const Record& answer) {
  record->return_ns = monotonic_ns();
  if (record->kind == Kind::kGet) {
    record->value = answer.value;
    record->value_bytes = answer.value_bytes;
  }
  record->version_out = answer.version_out;
  record->path = answer.path;
  std::atomic_ref<Outcome>(record->outcome).store(answer.outcome, std::memory_order_release);
}

Result<HistoryFile> HistoryFile::open(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return Status::from_errno(path, errno);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return Status::from_errno(path, errno);
  const auto bytes = static_cast<size_t>(status.st_size);
  const auto bad = [&path](const char* what) {
    return Status(Code::kInvalidArgument, path + ": " + what);
  };
  if (bytes < sizeof(FileHeader)) return bad("too short for a history");
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return Status::from_errno(path + ": mmap", errno);
  HistoryFile history;
  history.mapping_ = Mapping(memory, bytes);
  FileHeader header;
  std::memcpy(&header, memory, sizeof(header));
  if (std::memcmp(header.magic, FileHeader().magic, sizeof(header.magic)) != 0) {
    return bad("not a history (its first 8 bytes are not RKVHIST1)");
  }
  if (header.record_bytes != sizeof(Record)) return bad("a history with records of another size");
  history.client_ = header.client;
  const auto* first = reinterpret_cast<const Record*>(history.mapping_.data() + sizeof(FileHeader));
  const std::span<const Record> room(first, (bytes - sizeof(FileHeader)) / sizeof(Record));
  // A writer fills its file from the front, so the end of what is there can be bisected.
  const auto end = std::partition_point(room.begin(), room.end(),
                                        [](const Record& record) { return record.invoke_ns != 0; });
  history.records_ = room.first(static_cast<size_t>(end - room.begin()));
  return history;
}

}  // namespace rdmakv::linearizability
