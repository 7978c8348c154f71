// Which rung a call takes, and how it is cut up: a pure function of the call and of the device.
#pragma once

#include <stdint.h>

#include <string>

#include "batch_norm.h"
#include "team.cuh"

namespace bnc {

struct Refused {
  int32_t status;
  std::string message;
};

constexpr int64_t LARGEST_COUNT = int64_t(1) << 30;
constexpr int64_t LONG_ROW = 512;     // bytes from which one bulk copy per row pays
constexpr int64_t SMALL = 48 * 1024;  // bytes that one block loads in about the time of a launch
constexpr int64_t LARGEST_SPLIT = 1024;
constexpr int64_t LARGEST_GRID = int64_t(1) << 30;
constexpr int64_t MOST_TEAMS = 1024;  // each has a counter
// A second read finds in L2 what fits into this share of it beside the output that passes through.
constexpr double USABLE_L2 = 0.6;
// Of a second read, the least share that has to be saved before a tile is narrowed or given up.
constexpr double WORTH_HOLDING = 0.25;

inline int64_t element_size(const bnc_call &call) { return call.dtype == BNC_FLOAT32 ? 4 : 2; }
inline int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

struct Operand {
  const void *data;
  bnc_strides strides;
};

struct Operands {
  Operand list[3];
  int count;
};

inline Operands operands_of(const bnc_call &call, bool backward) {
  if (backward)
    return {{{call.x, call.x_strides}, {call.dy, call.dy_strides}, {call.dx, call.dx_strides}}, 3};
  return {{{call.x, call.x_strides}, {call.y, call.y_strides}, {}}, 2};
}

class Planner {
 public:
  Planner(const bnc_call &call, bool backward, const bnc_device &device)
      : call_(call), device_(device), cached_arrays_(backward ? 2 : 1), backward_(backward) {}

  bnc_plan plan() {
    check();
    lay_out();
    const int32_t rung = call_.rung;
    if (rung == BNC_AUTO && !needs_statistics()) return split();
    if (rung < BNC_AUTO || rung > BNC_SPLIT)
      throw Refused{BNC_BAD_CALL, "rung must be 0 to 4, got " + std::to_string(rung)};
    bnc_plan found;
    const bool any = rung == BNC_AUTO;
    if ((any || rung == BNC_BLOCK) && block(found)) return found;
    if (any && cluster(found, false)) return found;
    if ((any || rung == BNC_PERSISTENT) && persistent(found)) return found;
    if ((any || rung == BNC_CLUSTER) && cluster(found, true)) return found;
    if (any || rung == BNC_SPLIT) return split();
    throw Refused{BNC_BAD_CALL, "this device cannot take the call on rung " + std::to_string(rung)};
  }

 private:
  // Nothing has to be known of all values before the first is written: one read is enough.
  bool needs_statistics() const { return call_.training || backward_; }
  bool automatic() const { return call_.rung == BNC_AUTO; }

  void check() const {
    if (call_.dtype < BNC_FLOAT32 || call_.dtype > BNC_BFLOAT16)
      throw Refused{BNC_BAD_CALL, "dtype must be 0, 1 or 2, got " + std::to_string(call_.dtype)};
    const auto sized = [](int64_t size) { return size >= 0 && size <= LARGEST_COUNT; };
    if (!sized(call_.outer) || !sized(call_.channels) || !sized(call_.inner) ||
        call_.outer * call_.inner > LARGEST_COUNT)
      throw Refused{BNC_BAD_CALL, "sizes must be 0 to 2^30, and at most 2^30 values per channel"};
    if (call_.training && call_.outer * call_.inner == 0 && !backward_)
      throw Refused{BNC_BAD_CALL, "training needs at least one value per channel"};
    if (call_.lanes < 0 || call_.lanes > 32)
      throw Refused{BNC_BAD_CALL, "lanes must be 0 to 32, got " + std::to_string(call_.lanes)};
    if (call_.blocks < 0 || call_.blocks > LARGEST_SPLIT)
      throw Refused{BNC_BAD_CALL, "blocks must be 0 to 1024, got " + std::to_string(call_.blocks)};
  }

  void lay_out() {
    const int64_t vector = 16 / element_size(call_);
    base_ = bnc_plan{};
    base_.units = call_.outer * call_.inner;
    base_.vector = 1;
    lanes_ = 1;
    if (aligned(true, vector)) {
      base_.vector = int32_t(vector);
      base_.units /= vector;
    } else if (aligned(false, vector)) {
      base_.vector = int32_t(vector);
      base_.columns = 1;
      lanes_ = power_of_two(call_.channels / vector, 16);
    } else if (call_.inner == 1 || call_.x_strides.inner != 1) {
      base_.columns = 1;
      lanes_ = call_.x_strides.channel == 1 ? power_of_two(call_.channels, 32) : 1;
    }
    if (call_.lanes) lanes_ = power_of_two(call_.lanes, lanes_);
    // Every channel of a tile has a thread, and backward has two sums for each.
    while (lanes_ > 1 && 2 * lanes_ * width() > most_threads_here()) lanes_ /= 2;
  }

  // Whether rows (or columns) of all arrays can be read 16 bytes at a time.
  bool aligned(bool rows, int64_t vector) const {
    const Operands operands = operands_of(call_, backward_);
    const int64_t size = rows ? call_.inner : call_.channels;
    if (size == 0 || size % vector) return false;
    for (int k = 0; k < operands.count; ++k) {
      const bnc_strides s = operands.list[k].strides;
      const int64_t unit = rows ? s.inner : s.channel, other = rows ? s.channel : s.inner;
      const int64_t others = rows ? call_.channels : call_.inner;
      if (unit != 1 || reinterpret_cast<uintptr_t>(operands.list[k].data) % 16) return false;
      if (call_.outer > 1 && s.outer % vector) return false;
      if (others > 1 && other % vector) return false;
    }
    return true;
  }

  static int64_t power_of_two(int64_t at_most, int64_t limit) {
    int64_t found = 1;
    while (found * 2 <= at_most && found * 2 <= limit) found *= 2;
    return found;
  }

  int64_t width() const { return base_.columns ? base_.vector : 1; }
  int64_t most_threads_here(Held held = ALL) const {
    return smaller(device_.threads, most_threads(int(width()), held));
  }
  int64_t tiles(int64_t lanes) const { return ceil_divide(call_.channels, lanes * width()); }
  int64_t tile_bytes(int64_t lanes) const {
    return base_.units * lanes * base_.vector * element_size(call_) * cached_arrays_;
  }

  // The plan for `blocks` blocks per tile, whose shared memory holds all of their units, none, or
  // for PART as many as leave room for a second block.
  bnc_plan make(int32_t rung, int64_t lanes, int64_t blocks, int64_t teams, Held held) const {
    bnc_plan plan = base_;
    const int64_t range = ceil_divide(base_.units, blocks);
    int64_t threads = most_threads_here(held);
    // Four blocks on a multiprocessor hide that each has to find its channels' constants first.
    if (rung == BNC_SPLIT) threads = smaller(threads, 256);
    while (threads > 64 && threads / 2 >= 2 * lanes * width() && range * lanes < threads * 2)
      threads /= 2;
    plan.rung = rung;
    plan.lanes = int32_t(lanes);
    plan.threads = int32_t(threads);
    plan.blocks = int32_t(blocks);
    plan.teams = int32_t(teams);
    plan.tiles = int32_t(tiles(lanes));
    const int64_t unit = lanes * base_.vector * element_size(call_) * cached_arrays_;
    const int64_t room = (room_for_two() - fixed_bytes(plan)) / unit;
    plan.held = int32_t(held == ALL ? range : held == PART ? larger(smaller(range, room), 0) : 0);
    plan.bulk = held && bulk();
    plan.shared_bytes = int32_t(smaller(fixed_bytes(plan) + plan.held * unit, INT32_MAX));
    return plan;
  }

  // Shared memory of a block of which two fit a multiprocessor.
  int64_t room_for_two() const {
    return smaller(device_.shared_per_block,
                   device_.shared_per_multiprocessor / 2 - device_.shared_reserved);
  }

  bool bulk() const {
    const bool there = device_.architecture >= 90 || device_.architecture == 0;
    const bool rows = !base_.columns && base_.vector > 1;
    return there && rows && call_.inner * element_size(call_) >= LONG_ROW &&
           !(call_.flags & BNC_NO_BULK);
  }

 public:
  static int64_t fixed_bytes(const bnc_plan &plan) {
    const unsigned k = unsigned(plan.lanes * (plan.columns ? plan.vector : 1));
    const int64_t bytes = STAGES * 8 + 4 * scratch_floats(unsigned(plan.threads), k);
    return ceil_divide(bytes, 128) * 128;
  }

 private:
  bool fits(const bnc_plan &plan) const { return plan.shared_bytes <= device_.shared_per_block; }
  bool fits_twice(const bnc_plan &plan) const {
    return 2 * (plan.shared_bytes + device_.shared_reserved) <= device_.shared_per_multiprocessor;
  }
  // Below 32 neighbouring bytes, memory moves more than is asked for.
  int64_t fewest_lanes() const {
    if (call_.lanes) return lanes_;
    const int64_t sector = 32 / (base_.vector * element_size(call_));
    return smaller(lanes_, larger(sector, 1));
  }

  // The widest tile that fits and gives every multiprocessor one, else the narrowest that fits.
  bool block(bnc_plan &found) const {
    bool any = false;
    for (int64_t lanes = lanes_; lanes >= fewest_lanes(); lanes /= 2) {
      const bnc_plan plan = make(BNC_BLOCK, lanes, 1, 1, ALL);
      if (!fits(plan)) continue;
      found = plan;
      any = true;
      if (plan.tiles >= device_.multiprocessors) break;
    }
    if (!any) return false;
    const bool spread = device_.largest_cluster > 1 || device_.cooperative;
    const bool idle = found.tiles < device_.multiprocessors && tile_bytes(found.lanes) > SMALL;
    return !(automatic() && idle && spread);
  }

  // The fewest blocks of which two fit a multiprocessor and which fill the device; with `alone`,
  // also those of which one does.
  bool cluster(bnc_plan &found, bool alone) const {
    const int64_t narrow = smaller(lanes_, 2 * fewest_lanes());
    bool any = false;
    for (int64_t blocks = 2; blocks <= device_.largest_cluster; blocks *= 2) {
      if (call_.blocks && blocks != call_.blocks) continue;
      // Clusters above 8 blocks are not portable, and not every multiprocessor can be in one.
      if (blocks > 8 && (any || !alone)) break;
      const bnc_plan plan = make(BNC_CLUSTER, narrow, blocks, 1, ALL);
      if (!fits(plan) || (!alone && !fits_twice(plan))) continue;
      found = plan;
      any = true;
      const bool full = int64_t(plan.tiles) * blocks * 2 >= int64_t(device_.multiprocessors) * 3;
      if (fits_twice(plan) && (full || tile_bytes(narrow) / blocks <= SMALL)) break;
    }
    if (!any) return false;
    return !(automatic() && base_.columns &&
             int64_t(found.tiles) * found.blocks * 2 < device_.multiprocessors);
  }

  // On chip, from L2, or from both; with several teams, which read while others write, if that
  // can be.
  bool persistent(bnc_plan &found) const {
    if (!device_.cooperative) return false;
    const bool on_chip = !(call_.flags & BNC_NO_CACHE);
    const int64_t narrow = smaller(lanes_, 2 * fewest_lanes());
    if (on_chip && persistent_on_chip(found, narrow)) return true;
    for (int64_t lanes = lanes_; lanes >= narrow; lanes /= 2)
      if (persistent_in_l2(found, lanes)) return true;
    if (on_chip && persistent_in_part(found, narrow)) return true;
    if (on_chip && persistent_on_chip(found, fewest_lanes())) return true;
    if (persistent_in_l2(found, fewest_lanes())) return true;
    if (automatic()) return false;
    const Held held = on_chip && base_.vector > 1 ? PART : NOTHING;
    found = make(BNC_PERSISTENT, lanes_, team_size(2 * device_.multiprocessors), 1, held);
    return true;
  }

  // A part on chip and the rest read again, from L2 as far as it keeps it: the widest tile of which
  // nothing has to come from memory twice, else the narrowest, if that saves enough.
  bool persistent_in_part(bnc_plan &found, int64_t narrow) const {
    if (base_.vector == 1) return false;
    for (int64_t lanes = lanes_; lanes >= narrow; lanes /= 2) {
      const int64_t blocks = team_size(2 * device_.multiprocessors);
      const bnc_plan plan = make(BNC_PERSISTENT, lanes, blocks, 1, PART);
      const double held = double(plan.shared_bytes - fixed_bytes(plan)) * double(blocks);
      const double kept = held + USABLE_L2 * double(device_.l2_bytes);
      const double enough = lanes == narrow ? WORTH_HOLDING : 1.0;
      if (plan.held && kept >= enough * double(tile_bytes(lanes))) return found = plan, true;
    }
    return false;
  }

  // Two blocks on every multiprocessor and the smallest teams whose shared memory holds a tile;
  // else one block on each, and all of them one team.
  bool persistent_on_chip(bnc_plan &found, int64_t narrow) const {
    const int64_t places = 2 * device_.multiprocessors;
    for (int64_t lanes = lanes_; lanes >= narrow; lanes /= 2) {
      const int64_t room =
          room_for_two() - fixed_bytes(make(BNC_PERSISTENT, lanes, 1, 1, NOTHING));
      const int64_t least = ceil_divide(tile_bytes(lanes), larger(room, 1));
      const int64_t most = smaller(smaller(places / larger(least, 1), MOST_TEAMS), tiles(lanes));
      if (most < 2) continue;
      // As few teams as take no more turns: in the last one, too, most have something to do.
      const int64_t teams = ceil_divide(tiles(lanes), ceil_divide(tiles(lanes), most));
      const bnc_plan plan =
          make(BNC_PERSISTENT, lanes, team_size(places / teams), teams, ALL);
      if (fits_twice(plan) && fits(plan)) return found = plan, true;
    }
    for (int64_t lanes = lanes_; lanes >= narrow; lanes /= 2) {
      const bnc_plan plan =
          make(BNC_PERSISTENT, lanes, team_size(device_.multiprocessors), 1, ALL);
      if (fits(plan)) return found = plan, true;
    }
    return false;
  }

  bool persistent_in_l2(bnc_plan &found, int64_t lanes) const {
    for (int64_t teams = tiles(lanes) > 1 ? 2 : 1; teams; --teams) {
      if (double(tile_bytes(lanes)) * double(teams) > USABLE_L2 * double(device_.l2_bytes))
        continue;
      const int64_t blocks = team_size(2 * device_.multiprocessors / teams);
      return found = make(BNC_PERSISTENT, lanes, blocks, teams, NOTHING), true;
    }
    return false;
  }

  int64_t team_size(int64_t blocks) const { return call_.blocks ? call_.blocks : blocks; }

  // A few loads for every thread. Where blocks merge what others summed, no more of them than fill
  // the device: each reads the sums of all, and for columns those are many.
  bnc_plan split() const {
    const int64_t lanes = needs_statistics() ? smaller(lanes_, 8) : lanes_;
    const int64_t threads = smaller(most_threads_here(), 256);
    const int64_t useful = ceil_divide(base_.units * lanes, threads * 8);
    int64_t blocks = larger(smaller(useful, LARGEST_GRID / larger(tiles(lanes), 1)), 1);
    if (needs_statistics()) {
      const int64_t places = int64_t(device_.multiprocessors) * (base_.columns ? 2 : 16);
      blocks = smaller(blocks, ceil_divide(places, larger(tiles(lanes), 1)));
      blocks = smaller(blocks, LARGEST_SPLIT);
    }
    return make(BNC_SPLIT, lanes, call_.blocks ? call_.blocks : blocks, 1, NOTHING);
  }

  const bnc_call &call_;
  const bnc_device &device_;
  int64_t cached_arrays_, lanes_ = 1;
  bool backward_;
  bnc_plan base_{};
};

// Units of each block of a tile, but for the last ones.
inline int64_t range_of(const bnc_plan &plan) { return ceil_divide(plan.units, plan.blocks); }
inline bool holds_all(const bnc_plan &plan) { return plan.held >= range_of(plan); }

// Floats of workspace for the partial sums, after the counters.
inline int64_t partial_floats(const bnc_plan &plan) {
  const int64_t k = int64_t(plan.lanes) * (plan.columns ? plan.vector : 1);
  if (plan.rung == BNC_PERSISTENT) return 2 * int64_t(plan.teams) * plan.blocks * 2 * k;
  if (plan.rung == BNC_SPLIT) return int64_t(plan.tiles) * plan.blocks * 2 * k;
  return 0;
}

constexpr int64_t COUNTER_BYTES = 4 * MOST_TEAMS;

}  // namespace bnc
