#include "tests/linearizability/history.h"

#include <algorithm>

namespace rdmakv::linearizability {

void History::add(std::span<const Record> records, uint32_t client) {
  size_ += records.size();
  sources_.push_back({records, client});
}

Status History::add_file(const std::string& path) {
  Result<HistoryFile> file = HistoryFile::open(path);
  if (!file) return file.status();
  files_.push_back(std::move(*file));
  add(files_.back().records(), files_.back().client());
  return Status::ok();
}

namespace {

const char* fault(const Record& record) {
  if (record.invoke_ns == 0) return "without a time of invocation";
  if (record.kind < Kind::kGet || record.kind > Kind::kExpire) return "of no known kind";
  if (record.outcome > Outcome::kCorrupt) return "of no known outcome";
  const bool answered = record.outcome != Outcome::kOpen;
  if (answered && record.return_ns < record.invoke_ns) return "that returned before it began";
  return nullptr;
}

}  // namespace

Status History::look_through(const Source& source, uint64_t& last) {
  for (size_t i = 0; i < source.records.size(); ++i) {
    const Record& record = source.records[i];
    const char* what = fault(record);
    if (what == nullptr && record.invoke_ns < last) what = "that began before the one ahead of it";
    if (what != nullptr) {
      return {Code::kInvalidArgument, "client " + std::to_string(source.client) + ": record " +
                                          std::to_string(i) + " is one " + what};
    }
    last = record.invoke_ns;
    if (record.kind == Kind::kRestart) {
      const bool over = record.outcome != Outcome::kOpen;
      restarts_.push_back({record.invoke_ns, over ? record.return_ns : kNever});
    } else if (is_unknown(record)) {
      ++unknown_;
      if (is_write(record) && record.value != kEmptyValue)
        sightings_[record.value].key = record.key;
    }
  }
  return Status::ok();
}

Status History::prepare() {
  restarts_.clear();
  sightings_.clear();
  unknown_ = 0;
  for (const Source& source : sources_) {
    uint64_t last = 0;
    if (Status status = look_through(source, last); !status) return status;
  }
  std::sort(restarts_.begin(), restarts_.end(),
            [](const Restart& a, const Restart& b) { return a.from_ns < b.from_ns; });
  if (sightings_.empty()) return Status::ok();
  for (const Source& source : sources_) {
    for (const Record& record : source.records) {
      if (record.kind != Kind::kGet || record.outcome != Outcome::kOk) continue;
      const auto found = sightings_.find(record.value);
      if (found == sightings_.end() || found->second.key != record.key) continue;
      Sighting& sighting = found->second;
      // An EXPIRE gives the value a higher version, but only one that had been seen before.
      const bool first = sighting.version == 0;
      sighting.version =
          first ? record.version_out : std::min(sighting.version, record.version_out);
      sighting.by_ns = first ? record.return_ns : std::min(sighting.by_ns, record.return_ns);
    }
  }
  return Status::ok();
}

const Sighting* History::sighting(const Record& unknown) const {
  const auto found = sightings_.find(unknown.value);
  return found == sightings_.end() || found->second.version == 0 ? nullptr : &found->second;
}

History::Cursor::Cursor(const History& history)
    : history_(history), at_(history.sources_.size(), 0) {
  for (uint32_t i = 0; i < history.sources_.size(); ++i) {
    if (!history.sources_[i].records.empty()) {
      heap_.push_back({history.sources_[i].records[0].invoke_ns, i});
    }
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
}

bool History::Cursor::next(Entry& out) {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Head& head = heap_.back();
  const Source& source = history_.sources_[head.source];
  size_t& at = at_[head.source];
  out = {&source.records[at], source.client};
  if (++at < source.records.size()) {
    head.invoke_ns = source.records[at].invoke_ns;
    std::push_heap(heap_.begin(), heap_.end(), later);
  } else {
    heap_.pop_back();
  }
  return true;
}

}  // namespace rdmakv::linearizability
