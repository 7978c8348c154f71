"""onnx.reference.opset9: BN-REJECT-6 does not hold for the call.

BN-REJECT-6 (SHOULD): A negative epsilon is rejected.

Found: accepted the call (epsilon is -0.001, the variances are larger), and answered y of shape
(6, 3, 4, 5); y: expected -0.295868481, got -0.341073751 at [5, 1, 2, 0]: 4.26e+04 times the
bound 1.06e-06

On bnconform 0.1.0, numpy 2.4.6, onnx 1.23.2, python 3.11.7.

Case 2f40ccfc5aa8105b, divergence 4bb14c064fcf.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import base64
import os
import sys

import numpy as np

try:
    import onnx
    import onnx.reference
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.frombuffer(base64.b64decode(
    "2Ox6QD6hGkGvE8FAPyHbvzFa/EAeKRxB9X2dQHGy20BaUo1ACNYHQZ8pGMA4PoxBNVSfQHf6UUCzStlA8GPrQL"
    "VugEEcCABBqbH8QLH7DEFpBf7AsQvtwGuGA8HvCALBdFKKwEnnUsEa+aa/0NCowCQNIsA0ABvBmh6hwDpsMEAC"
    "h+7AoCVLwI1fL8A+sRLBLl/WPlB6DsC2wjzBzD52wLYiGEHoMQlBaR4OQQtQnECwuq5AxOC4QOa5dkDa/yhBeZ"
    "PJQAG0eUDLxkRB/YUNQRPxPEHzsxZBuz4+QBS7LEFAsxlB8uZxQLvJ+EApKUlBpqUeQRy3CUFkvCpB+00dwH1F"
    "3kDEghdBpjRYQb6ei0CGMExBQ/QlQZP0pj/naGpAPAs+QTGB8kDBk3JBUgKRQHaEukD/iK5A9OETQf3tFEFiy7"
    "7AvILawJNVrr+WmI/AeuLowBfOD8G4KIfAori0v1BJu8B8KQbBJ0vVP5Ezn8AJz0XAnTGWv3Di3b/xHW/B7nvs"
    "wALCAMHEq6HA5nL1wG+ubEEv9DA/WUyyQAQA30C+aSlAecIAQSMOYUAI9fhA8yJBQaoo80Clpc5A8HrzQJ9CSk"
    "H3MAVBiY0oQf5gpUAcYR9ArAJHP9F5kEAWmA5BZGk3QdAAKEBQhFpAg0/nQO3DSkEbQ45AZvUiQTguH0C/gEFB"
    "LM6BwIEbt0DEvytBNYeDQJymOkGMWTVBuU8DQfIiREHwHOZAK93wQERWEUHwDgnAaO5Jv59KXr462cPAGnrQwG"
    "ID7D9dcQbBO+9NwJnQA8BL5gBA5FkoQGLNJ8BXaYHAKWGPwEKX4L8xyTTAvFckwW/rR8CX1YQ/j9adwDbq1kAb"
    "SeBAjuRlQDfTFUFsMt1AQoIQQVGd1EBbKhBB9CwQQXBuh7/oANVAa1J9QaTMhUDTGjtB8WdrQb+kCEHaR11BBN"
    "3iQKzv9UBW3AtB9JwLQeRD3752+2FBkLqiQNZmuz9j+DFBqXutQOzoBEHafjk/gxnWP5Sbm0Apnm1B8RBhQPWC"
    "EEG0hghBHjX/QKqeUUBoyKdANy71QLoy80CiKAHBOVgQwYHff8BNqTzAQi26wPskrMCj2xTAgWQ1wRwUE8BVMF"
    "bA2oWawMlmscAXS+vAFQdhwN18LkD8GcvAUzmPwGsCHMBhi6DATBetPyqh8j8kL2dBZpY+QWWwF0Ef1TVBoCcg"
    "QZ7FqECU2dhAN7s5QcBd00CqLO1As+RxPv+ssUAnOEZBbbnBQNIiBkAkd+1ARsodQc22GEG0HPZA3NQZQWlQBU"
    "HZqYNAggUiQcBtwUCK149ALKiuQM37I0Gzs2Y+oP8fQaIvNEFduI4/SFISQf9+B0Go/GdBJbZtQDM6VEFoVh5B"
    "L4pCQYLkIkHfQKrA8uA2vzQa/D+4tei/SVKvQBND/MAbhUW/AXa6wPQ8ksDp7BPBKctdwCxbT0AJCyvAMaYGwU"
    "Uxr8CmYunAQXLkwLSAiT9sKcPAmGOMwEN9ZUHiE0BBE5MAQEUYa0HGdXVBX7wPQa4JOUH1fdZANN/6QMG+dUDJ"
    "lm9BnRppQRTRC0HvvW1BWfm+QOuqH0GIwTtB7mD9QO1LHEG4i7pAtmFJP5GXUUF8t5RAn6MrQVqspkCzAm9AG3"
    "wzQPYlCkH20Z1AeGvMQDo5fEEzFTtAOmc3QalHvEB9WBxAQPnnQKjgUkE2/zdBuV4dQRNMB0Bar5m/XT6zPm4N"
    "BECb2KjArIzCwFzKEsF00UfAw2I6wRrCPUASaeXABq22QKQ0DMHT57HAny7ov3jsF0DRsw/AuaIowf/nPcBxTt"
    "TAj9YWwcAzIEEOLwdBYSFEQQDoyECbuIVBwIgQQWodXUFfWgJBy7MwQcMTDEEjR7dA7nwgQQe7VkAvBmVBczX/"
    "QKcxB0FZZ/lAY6KvP/Eeu0ATFohA"
), "<f4").reshape((6, 3, 4, 5)).copy()
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    scale = gamma
    shift = beta
    mean, var = running_mean, running_var


    def batch_norm(x, mean, var, training):
        """All outputs of a model with the one node."""
        inputs = ["x", "scale", "B", "input_mean", "input_var"]
        outputs = ["y", "running_mean", "running_var", "saved_mean", "saved_var"][: None if training else 1]
        node = onnx.helper.make_node(
            "BatchNormalization",
            inputs,
            outputs,
            epsilon=-0.001,
            momentum=0.9,
        )
        sizes = ['N', 'C', 'D1', 'D2']

        def value(name):
            if name in ("x", "y"):
                return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
            return onnx.helper.make_tensor_value_info(
                name, onnx.TensorProto.FLOAT, sizes[1:2]
            )

        graph = onnx.helper.make_graph(
            [node], "batch_norm", [value(name) for name in inputs], [value(name) for name in outputs]
        )
        opset = onnx.helper.make_opsetid("", 9)
        version = onnx.helper.find_min_ir_version_for([opset])
        model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=version)
        feeds = dict(zip(inputs, (x, scale, shift, mean, var), strict=True))
        return onnx.reference.ReferenceEvaluator(model).run(None, feeds)


    data = x
    (y,) = batch_norm(data, mean, var, training=False)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('onnx.reference.opset9: BN-REJECT-6 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "onnx", onnx.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for epsilon is -0.001, the variances are larger")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
