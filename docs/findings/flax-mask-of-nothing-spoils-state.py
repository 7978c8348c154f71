"""flax.linen: BN-EDGE-3 does not hold for y_infer.

BN-EDGE-3 (SHOULD): An empty batch, where accepted, leaves the running statistics alone.

Found: expected -2.18696462, got nan at [0, 0, 0]: inf times the bound 8.23e-07

On bnconform 0.1.0, flax 0.12.8, jax 0.10.2, jaxlib 0.10.2, numpy 2.4.6, python 3.11.7.

Case 07728abaaaf7b068, divergence 4b684200751d.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import os
import sys

import numpy as np

try:
    import jax
    from flax import linen

    jax.config.update("jax_enable_x64", True)
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.array([
    [
        [7.878527, -4.1323113, -2.0755594],
        [1.4262527, -3.770974, -2.0521963],
        [3.46097, -8.314333, -0.81838393],
    ],
    [
        [3.5720775, -7.914515, -1.6232796],
        [8.164278, -9.504802, -0.3781558],
        [2.3164878, -4.132417, -0.27365544],
    ],
    [
        [2.1051614, -3.8637927, -2.2563074],
        [3.6599276, -14.559616, -1.6693983],
        [8.482589, -10.877842, -2.0428932],
    ],
    [
        [-0.541229, -7.9746675, -1.4855316],
        [-0.9952795, -7.9595504, -1.2391603],
        [-0.31785095, -2.7216363, -0.3622191],
    ],
    [
        [1.9300956, -6.764219, -1.3491843],
        [4.4534326, -5.7273555, -1.892882],
        [5.794652, -11.189599, -1.6467222],
    ],
    [
        [3.4201634, -2.571625, -1.4307706],
        [4.872279, -2.3938107, -2.288683],
        [2.262467, -10.387214, 0.10644667],
    ],
    [
        [0.07572998, -4.3761983, -0.91987133],
        [6.552848, -8.3021755, -1.4670312],
        [2.4814048, -1.2226881, -2.6623363],
    ],
], np.float32)
mask = np.full((7, 3, 1), False, np.bool_)
x_infer = x  # the same buffer
gamma = np.array([-0.12600562, -0.13216358, -0.5859498], np.float32)
beta = np.array([-1.9162359, 1.0127071, 0.8457285], np.float32)
running_mean = np.array([0.6269336, -6.316141, -0.44607836], np.float32)
running_var = np.array([11.3914175, 9.333248, 1.0224528], np.float32)

# The call.
params = {"scale": gamma, "bias": beta}
stats = {"mean": running_mean, "var": running_var}
layer = linen.BatchNorm(
    use_running_average=False,
    axis=(-1,),
    momentum=0.99,
    epsilon=1e-05,
    use_scale=True,
    use_bias=True,
    param_dtype=jax.numpy.float32,
)


@jax.jit
def step(params, stats, x, mask):
    variables = {"params": params, "batch_stats": stats}
    y, new = layer.apply(variables, x, mask=mask, mutable=["batch_stats"])
    return y, new["batch_stats"]


data = x
y, stats = step(params, stats, data, mask)
layer = linen.BatchNorm(
    use_running_average=True,
    axis=(-1,),
    momentum=0.99,
    epsilon=1e-05,
    use_scale=True,
    use_bias=True,
    param_dtype=jax.numpy.float32,
)
y = layer.apply({"params": params, "batch_stats": stats}, x_infer)
answer = y

print('flax.linen: BN-EDGE-3 does not hold for y_infer.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "jax", jax.__version__, "linen", __import__('flax').__version__)

# What must come out: exact values, rounded to float64, and how far an answer may be from each.
expected = np.array([
    [
        [-2.1869646225397315, 0.9182327551898276, 1.789976215893582],
        [-1.946077451726438, 0.9026009867681111, 1.7764378157270357],
        [-2.0220409394340813, 1.0991506154656403, 1.0614712445021],
    ],
    [
        [-2.0261889949339267, 1.0818541465660825, 1.5278902131837895],
        [-2.197632754881991, 1.1506513214771477, 0.8063689152403305],
        [-1.9793132057918044, 0.9182373346916347, 0.7458133044966142],
    ],
    [
        [-1.9714236143604864, 0.9066164053458494, 1.8947156193863228],
        [-2.02946876251857, 1.3693269472401146, 1.5546149863756422],
        [-2.20951646716282, 1.210050224118818, 1.7710468820334828],
    ],
    [
        [-1.8726241117580271, 1.0844563968969916, 1.4480683352241273],
        [-1.8556727348692428, 1.083802415159199, 1.305301710984378],
        [-1.8809636375985301, 0.8572057365138062, 0.7971339536186418],
    ],
    [
        [-1.9648877604180537, 1.0320913408619772, 1.369058136799309],
        [-2.059093225174901, 0.9872357395131867, 1.6841187670160362],
        [-2.1091658864813723, 1.2235371044813181, 1.5414746891162712],
    ],
    [
        [-2.0205174812937994, 0.8507161183144718, 1.4163356029209495],
        [-2.074730311775368, 0.8430237207824093, 1.9134765383778303],
        [-1.9772964073025692, 1.1888252234055374, 0.5255526560286927],
    ],
    [
        [-1.8956574633487397, 0.9287835147856184, 1.120280915296589],
        [-2.137472131263838, 1.0986246741229673, 1.437347810086123],
        [-1.985470164555093, 0.7923599445116297, 2.130000309251104],
    ],
], np.float64)
bound = np.array([
    [
        [
            8.228988175085075e-07, 4.327089248577991e-07, 1.2041220207123448e-06,
        ],
        [6.07528879213916e-07, 4.355041040901889e-07, 1.1920177391554213e-06],
        [6.754455374776205e-07, 4.931021082444356e-07, 5.527873592409979e-07],
    ],
    [
        [6.791541885196333e-07, 4.776378580101442e-07, 9.697987085113252e-07],
        [
            8.324368721774788e-07, 5.391473334074163e-07, 3.6693626150436573e-07,
        ],
        [6.372439623296547e-07, 4.327081059787061e-07, 3.777644846685319e-07],
    ],
    [
        [
            6.301901171041259e-07, 4.347860909828392e-07, 1.2977664110675002e-06,
        ],
        [6.820865295818013e-07, 7.346586031686838e-07, 9.93692534611875e-07],
        [
            8.430617401270319e-07, 5.922540975352436e-07, 1.1871978654274522e-06,
        ],
    ],
    [
        [5.958731287126768e-07, 4.799644514046186e-07, 8.984323377924559e-07],
        [6.049665573830653e-07, 4.793797460927651e-07, 7.707889386115406e-07],
        [
            5.913994577021736e-07, 4.4362141093204904e-07, 3.685876068400666e-07,
        ],
    ],
    [
        [
            6.243466076489244e-07, 4.3314643700175603e-07, 8.277916656423159e-07,
        ],
        [
            7.085728662047238e-07, 4.2037022436338647e-07, 1.1094780191797524e-06,
        ],
        [7.533413191672078e-07, 6.043123097643874e-07, 9.819441850423205e-07],
    ],
    [
        [6.74083459602908e-07, 4.447818456012141e-07, 8.700610441652167e-07],
        [7.225535126828216e-07, 4.461573540688957e-07, 1.314539991619579e-06],
        [
            6.354408037607998e-07, 5.732774657059815e-07, 4.3921001380509843e-07,
        ],
    ],
    [
        [
            5.845281879036162e-07, 4.3082230120061115e-07, 6.053673395052447e-07,
        ],
        [7.78649077033966e-07, 4.926318799811476e-07, 8.888474346198394e-07],
        [
            6.427487130577853e-07, 4.552167471871938e-07, 1.5081274653369787e-06,
        ],
    ],
], np.float64)
got = np.asarray(answer).astype(np.float64)
with np.errstate(all="ignore"):
    error = np.abs(got - expected)
    ratio = np.where(error == 0, 0.0, error / bound)
# An exact value that is finite must come out finite, and no other may.
ratio = np.where(np.isfinite(got) & np.isfinite(expected), ratio, np.inf)
ratio = np.where(~np.isfinite(got) & ~np.isfinite(expected), 0.0, ratio)
ratio = np.where(np.isinf(bound), 0.0, ratio)

worst = np.unravel_index(np.argmax(ratio), ratio.shape)
print(f"y_infer at {[int(i) for i in worst]}, the worst of {(ratio > 1).sum()} beyond their bound:")
print(f"  expected      {expected[worst]:.17g}")
print(f"  got           {got[worst]:.17g}")
print(f"  bound         {bound[worst]:.3g}")
print(f"  error / bound {ratio[worst]:.3g}")
sys.exit(1 if ratio[worst] > 1 else 0)
