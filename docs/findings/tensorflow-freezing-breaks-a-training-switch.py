"""tf.layers.unfused: BN-CALL-1 does not hold for the call.

BN-CALL-1 (MUST): A call within the domain that the subject documents returns a result.

With a placeholder for training the unfused layer reads its variables inside conditional functions.
convert_variables_to_constants takes them away there and leaves the functions' results as they were:
the frozen graph does not run. Without the placeholder it does.

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

# What goes in: a layer as it is made, with mean 0 and variance 1.
x = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]], np.float32)
epsilon = 0.0625
v1 = tf.compat.v1


def frozen(*, switch: bool) -> list[list[float]] | str:
    """The output of the frozen graph, or what was raised where it was run."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        data = v1.placeholder(tf.float32, x.shape, name="x")
        off = np.zeros((), bool)
        training = v1.placeholder_with_default(off, (), name="training") if switch else False
        layer = v1.layers.BatchNormalization(epsilon=epsilon, fused=False)
        tf.identity(layer.apply(data, training=training), name="y")
        session.run(v1.global_variables_initializer())
        whole = graph.as_graph_def()
        constants = v1.graph_util.convert_variables_to_constants(session, whole, ["y"])
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        try:
            tf.import_graph_def(constants, name="")
            found: list[list[float]] = session.run("y:0", {"x:0": x}).tolist()
        except Exception as error:  # noqa: BLE001 -- whatever it raises is what is asked about
            return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return found


# The calls.
got, control = frozen(switch=True), frozen(switch=False)

# The same by plain NumPy in float64.
expected = x.astype(np.float64) / np.sqrt(1 + epsilon)

print("tf.layers.unfused: BN-CALL-1 does not hold for the call.")
print(
    "versions:", "python", sys.version.split()[0], "numpy", np.__version__,
    "tensorflow", tf.__version__,
)  # fmt: skip
print("expected               ", expected.round(6).tolist())
print("got                    ", got if isinstance(got, str) else np.round(got, 6).tolist())
print(
    "without the placeholder",
    control if isinstance(control, str) else np.round(control, 6).tolist(),
)
right = not isinstance(got, str) and np.allclose(got, expected, rtol=1e-5)
sys.exit(0 if right else 1)
