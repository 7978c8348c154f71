"""keras.torch: BN-RENORM-6 does not hold for running_var.

BN-RENORM-6 (MUST): The running variance follows the running deviation: sd^2 - epsilon.

Found: expected 1.70708548, got nan at [0]: inf times the bound 6.93

On bnconform 0.1.0, keras 3.15.1, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case 3ec4fd3370694c31, divergence 5c41d239071f.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
try:
    import keras
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([
    [[[-100000.07, 99998.85]]],
    [[[-99999.55, 99999.62]]],
    [[[-99998.984, 100000.27]]],
    [[[-100000.48, 100000.42]]],
], np.float32)
# In memory, axis 1 varies fastest (channels last).
x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
gamma = np.array([0.9277457, -1.1902757], np.float32)
beta = np.array([-0.8629603, -1.3813919], np.float32)
running_mean = np.array([-100000.836, 99999.66], np.float32)
running_var = np.array([1.7268358, 0.7900929], np.float32)
renorm_mean = np.array([-100000.15, 99998.35], np.float32)
renorm_stddev = np.array([0.6646639, 1.0652319], np.float32)
running_stddev = np.array([1.314095, 0.88887733], np.float32)

# The call.
layer = keras.layers.BatchNormalization(
    axis=-1,
    momentum=0.99,
    epsilon=1e-05,
    center=True,
    scale=True,
    dtype="float32",
    renorm=True,
    renorm_clipping={},
    renorm_momentum=0.9,
)
layer.build((None, 1, 1, 2))
layer.gamma.assign(gamma)
layer.beta.assign(beta)
layer.moving_mean.assign(running_mean)
layer.moving_variance.assign(running_var)
layer.renorm_mean.assign(renorm_mean)
layer.renorm_stddev.assign(renorm_stddev)
layer.moving_stddev.assign(running_stddev)
data = torch.from_numpy(x)
y = layer(data, training=True)
answer = layer.moving_variance.value

print('keras.torch: BN-RENORM-6 does not hold for running_var.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "keras", keras.__version__, "torch", torch.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([1.7070854828878848, 0.7853413772465759], np.float64)
# 1.797e308, the largest number: any finite answer will do.
bound = np.array([1.7976931348623157e+308, 1.7976931348623157e+308], np.float64)
got = answer.detach().to(torch.float64).numpy()
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
# Beyond 3.4028234663852886e+38 the format has only infinity.
with np.errstate(all="ignore"):
    beyond = np.abs(expected) + bound >= 3.4028234663852886e+38
ratio = np.where(beyond & (got == np.copysign(np.inf, expected)), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"running_var at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
