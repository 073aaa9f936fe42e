#include "rdmakv/client/access_paths.h"

#include <string>

namespace rdmakv {

Result<GetPath> parse_get_path(std::string_view word) {
  if (word == "auto") return GetPath::kAuto;
  if (word == "onesided") return GetPath::kOneSided;
  if (word == "rpc") return GetPath::kRequest;
  return {Code::kInvalidArgument,
          "'" + std::string(word) + "' is no path of a GET: auto, onesided or rpc"};
}

Result<CasPath> parse_cas_path(std::string_view word) {
  if (word == "auto") return CasPath::kAuto;
  if (word == "rpc") return CasPath::kRequest;
  return {Code::kInvalidArgument, "'" + std::string(word) + "' is no path of a CAS: auto or rpc"};
}

}  // namespace rdmakv
