#include "proxy/lcs.h"

#include <algorithm>
#include <memory>

namespace rdmakv::proxy {
namespace {

// Row i of the table from the one above it: lengths for the first i bytes of `a` and the first j of
// `b`.
void fill_row(char of_a, std::string_view b, const uint32_t* above, uint32_t* row) {
  row[0] = 0;
  for (size_t j = 1; j <= b.size(); ++j) {
    row[j] = of_a == b[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
  }
}

uint32_t length_of(std::string_view a, std::string_view b) {
  std::vector<uint32_t> above(b.size() + 1), row(b.size() + 1);
  for (const char of_a : a) {
    fill_row(of_a, b, above.data(), row.data());
    above.swap(row);
  }
  return above[b.size()];
}

// Collects matches that touch into one.
class Matches {
 public:
  explicit Matches(Lcs& lcs) : lcs_(lcs) {}
  void add(uint32_t a, uint32_t b) {
    if (open_ && current_.a_first == a + 1 && current_.b_first == b + 1) {
      --current_.a_first;
      --current_.b_first;
      return;
    }
    close();
    current_ = {a, a, b, b};
    open_ = true;
  }
  void close() {
    if (open_) lcs_.matches.push_back(current_);
    open_ = false;
  }

 private:
  Lcs& lcs_;
  LcsMatch current_{};
  bool open_ = false;
};

}  // namespace

Lcs longest_common_subsequence(std::string_view a, std::string_view b, bool length_only) {
  Lcs lcs;
  if (length_only) {
    lcs.length = length_of(a, b);
    return lcs;
  }
  const size_t width = b.size() + 1;
  const auto table = std::make_unique_for_overwrite<uint32_t[]>((a.size() + 1) * width);
  std::fill_n(table.get(), width, 0u);
  for (size_t i = 1; i <= a.size(); ++i) {
    fill_row(a[i - 1], b, table.get() + (i - 1) * width, table.get() + i * width);
  }
  lcs.length = table[a.size() * width + b.size()];
  lcs.text.resize(lcs.length);
  Matches matches(lcs);
  size_t left = lcs.length;
  for (size_t i = a.size(), j = b.size(); i > 0 && j > 0;) {
    if (a[i - 1] == b[j - 1]) {
      lcs.text[--left] = a[i - 1];
      matches.add(static_cast<uint32_t>(i - 1), static_cast<uint32_t>(j - 1));
      --i;
      --j;
    } else if (table[(i - 1) * width + j] > table[i * width + j - 1]) {
      --i;
    } else {
      --j;
    }
  }
  matches.close();
  return lcs;
}

}  // namespace rdmakv::proxy
