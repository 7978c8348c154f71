"""torch.functional: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

Found: raised IndexError: select(): index 0 out of range for tensor of size [0] at dimension 0

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case 0193d1a3f94b0783, divergence cf1c3184bf54.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import torch
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.zeros((5, 0), np.float32)
# In memory, there is a gap after every value (strided).
x = np.repeat(x, 2, axis=-1)[..., ::2]
dy = np.zeros((5, 0), np.float32)
gamma = np.zeros((0,), np.float32)
beta = np.zeros((0,), np.float32)
running_mean = np.zeros((0,), np.float32)
running_var = np.zeros((0,), np.float32)

# The call.
def call():
    # The function writes into these.
    mean = torch.from_numpy(running_mean).clone()
    var = torch.from_numpy(running_var).clone()
    weight = torch.from_numpy(gamma)
    bias = torch.from_numpy(beta)

    data = torch.from_numpy(x).requires_grad_()
    y = torch.nn.functional.batch_norm(
        data,
        mean,
        var,
        weight,
        bias,
        training=True,
        momentum=1 - 1.0,
        eps=1.001e-05,
    )
    upstream = torch.from_numpy(dy)
    answer = torch.autograd.grad(y, data, upstream)[0]
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('torch.functional: BN-CALL-1 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "torch", torch.__version__)

if answer is not None:
    print("expected: an answer\ngot:      an answer")
    sys.exit(0)
print(f"expected: an answer\ngot:      {message[:1000]}")
sys.exit(1)
