// The words that --get-path and --cas-path of the programs take.
#pragma once

#include <string_view>

#include "rdmakv/client/client.h"

namespace rdmakv {

Result<GetPath> parse_get_path(std::string_view word);  // auto, onesided, rpc
Result<CasPath> parse_cas_path(std::string_view word);  // auto, rpc

}  // namespace rdmakv
