"""tf.layers.unfused: BN-SWITCH-1 does not hold for difference.

BN-SWITCH-1 (MUST): training as a bool, a tensor and a fed placeholder give the same call.

Found: expected 0, got 1.07756281 at [1, 0, 0, 0]: 7.06e+04 times the bound 1.53e-05

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Experiment 'training.virtual_batches': groups of 2: the output with training=True fed, less that
with a Python bool.

Case 70b4619be142a85d, divergence 625bae8eca46.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([[[[1.0, 8.0]]], [[[3.0, 2.0]]], [[[-5.0, 0.0]]], [[[7.0, 4.0]]]], np.float32)
momentum = np.array(0.5, np.float32)
epsilon = np.array(3.0, np.float32)
# The call.
v1 = tf.compat.v1
v1.disable_eager_execution()
batch_normalization = v1.layers.batch_normalization
settings = {
    "momentum": float(momentum),
    "epsilon": float(epsilon),
}


def started():
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    return session


def variable(name):
    return next(each for each in v1.global_variables() if each.op.name.endswith(name))


outputs = []
for fed in (True, False):
    v1.reset_default_graph()
    training = v1.placeholder(bool, ()) if fed else True
    y = batch_normalization(
        tf.constant(x), training=training, virtual_batch_size=2, fused=False, **settings
    )
    outputs.append(started().run(y, {training: True} if fed else {}))
answer = outputs[0] - outputs[1]

print('tf.layers.unfused: BN-SWITCH-1 does not hold for difference.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.full((4, 1, 1, 2), 0.0, np.float64)
bound = np.full((4, 1, 1, 2), 1.52587890625e-05, np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"difference at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
