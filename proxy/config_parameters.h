// The table of CONFIG's parameters: names as Redis has them, and ours among them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/proxy.h"

namespace rdmakv::proxy {

// A parameter is a number or a switch in Settings, or a text of TlsSettings, or has functions of
// its own, or always has one value.
struct Parameter {
  std::string_view name;
  // What it is called on the command line and in the configuration file; empty: its name.
  std::string_view option = {};
  std::atomic<uint64_t> Settings::*number = nullptr;
  std::atomic<bool> Settings::*flag = nullptr;
  std::string TlsSettings::*tls = nullptr;
  bool is_memory = false;  // takes "1mb"
  uint64_t least = 0, most = 2147483647;
  std::string (*get)(const Proxy& proxy) = nullptr;
  // Checks and (if `apply`) sets; empty, or what is wrong. Null: immutable.
  std::string (*set)(Proxy& proxy, std::string_view value, bool apply) = nullptr;
  std::string_view constant = {};

  bool can_change() const {
    return number != nullptr || flag != nullptr || tls != nullptr || set != nullptr;
  }
  std::string_view option_name() const { return option.empty() ? name : option; }
};

const std::vector<Parameter>& parameters();
// In any case; null: none.
const Parameter* find_parameter(std::string_view name);
std::string value_of(const Proxy& proxy, const Parameter& parameter);
// As Parameter::set.
std::string set_parameter(Proxy& proxy, const Parameter& parameter, std::string_view value,
                          bool apply);

}  // namespace rdmakv::proxy
