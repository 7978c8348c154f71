// What the kernels need from a GPU beyond the language, once for a GPU and once for its emulation:
// formats, cached loads, clusters, bulk copies, and a barrier across blocks.
#pragma once

#ifdef __CUDACC_RTC__
// NVRTC comes without headers, so that no toolkit has to lie beside it.
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long long;
using int64_t = long long;
#else
#include <stdint.h>
#endif

#ifndef __CUDACC__
#include "cuda_on_cpu.hpp"
#endif

namespace bnc {

#ifdef __CUDACC__

__device__ __forceinline__ unsigned char *shared_memory() {
  extern __shared__ __align__(128) unsigned char bytes[];
  return bytes;
}

// ---- formats: to float exactly, from float to nearest even -----------------------------------

__device__ __forceinline__ float float_from_bits(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint32_t bits_from_float(float value) { return __float_as_uint(value); }
__device__ __forceinline__ float half_to_float(uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
__device__ __forceinline__ uint16_t float_to_half(float value) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
__device__ __forceinline__ uint16_t float_to_bfloat(float value) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
// The instruction takes the value for the upper half first.
__device__ __forceinline__ uint32_t floats_to_halves(float low, float high) {
  uint32_t both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
__device__ __forceinline__ uint32_t floats_to_bfloats(float low, float high) {
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
__device__ __forceinline__ float square_root(float value) { return __fsqrt_rn(value); }
__device__ __forceinline__ float divide(float a, float b) { return __fdiv_rn(a, b); }

// ---- loads and stores that say whether a line is needed again -----------------------------------

template <class Raw>
__device__ __forceinline__ Raw load_once(const void *at) {
  return __ldcs(static_cast<const Raw *>(at));
}
template <class Raw>
__device__ __forceinline__ Raw load_again(const void *at) {
  return __ldcg(static_cast<const Raw *>(at));
}
template <class Raw>
__device__ __forceinline__ void store(void *at, Raw value) {
  __stcs(static_cast<Raw *>(at), value);
}

// ---- clusters --------------------------------------------------------------------------------

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}
__device__ __forceinline__ float read_peer(const float *mine, unsigned rank) {
  const uint32_t local = static_cast<uint32_t>(__cvta_generic_to_shared(mine));
  uint32_t remote;
  float value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(local), "r"(rank));
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(remote) : "memory");
  return value;
}

// ---- bulk copies: an mbarrier counts the bytes that have arrived ----------------------------------

__device__ __forceinline__ uint32_t shared_address(const void *at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}
__device__ __forceinline__ void arrival_init(uint64_t *barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(barrier)) : "memory");
}
// Copies are made by another path to memory than loads: what was read before, by any thread that
// this one has met at a barrier, has been read when they overwrite it.
__device__ __forceinline__ void copy_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void arrival_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  copy_fence();
}
__device__ __forceinline__ void arrival_expect(uint64_t *barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                   shared_address(barrier)),
               "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void copy_bulk(void *to, const void *from, uint32_t bytes,
                                          uint64_t *barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
      : "memory");
}
__device__ __forceinline__ void arrival_wait(uint64_t *barrier, uint32_t parity) {
  uint32_t there = 0;
  while (!there) {
    asm volatile(
        "{\n .reg .pred p;\n"
        " mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        " selp.u32 %0, 1, 0, p;\n}"
        : "=r"(there)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  }
}
#else  // the choice of a rung never leads here
__device__ __forceinline__ void cluster_arrive() {}
__device__ __forceinline__ void cluster_wait() {}
__device__ __forceinline__ float read_peer(const float *mine, unsigned) { return *mine; }
__device__ __forceinline__ void arrival_init(uint64_t *) {}
__device__ __forceinline__ void arrival_fence() {}
__device__ __forceinline__ void copy_fence() {}
__device__ __forceinline__ void arrival_expect(uint64_t *, uint32_t) {}
__device__ __forceinline__ void copy_bulk(void *, const void *, uint32_t, uint64_t *) {}
__device__ __forceinline__ void arrival_wait(uint64_t *, uint32_t) {}
#endif
__device__ __forceinline__ void sync_warp() { __syncwarp(); }

// ---- a barrier of blocks that are all resident: an integer counts those that have come -----------

__device__ __forceinline__ void announce(unsigned *counter) {
  __threadfence();
  atomicAdd(counter, 1u);
}
__device__ __forceinline__ void await(const unsigned *counter, unsigned target) {
  while (*static_cast<const volatile unsigned *>(counter) < target) {
  }
  __threadfence();
}

#define BNC_CLUSTER_ARRIVE() bnc::cluster_arrive()
#define BNC_CLUSTER_WAIT() bnc::cluster_wait()
#define BNC_ARRIVAL_WAIT(barrier, parity) bnc::arrival_wait(barrier, parity)
#define BNC_SYNC_WARP() bnc::sync_warp()
#define BNC_AWAIT(counter, target) bnc::await(counter, target)

#else  // the emulation

inline unsigned char *shared_memory() { return on_cpu::block().shared; }

inline float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t bits_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16, rest = bits & 0x7FFFu;
  if (rest >= 0x7C00u) return float_from_bits(sign | 0x7F800000u | ((rest & 0x3FFu) << 13));
  if (rest >= 0x0400u) return float_from_bits(sign | ((rest << 13) + (112u << 23)));
  const float size = float(rest) * 0x1p-24f;
  return sign ? -size : size;
}
inline uint16_t float_to_half(float value) {
  const uint32_t bits = bits_from_float(value), size = bits & 0x7FFFFFFFu;
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  if (size > 0x7F800000u) return uint16_t(sign | 0x7FFFu);
  if (size >= 0x477FF000u) return uint16_t(sign | 0x7C00u);
  if (size < 0x38800000u) {
    // Adding 1/2 leaves as many bits of a subnormal as float16 has, rounded to nearest even.
    const float shifted = float_from_bits(size) + 0.5f;
    return uint16_t(sign | (bits_from_float(shifted) - 0x3F000000u));
  }
  const uint32_t odd = (size >> 13) & 1u;
  return uint16_t(sign | ((size - (112u << 23) + 0xFFFu + odd) >> 13));
}
inline uint16_t float_to_bfloat(float value) {
  const uint32_t bits = bits_from_float(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return uint16_t(0x7FFFu);
  return uint16_t((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
inline uint32_t floats_to_halves(float low, float high) {
  return float_to_half(low) | uint32_t(float_to_half(high)) << 16;
}
inline uint32_t floats_to_bfloats(float low, float high) {
  return float_to_bfloat(low) | uint32_t(float_to_bfloat(high)) << 16;
}
inline float square_root(float value) { return __builtin_sqrtf(value); }
inline float divide(float a, float b) { return a / b; }

inline void check_aligned(const void *at, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(at) % bytes)
    on_cpu::machine().fail("an access of " + std::to_string(bytes) + " bytes is not aligned");
}
template <class Raw>
inline Raw load_once(const void *at) {
  check_aligned(at, sizeof(Raw));
  Raw value;
  memcpy(&value, at, sizeof value);
  return value;
}
template <class Raw>
inline Raw load_again(const void *at) {
  return load_once<Raw>(at);
}
template <class Raw>
inline void store(void *at, Raw value) {
  check_aligned(at, sizeof(Raw));
  memcpy(at, &value, sizeof value);
}

// A cluster's blocks count their arrivals at its first block.
inline void cluster_wait(int line) {
  on_cpu::Machine &m = on_cpu::machine();
  on_cpu::Block &first = *(&on_cpu::block() - on_cpu::block().rank);
  m.wait(first.cluster_barrier, m.cluster() * m.threads, "barrier.cluster", line);
}
inline float read_peer(const float *mine, unsigned rank) {
  on_cpu::Block &block = on_cpu::block();
  on_cpu::Block &peer = *(&block - block.rank + rank);
  return *reinterpret_cast<const float *>(
      peer.shared + (reinterpret_cast<const unsigned char *>(mine) - block.shared));
}

// The barrier's word holds the bytes still expected (low half) and how often it completed.
inline void arrival_init(uint64_t *barrier) { *barrier = 0; }
inline void arrival_fence() {}
inline void copy_fence() {}
inline void arrival_expect(uint64_t *barrier, uint32_t bytes) { *barrier += bytes; }
inline void copy_bulk(void *to, const void *from, uint32_t bytes, uint64_t *barrier) {
  if (bytes % 16) on_cpu::machine().fail("a bulk copy must be of a multiple of 16 bytes");
  check_aligned(to, 16);
  check_aligned(from, 16);
  on_cpu::block().copies.push_back({to, from, bytes, barrier});
}
// Copies are made as late as may be: by the first thread that waits for them.
inline void arrival_wait(uint64_t *barrier, uint32_t parity, int line) {
  on_cpu::Machine &m = on_cpu::machine();
  std::vector<on_cpu::Copy> &copies = on_cpu::block().copies;
  while (((*barrier >> 32) & 1u) == parity) {
    size_t kept = 0;
    for (const on_cpu::Copy &copy : copies) {
      if (copy.barrier != barrier) {
        copies[kept++] = copy;
        continue;
      }
      memcpy(copy.to, copy.from, copy.bytes);
      *barrier -= copy.bytes;
      m.progress();
      if (!(*barrier & 0xFFFFFFFFu)) *barrier += uint64_t(1) << 32;
    }
    copies.resize(kept);
    if (((*barrier >> 32) & 1u) == parity) m.spin("mbarrier", line);
  }
}

inline void announce(unsigned *counter) {
  ++*counter;
  on_cpu::machine().progress();
}
inline void await(const unsigned *counter, unsigned target, int line) {
  while (*counter < target) on_cpu::machine().spin("the barrier of a grid", line);
}

#define BNC_CLUSTER_ARRIVE() (void)0
#define BNC_CLUSTER_WAIT() bnc::cluster_wait(__LINE__)
#define BNC_ARRIVAL_WAIT(barrier, parity) bnc::arrival_wait(barrier, parity, __LINE__)
#define BNC_SYNC_WARP() on_cpu::sync_warp(__LINE__)
#define BNC_AWAIT(counter, target) bnc::await(counter, target, __LINE__)

#endif

// ---- one load: 16 bytes, or a single value -------------------------------------------------------

struct Float32 {
  using Bits = uint32_t;
  static constexpr int PER_WORD = 1;
  static __device__ __forceinline__ float widen(Bits bits) { return float_from_bits(bits); }
  static __device__ __forceinline__ Bits narrow(float value) { return bits_from_float(value); }
  static __device__ __forceinline__ void unpack(uint32_t word, float *v) { v[0] = widen(word); }
  static __device__ __forceinline__ uint32_t pack(const float *v) { return narrow(v[0]); }
};

struct Float16 {
  using Bits = uint16_t;
  static constexpr int PER_WORD = 2;
  static __device__ __forceinline__ float widen(Bits bits) { return half_to_float(bits); }
  static __device__ __forceinline__ Bits narrow(float value) { return float_to_half(value); }
  static __device__ __forceinline__ void unpack(uint32_t word, float *v) {
    v[0] = widen(Bits(word & 0xFFFFu));
    v[1] = widen(Bits(word >> 16));
  }
  static __device__ __forceinline__ uint32_t pack(const float *v) {
    return floats_to_halves(v[0], v[1]);
  }
};

struct BFloat16 {
  using Bits = uint16_t;
  static constexpr int PER_WORD = 2;
  static __device__ __forceinline__ float widen(Bits bits) {
    return float_from_bits(uint32_t(bits) << 16);
  }
  static __device__ __forceinline__ Bits narrow(float value) { return float_to_bfloat(value); }
  static __device__ __forceinline__ void unpack(uint32_t word, float *v) {
    v[0] = float_from_bits(word << 16);
    v[1] = float_from_bits(word & 0xFFFF0000u);
  }
  static __device__ __forceinline__ uint32_t pack(const float *v) {
    return floats_to_bfloats(v[0], v[1]);
  }
};

// VALUES of format F as they are in memory.
template <class F, int VALUES>
struct Packed {
  using Raw = uint4;
  static __device__ __forceinline__ void unpack(const Raw &raw, float (&v)[VALUES]) {
    F::unpack(raw.x, v);
    F::unpack(raw.y, v + F::PER_WORD);
    F::unpack(raw.z, v + 2 * F::PER_WORD);
    F::unpack(raw.w, v + 3 * F::PER_WORD);
  }
  static __device__ __forceinline__ Raw pack(const float (&v)[VALUES]) {
    Raw raw;
    raw.x = F::pack(v);
    raw.y = F::pack(v + F::PER_WORD);
    raw.z = F::pack(v + 2 * F::PER_WORD);
    raw.w = F::pack(v + 3 * F::PER_WORD);
    return raw;
  }
};

template <class F>
struct Packed<F, 1> {
  using Raw = typename F::Bits;
  static __device__ __forceinline__ void unpack(const Raw &raw, float (&v)[1]) {
    v[0] = F::widen(raw);
  }
  static __device__ __forceinline__ Raw pack(const float (&v)[1]) { return F::narrow(v[0]); }
};

}  // namespace bnc
