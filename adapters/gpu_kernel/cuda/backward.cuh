// Backward: dbeta = sum g, dgamma = sum g xhat, and dx, with g = dy and xhat = (x - mu) r.
#pragma once

#include "team.cuh"

namespace bnc {

template <class F, int VECTOR, int W, int HELD>
struct Gradient {
  using P = Packed<F, VECTOR>;
  using Raw = typename P::Raw;
  static constexpr int UNROLL = W == 1 ? 4 : 2;
  float mean[W], r[W];

  // v = (sum g, sum g xhat) with xhat = (x - mu) r.
  __device__ __forceinline__ void add(const Raw &x_raw, const Raw &g_raw, float (&v)[2 * W]) const {
    float x[VECTOR], g[VECTOR];
    P::unpack(x_raw, x);
    P::unpack(g_raw, g);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) {
      const int j = W == 1 ? 0 : e;
      v[j] += g[e];
      v[W + j] += g[e] * ((x[e] - mean[j]) * r[j]);
    }
  }

  __device__ __forceinline__ void sum(const Work &w, const Place<W> &me, unsigned tile,
                                      unsigned turn, float (&v)[2 * W]) {
    const unsigned channel = me.channel(tile);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const bool there = channel + j < w.channels;
      mean[j] = there ? w.mean[channel + j] : 0.0f;
      r[j] = there ? w.r[channel + j] : 0.0f;
      v[j] = v[W + j] = 0.0f;
    }
    if (in_bulk<VECTOR, W, HELD>(w)) {
      fill(w, me, &w.dy, channel);
      sum_arriving(w, me, turn, v);
    } else if (HELD) {
      sum_loading<true>(w, me, Mine(w, me, channel, me.begin, me.kept), channel, v);
    }
    if (HELD != ALL)
      sum_loading<false>(w, me, Mine(w, me, channel, me.kept, me.end), channel, v);
  }

  template <bool KEEP>
  __device__ __forceinline__ void sum_loading(const Work &w, const Place<W> &me, const Mine &mine,
                                              unsigned channel, float (&v)[2 * W]) {
    const Tensor *const arrays[2] = {&w.x, &w.dy};
    Raw *x_cache = reinterpret_cast<Raw *>(me.shared.cache) + me.lane;
    Raw *g_cache = x_cache + w.held * w.lanes;
    Walk<2> walk;
    walk.start(w, arrays, mine.first, channel);
    unsigned at = me.slot * w.lanes, left = mine.count;
    for (; left >= UNROLL; left -= UNROLL) {
      Raw x[UNROLL], g[UNROLL];
#pragma unroll
      for (int u = 0; u < UNROLL; ++u) {
        x[u] = KEEP ? load_once<Raw>(walk.at[0]) : load_again<Raw>(walk.at[0]);
        g[u] = KEEP ? load_once<Raw>(walk.at[1]) : load_again<Raw>(walk.at[1]);
        walk.advance(w, arrays);
      }
#pragma unroll
      for (int u = 0; u < UNROLL; ++u, at += w.slots * w.lanes) {
        if (KEEP) x_cache[at] = x[u];
        if (KEEP) g_cache[at] = g[u];
        add(x[u], g[u], v);
      }
    }
    for (; left; --left, at += w.slots * w.lanes) {
      const Raw x = load_again<Raw>(walk.at[0]), g = load_again<Raw>(walk.at[1]);
      walk.advance(w, arrays);
      if (KEEP) x_cache[at] = x;
      if (KEEP) g_cache[at] = g;
      add(x, g, v);
    }
  }

  __device__ __forceinline__ void sum_arriving(const Work &w, const Place<W> &me, unsigned turn,
                                               float (&v)[2 * W]) {
    const unsigned units = me.kept - me.begin, part = units ? stage_units(w, units) : 0;
    const Raw *x_cache = reinterpret_cast<const Raw *>(me.shared.cache);
    const Raw *g_cache = x_cache + w.held;
    unsigned at = me.thread;
    for (unsigned stage = 0; stage * part < units; ++stage) {
      BNC_ARRIVAL_WAIT(me.shared.arrivals + stage, turn % 2);
      const unsigned to = Place<W>::least(units, (stage + 1) * part);
      for (; at < to; at += w.threads) add(x_cache[at], g_cache[at], v);
    }
  }
};

// dgamma and dbeta of the tile for thread c < k, over all blocks.
template <int W>
__device__ __forceinline__ void merge_gradients(const Work &w, const Place<W> &me, unsigned tile,
                                                unsigned turn, float &dbeta, float &dgamma) {
  float v[2 * W];
#pragma unroll
  for (int j = 0; j < 2 * W; ++j) v[j] = 0.0f;
  for (unsigned b = me.slot; b < w.blocks; b += w.slots) {
#pragma unroll
    for (int j = 0; j < W; ++j) {
      v[j] += read_partial(w, me, tile, turn, b, 2 * (me.lane * W + j));
      v[W + j] += read_partial(w, me, tile, turn, b, 2 * (me.lane * W + j) + 1);
    }
  }
  reduce<2 * W>(w, me, v);
  if (me.thread < me.k) {
    dbeta = total<2 * W>(w, me, me.thread, 0);
    dgamma = total<2 * W>(w, me, me.thread, 1);
  }
}

template <class F, int VECTOR, int W>
struct InputGradient {
  using P = Packed<F, VECTOR>;
  using Raw = typename P::Raw;
  float mean[W], r[W], g_mean[W], g_xhat_mean[W], scale[W];

  __device__ explicit InputGradient(const Place<W> &me) {
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const unsigned c = me.lane * W + j;
      mean[j] = me.shared.constants[c];
      r[j] = me.shared.constants[me.k + c];
      g_mean[j] = me.shared.constants[2 * me.k + c];
      g_xhat_mean[j] = me.shared.constants[3 * me.k + c];
      scale[j] = me.shared.constants[4 * me.k + c];
    }
  }
  // dx = gamma r (g - mean(g) - xhat mean(g xhat)).
  __device__ __forceinline__ Raw trained(const Raw &x_raw, const Raw &g_raw) const {
    float x[VECTOR], g[VECTOR];
    P::unpack(x_raw, x);
    P::unpack(g_raw, g);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) {
      const int j = W == 1 ? 0 : e;
      const float xhat = (x[e] - mean[j]) * r[j];
      g[e] = (g[e] - g_mean[j] - xhat * g_xhat_mean[j]) * scale[j];
    }
    return P::pack(g);
  }
  // dx = gamma r g, where the statistics were constants.
  __device__ __forceinline__ Raw fixed(const Raw &g_raw) const {
    float g[VECTOR];
    P::unpack(g_raw, g);
#pragma unroll
    for (int e = 0; e < VECTOR; ++e) g[e] = g[e] * scale[W == 1 ? 0 : e];
    return P::pack(g);
  }
};

// Writes dx of what is held, in order.
template <class F, int VECTOR, int W>
__device__ __forceinline__ void write_held_dx(const Work &w, const Place<W> &me, unsigned tile) {
  using Raw = typename Packed<F, VECTOR>::Raw;
  const unsigned channel = me.channel(tile);
  const Mine mine(w, me, channel, me.begin, me.kept);
  const InputGradient<F, VECTOR, W> gradient(me);
  const Tensor *const arrays[1] = {&w.out};
  const Raw *x_cache = reinterpret_cast<const Raw *>(me.shared.cache) + me.lane;
  const Raw *g_cache = x_cache + w.held * w.lanes;
  Walk<1> walk;
  walk.start(w, arrays, mine.first, channel);
  unsigned at = me.slot * w.lanes;
  for (unsigned left = mine.count; left; --left, at += w.slots * w.lanes) {
    store(walk.at[0],
          w.training ? gradient.trained(x_cache[at], g_cache[at]) : gradient.fixed(g_cache[at]));
    walk.advance(w, arrays);
  }
}

// Writes dx of what is read again, in reverse: its end was read last.
template <class F, int VECTOR, int W>
__device__ __forceinline__ void write_dx_again(const Work &w, const Place<W> &me, unsigned tile) {
  using Raw = typename Packed<F, VECTOR>::Raw;
  constexpr unsigned UNROLL = 2;
  const unsigned channel = me.channel(tile);
  const Mine mine(w, me, channel, me.kept, me.end);
  const InputGradient<F, VECTOR, W> gradient(me);
  const Tensor *const arrays[3] = {&w.x, &w.dy, &w.out};
  Walk<3> walk;
  unsigned left = mine.count;
  walk.start(w, arrays, mine.last(w), channel);
  for (; left >= UNROLL; left -= UNROLL) {
    Raw x[UNROLL], g[UNROLL];
    unsigned char *to[UNROLL];
#pragma unroll
    for (unsigned u = 0; u < UNROLL; ++u) {
      if (w.training) x[u] = load_once<Raw>(walk.at[0]);
      g[u] = load_once<Raw>(walk.at[1]);
      to[u] = walk.at[2];
      walk.retreat(w, arrays);
    }
#pragma unroll
    for (unsigned u = 0; u < UNROLL; ++u)
      store(to[u], w.training ? gradient.trained(x[u], g[u]) : gradient.fixed(g[u]));
  }
  for (; left; --left) {
    const Raw g = load_once<Raw>(walk.at[1]);
    store(walk.at[2], w.training ? gradient.trained(load_once<Raw>(walk.at[0]), g)
                                 : gradient.fixed(g));
    walk.retreat(w, arrays);
  }
}

// What dx takes of a channel's sums, for thread c < k; stores the sums.
template <int W>
__device__ __forceinline__ void settle_gradients(const Work &w, const Place<W> &me,
                                                 unsigned channel, float dbeta, float dgamma) {
  const float r = w.r[channel];
  if (me.rank == 0) {
    w.dgamma[channel] = dgamma;
    w.dbeta[channel] = dbeta;
  }
  me.shared.constants[me.thread] = w.mean[channel];
  me.shared.constants[me.k + me.thread] = r;
  me.shared.constants[2 * me.k + me.thread] = divide(dbeta, w.n);
  me.shared.constants[3 * me.k + me.thread] = divide(dgamma, w.n);
  me.shared.constants[4 * me.k + me.thread] = w.gamma ? r * w.gamma[channel] : r;
}

template <class F, int VECTOR, int W, int HELD>
__global__ void __launch_bounds__(most_threads(W, HELD), 2)
    backward_kernel(const __grid_constant__ Work w) {
  const Place<W> me(w);
  if (in_bulk<VECTOR, W, HELD>(w)) prepare_arrivals(w, me);
  unsigned turn = 0;
  for (unsigned tile = me.first_tile; tile < w.tiles; tile += me.tile_step, ++turn) {
    float dbeta = 0.0f, dgamma = 0.0f;
    if (w.phases & STATISTICS) {
      Gradient<F, VECTOR, W, HELD> gradient;
      float v[2 * W];
      gradient.sum(w, me, tile, turn, v);
      reduce<2 * W>(w, me, v);
      if (me.thread < me.k) {
        dbeta = total<2 * W>(w, me, me.thread, 0);
        dgamma = total<2 * W>(w, me, me.thread, 1);
      }
      if (w.exchange != ALONE) publish(w, me, tile, turn, dbeta, dgamma);
    }
    if (!(w.phases & APPLY)) continue;
    if (w.exchange != ALONE) merge_gradients(w, me, tile, turn, dbeta, dgamma);
    const unsigned channel = tile * me.k + me.thread;
    if (me.thread < me.k && channel < w.channels)
      settle_gradients(w, me, channel, dbeta, dgamma);
    __syncthreads();
    if (w.exchange == CLUSTER) BNC_CLUSTER_ARRIVE();
    if (HELD != ALL) write_dx_again<F, VECTOR>(w, me, tile);
    if (HELD) write_held_dx<F, VECTOR>(w, me, tile);
    // No block may end, nor fill its cache anew, while another still reads what it holds.
    if (w.exchange == CLUSTER) BNC_CLUSTER_WAIT();
    __syncthreads();
  }
}

}  // namespace bnc
