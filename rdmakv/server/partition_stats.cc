// What a partition tells of itself: the lines of kStats.
#include "rdmakv/server/partition.h"

namespace rdmakv::server {

using wire::Opcode;

namespace {

struct Lines {
  std::string& text;
  void operator()(std::string_view name, uint64_t number) const {
    text.append(name).append(" ").append(std::to_string(number)).append("\n");
  }
};

}  // namespace

void Partition::append_stats(std::string& text) const {
  const Lines line{text};
  const auto requests = [&](std::string_view name, Opcode opcode) {
    line(name, counters_.requests[static_cast<size_t>(opcode)]);
  };
  const SlabAccounting a = slab_.accounting();
  line("worker", options_.worker);
  line("keys", index_.size());
  line("keys_with_expiry", expiry_.keys());
  line("pool_bytes", a.usable_pages * PageHeap::kPageBytes);
  line("pool_free_bytes", a.free_pages * PageHeap::kPageBytes);
  line("granted_bytes", a.live_bytes);
  line("live_extents", a.live_extents);
  line("quarantined_extents", a.quarantined_extents);
  line("quarantined_bytes", a.quarantined_bytes);
  line("doomed_extents", a.doomed_extents);
  line("pinned_extents", a.pinned_extents);
  line("slabs", a.slabs);
  line("slab_bytes", a.slab_pages * PageHeap::kPageBytes);
  line("large_bytes", a.large_pages * PageHeap::kPageBytes);
  line("index_slots", uint64_t{index_.bucket_count()} * wire::kSlotsPerBucket);
  line("index_stashed", index_.stashed());
  line("private_bytes", private_bytes());
  requests("requests_get", Opcode::kGet);
  requests("requests_inspect", Opcode::kInspect);
  requests("requests_put", Opcode::kPut);
  requests("requests_delete", Opcode::kDelete);
  requests("requests_expire", Opcode::kExpire);
  requests("requests_modify", Opcode::kModify);
  requests("requests_evaluate", Opcode::kEvaluate);
  requests("requests_upload_chunk", Opcode::kUploadChunk);
  requests("requests_upload_commit", Opcode::kUploadCommit);
  requests("requests_release", Opcode::kRelease);
  line("hits", counters_.hits);
  line("misses", counters_.misses);
  line("changes", counters_.changes);
  line("expired", counters_.expired);
  line("no_space", counters_.no_space);
  line("quarantine_waits", counters_.waits);
  append_cas_stats(text);
}

void Partition::stats(Outcome& out) {
  stats_text_.clear();
  append_stats(stats_text_);
  if (more_stats_ != nullptr) more_stats_(more_stats_context_, stats_text_);
  out.has_value = true;
  out.value = std::as_bytes(std::span(stats_text_));
}

// Also where there is no one-sided CAS: then they are 0.
void Partition::append_cas_stats(std::string& text) const {
  const Lines line{text};
  CasAccounting cas;
  CasAccounting grants;
  if (cas_ != nullptr) {
    cas = cas_->accounting(CasPool::Part::kCas);
    grants = cas_->accounting(CasPool::Part::kGrants);
  }
  line("cas_bytes", uint64_t{cas.all()} * wire::kCasExtentBytes);
  line("grants_bytes", uint64_t{grants.all()} * wire::kCasExtentBytes);
  line("cas_extents_free", uint64_t{cas.free} + grants.free);
  line("cas_extents_linked", uint64_t{cas.linked} + grants.linked);
  line("cas_extents_granted", uint64_t{cas.granted} + grants.granted);
  line("cas_extents_quarantined", uint64_t{cas.quarantined} + grants.quarantined);
  line("requests_grants", counters_.requests[static_cast<size_t>(Opcode::kGrants)]);
  line("cas_rpc_won", counters_.cas_rpc_won);
  line("cas_rpc_lost", counters_.cas_rpc_lost);
  line("cas_linked_seen", counters_.cas_linked_seen);
  line("atomics_local", counters_.atomics_local);
  line("atomics_local_lost", counters_.atomics_local_lost);
  line("grants_given", counters_.grants_given);
  line("grants_out", grants.granted);
  line("relocated", counters_.relocated);
  line("broken_chains", counters_.broken_chains);
}

}  // namespace rdmakv::server
