#include "proxy/expiry_option.h"

#include "proxy/error_text.h"
#include "proxy/worker.h"

namespace rdmakv::proxy {

ExpiryError read_expiry(Request& request, std::string_view key, const SetOptions& options,
                        int64_t& expiry_ms) {
  if (!options.expiry) return ExpiryError::kNone;
  const int64_t now = options.relative ? request.worker().client().server_clock_ms(key) : 0;
  return parse_expiry(*options.expiry, options.unit, options.relative, now, expiry_ms);
}

void finish_expiry_error(Request& request, ExpiryError error) {
  if (error == ExpiryError::kNotAnInteger) {
    return request.finish_error(kNotAnInteger);
  }
  request.text = "ERR invalid expire time in '";
  request.text.append(request.command().name).append("' command");
  request.finish_error(request.text);
}

}  // namespace rdmakv::proxy
