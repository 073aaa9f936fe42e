// One line of commands, as words: the quoting of kv_client.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rdmakv/transport/status.h"

namespace rdmakv {

// Splits at blanks. "..." may hold \n \r \t \a \b \\ \" and \xHH, '...' only \'; outside of quotes
// a backslash means itself. An error says what is wrong with the quoting.
Result<std::vector<std::string>> split_words(std::string_view line);

// Bytes for a person to read: in double quotes, with \xHH and the like for what a terminal cannot
// show, so that split_words() makes the same bytes of it. UTF-8 is shown as it is.
std::string quote_bytes(std::string_view bytes);

// "4096", "4k", "4K", "1m", "1M": bytes. An error names the text.
Result<uint64_t> parse_bytes(std::string_view text);

}  // namespace rdmakv
