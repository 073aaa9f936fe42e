// FakeClient: functions of values, as a server's worker does them.
#include <algorithm>

#include "rdmakv/server/string_functions.h"
#include "tests/fakes/fake_client.h"

namespace rdmakv::fakes {
namespace {

using server::Bytes;

Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void refuse(Operation& operation, wire::Refusal why) {
  operation.code = Code::kInapplicable;
  operation.refusal = why;
}

}  // namespace

void FakeClient::modify(Operation& operation, std::string_view input, Ended& ended) {
  Entry* entry = find(operation.key);
  operation.version = entry != nullptr ? entry->version : 0;
  operation.has_previous = operation.want_previous && entry != nullptr;
  if (operation.has_previous) lend(operation, entry->value, ended);
  operation.code = check(operation, entry);
  if (operation.code != Code::kOk) return;
  server::Modification todo;
  todo.function = operation.function;
  todo.operands = operation.modify;
  todo.comparison = bytes_of(operation.comparison);
  todo.bytes = bytes_of(input);
  const std::optional<Bytes> old =
      entry != nullptr ? std::optional<Bytes>(bytes_of(entry->value)) : std::nullopt;
  const std::optional<bool> met = server::comparison_met(todo, old);
  if (!met) return refuse(operation, wire::Refusal::kBadDigest);
  if (!*met) {
    operation.code = Code::kConditionNotMet;
    return;
  }
  if (operation.function == wire::Function::kSetVersion && entry == nullptr) {
    operation.code = Code::kNotFound;
    return;
  }
  if (operation.function == wire::Function::kRemove) {
    operation.code = entry != nullptr ? Code::kOk : Code::kNotFound;
    if (entry != nullptr) store.erase(store.find(operation.key));
    return;
  }
  const auto plan = std::make_unique<server::ModificationPlan>();
  server::plan_modification(todo, old, *plan);
  operation.number = static_cast<uint64_t>(plan->number);
  if (plan->status != wire::ReplyStatus::kOk) return refuse(operation, plan->refusal);
  if (!plan->stores) return;
  std::string value(plan->length, '\0');
  std::string results(plan->result_bytes, '\0');
  server::build_value(todo, *plan, old, std::as_writable_bytes(std::span(value)),
                      std::as_writable_bytes(std::span(results)));
  if (entry == nullptr) {
    entry = &store[std::string(operation.key)];
    entry->version = version_floor_;
  }
  entry->value = std::move(value);
  if (!operation.keep_expiry) entry->expiry = operation.expiry_ms;
  ++entry->version;
  if (operation.modify.set_version != 0) entry->version = operation.modify.set_version;
  if ((operation.modify.flags & wire::kSetUserFlags) != 0) {
    entry->user_flags = operation.modify.user_flags;
  }
  operation.version = entry->version;
  operation.value_length = entry->value.size();
  if (!results.empty()) lend(operation, results, ended);
}

// A part of a transaction.
void FakeClient::take_function(const wire::RequestView& request, Operation& part) {
  part.function = request.header.function;
  if (request.header.opcode == wire::Opcode::kModify) {
    part.kind = OperationKind::kModify;
    const auto todo = server::parse_modification(part.function, request.value);
    if (!todo) return;
    part.modify = todo->operands;
    part.comparison = {reinterpret_cast<const char*>(todo->comparison.data()),
                       todo->comparison.size()};
    part.input = todo->bytes;
    return;
  }
  part.kind = OperationKind::kEvaluate;
  const auto asked = server::parse_evaluation(part.function, request.value);
  if (!asked) return;
  part.evaluate = asked->operands;
  part.input = asked->bytes;
}

void FakeClient::evaluate(Operation& operation, Ended& ended) {
  const Entry* entry = find(operation.key);
  if (entry == nullptr && operation.function != wire::Function::kGetFields) {
    operation.code = Code::kNotFound;
    return;
  }
  const Bytes value = entry != nullptr ? bytes_of(entry->value) : Bytes();
  operation.version = entry != nullptr ? entry->version : 0;
  if (operation.function == wire::Function::kGetFields) {
    std::string results(server::field_result_bytes(operation.input), '\0');
    server::get_fields(operation.input, value, std::as_writable_bytes(std::span(results)));
    return lend(operation, results, ended);
  }
  server::Evaluation asked;
  asked.function = operation.function;
  asked.operands = operation.evaluate;
  asked.bytes = operation.input;
  const server::EvaluationResult result = server::evaluate(asked, value);
  operation.number = static_cast<uint64_t>(result.number);
  if (operation.function != wire::Function::kRange) return;
  lend(operation, {reinterpret_cast<const char*>(result.range.data()), result.range.size()}, ended);
}

}  // namespace rdmakv::fakes
