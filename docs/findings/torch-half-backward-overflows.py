"""torch.module: BN-GRAD-1 does not hold for dx.

BN-GRAD-1 (MUST): dx = gamma r (g - mean g - xhat mean(g xhat)), through the statistics.

Found: expected 4.50122028e-20, got -inf at [0, 0, 0]: inf times the bound 1.47e-05

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, torch 2.13.0+cpu.

Case 7b684cefa2495427, divergence a88d25de8a4f.

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
x = np.array([
    [
        [4.47e+03, 7.076e+03, 1.0075e+03],
        [135.9, 674.5, 3.982e+03],
        [7.75e+03, 4.48e+03, 3.992e+03],
    ],
    [
        [1.035e+03, 1.102e+03, 421.2],
        [917.5, 2.01e+03, 1.717e+03],
        [827.0, 1.463e+03, 633.0],
    ],
    [
        [5.684e+03, 1.084e+03, 5.076e+03],
        [4.87e+03, 2.552e+03, 6.01e+03],
        [433.5, 2.968e+03, 2.02e+03],
    ],
    [
        [-2.87e+03, -1.746e+03, -2.68e+03],
        [-982.0, -1.634e+03, -917.0],
        [-1.569e+03, -2.412e+03, -1.489e+03],
    ],
    [
        [-1.373e+03, -1.952e+03, -1.573e+03],
        [-1.286e+03, -1.539e+03, -1.907e+03],
        [-828.5, -1.535e+03, -1.199e+03],
    ],
], np.float16)
dy = x  # the same buffer
running_mean = np.array([4154.0776, 1329.8069, 2695.3884, -1942.4188, -1624.7568], np.float32)
running_var = np.array([8.519355e+06, 684240.4, 1.0062198e+07, 649131.4, 142462.77], np.float32)

# The call.
layer = torch.nn.BatchNorm1d(
    5,
    eps=1e-12,
    momentum=1 - 0.9,
    affine=False,
    dtype=torch.float32,
)
with torch.no_grad():
    layer.running_mean.copy_(torch.from_numpy(running_mean))
    layer.running_var.copy_(torch.from_numpy(running_var))
layer.train()
data = torch.from_numpy(x).requires_grad_()
y = layer(data.movedim(0, 1)).movedim(1, 0)
upstream = torch.from_numpy(dy)
answer = torch.autograd.grad(y, data, upstream)[0]

print('torch.module: BN-GRAD-1 does not hold for dx.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "torch", torch.__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    [
        [4.50122028145462e-20, 2.0302392146295561e-19, -1.6521498584039563e-19],
        [-2.181055251134068e-19, -1.8542155354773428e-19, 1.527881489683189e-20],
        [2.4404386071271343e-19, 4.549764588259078e-20, 1.5885618731888244e-20],
    ],
    [
        [-7.847654124840111e-19, -2.0109159968369203e-19, -6.1314788842182805e-18],
        [-1.8083724722457767e-18, 7.70899529617735e-18, 5.1565113088565506e-18],
        [-2.596767696998438e-18, 2.9437777498822072e-18, -4.286808289285925e-18],
    ],
    [
        [3.100321721630195e-19, -3.173516500892987e-19, 2.2710839739576036e-19],
        [1.9928528875673964e-19, -1.1713437811833732e-19, 3.5422181529557995e-19],
        [-4.060719058230197e-19, -6.039705854073846e-20, -1.8969268103969557e-19],
    ],
    [
        [-3.68110390661342e-18, 2.2594122184123826e-19, -3.0206603350774948e-18],
        [2.8816195831751795e-18, 6.15255327167683e-19, 3.10756080501642e-18],
        [8.411965490089188e-19, -2.0890872973320765e-18, 1.1192780528135252e-18],
    ],
    [
        [2.6197852977657008e-18, -1.3719773273936335e-17, -3.0242763850329375e-18],
        [5.074952129783114e-18, -2.0647858989571693e-18, -1.244985939530666e-17],
        [1.7985743229185004e-17, -1.951904665301198e-18, 7.530118961800509e-18],
    ],
], np.float64)
bound = np.array([
    [
        [1.4706896259582399e-05, 3.732835503283378e-05, 3.11498664300003e-05],
        [3.847673773838666e-05, 3.394906120492376e-05, 1.0450170146336166e-05],
        [4.3200899629883683e-05, 1.4776393828778253e-05, 1.0537042107830988e-05],
    ],
    [
        [1.9961250680904072e-05, 1.4322920369093222e-05, 7.161088096260418e-05],
        [2.9849367272512643e-05, 8.815279716357806e-05, 6.306419329151648e-05],
        [3.74653209026452e-05, 4.1315028160104755e-05, 5.379123255176914e-05],
    ],
    [
        [4.277753360977919e-05, 4.269910626089455e-05, 3.3955784628046735e-05],
        [3.099585569338651e-05, 2.1939971122560772e-05, 4.7478597211886635e-05],
        [5.189789196081697e-05, 1.6057273426684166e-05, 2.9463036445172196e-05],
    ],
    [
        [0.00010084962070626895, 1.970998370672835e-05, 8.535350058333057e-05],
        [8.119250821953623e-05, 2.872312866148553e-05, 8.642335127363638e-05],
        [3.395397171558567e-05, 6.349581535729117e-05, 4.0391932397555086e-05],
    ],
    [
        [5.615098525982311e-05, 0.0001988975985501399, 6.15476545164954e-05],
        [8.749031708734135e-05, 4.922602365331885e-05, 0.00018258955770181798],
        [0.0002522919758354976, 4.777642002235691e-05, 0.00011882964891485959],
    ],
], np.float64)
got = answer.detach().to(torch.float64).numpy()
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

# The same by plain NumPy in float64, for comparison: it decides nothing.
with np.errstate(all="ignore"):
    x64 = x.astype(float)
    mean, var = x64.mean((1, 2), keepdims=True), x64.var((1, 2), keepdims=True)
    xhat = (x64 - mean) / np.sqrt(var + 1e-12)
    g = dy.astype(float)
    g_mean, gx_mean = g.mean((1, 2), keepdims=True), (g * xhat).mean((1, 2), keepdims=True)
    plain = 1.0 / np.sqrt(var + 1e-12) * (g - g_mean - xhat * gx_mean)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"dx at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
print(f"  NumPy float64 {plain[worst]:.17g}")
sys.exit(1 if ratio[worst] > 1 else 0)
