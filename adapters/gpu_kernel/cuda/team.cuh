// What forward and backward share: how the work is cut up, sums over threads and blocks, and filling
// shared memory.
//
// A tile of channels belongs to a team of blocks, and its values are cut into as many ranges of
// units. A unit is one load: `VECTOR` values of one row of a channel, or one value of each of
// `VECTOR` neighbouring channels (columns), or a single value. Who adds what in which order follows
// from the call alone, so that a result has the same bits on every run.
//
//   W         channels of one load: 1, or VECTOR for columns
//   lane      which of the tile's loads in a row a thread takes; it owns that load's W channels
//   slot      which of the units a thread takes: slot, slot + slots, ...
#pragma once

#include "platform.cuh"

namespace bnc {

enum Exchange { ALONE, CLUSTER, GRID, SPLIT };
enum Phase { STATISTICS = 1, APPLY = 2 };

// Which of a block's units stay in its shared memory: none, all, or `Work::held` of them.
enum Held { NOTHING, ALL, PART };

// An array to walk through; all strides in bytes.
struct Tensor {
  unsigned char *data;
  int64_t outer, inner, channel;  // inner: from one unit of a row to the next
  int64_t step, wrap;             // `slots` units on; and to the next row besides
};

struct Work {
  Tensor x, dy, out;
  const float *gamma, *beta;
  float *running_mean, *running_var, *mean, *var, *r, *dgamma, *dbeta;
  float *partials;     // two sums for every channel of every block
  unsigned *counters;  // GRID: one per team, zero at the start
  unsigned units, row, row_step;  // units of a channel; of one row of it; slots % row
  unsigned channels, values;      // values: of one channel in one unit
  unsigned lanes, slots, threads, tiles, teams, blocks, range;  // range: units of one block
  unsigned held;                  // of them, those that stay in shared memory: the first ones
  unsigned stages;                // bulk copies arrive in so many parts; 0: ordinary loads
  unsigned fixed;                 // bytes of shared memory before the cache
  int exchange, phases, training;
  float n, epsilon, old_weight, new_weight;
};

constexpr unsigned STAGES = 8;
constexpr unsigned FULL = 0xFFFFFFFFu;

// Floats before the cache for K channels of a tile: `reduce`'s, per-channel constants, and partials.
__host__ __device__ constexpr unsigned scratch_floats(unsigned threads, unsigned k) {
  return threads / 32 * 2 * k + 5 * k + 2 * k;
}

struct Shared {
  float *scratch, *constants, *partial;
  uint64_t *arrivals;
  unsigned char *cache;
};

// This thread's place: in its block, and its block's place among those that share a tile.
template <int W>
struct Place {
  unsigned thread, lane, slot, k;  // k: channels of a tile
  unsigned rank, first_tile, tile_step;
  unsigned begin, kept, end;  // this block's units; held on chip before `kept`, not from there on
  Shared shared;

  __device__ explicit Place(const Work &w) {
    thread = threadIdx.x;
    lane = thread % w.lanes;
    slot = thread / w.lanes;
    k = w.lanes * W;
    // Of two kernels the second begins with what the first read last: L2 may still hold it.
    const bool second = w.exchange == SPLIT && !(w.phases & STATISTICS);
    const unsigned block = second ? w.tiles * w.blocks - 1 - blockIdx.x : blockIdx.x;
    if (w.exchange == CLUSTER) {
      rank = block % w.blocks;
      first_tile = block / w.blocks;
      tile_step = w.tiles;
    } else if (w.exchange == GRID) {
      rank = block / w.teams;
      first_tile = block % w.teams;
      tile_step = w.teams;
    } else {
      rank = block / w.tiles;
      first_tile = block % w.tiles;
      tile_step = w.tiles;
    }
    begin = least(w.units, rank * w.range);
    end = least(w.units, begin + w.range);
    kept = least(end, begin + w.held);
    unsigned char *bytes = shared_memory();
    shared.arrivals = reinterpret_cast<uint64_t *>(bytes);
    shared.scratch = reinterpret_cast<float *>(bytes + STAGES * sizeof(uint64_t));
    shared.constants = shared.scratch + w.threads / 32 * 2 * k;
    shared.partial = shared.constants + 5 * k;
    shared.cache = bytes + w.fixed;
  }

  static __device__ __forceinline__ unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

  __device__ __forceinline__ unsigned channel(unsigned tile) const { return tile * k + lane * W; }
  // Values per channel in the range of block b.
  __device__ __forceinline__ float count(const Work &w, unsigned b) const {
    const unsigned from = least(w.units, b * w.range);
    return static_cast<float>((least(w.units, from + w.range) - from) * w.values);
  }
};

// A thread's way through its units, in N arrays at once; `row_` counts within the current row.
template <int N>
struct Walk {
  unsigned char *at[N];
  unsigned row_;

  __device__ __forceinline__ void start(const Work &w, const Tensor *const (&arrays)[N],
                                        unsigned unit, unsigned channel) {
    const unsigned outer = unit / w.row;
    row_ = unit - outer * w.row;
#pragma unroll
    for (int a = 0; a < N; ++a)
      at[a] = arrays[a]->data + outer * arrays[a]->outer + row_ * arrays[a]->inner +
              channel * arrays[a]->channel;
  }
  __device__ __forceinline__ void advance(const Work &w, const Tensor *const (&arrays)[N]) {
    row_ += w.row_step;
    const bool over = row_ >= w.row;
    if (over) row_ -= w.row;
#pragma unroll
    for (int a = 0; a < N; ++a) at[a] += arrays[a]->step + (over ? arrays[a]->wrap : 0);
  }
  __device__ __forceinline__ void retreat(const Work &w, const Tensor *const (&arrays)[N]) {
    const bool over = row_ < w.row_step;
    if (over) row_ += w.row;
    row_ -= w.row_step;
#pragma unroll
    for (int a = 0; a < N; ++a) at[a] -= arrays[a]->step + (over ? arrays[a]->wrap : 0);
  }
};

// ---- sums over a block ---------------------------------------------------------------------------

// Adds V values of the threads of each lane; total() then gives them, until the next reduce().
template <int V, int W>
__device__ __forceinline__ void reduce(const Work &w, const Place<W> &me, float (&v)[V]) {
  for (unsigned distance = 16; distance >= w.lanes; distance >>= 1) {
#pragma unroll
    for (int j = 0; j < V; ++j) v[j] += __shfl_xor_sync(FULL, v[j], distance);
  }
  const unsigned in_warp = me.thread % 32, warp = me.thread / 32;
  if (in_warp < w.lanes) {
#pragma unroll
    for (int j = 0; j < V; ++j) me.shared.scratch[(warp * w.lanes + in_warp) * V + j] = v[j];
  }
  __syncthreads();
}

// The sum of value j of the V of a lane over all warps, for channel `c` of the tile.
template <int V, int W>
__device__ __forceinline__ float total(const Work &w, const Place<W> &me, unsigned c, int part) {
  const unsigned at = (c / W) * V + part * W + c % W;
  float sum = 0.0f;
  for (unsigned warp = 0; warp < w.threads / 32; ++warp)
    sum += me.shared.scratch[warp * w.lanes * V + at];
  return sum;
}

// ---- partial sums of several blocks ----------------------------------------------------------------

// Where block b of this tile keeps its two sums; `turn` counts the tiles that a team has had.
template <int W>
__device__ __forceinline__ float *partial_of(const Work &w, const Place<W> &me, unsigned tile,
                                             unsigned turn, unsigned b) {
  if (w.exchange == CLUSTER) return me.shared.partial;
  // A block may be one turn ahead of one that still reads: two sets, in turns.
  const uint64_t set = w.exchange == GRID ? turn % 2 * w.teams + me.first_tile : tile;
  return w.partials + (set * w.blocks + b) * 2 * me.k;
}

// For thread c < k: publishes two sums of channel c, and waits until all blocks have.
template <int W>
__device__ __forceinline__ void publish(const Work &w, const Place<W> &me, unsigned tile,
                                        unsigned turn, float first, float second) {
  if (me.thread < me.k) {
    float *mine = partial_of(w, me, tile, turn, me.rank);
    mine[2 * me.thread] = first;
    mine[2 * me.thread + 1] = second;
  }
  if (w.exchange == CLUSTER) {
    BNC_CLUSTER_ARRIVE();
    BNC_CLUSTER_WAIT();
  } else if (w.exchange == GRID) {
    __syncthreads();
    if (me.thread == 0) {
      announce(w.counters + me.first_tile);
      BNC_AWAIT(w.counters + me.first_tile, (turn + 1) * w.blocks);
    }
    __syncthreads();
  }
}

template <int W>
__device__ __forceinline__ float read_partial(const Work &w, const Place<W> &me, unsigned tile,
                                              unsigned turn, unsigned b, unsigned index) {
  const float *from = partial_of(w, me, tile, turn, b) + index;
  if (w.exchange == CLUSTER) return read_peer(from, b);
  return float_from_bits(load_again<uint32_t>(from));
}

// ---- what a block holds of a tile -----------------------------------------------------------------

// This thread's units of those from `begin` to `end`: the first, and how many.
struct Mine {
  unsigned first, count;
  template <int W>
  __device__ Mine(const Work &w, const Place<W> &me, unsigned channel, unsigned begin,
                  unsigned end) {
    first = begin + me.slot;
    const bool any = channel < w.channels && first < end;
    count = any ? (end - first - 1) / w.slots + 1 : 0;
  }
  __device__ unsigned last(const Work &w) const { return first + (count ? count - 1 : 0) * w.slots; }
};

// Whether the cache is filled by bulk copies, which only rows of wide loads can be.
template <int VECTOR, int W, int HELD>
__device__ __forceinline__ bool in_bulk(const Work &w) {
  return HELD && VECTOR > 1 && W == 1 && w.stages;
}

// Starts bulk copies of the units from `from` to `to` of `tensor`, one for every piece of a row.
template <int W>
__device__ __forceinline__ void copy_rows(const Work &w, const Place<W> &me, const Tensor &tensor,
                                          unsigned channel, unsigned char *cache, unsigned from,
                                          unsigned to, uint64_t *arrival) {
  for (unsigned outer = from / w.row + me.thread % 32; outer * w.row < to; outer += 32) {
    const unsigned first = outer * w.row > from ? outer * w.row : from;
    const unsigned last = Place<W>::least(to, (outer + 1) * w.row);
    copy_bulk(cache + (first - me.begin) * 16,
              tensor.data + channel * tensor.channel + outer * tensor.outer +
                  (first - outer * w.row) * 16,
              (last - first) * 16, arrival);
  }
}

__device__ __forceinline__ unsigned stage_units(const Work &w, unsigned units) {
  return (units + w.stages - 1) / w.stages;
}

// Starts filling the cache with what it holds of the tile: x, and dy behind it where it is given.
template <int W>
__device__ __forceinline__ void fill(const Work &w, const Place<W> &me, const Tensor *dy,
                                     unsigned channel) {
  if (me.thread >= 32 || me.begin == me.kept) return;
  copy_fence();
  const unsigned units = stage_units(w, me.kept - me.begin);
  for (unsigned stage = 0; stage < w.stages; ++stage) {
    const unsigned from = Place<W>::least(me.kept, me.begin + stage * units);
    const unsigned to = Place<W>::least(me.kept, from + units);
    if (from == to) break;
    uint64_t *arrival = me.shared.arrivals + stage;
    if (me.thread == 0) arrival_expect(arrival, (to - from) * (dy ? 32u : 16u));
    BNC_SYNC_WARP();
    copy_rows(w, me, w.x, channel, me.shared.cache, from, to, arrival);
    if (dy) copy_rows(w, me, *dy, channel, me.shared.cache + w.held * 16, from, to, arrival);
  }
}

template <int W>
__device__ __forceinline__ void prepare_arrivals(const Work &w, const Place<W> &me) {
  if (me.thread == 0) {
    for (unsigned stage = 0; stage < w.stages; ++stage) arrival_init(me.shared.arrivals + stage);
    arrival_fence();
  }
  __syncthreads();
}

// Registers: two blocks of the largest size fit a multiprocessor.
__host__ __device__ constexpr int most_threads(int w, int held) {
  return w == 8 || held == PART ? 256 : 512;
}

}  // namespace bnc
