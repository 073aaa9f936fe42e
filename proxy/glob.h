// Patterns as Redis matches them (util.c, stringmatchlen): * ? [abc] [^abc] [a-z] and \ before any
// of them. Pure.
#pragma once

#include <string_view>

namespace rdmakv::proxy {

// Ignores the case of ASCII letters if `ignore_case`. Linear in the text for each star; as in
// Redis, nothing matches a pattern with more than 1000 of them.
bool glob_matches(std::string_view pattern, std::string_view text, bool ignore_case);

}  // namespace rdmakv::proxy
