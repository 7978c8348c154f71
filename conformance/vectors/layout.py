"""The text that goes with an exported set, for a reader who has nothing else."""

from __future__ import annotations

README = """\
Batch-normalization test vectors, format bn-vectors/1: {count} vectors
Made by: {source}

vectors.json  everything, in JSON. Arrays are {{"shape": [...], "data": [...]}}, row-major.
vectors.npz   the same arrays as NumPy's, stored uncompressed, none of them pickled.
index.csv     one line to a vector, in the order of both files: what it is, which quantities
              it expects (1 or 0), and how many of its values can be judged.

A vector is one call.

mode          train: normalize by the batch, update the running statistics, differentiate
              through the batch statistics. infer: normalize by the running statistics.
dtype         of x, dy, y and dx. Everything else is in float32 when this is float16 or
              bfloat16, and in dtype otherwise.
axis          the feature axes of x; negative ones count from the end. All other axes are
              reduced. Parameters and statistics have one value for each feature, in the order
              of the axes from front to back.
epsilon       is added to the variance. Round it to your format.
decay         the weight of the old value: new = decay * old + (1 - decay) * batch. null (NaN
              in the NPZ): the cumulative average, whose first update, this one, takes the
              batch's value. Not used by infer.
conventions   running_var: whether the biased variance (sum / n) or the unbiased one
              (sum / max(n - 1, 1)) enters the running variance. batch_var is always biased.
inputs        x; gamma and beta where they are used; running_mean and running_var before the
              call; dy, the gradient of the loss with respect to y. Every number is exact in
              its format: read it as a double and convert, and nothing is lost.
expected      the exact results, each rounded to a double once. running_mean and running_var
              are those after the call.
bounds        for each expected value the largest error of a correct implementation.

A kernel's value is right if |value - expected| <= bound, computed in double. Also:
- bound null (infinity in the NPZ): nothing is judged, except that where the expected value is a
  number, the kernel's must be finite too, and where it is "NaN" or "Infinity", the kernel's must
  be NaN or infinite (non-finite input must not be hidden).
- an infinity of the right sign is right where |expected| + bound reaches the largest finite
  number of the value's format (float16: 65504, bfloat16: 3.3895313892515355e+38, float32:
  3.4028234663852886e+38).
- a bound of 0 asks for exactly this value.

In the NPZ, vector number i is under its number in five digits: 00000/inputs/x,
00000/expected/y, 00000/bounds/y; 00000/mode, dtype, axis, epsilon, decay and running_var ('' where
none is declared) are arrays too. bfloat16 is stored as float32 numbers that bfloat16 holds
exactly; dtype says so. expected and bounds are float64.
"""
