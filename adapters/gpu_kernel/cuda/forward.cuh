// Forward: y = (x - mu) r gamma + beta, with mu and v of the batch or the running ones.
#pragma once

#include "team.cuh"

namespace bnc {

// The tile's sum and centred sum of squares over all blocks, for thread c < k: Chan's formula,
// sum_b [ M_b + n_b (mean_b - mean)^2 ].
template <int W>
__device__ __forceinline__ void merge(const Work &w, const Place<W> &me, unsigned tile,
                                      unsigned turn, float &mean, float &squares) {
  float sum[W];
#pragma unroll
  for (int j = 0; j < W; ++j) sum[j] = 0.0f;
  for (unsigned b = me.slot; b < w.blocks; b += w.slots) {
#pragma unroll
    for (int j = 0; j < W; ++j)
      sum[j] += read_partial(w, me, tile, turn, b, 2 * (me.lane * W + j));
  }
  reduce<W>(w, me, sum);
  if (me.thread < me.k)
    me.shared.constants[me.thread] = mean = divide(total<W>(w, me, me.thread, 0), w.n);
  __syncthreads();
  float square[W];
#pragma unroll
  for (int j = 0; j < W; ++j) square[j] = 0.0f;
  for (unsigned b = me.slot; b < w.blocks; b += w.slots) {
    const float count = me.count(w, b);
    if (count > 0.0f) {
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const unsigned c = me.lane * W + j;
        const float d = divide(read_partial(w, me, tile, turn, b, 2 * c), count) -
                        me.shared.constants[c];
        square[j] += read_partial(w, me, tile, turn, b, 2 * c + 1) + count * (d * d);
      }
    }
  }
  reduce<W>(w, me, square);
  if (me.thread < me.k) squares = total<W>(w, me, me.thread, 0);
}

// A block's sum and centred sum of squares, for thread c < k, each value read once.
template <class F, int VECTOR, int W, int HELD>
struct Moments {
  using P = Packed<F, VECTOR>;
  using Raw = typename P::Raw;
  static constexpr int UNROLL = 4;
  static constexpr int PER_CHANNEL = VECTOR / W;

  static __device__ __forceinline__ void add(const Raw &raw, float (&sum)[W]) {
    float v[VECTOR];
    P::unpack(raw, v);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) sum[W == 1 ? 0 : e] += v[e];
  }
  static __device__ __forceinline__ void add_squares(const Raw &raw, const float (&centre)[W],
                                                     float (&sum)[W]) {
    float v[VECTOR];
    P::unpack(raw, v);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) {
      const float d = v[e] - centre[W == 1 ? 0 : e];
      sum[W == 1 ? 0 : e] += d * d;
    }
  }

  static __device__ __forceinline__ void of_block(const Work &w, const Place<W> &me, unsigned tile,
                                                  unsigned turn, float &sum, float &squares) {
    if (HELD == NOTHING) return one_pass(w, me, tile, sum, squares);
    two_passes(w, me, tile, turn, sum, squares);
    if (HELD == ALL) return;
    float other = 0.0f, others = 0.0f;
    __syncthreads();
    one_pass(w, me, tile, other, others);
    // M_ab = M_a + M_b + d^2 n_a n_b / (n_a + n_b), with d the difference of the means.
    const float a = count(w, me.begin, me.kept), b = count(w, me.kept, me.end);
    if (b > 0.0f) {
      const float d = divide(sum, a) - divide(other, b);
      squares += others + divide(a * b, a + b) * (d * d);
      sum += other;
    }
  }

  // Values per channel of the units from `begin` to `end`.
  static __device__ __forceinline__ float count(const Work &w, unsigned begin, unsigned end) {
    return static_cast<float>((end - begin) * w.values);
  }

  // What is held: its sum on the way in; then its squares around its own mean, on chip.
  static __device__ void two_passes(const Work &w, const Place<W> &me, unsigned tile,
                                    unsigned turn, float &sum, float &squares) {
    const unsigned channel = me.channel(tile);
    const Mine mine(w, me, channel, me.begin, me.kept);
    Raw *cache = reinterpret_cast<Raw *>(me.shared.cache) + me.lane;
    float s[W];
#pragma unroll
    for (int j = 0; j < W; ++j) s[j] = 0.0f;
    if (in_bulk<VECTOR, W, HELD>(w)) {
      fill(w, me, nullptr, channel);
      sum_arriving(w, me, turn, s);
    } else {
      sum_loading(w, me, mine, channel, cache, s);
    }
    reduce<W>(w, me, s);
    const float all = count(w, me.begin, me.kept);
    if (me.thread < me.k) {
      sum = total<W>(w, me, me.thread, 0);
      me.shared.constants[me.thread] = all > 0.0f ? divide(sum, all) : 0.0f;
    }
    __syncthreads();
    float centre[W], q[W];
#pragma unroll
    for (int j = 0; j < W; ++j) {
      centre[j] = me.shared.constants[me.lane * W + j];
      q[j] = 0.0f;
    }
    unsigned at = me.slot * w.lanes;
    for (unsigned u = 0; u < mine.count; ++u, at += w.slots * w.lanes)
      add_squares(cache[at], centre, q);
    reduce<W>(w, me, q);
    if (me.thread < me.k) squares = total<W>(w, me, me.thread, 0);
  }

  static __device__ __forceinline__ void sum_loading(const Work &w, const Place<W> &me,
                                                     const Mine &mine, unsigned channel,
                                                     Raw *cache, float (&s)[W]) {
    const Tensor *const arrays[1] = {&w.x};
    Walk<1> walk;
    walk.start(w, arrays, mine.first, channel);
    unsigned at = me.slot * w.lanes, left = mine.count;
    for (; left >= UNROLL; left -= UNROLL) {
      Raw raw[UNROLL];
#pragma unroll
      for (int u = 0; u < UNROLL; ++u) {
        raw[u] = load_once<Raw>(walk.at[0]);
        walk.advance(w, arrays);
      }
#pragma unroll
      for (int u = 0; u < UNROLL; ++u, at += w.slots * w.lanes) {
        cache[at] = raw[u];
        add(raw[u], s);
      }
    }
    for (; left; --left, at += w.slots * w.lanes) {
      const Raw raw = load_once<Raw>(walk.at[0]);
      walk.advance(w, arrays);
      cache[at] = raw;
      add(raw, s);
    }
  }

  static __device__ __forceinline__ void sum_arriving(const Work &w, const Place<W> &me,
                                                      unsigned turn, float (&s)[W]) {
    const unsigned units = me.kept - me.begin, part = units ? stage_units(w, units) : 0;
    const Raw *cache = reinterpret_cast<const Raw *>(me.shared.cache);
    unsigned at = me.thread;
    for (unsigned stage = 0; stage * part < units; ++stage) {
      BNC_ARRIVAL_WAIT(me.shared.arrivals + stage, turn % 2);
      const unsigned to = Place<W>::least(units, (stage + 1) * part);
      for (; at < to; at += w.threads) add(cache[at], s);
    }
  }

  // What is not held: squares around the mean of a few values at a time, merged by Chan's formula.
  static __device__ void one_pass(const Work &w, const Place<W> &me, unsigned tile, float &sum,
                                  float &squares) {
    const unsigned channel = me.channel(tile);
    const Mine mine(w, me, channel, me.kept, me.end);
    const Tensor *const arrays[1] = {&w.x};
    Walk<1> walk;
    walk.start(w, arrays, mine.first, channel);
    float s[W], q[W], count = 0.0f;
#pragma unroll
    for (int j = 0; j < W; ++j) s[j] = q[j] = 0.0f;
    unsigned left = mine.count;
    for (; left >= UNROLL; left -= UNROLL) {
      Raw raw[UNROLL];
#pragma unroll
      for (int u = 0; u < UNROLL; ++u) {
        raw[u] = load_again<Raw>(walk.at[0]);
        walk.advance(w, arrays);
      }
      merge_chunk<UNROLL>(raw, s, q, count);
    }
    for (; left; --left) {
      const Raw raw[1] = {load_again<Raw>(walk.at[0])};
      walk.advance(w, arrays);
      merge_chunk<1>(raw, s, q, count);
    }
    merge_threads(w, me, s, q, count, sum, squares);
  }

  template <int U>
  static __device__ __forceinline__ void merge_chunk(const Raw (&raw)[U], float (&s)[W],
                                                     float (&q)[W], float &count) {
    constexpr float SIZE = U * PER_CHANNEL;
    float chunk[W], mean[W], squares[W];
#pragma unroll
    for (int j = 0; j < W; ++j) chunk[j] = squares[j] = 0.0f;
#pragma unroll
    for (int u = 0; u < U; ++u) add(raw[u], chunk);
#pragma unroll
    for (int j = 0; j < W; ++j) mean[j] = chunk[j] * (1.0f / SIZE);  // a power of two
#pragma unroll
    for (int u = 0; u < U; ++u) add_squares(raw[u], mean, squares);
    // M_ab = M_a + M_b + d^2 n_a n_b / (n_a + n_b), with d the difference of the means.
    const float inverse = count > 0.0f ? divide(1.0f, count) : 0.0f;
    const float weight = divide(count * SIZE, count + SIZE);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const float d = mean[j] - s[j] * inverse;
      q[j] += squares[j] + weight * (d * d);
      s[j] += chunk[j];
    }
    count += SIZE;
  }

  static __device__ void merge_threads(const Work &w, const Place<W> &me, float (&s)[W],
                                       float (&q)[W], float count, float &sum, float &squares) {
    float copy[W];
#pragma unroll
    for (int j = 0; j < W; ++j) copy[j] = s[j];
    reduce<W>(w, me, copy);
    const float all = Moments::count(w, me.kept, me.end);
    if (me.thread < me.k) {
      sum = total<W>(w, me, me.thread, 0);
      me.shared.constants[me.thread] = all > 0.0f ? divide(sum, all) : 0.0f;
    }
    __syncthreads();
    if (count > 0.0f) {
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const float d = divide(s[j], count) - me.shared.constants[me.lane * W + j];
        q[j] += count * (d * d);
      }
    }
    reduce<W>(w, me, q);
    if (me.thread < me.k) squares = total<W>(w, me, me.thread, 0);
  }
};

// mean and var of the tile for thread c < k, of the batch or the running ones; stores them.
template <int W>
__device__ __forceinline__ void settle(const Work &w, const Place<W> &me, unsigned channel,
                                        float mean, float var) {
  if (!w.training) {
    mean = w.running_mean[channel];
    var = w.running_var[channel];
  }
  const float r = divide(1.0f, square_root(var + w.epsilon));
  if (me.rank == 0) {
    w.mean[channel] = mean;
    w.var[channel] = var;
    w.r[channel] = r;
  }
  me.shared.constants[me.thread] = mean;
  me.shared.constants[me.k + me.thread] = r;
  me.shared.constants[2 * me.k + me.thread] = w.gamma ? w.gamma[channel] : 1.0f;
  me.shared.constants[3 * me.k + me.thread] = w.beta ? w.beta[channel] : 0.0f;
  if (me.rank == 0 && w.training) {
    w.running_mean[channel] = w.old_weight * w.running_mean[channel] + w.new_weight * mean;
    w.running_var[channel] = w.old_weight * w.running_var[channel] + w.new_weight * var;
  }
}

template <class F, int VECTOR, int W>
struct Output {
  using P = Packed<F, VECTOR>;
  using Raw = typename P::Raw;
  float mean[W], r[W], gamma[W], beta[W];

  __device__ explicit Output(const Place<W> &me) {
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const unsigned c = me.lane * W + j;
      mean[j] = me.shared.constants[c];
      r[j] = me.shared.constants[me.k + c];
      gamma[j] = me.shared.constants[2 * me.k + c];
      beta[j] = me.shared.constants[3 * me.k + c];
    }
  }
  // y = (x - mu) r gamma + beta.
  __device__ __forceinline__ Raw operator()(const Raw &raw) const {
    float v[VECTOR];
    P::unpack(raw, v);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) {
      const int j = W == 1 ? 0 : e;
      v[e] = (v[e] - mean[j]) * r[j] * gamma[j] + beta[j];
    }
    return P::pack(v);
  }
};

// Writes y of what is held, in order.
template <class F, int VECTOR, int W>
__device__ __forceinline__ void write_held_y(const Work &w, const Place<W> &me, unsigned tile) {
  using Raw = typename Packed<F, VECTOR>::Raw;
  const unsigned channel = me.channel(tile);
  const Mine mine(w, me, channel, me.begin, me.kept);
  const Output<F, VECTOR, W> output(me);
  const Tensor *const arrays[1] = {&w.out};
  const Raw *cache = reinterpret_cast<const Raw *>(me.shared.cache) + me.lane;
  Walk<1> walk;
  walk.start(w, arrays, mine.first, channel);
  unsigned at = me.slot * w.lanes;
#pragma unroll 2
  for (unsigned left = mine.count; left; --left, at += w.slots * w.lanes) {
    store(walk.at[0], output(cache[at]));
    walk.advance(w, arrays);
  }
}

// Writes y of what is read again, in reverse: its end was read last.
template <class F, int VECTOR, int W>
__device__ __forceinline__ void write_y_again(const Work &w, const Place<W> &me, unsigned tile) {
  using Raw = typename Packed<F, VECTOR>::Raw;
  constexpr unsigned UNROLL = 4;
  const unsigned channel = me.channel(tile);
  const Mine mine(w, me, channel, me.kept, me.end);
  const Output<F, VECTOR, W> output(me);
  const Tensor *const arrays[2] = {&w.x, &w.out};
  Walk<2> walk;
  unsigned left = mine.count;
  walk.start(w, arrays, mine.last(w), channel);
  for (; left >= UNROLL; left -= UNROLL) {
    Raw raw[UNROLL];
    unsigned char *to[UNROLL];
#pragma unroll
    for (unsigned u = 0; u < UNROLL; ++u) {
      raw[u] = load_once<Raw>(walk.at[0]);
      to[u] = walk.at[1];
      walk.retreat(w, arrays);
    }
#pragma unroll
    for (unsigned u = 0; u < UNROLL; ++u) store(to[u], output(raw[u]));
  }
  for (; left; --left) {
    store(walk.at[1], output(load_once<Raw>(walk.at[0])));
    walk.retreat(w, arrays);
  }
}

template <class F, int VECTOR, int W, int HELD>
__global__ void __launch_bounds__(most_threads(W, HELD), 2)
    forward_kernel(const __grid_constant__ Work w) {
  const Place<W> me(w);
  if (in_bulk<VECTOR, W, HELD>(w)) prepare_arrivals(w, me);
  unsigned turn = 0;
  for (unsigned tile = me.first_tile; tile < w.tiles; tile += me.tile_step, ++turn) {
    float first = 0.0f, squares = 0.0f;
    if (w.phases & STATISTICS) {
      Moments<F, VECTOR, W, HELD>::of_block(w, me, tile, turn, first, squares);
      if (w.exchange != ALONE) publish(w, me, tile, turn, first, squares);
    }
    if (!(w.phases & APPLY)) continue;
    if (w.training && w.exchange != ALONE)
      merge(w, me, tile, turn, first, squares);
    else
      first = divide(first, w.n);
    const unsigned channel = tile * me.k + me.thread;
    if (me.thread < me.k && channel < w.channels)
      settle(w, me, channel, first, divide(squares, w.n));
    __syncthreads();
    if (w.exchange == CLUSTER) BNC_CLUSTER_ARRIVE();
    if (HELD != ALL) write_y_again<F, VECTOR>(w, me, tile);
    if (HELD) write_held_y<F, VECTOR>(w, me, tile);
    // No block may end, nor fill its cache anew, while another still reads what it holds.
    if (w.exchange == CLUSTER) BNC_CLUSTER_WAIT();
    __syncthreads();
  }
}

}  // namespace bnc
