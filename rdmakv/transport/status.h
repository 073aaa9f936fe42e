// Errors as values: Code, Status and Result<T>.
//
// A Code is enough on the datapath; a Status adds a sentence for a human. An OK Status allocates
// nothing. Neither throws; both may be copied and moved between threads.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rdmakv {

enum class Code : uint8_t {
  kOk = 0,
  kNotFound,         // no such key
  kVersionMismatch,  // CAS: the key's version is another one, which the reply names
  kConditionNotMet,  // NX, XX and the like: nothing was changed
  kNoSpace,          // the server's pool (or index) has no room; what is stored stays
  kTooLarge,         // a key, a value or a destination beyond its limit
  kInvalidArgument,  // the caller asked for something that cannot be
  kUnavailable,      // no connection to the server, and none came up in time; nothing was changed
  kTimeout,          // the deadline passed; a mutation may still take place
  kUnknownOutcome,   // the connection broke before the reply; a mutation may have taken place
  kRefused,          // the peer refused the connection: version, secret, limits
  kProtocolError,    // the peer sent something that the protocol does not allow
  kSystemError,      // a system or device call failed
  kBusy,             // a bounded resource is used up for now; try again later
  kCancelled,        // the owner closed the client or the connection
  kWrongWorker,      // the keys are not all with one worker; nothing was changed
  kInapplicable,     // a function cannot be applied to the value that the key has
};

// A short name of the code in plain words, e.g. "no such key"; static storage.
std::string_view code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status ok() { return {}; }
  // `what` failed with errno `error_number`: "what: strerror".
  static Status from_errno(std::string_view what, int error_number);

  bool is_ok() const { return code_ == Code::kOk; }
  explicit operator bool() const { return is_ok(); }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "code name: message", for logs.
  std::string to_string() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                             // NOLINT
  Result(Status status) : status_(std::move(status)) { assert(!status_); }  // NOLINT
  Result(Code code, std::string message) : status_(code, std::move(message)) {}

  bool is_ok() const { return value_.has_value(); }
  explicit operator bool() const { return is_ok(); }
  const Status& status() const { return status_; }
  T& value() & {
    assert(value_);
    return *value_;
  }
  const T& value() const& {
    assert(value_);
    return *value_;
  }
  T&& value() && {
    assert(value_);
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace rdmakv
