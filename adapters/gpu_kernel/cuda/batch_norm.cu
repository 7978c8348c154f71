// The C ABI around the kernels, and how they are launched. Compiled by nvcc for a GPU, and by g++
// for the emulation (cuda_on_cpu.hpp).

#include "batch_norm.h"

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "backward.cuh"
#include "forward.cuh"
#include "plan.hpp"

namespace bnc {
namespace {

thread_local std::string message;

using Kernel = void (*)(const Work);

struct Launch {
  unsigned grid, threads, shared, cluster;
  bool cooperative;
  void *stream;
};

// A cooperative grid waits for all of its blocks, so that all have to be resident.
void check_places(int places, unsigned grid) {
  if (places < int(grid))
    throw Refused{BNC_BAD_CALL, "the device holds " + std::to_string(places) +
                                    " such blocks at once, not " + std::to_string(grid)};
}

#ifdef __CUDACC__

// A grid or cluster that finds no place is a call that another rung can take.
int32_t status_of(cudaError_t error) {
  switch (error) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
      return BNC_NO_DEVICE;
    case cudaErrorCooperativeLaunchTooLarge:
    case cudaErrorInvalidClusterSize:
    case cudaErrorLaunchOutOfResources:
      return BNC_BAD_CALL;
    default:
      return BNC_FAILED;
  }
}

void check(cudaError_t error, const char *what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // it is told here, and not once more by whoever asks next
  throw Refused{status_of(error), std::string(what) + ": " + cudaGetErrorString(error)};
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

std::mutex remembering;

bnc_device ask_device(int device) {
  bnc_device here = {};
  here.l2_bytes = attribute(cudaDevAttrL2CacheSize, device);
  here.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device);
  here.threads = 512;
  here.shared_per_block = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  here.shared_per_multiprocessor =
      attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, device);
  here.shared_reserved = attribute(cudaDevAttrReservedSharedMemoryPerBlock, device);
  here.architecture = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                      attribute(cudaDevAttrComputeCapabilityMinor, device);
  here.largest_cluster = here.architecture >= 90 ? 16 : 1;
  here.cooperative = attribute(cudaDevAttrCooperativeLaunch, device);
  return here;
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  return device;
}

bnc_device device_here() {
  static std::map<int, bnc_device> known;
  const int device = current_device();
  const std::lock_guard<std::mutex> guard(remembering);
  const auto found = known.find(device);
  if (found != known.end()) return found->second;
  return known[device] = ask_device(device);
}

// Blocks that wait for one another, and those of a cluster, have to be on the device together: it
// says whether they can be before any is launched.
void check_resident(const void *kernel, const cudaLaunchConfig_t &config, const Launch &launch) {
  if (launch.cooperative) {
    int per_multiprocessor = 0;
    check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel,
                                                        int(launch.threads), launch.shared),
          "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
    check_places(per_multiprocessor * device_here().multiprocessors, launch.grid);
  }
  if (launch.cluster > 1) {
    int clusters = 0;
    check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config),
          "cudaOccupancyMaxActiveClusters");
    if (clusters < 1)
      throw Refused{BNC_BAD_CALL, "the device holds no such cluster of " +
                                      std::to_string(launch.cluster) + " blocks"};
  }
}

// What a kernel has to be told once, and whether it can be launched like this at all.
void prepare(const void *kernel, const cudaLaunchConfig_t &config, const Launch &launch) {
  using Key = std::tuple<const void *, int, unsigned, unsigned, unsigned, unsigned>;
  static std::map<Key, bool> prepared;
  // Whether a grid waits for itself decides if its size matters.
  const Key key{kernel, current_device(), launch.threads, launch.shared, launch.cluster,
                launch.cooperative ? launch.grid : 0};
  {
    const std::lock_guard<std::mutex> guard(remembering);
    if (prepared.count(key)) return;
  }
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             device_here().shared_per_block),
        "cudaFuncSetAttribute(MaxDynamicSharedMemorySize)");
  // The rest of it is a cache that passes by what is loaded once: room for a second block is more.
  if (launch.shared > SMALL)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                               cudaSharedmemCarveoutMaxShared),
          "cudaFuncSetAttribute(PreferredSharedMemoryCarveout)");
  if (launch.cluster > 8)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
          "cudaFuncSetAttribute(NonPortableClusterSizeAllowed)");
  check_resident(kernel, config, launch);
  const std::lock_guard<std::mutex> guard(remembering);
  prepared[key] = true;
}

void run(Kernel kernel, const Work &work, const Launch &launch) {
  const void *function = reinterpret_cast<const void *>(kernel);
  cudaLaunchAttribute attributes[2];
  unsigned count = 0;
  if (launch.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count].val.clusterDim.x = launch.cluster;
    attributes[count].val.clusterDim.y = 1;
    attributes[count].val.clusterDim.z = 1;
    ++count;
  }
  if (launch.cooperative) {
    attributes[count].id = cudaLaunchAttributeCooperative;
    attributes[count].val.cooperative = 1;
    ++count;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(launch.grid);
  config.blockDim = dim3(launch.threads);
  config.dynamicSmemBytes = launch.shared;
  config.stream = static_cast<cudaStream_t>(launch.stream);
  config.attrs = attributes;
  config.numAttrs = count;
  prepare(function, config, launch);
  void *arguments[] = {const_cast<Work *>(&work)};
  check(cudaLaunchKernelExC(&config, function, arguments), "launch");
}

void clear(void *data, size_t bytes, void *stream) {
  check(cudaMemsetAsync(data, 0, bytes, static_cast<cudaStream_t>(stream)), "cudaMemsetAsync");
}

void set_seed(uint64_t) {}

#else

std::mutex one_at_a_time;

// Small, so that small arrays meet every rung, several warps, several blocks and their tails.
bnc_device device_here() {
  bnc_device here = {};
  here.l2_bytes = 64 * 1024;
  here.multiprocessors = 3;
  here.threads = 64;
  here.shared_per_block = 16 * 1024;
  here.shared_per_multiprocessor = 36 * 1024;
  here.shared_reserved = 1024;
  here.largest_cluster = 4;
  here.cooperative = 1;
  return here;
}

void run(Kernel kernel, const Work &work, const Launch &launch) {
  if (launch.cooperative) check_places(2 * device_here().multiprocessors, launch.grid);
  on_cpu::Machine &machine = on_cpu::machine();
  if (!machine.run(kernel, work,
                   {launch.grid, launch.threads, launch.shared, launch.cluster,
                    launch.cooperative}))
    throw Refused{BNC_FAILED, machine.error};
}

void clear(void *data, size_t bytes, void *) { memset(data, 0, bytes); }

void set_seed(uint64_t seed) {
  const std::lock_guard<std::mutex> guard(one_at_a_time);
  on_cpu::machine().seed = seed;
}

#endif

// ---- from a call and its plan to a kernel and its arguments ----------------------------------------

template <class F, int VECTOR, int W, int HELD>
Kernel kernel_of(bool backward) {
  return backward ? backward_kernel<F, VECTOR, W, HELD> : forward_kernel<F, VECTOR, W, HELD>;
}

template <class F, int VECTOR, int W>
Kernel kernel_of(const bnc_plan &plan, bool backward) {
  if (!plan.held) return kernel_of<F, VECTOR, W, NOTHING>(backward);
  if (holds_all(plan)) return kernel_of<F, VECTOR, W, ALL>(backward);
  if constexpr (VECTOR > 1) return kernel_of<F, VECTOR, W, PART>(backward);
  throw Refused{BNC_BAD_CALL, "single values are held all or not at all"};
}

template <class F, int VECTOR>
Kernel kernel_for(const bnc_plan &plan, bool backward) {
  if (plan.vector == 1) return kernel_of<F, 1, 1>(plan, backward);
  if (plan.columns) return kernel_of<F, VECTOR, VECTOR>(plan, backward);
  return kernel_of<F, VECTOR, 1>(plan, backward);
}

Kernel kernel_for(const bnc_call &call, const bnc_plan &plan, bool backward) {
  switch (call.dtype) {
    case BNC_FLOAT16:
      return kernel_for<Float16, 8>(plan, backward);
    case BNC_BFLOAT16:
      return kernel_for<BFloat16, 8>(plan, backward);
    default:
      return kernel_for<Float32, 4>(plan, backward);
  }
}

Tensor tensor_of(const Operand &operand, const bnc_call &call, const bnc_plan &plan,
                 const Work &work) {
  const int64_t size = element_size(call);
  const int64_t in_unit = plan.columns ? 1 : plan.vector;
  Tensor tensor;
  tensor.data = static_cast<unsigned char *>(const_cast<void *>(operand.data));
  tensor.outer = operand.strides.outer * size;
  tensor.inner = operand.strides.inner * in_unit * size;
  tensor.channel = operand.strides.channel * size;
  tensor.step = int64_t(work.slots / work.row) * tensor.outer + work.row_step * tensor.inner;
  tensor.wrap = tensor.outer - int64_t(work.row) * tensor.inner;
  return tensor;
}

Work work_of(const bnc_call &call, const bnc_plan &plan, bool backward) {
  Work work = {};
  const int64_t in_unit = plan.columns ? 1 : plan.vector;
  work.units = unsigned(plan.units);
  work.row = unsigned(larger(call.inner / in_unit, 1));
  work.lanes = unsigned(plan.lanes);
  work.threads = unsigned(plan.threads);
  work.slots = work.threads / work.lanes;
  work.row_step = work.slots % work.row;
  work.channels = unsigned(call.channels);
  work.values = unsigned(in_unit);
  work.tiles = unsigned(plan.tiles);
  work.teams = unsigned(plan.teams);
  work.blocks = unsigned(plan.blocks);
  work.range = unsigned(range_of(plan));
  work.held = unsigned(plan.held);
  work.fixed = unsigned(Planner::fixed_bytes(plan));
  // As many stages as give every thread a load in each.
  const int64_t stages = smaller(STAGES, work.held / work.threads);
  work.stages = plan.bulk ? unsigned(larger(stages, 1)) : 0;
  const Exchange exchanges[] = {ALONE, ALONE, CLUSTER, GRID, SPLIT};
  work.exchange = exchanges[plan.rung];
  work.phases = STATISTICS | APPLY;
  work.training = call.training != 0;
  work.n = float(call.outer * call.inner);
  work.epsilon = float(call.epsilon);
  work.old_weight = float(call.decay);
  work.new_weight = float(1.0 - call.decay);
  work.gamma = call.gamma;
  work.beta = call.beta;
  work.running_mean = call.running_mean;
  work.running_var = call.running_var;
  work.mean = call.mean;
  work.var = call.var;
  work.r = call.r;
  work.dgamma = call.dgamma;
  work.dbeta = call.dbeta;
  const Operands operands = operands_of(call, backward);
  work.x = tensor_of(operands.list[0], call, plan, work);
  if (backward) work.dy = tensor_of(operands.list[1], call, plan, work);
  work.out = tensor_of(operands.list[backward ? 2 : 1], call, plan, work);
  work.counters = static_cast<unsigned *>(call.workspace);
  work.partials =
      reinterpret_cast<float *>(static_cast<unsigned char *>(call.workspace) + COUNTER_BYTES);
  return work;
}

bnc_call split_instead(bnc_call call) {
  call.rung = BNC_SPLIT;
  return call;
}

void launch(const bnc_call &call, bool backward) {
  if (call.channels == 0) return;
  const bnc_plan plan = Planner(call, backward, device_here()).plan();
  if (partial_floats(plan) && !call.workspace)
    throw Refused{BNC_BAD_CALL, "the call needs the workspace that bnc_workspace() tells"};
  Work work = work_of(call, plan, backward);
  Launch how = {};
  how.threads = unsigned(plan.threads);
  how.shared = unsigned(plan.shared_bytes);
  const int64_t grid = int64_t(plan.blocks) * plan.tiles;
  if (plan.rung != BNC_PERSISTENT && grid > LARGEST_GRID)
    throw Refused{BNC_BAD_CALL, "a grid of " + std::to_string(grid) + " blocks is too large"};
  how.grid = unsigned(grid);
  how.stream = call.stream;
  const Kernel kernel = kernel_for(call, plan, backward);
  if (plan.rung == BNC_CLUSTER) how.cluster = unsigned(plan.blocks);
  if (plan.rung == BNC_PERSISTENT) {
    how.grid = unsigned(plan.teams) * unsigned(plan.blocks);
    how.cooperative = true;
    clear(call.workspace, size_t(COUNTER_BYTES), call.stream);
  }
  if (plan.rung != BNC_SPLIT) return run(kernel, work, how);
  if (backward || call.training) {
    work.phases = STATISTICS;
    run(kernel, work, how);
  }
  work.phases = APPLY;
  run(kernel, work, how);
}

// A device may hold fewer blocks at once than was planned (another process, a debugger): then the
// rung that needs none of them together takes the call, unless another was asked for.
void launch_somehow(const bnc_call &call, bool backward) {
  try {
    launch(call, backward);
  } catch (const Refused &refused) {
    if (refused.status != BNC_BAD_CALL || call.rung != BNC_AUTO) throw;
    launch(split_instead(call), backward);
  }
}

template <class Action>
auto guarded(Action action) -> decltype(action()) {
  try {
    return action();
  } catch (const Refused &refused) {
    message = refused.message;
    return -refused.status;
  } catch (const std::exception &error) {
    message = error.what();
    return -BNC_FAILED;
  }
}

int32_t call_guarded(const bnc_call *call, bool backward) {
#ifndef __CUDACC__
  const std::lock_guard<std::mutex> guard(one_at_a_time);
#endif
  return -guarded([&]() -> int32_t {
    launch_somehow(*call, backward);
    return BNC_OK;
  });
}

}  // namespace
}  // namespace bnc

extern "C" {

int32_t bnc_forward(const bnc_call *call) { return bnc::call_guarded(call, false); }

int32_t bnc_backward(const bnc_call *call) { return bnc::call_guarded(call, true); }

int32_t bnc_choose(const bnc_call *call, int32_t backward) {
  return bnc::guarded([&]() -> int32_t {
    return bnc::Planner(*call, backward != 0, bnc::device_here()).plan().rung;
  });
}

int32_t bnc_plan_for(const bnc_call *call, int32_t backward, const bnc_device *device,
                     bnc_plan *plan) {
  return -bnc::guarded([&]() -> int32_t {
    *plan = bnc::Planner(*call, backward != 0, *device).plan();
    return BNC_OK;
  });
}

int64_t bnc_workspace(const bnc_call *call, int32_t backward) {
  return bnc::guarded([&]() -> int64_t {
    const bnc_device device = bnc::device_here();
    const bool gradients = backward != 0;
    const bnc_plan plan = bnc::Planner(*call, gradients, device).plan();
    int64_t floats = bnc::partial_floats(plan);
    if (call->rung == BNC_AUTO && (plan.rung == BNC_CLUSTER || plan.rung == BNC_PERSISTENT)) {
      const bnc_call split = bnc::split_instead(*call);
      const bnc_plan other = bnc::Planner(split, gradients, device).plan();
      floats = bnc::larger(floats, bnc::partial_floats(other));
    }
    return floats ? bnc::COUNTER_BYTES + 4 * floats : 0;
  });
}

int32_t bnc_device_here(bnc_device *device) {
  return -bnc::guarded([&]() -> int32_t {
    *device = bnc::device_here();
    return BNC_OK;
  });
}

const char *bnc_message(void) { return bnc::message.c_str(); }

void bnc_seed(uint64_t seed) { bnc::set_seed(seed); }

}  // extern "C"
