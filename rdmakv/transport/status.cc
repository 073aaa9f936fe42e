#include "rdmakv/transport/status.h"

#include <cstring>
#include <system_error>

namespace rdmakv {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kNotFound:
      return "no such key";
    case Code::kVersionMismatch:
      return "version mismatch";
    case Code::kConditionNotMet:
      return "condition not met";
    case Code::kNoSpace:
      return "no space left";
    case Code::kTooLarge:
      return "too large";
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kUnavailable:
      return "server unavailable";
    case Code::kTimeout:
      return "timed out";
    case Code::kUnknownOutcome:
      return "outcome unknown";
    case Code::kRefused:
      return "connection refused by the server";
    case Code::kProtocolError:
      return "protocol error";
    case Code::kSystemError:
      return "system error";
    case Code::kBusy:
      return "busy";
    case Code::kCancelled:
      return "cancelled";
    case Code::kWrongWorker:
      return "not all keys are with one worker";
    case Code::kInapplicable:
      return "not applicable to the value";
  }
  return "unknown code";
}

Status Status::from_errno(std::string_view what, int error_number) {
  return {Code::kSystemError,
          std::string(what) + ": " + std::generic_category().message(error_number)};
}

std::string Status::to_string() const {
  std::string text(code_name(code_));
  if (!message_.empty()) text.append(": ").append(message_);
  return text;
}

}  // namespace rdmakv
