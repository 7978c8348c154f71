// CUDA's execution model on a CPU, as far as batch_norm.cu uses it, so that g++ compiles that file.
//
// Every GPU thread is a fiber with a stack of its own; one runs until it has to wait. Which one
// runs next is drawn from a seeded generator, so that code that relies on an order it was not
// promised gives other results under another seed. Shared memory starts as NaN and lies between
// guard bytes. A barrier that some threads never reach is reported with who waits where.
//
// What this cannot show: the memory model of a GPU (a fiber's writes are seen at once by all),
// warps in lockstep, speed.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mutex>
#include <string>
#include <vector>

#include "fibers.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

struct uint4 {
  uint32_t x, y, z, w;
};

namespace on_cpu {

constexpr unsigned WARP = 32;
constexpr size_t GUARD = 4096;
constexpr unsigned char GUARD_BYTE = 0xA5;

struct Index {
  unsigned x;
};

// ---- threads, blocks, and what they wait for ---------------------------------------------------

// A place where a group of threads waits for all of its members.
struct Barrier {
  const char *what = nullptr;
  int line = 0;
  unsigned arrived = 0;
  unsigned generation = 0;
};

struct Copy {
  void *to;
  const void *from;
  unsigned bytes;
  uint64_t *barrier;
};

struct Block;

struct Fiber {
  Context context;
  Block *block = nullptr;
  unsigned thread = 0;
  const char *waits = nullptr;  // null while it can run
  int line = 0;
  bool done = false;
};

struct Block {
  unsigned index = 0, rank = 0, done = 0;
  std::vector<unsigned char> memory;
  unsigned char *shared = nullptr;
  Barrier barrier, cluster_barrier;
  std::vector<Barrier> warps;
  std::vector<float> exchanged;  // two sets, so that the next shuffle overwrites none in use
  std::vector<Copy> copies;      // under way
};

struct Launch {
  unsigned grid, threads;
  size_t shared;
  unsigned cluster;
  bool together;  // all blocks are resident at once
};

class Machine {
 public:
  std::string error;
  uint64_t seed = 0;
  Fiber *self = nullptr;
  unsigned threads = 0, grid = 0;

  template <class Kernel, class Argument>
  bool run(Kernel kernel, const Argument &argument, const Launch &launch) {
    call_ = [](const void *k, const void *a) {
      (*static_cast<const Kernel *>(k))(*static_cast<const Argument *>(a));
    };
    kernel_ = &kernel;
    argument_ = &argument;
    threads = launch.threads;
    grid = launch.grid;
    cluster_ = launch.cluster ? launch.cluster : 1;
    random_ = seed * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u;
    error.clear();
    const unsigned batch = launch.together ? grid : cluster_;
    std::vector<unsigned> order(grid / batch);
    for (unsigned k = 0; k < order.size(); ++k) order[k] = k;
    for (unsigned k = unsigned(order.size()); k > 1; --k) std::swap(order[k - 1], order[draw(k)]);
    for (unsigned k : order)
      if (!run_blocks(k * batch, batch, launch.shared)) return false;
    return true;
  }

  // Waits until all `members` threads have come to `barrier`; returns how often that was before.
  unsigned wait(Barrier &barrier, unsigned members, const char *what, int line) {
    Fiber *me = self;
    if (barrier.arrived && (barrier.line != line || strcmp(barrier.what, what))) {
      fail(std::string("barrier divergence: ") + where(*me) + " comes to " + what + " in line " +
           std::to_string(line) + " while others wait at " + barrier.what + " in line " +
           std::to_string(barrier.line));
    }
    barrier.what = what;
    barrier.line = line;
    const unsigned generation = barrier.generation;
    if (++barrier.arrived == members) {
      barrier.arrived = 0;
      ++barrier.generation;
      release(barrier);
      return generation;
    }
    me->waits = what;
    me->line = line;
    waiting_.push_back({me, &barrier});
    leave();
    return generation;
  }

  // For loops that wait for another block: lets others run, and notices when nobody gets on.
  void spin(const char *what, int line) {
    Fiber *me = self;
    me->waits = what;
    me->line = line;
    spinning_.push_back(me);
    leave();
    me->waits = nullptr;
  }

  void progress() { progressed_ = true; }

  [[noreturn]] void fail(const std::string &message) {
    if (error.empty()) error = message;
    self->context.switch_to(scheduler_);
    abort();
  }

  std::vector<Block> &blocks() { return blocks_; }
  unsigned cluster() const { return cluster_; }

 private:
  struct Waiting {
    Fiber *fiber;
    Barrier *barrier;
  };

  uint64_t draw(uint64_t below) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return (random_ >> 11) % below;
  }

  static void entry();

  bool run_blocks(unsigned first, unsigned count, size_t shared) {
    prepare(first, count, shared);
    // Blocks or warps that only take turns hide what happens when one falls far behind: one does.
    const bool blocks = count > 1 && draw(2);
    const unsigned slow = unsigned(draw(blocks ? count : (threads + WARP - 1) / WARP));
    const auto behind = [&](const Fiber &fiber) {
      return blocks ? fiber.block == &blocks_[slow] : fiber.thread / WARP == slow;
    };
    size_t left = fibers_.size();
    while (left && error.empty()) {
      if (ready_.empty() && !wake_spinning()) break;
      const size_t k = next(behind);
      self = ready_[k];
      ready_[k] = ready_.back();
      ready_.pop_back();
      scheduler_.switch_to(self->context);
      if (self->done) {
        --left;
        progressed_ = true;
        // A block that ended keeps nothing that another could still read.
        Block &ended = *self->block;
        if (++ended.done == threads && !guards_touched(ended)) memset(ended.shared, 0xFF, shared_);
      }
    }
    if (error.empty() && left) error = stuck();
    self = nullptr;
    return error.empty();
  }

  // A ready fiber, of those that are behind hardly ever while there are others.
  template <class Behind>
  size_t next(const Behind &behind) {
    size_t k = draw(ready_.size());
    for (int tries = 0; tries < 8 && behind(*ready_[k]); ++tries) k = draw(ready_.size());
    return k;
  }

  void prepare(unsigned first, unsigned count, size_t shared) {
    blocks_.assign(count, Block());
    fibers_.assign(size_t(count) * threads, Fiber());
    ready_.clear();
    waiting_.clear();
    spinning_.clear();
    idle_ = 0;
    while (stacks_.size() < fibers_.size())
      stacks_.push_back(static_cast<unsigned char *>(malloc(STACK)));
    for (unsigned b = 0; b < count; ++b) {
      Block &block = blocks_[b];
      block.index = first + b;
      block.rank = b % cluster_;
      block.memory.assign(shared + 2 * GUARD + 128, GUARD_BYTE);
      const uintptr_t start = reinterpret_cast<uintptr_t>(block.memory.data()) + GUARD;
      block.shared = reinterpret_cast<unsigned char *>((start + 127) & ~uintptr_t(127));
      memset(block.shared, 0xFF, shared);
      block.warps.assign((threads + WARP - 1) / WARP, Barrier());
      block.exchanged.assign(2 * size_t(threads), 0.0f);
      for (unsigned t = 0; t < threads; ++t) {
        const size_t k = size_t(b) * threads + t;
        fibers_[k].block = &block;
        fibers_[k].thread = t;
        fibers_[k].context.prepare(stacks_[k], entry);
        ready_.push_back(&fibers_[k]);
      }
    }
    shared_ = shared;
  }

  void release(const Barrier &barrier) {
    size_t kept = 0;
    for (const Waiting &entry : waiting_) {
      if (entry.barrier == &barrier) {
        entry.fiber->waits = nullptr;
        ready_.push_back(entry.fiber);
      } else {
        waiting_[kept++] = entry;
      }
    }
    waiting_.resize(kept);
    progressed_ = true;
  }

  // Those that look again and again get another look, unless no thread has got on for long.
  bool wake_spinning() {
    if (spinning_.empty()) return false;
    idle_ = progressed_ ? 0 : idle_ + 1;
    progressed_ = false;
    if (idle_ > 100) return false;
    ready_.swap(spinning_);
    return true;
  }

  void leave() {
    Fiber *me = self;
    me->context.switch_to(scheduler_);
    self = me;
  }

  std::string where(const Fiber &fiber) const {
    return "thread " + std::to_string(fiber.thread) + " of block " +
           std::to_string(fiber.block->index);
  }

  // "block 3: threads 0-31 wait at __syncthreads in line 12; threads 32-63 have returned".
  std::string stuck() const {
    std::string text = "barrier divergence, nothing can run:";
    for (const Block &block : blocks_) {
      std::string line;
      for (size_t k = 0; k < fibers_.size();) {
        const Fiber &first = fibers_[k];
        size_t end = k;
        while (end < fibers_.size() && same_place(fibers_[end], first)) ++end;
        if (first.block == &block) {
          line += (line.empty() ? " threads " : "; threads ") + std::to_string(first.thread);
          if (end - k > 1) line += "-" + std::to_string(fibers_[end - 1].thread);
          line += first.done ? std::string(" have returned")
                             : std::string(" wait at ") + (first.waits ? first.waits : "?") +
                                   " in line " + std::to_string(first.line);
        }
        k = end;
      }
      text += " block " + std::to_string(block.index) + ":" + line + ".";
      if (text.size() > 1000) return text + " ...";
    }
    return text;
  }

  static bool same_place(const Fiber &a, const Fiber &b) {
    return a.block == b.block && a.done == b.done && a.waits == b.waits && a.line == b.line;
  }

  bool guards_touched(const Block &block) {
    for (size_t k = 0; k < GUARD; ++k) {
      if (block.shared[-1 - long(k)] == GUARD_BYTE && block.shared[shared_ + k] == GUARD_BYTE)
        continue;
      error = "block " + std::to_string(block.index) + " wrote past its " +
              std::to_string(shared_) + " bytes of shared memory";
      return true;
    }
    return false;
  }

  Context scheduler_;
  std::vector<Block> blocks_;
  std::vector<Fiber> fibers_;
  std::vector<unsigned char *> stacks_;
  std::vector<Fiber *> ready_, spinning_;
  std::vector<Waiting> waiting_;
  void (*call_)(const void *, const void *) = nullptr;
  const void *kernel_ = nullptr, *argument_ = nullptr;
  uint64_t random_ = 1;
  size_t shared_ = 0;
  unsigned cluster_ = 1, idle_ = 0;
  bool progressed_ = false;
};

inline Machine &machine() {
  static Machine only;
  return only;
}

inline void Machine::entry() {
  Machine &m = machine();
  m.call_(m.kernel_, m.argument_);
  m.self->done = true;
  m.self->context.switch_to(m.scheduler_);
  abort();
}

inline Block &block() { return *machine().self->block; }
inline Index thread_index() { return {machine().self->thread}; }
inline Index block_index() { return {block().index}; }

inline void sync_block(int line) {
  machine().wait(block().barrier, machine().threads, "__syncthreads", line);
}

inline float shuffle_xor(float value, unsigned distance, int line) {
  Machine &m = machine();
  Block &mine = block();
  const unsigned thread = m.self->thread, warp = thread / WARP;
  const unsigned left = m.threads - warp * WARP;
  Barrier &barrier = mine.warps[warp];
  float *values = mine.exchanged.data() + (barrier.generation % 2) * m.threads;
  values[thread] = value;
  m.wait(barrier, left < WARP ? left : WARP, "__shfl_xor_sync", line);
  return values[warp * WARP + ((thread % WARP) ^ distance)];
}

inline void sync_warp(int line) {
  Machine &m = machine();
  const unsigned warp = m.self->thread / WARP, left = m.threads - warp * WARP;
  m.wait(block().warps[warp], left < WARP ? left : WARP, "__syncwarp", line);
}

}  // namespace on_cpu

#define threadIdx (on_cpu::thread_index())
#define blockIdx (on_cpu::block_index())
#define __syncthreads() on_cpu::sync_block(__LINE__)
#define __shfl_xor_sync(mask, value, distance) on_cpu::shuffle_xor(value, distance, __LINE__)
