// LOLWUT: the drawings of Redis 5 and 6, in the same formats and sizes. Version 5 is after Georg
// Nees's plotter drawing "Schotter" (1968): rows of squares that are turned and shifted at random,
// the more the further down. Version 6 is a skyline of three layers of towers. Every other version
// is a line of text.
//
// A picture is a grid of dots, (0, 0) at the top left, each with a shade; who draws beyond an edge
// draws nothing there.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_parser.h"
#include "proxy/commands.h"
#include "proxy/error_text.h"
#include "proxy/info.h"

namespace rdmakv::proxy::commands {
namespace {

// Redis draws 400,000 x 2,000 dots for LOLWUT VERSION 5 1000 1 200, a reply of 300 MB.
constexpr int64_t kMostDots = 32'000'000;

class Picture {
 public:
  Picture(int width, int height, uint8_t shade)
      : width_(width),
        height_(height),
        dots_(static_cast<size_t>(width) * static_cast<size_t>(height), shade) {}

  int width() const { return width_; }
  int height() const { return height_; }
  // 0 beyond the edges.
  uint8_t at(int x, int y) const { return contains(x, y) ? dots_[place(x, y)] : uint8_t{0}; }
  void set(int x, int y, uint8_t shade) {
    if (contains(x, y)) dots_[place(x, y)] = shade;
  }

 private:
  bool contains(int x, int y) const { return x >= 0 && x < width_ && y >= 0 && y < height_; }
  size_t place(int x, int y) const {
    return static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x);
  }

  int width_, height_;
  std::vector<uint8_t> dots_;
};

class Chance {
 public:
  // From `least` to `most`.
  int number(int least, int most) { return std::uniform_int_distribution(least, most)(source_); }
  float within(float most) { return std::uniform_real_distribution<float>(-most, most)(source_); }

 private:
  std::minstd_rand source_{std::random_device{}()};
};

// ---- version 5 ---------------------------------------------------------------------------------

struct Point {
  float x = 0, y = 0;
};

// As many dots as the longer of both directions has.
void draw_line(Picture& picture, Point from, Point to) {
  const int steps =
      static_cast<int>(std::ceil(std::max(std::abs(to.x - from.x), std::abs(to.y - from.y))));
  for (int i = 0; i <= steps; ++i) {
    const float share = steps == 0 ? 0.0F : static_cast<float>(i) / static_cast<float>(steps);
    picture.set(static_cast<int>(std::lround(from.x + share * (to.x - from.x))),
                static_cast<int>(std::lround(from.y + share * (to.y - from.y))), 1);
  }
}

void draw_square(Picture& picture, Point middle, float side, float angle) {
  const float across = side / 2 * std::cos(angle), down = side / 2 * std::sin(angle);
  // The first corner, seen from the middle; the next is a quarter turn further.
  Point corner{across - down, across + down};
  for (int i = 0; i < 4; ++i) {
    const Point next{-corner.y, corner.x};
    draw_line(picture, {middle.x + corner.x, middle.y + corner.y},
              {middle.x + next.x, middle.y + next.y});
    corner = next;
  }
}

struct SchotterSize {
  int columns = 0, across = 0, down = 0;  // characters; squares
  int width() const { return columns * 2; }
  int margin() const { return width() > 4 ? 2 : 0; }
  float side() const {
    return static_cast<float>(width() - 2 * margin()) / static_cast<float>(across);
  }
  int height() const {
    return static_cast<int>(side() * static_cast<float>(down) + static_cast<float>(2 * margin()));
  }
};

Picture draw_schotter(const SchotterSize& size) {
  Chance chance;
  Picture picture(size.width(), size.height(), 0);
  const float side = size.side();
  const auto margin = static_cast<float>(size.margin());
  for (int row = 0; row < size.down; ++row) {
    // The first two rows are in order.
    const float disorder = row < 2 ? 0.0F : static_cast<float>(row) / static_cast<float>(size.down);
    for (int column = 0; column < size.across; ++column) {
      const Point middle{
          margin + side * (static_cast<float>(column) + 0.5F) + chance.within(disorder) * side / 3,
          margin + side * (static_cast<float>(row) + 0.5F) + chance.within(disorder) * side / 3};
      draw_square(picture, middle, side, chance.within(disorder));
    }
  }
  return picture;
}

// A character has 2 x 4 dots, one bit each (Unicode, "Braille Patterns"). Behind each line there
// is a line end, but, as in Redis, not where the last has but one row of dots.
std::string in_braille(const Picture& picture) {
  struct Dot {
    int x, y;
  };
  constexpr std::array<Dot, 8> kOrder = {
      {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 3}, {1, 3}}};
  std::string text;
  for (int y = 0; y < picture.height(); y += 4) {
    for (int x = 0; x < picture.width(); x += 2) {
      unsigned bits = 0;
      for (size_t i = 0; i < kOrder.size(); ++i) {
        if (picture.at(x + kOrder[i].x, y + kOrder[i].y) != 0) bits |= 1U << i;
      }
      // U+2800 + bits in UTF-8.
      text += '\xe2';
      text += static_cast<char>(0xa0 | (bits >> 6));
      text += static_cast<char>(0x80 | (bits & 0x3f));
    }
    if (y + 1 != picture.height()) text += '\n';
  }
  return text;
}

// ---- version 6 ---------------------------------------------------------------------------------

enum Shade : uint8_t { kBlack, kDark, kLight, kWhite };

struct Tower {
  int left = 0, width = 0, height = 0;
  Shade shade = kBlack;
  bool windows = false;
};

// The roof is narrower than the rest by two dots on each side. Windows are two wide and one high,
// with as much wall between them.
void draw_tower(Picture& picture, const Tower& tower, Chance& chance) {
  constexpr int kWall = 2;
  const int ground = picture.height(), roof = ground - tower.height;
  const int right = tower.left + tower.width;
  for (int y = roof; y < ground; ++y) {
    const int inset = y == roof ? kWall : 0;
    for (int x = tower.left + inset; x < right - inset; ++x) picture.set(x, y, tower.shade);
  }
  if (!tower.windows) return;
  for (int y = roof + kWall; y < ground - kWall; y += 2) {
    for (int x = tower.left + kWall + 1; x + 1 < right - kWall; x += 4) {
      const auto lit = static_cast<uint8_t>(chance.number(kDark, kLight));
      picture.set(x, y, lit);
      picture.set(x + 1, y, lit);
    }
  }
}

struct Layer {
  Shade shade;
  bool windows;
  int narrowest, widest;
  int lowest_part, spread_part;  // heights: from a `lowest_part`th of the picture, a
                                 // `spread_part`th of it more at most
  int gap_percent, gap;          // to the next tower: so much of its width, and so many dots
};

// From the background to the front.
constexpr Layer kLayers[] = {{kLight, false, 10, 18, 2, 2, 50, 0},
                             {kDark, false, 10, 18, 2, 3, 100, 1},
                             {kBlack, true, 5, 18, 3, 2, 100, 5}};

Picture draw_skyline(int width, int height) {
  constexpr int kBeforeTheEdge = 10, kMostExtraGap = 7;
  Chance chance;
  Picture picture(width, height, kWhite);
  for (const Layer& layer : kLayers) {
    for (int x = -kBeforeTheEdge; x < width;) {
      Tower tower;
      tower.left = x + chance.number(0, kMostExtraGap);
      tower.width = chance.number(layer.narrowest, layer.widest);
      tower.height = height / layer.lowest_part + chance.number(0, height / layer.spread_part);
      tower.shade = layer.shade;
      tower.windows = layer.windows;
      draw_tower(picture, tower, chance);
      x = tower.left + tower.width * layer.gap_percent / 100 + layer.gap;
    }
  }
  return picture;
}

// A blank for each dot, foreground and background of its shade.
std::string in_colours(const Picture& picture) {
  constexpr std::string_view kDots[] = {"\x1b[0;30;40m \x1b[0m", "\x1b[0;90;100m \x1b[0m",
                                        "\x1b[0;37;47m \x1b[0m", "\x1b[0;97;107m \x1b[0m"};
  std::string text;
  for (int y = 0; y < picture.height(); ++y) {
    if (y > 0) text += '\n';
    for (int x = 0; x < picture.width(); ++x) text += kDots[picture.at(x, y)];
  }
  return text;
}

// ---- the command -------------------------------------------------------------------------------

// Of the arguments that are there, each between 1 and its limit; false: replied with an error.
struct Measure {
  int& value;
  int64_t most;
};
bool parse_measures(Request& request, Arguments arguments, std::span<const Measure> measures) {
  for (size_t i = 0; i < measures.size() && i < arguments.size(); ++i) {
    const std::optional<int64_t> number = resp::parse_integer(arguments[i]);
    if (!number) {
      request.finish_error(kNotAnInteger);
      return false;
    }
    measures[i].value = static_cast<int>(std::clamp<int64_t>(*number, 1, measures[i].most));
  }
  return true;
}

void finish_drawing(Request& request, std::string text) {
  text.append("Redis ver. ").append(kRedisVersion).append("\n");
  request.reply().verbatim("txt", text);
  request.finish();
}

void reply_schotter(Request& request, Arguments arguments) {
  SchotterSize size{.columns = 66, .across = 8, .down = 12};
  const Measure measures[] = {{size.columns, 1000}, {size.across, 200}, {size.down, 200}};
  if (!parse_measures(request, arguments, measures)) return;
  if (int64_t{size.width()} * size.height() > kMostDots) {
    return request.finish_error(
        "ERR the drawing is too large: more squares per row or fewer rows make it smaller");
  }
  finish_drawing(request, in_braille(draw_schotter(size)) +
                              "\nGeorg Nees - schotter, plotter on paper, 1968. ");
}

void reply_skyline(Request& request, Arguments arguments) {
  int columns = 80, rows = 20;
  const Measure measures[] = {{columns, 1000}, {rows, 1000}};
  if (!parse_measures(request, arguments, measures)) return;
  finish_drawing(request, in_colours(draw_skyline(columns, rows)) +
                              "\nDedicated to the 8 bit game developers of past and present.\n"
                              "Original 8 bit image from Plaguemon by hikikomori. ");
}

}  // namespace

// By itself Redis 7.0 draws nothing: its own version has no drawing.
void lolwut(Request& request, Arguments arguments) {
  uint32_t version = 7;
  if (arguments.size() > 2 && equals_ignoring_case(arguments[1], "version")) {
    const std::optional<int64_t> number = resp::parse_integer(arguments[2]);
    if (!number) return request.finish_error(kNotAnInteger);
    version = static_cast<uint32_t>(*number);
  }
  if (version == 5) return reply_schotter(request, arguments.subspan(3));
  if (version == 6) return reply_skyline(request, arguments.subspan(3));
  finish_drawing(request, {});
}

}  // namespace rdmakv::proxy::commands
