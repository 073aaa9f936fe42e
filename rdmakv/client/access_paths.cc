#include "rdmakv/client/access_paths.h"

#include <string>
#include <utility>

namespace rdmakv {
namespace {

// Appended piece by piece: GCC 12 at -O3 wrongly warns of `literal + string` (its bug 105651).
Status unknown(std::string_view word, std::string_view what) {
  std::string text("'");
  text.append(word).append(what);
  return {Code::kInvalidArgument, std::move(text)};
}

}  // namespace

Result<GetPath> parse_get_path(std::string_view word) {
  if (word == "auto") return GetPath::kAuto;
  if (word == "onesided") return GetPath::kOneSided;
  if (word == "rpc") return GetPath::kRequest;
  return unknown(word, "' is no path of a GET: auto, onesided or rpc");
}

Result<CasPath> parse_cas_path(std::string_view word) {
  if (word == "auto") return CasPath::kAuto;
  if (word == "rpc") return CasPath::kRequest;
  return unknown(word, "' is no path of a CAS: auto or rpc");
}

}  // namespace rdmakv
