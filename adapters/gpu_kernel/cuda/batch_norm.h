/* The C ABI of the batch-norm kernels: the same for the GPU build and for its emulation on a CPU.
 *
 * Arrays are seen as (outer, channels, inner) with strides in elements. Parameters, statistics and
 * sums are float32, contiguous, (channels,). Pointers are of the device that the library is for.
 */
#ifndef BNC_BATCH_NORM_H
#define BNC_BATCH_NORM_H

#include <stdint.h>

/* Everything else is hidden, so that two builds in one process share nothing. */
#define BNC_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

enum bnc_dtype { BNC_FLOAT32 = 0, BNC_FLOAT16 = 1, BNC_BFLOAT16 = 2 };

/* How a channel's values are held while they are needed twice. */
enum bnc_rung {
  BNC_AUTO = 0,
  BNC_BLOCK = 1,      /* in one block's shared memory */
  BNC_CLUSTER = 2,    /* in the shared memory of a cluster of blocks */
  BNC_PERSISTENT = 3, /* in the shared memory of a whole resident grid, in L2, or in both */
  BNC_SPLIT = 4       /* not at all: two kernels, which read them twice */
};

enum bnc_status {
  BNC_OK = 0,
  BNC_BAD_CALL = 1,   /* an argument is out of range, or the forced rung cannot take it */
  BNC_NO_DEVICE = 2,  /* no device to run on */
  BNC_FAILED = 3      /* the device, or the emulation, says that something went wrong */
};

enum bnc_flags {
  BNC_NO_BULK = 1, /* fill shared memory by ordinary loads alone */
  BNC_NO_CACHE = 2 /* a persistent grid holds nothing: it reads all values twice */
};

typedef struct {
  int64_t outer, channel, inner;
} bnc_strides;

typedef struct {
  const void *x, *dy;        /* read; dy by backward alone */
  void *y, *dx;              /* written, by forward and by backward */
  bnc_strides x_strides, dy_strides, y_strides, dx_strides;
  const float *gamma, *beta; /* or null */
  float *running_mean, *running_var; /* forward: read, and updated in training */
  float *mean, *var, *r;     /* forward writes what it normalized by; backward reads mean and r */
  float *dgamma, *dbeta;     /* written by backward */
  void *workspace;           /* of bnc_workspace() bytes, 16-byte aligned; its content is lost */
  void *stream;              /* a cudaStream_t; not used by the emulation */
  int64_t outer, channels, inner;
  double epsilon, decay;     /* decay: weight of the old value, in training */
  int32_t dtype, training;
  int32_t rung, blocks, lanes; /* forced where not 0; see bnc_plan */
  int32_t flags;
} bnc_call;

/* What the choice of a rung depends on. */
typedef struct {
  int64_t l2_bytes;
  int32_t multiprocessors, threads; /* threads: the most that a block may have */
  int32_t shared_per_block, shared_per_multiprocessor, shared_reserved;
  int32_t largest_cluster, cooperative;
  int32_t architecture; /* 90 for sm_90; 0 for the emulation */
} bnc_device;

typedef struct {
  int64_t units;      /* vectors (or values) of a channel, or rows of a tile of channels */
  int32_t rung;
  int32_t vector;     /* values in one load */
  int32_t columns;    /* values of one load belong to as many channels, not to one */
  int32_t lanes;      /* neighbouring threads that take neighbouring loads of one row */
  int32_t threads, blocks, teams; /* blocks share a tile; teams of blocks take turns at tiles */
  int32_t tiles;      /* of lanes * (columns ? vector : 1) channels each */
  int32_t held; /* units of a block that its shared memory holds: none, all, or the first ones */
  int32_t bulk;
  int32_t shared_bytes;
} bnc_plan;

/* y, the statistics and, in training, the running statistics. */
BNC_API int32_t bnc_forward(const bnc_call *call);
/* dx, dgamma and dbeta. */
BNC_API int32_t bnc_backward(const bnc_call *call);
/* The rung that either would take, on this machine; negative: minus a bnc_status. */
BNC_API int32_t bnc_choose(const bnc_call *call, int32_t backward);
/* The same choice in full for any device: a pure function of its arguments. */
BNC_API int32_t bnc_plan_for(const bnc_call *call, int32_t backward, const bnc_device *device,
                             bnc_plan *plan);
/* Bytes of workspace that the call needs; negative: minus a bnc_status. */
BNC_API int64_t bnc_workspace(const bnc_call *call, int32_t backward);
BNC_API int32_t bnc_device_here(bnc_device *device);
/* What went wrong in this thread's last call that did not return BNC_OK. */
BNC_API const char *bnc_message(void);
/* Seed of the emulation's scheduler; no effect on a GPU. */
BNC_API void bnc_seed(uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
