"""tf.nn: BN-REJECT-9 does not hold for the call.

BN-REJECT-9 (SHOULD): Integer input is rejected, or computed as the real numbers it stands for.

Found: accepted the call (the input is of format int32), and answered y of shape (6, 3, 4, 5);
y: must be float32, got int32

On bnconform 0.1.0, numpy 2.4.6, python 3.11.7, tensorflow 2.21.0, tensorflow-cpu 2.21.0,
tf_keras 2.21.0.

Case bae9879ea690228b, divergence be0e48b806ea.

Exit status: 1 while this stands, 0 when it is gone, 2 where it cannot run.
"""

import base64
import os
import sys

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
try:
    import tensorflow as tf
except ImportError as error:
    print(f"cannot run: {error}")
    sys.exit(2)

# What goes in.
x = np.frombuffer(base64.b64decode(
    "EAAAACcAAAAYAAAA+f///yAAAAAnAAAAFAAAABsAAAASAAAAIgAAAPb///9GAAAAFAAAAA0AAAAbAAAAHQAAAE"
    "AAAAAgAAAAIAAAACMAAADg////4v///9/////f////7////8v////7////6/////b////Z////7P///wsAAADi"
    "////8/////X////b////AgAAAPf////R////8f///yYAAAAiAAAAJAAAABQAAAAWAAAAFwAAAA8AAAAqAAAAGQ"
    "AAABAAAAAxAAAAIwAAAC8AAAAmAAAADAAAACsAAAAmAAAADwAAAB8AAAAyAAAAKAAAACIAAAArAAAA9v///xwA"
    "AAAmAAAANgAAABEAAAAzAAAAKQAAAAUAAAAPAAAAMAAAAB4AAAA9AAAAEgAAABcAAAAWAAAAJQAAACUAAADo//"
    "//5f////v////u////4////9z////v////+v///+n////e////BwAAAOz////0////+/////n////E////4v//"
    "/+D////s////4f///zsAAAADAAAAFgAAABwAAAALAAAAIAAAAA4AAAAfAAAAMAAAAB4AAAAaAAAAHgAAADMAAA"
    "AhAAAAKgAAABUAAAAKAAAAAwAAABIAAAAkAAAALgAAAAsAAAAOAAAAHQAAADMAAAASAAAAKQAAAAoAAAAwAAAA"
    "8P///xcAAAArAAAAEAAAAC8AAAAtAAAAIQAAADEAAAAdAAAAHgAAACQAAAD3/////f/////////o////5v///w"
    "cAAADe////8/////j///8IAAAACwAAAPb////w////7v////n////1////1/////T///8EAAAA7P///xsAAAAc"
    "AAAADgAAACUAAAAcAAAAJAAAABsAAAAkAAAAJAAAAPz///8bAAAAPwAAABEAAAAvAAAAOwAAACIAAAA3AAAAHA"
    "AAAB8AAAAjAAAAIwAAAP7///84AAAAFAAAAAYAAAAsAAAAFgAAACEAAAADAAAABwAAABMAAAA7AAAADgAAACQA"
    "AAAiAAAAIAAAAA0AAAAVAAAAHwAAAB4AAADg////3P////D////0////6f///+r////3////0/////f////z//"
    "//7f///+r////j////8v///wsAAADn////7v////b////s////BQAAAAgAAAA6AAAAMAAAACYAAAAtAAAAKAAA"
    "ABUAAAAbAAAALgAAABoAAAAeAAAAAQAAABYAAAAyAAAAGAAAAAgAAAAeAAAAJwAAACYAAAAfAAAAJgAAACEAAA"
    "AQAAAAKQAAABgAAAASAAAAFgAAACkAAAABAAAAKAAAAC0AAAAEAAAAJQAAACIAAAA6AAAADwAAADUAAAAoAAAA"
    "MQAAACkAAADr/////f///wgAAAD5////FgAAAOD////9////6f///+7////b////8v///w0AAAD1////3v///+"
    "r////j////4////wQAAADo////7v///zkAAAAwAAAACAAAADsAAAA9AAAAJAAAAC4AAAAbAAAAHwAAAA8AAAA8"
    "AAAAOgAAACMAAAA7AAAAGAAAACgAAAAvAAAAIAAAACcAAAAXAAAAAwAAADQAAAATAAAAKwAAABUAAAAPAAAACw"
    "AAACMAAAAUAAAAGgAAAD8AAAAMAAAALgAAABgAAAAKAAAAHQAAADUAAAAuAAAAJwAAAAgAAAD7////AQAAAAgA"
    "AADr////6P///9v////0////0f///wwAAADj////FwAAAN3////q////+f///wkAAAD3////1v////T////l//"
    "//2v///ygAAAAiAAAAMQAAABkAAABDAAAAJAAAADcAAAAhAAAALAAAACMAAAAXAAAAKAAAAA0AAAA5AAAAIAAA"
    "ACIAAAAfAAAABQAAABcAAAARAAAA"
), "<i4").reshape((6, 3, 4, 5)).copy()
gamma = np.array([0.26495883, 0.3112096, -0.6667169], np.float32)
beta = np.array([1.2894453, -1.4217225, -0.66915625], np.float32)
running_mean = np.array([6.7807484, -5.7384205, 9.346782], np.float32)
running_var = np.array([22.061222, 10.013171, 11.172245], np.float32)

# The call.
def call():
    scale = tf.constant(gamma.reshape((1, 3, 1, 1)))
    offset = tf.constant(beta.reshape((1, 3, 1, 1)))
    mean, variance = tf.constant(running_mean.reshape((1, 3, 1, 1))), tf.constant(running_var.reshape((1, 3, 1, 1)))

    data = tf.constant(x)
    y = tf.nn.batch_normalization(data, mean, variance, offset, scale, 0.001)
    answer = y
    return answer


try:
    answer = call()
except Exception as error:  # whatever it raises is what is asked about
    answer, message = None, f"{type(error).__name__}: {error}"

print('tf.nn: BN-REJECT-9 does not hold for the call.')
print("versions:", "python", sys.version.split()[0], "numpy", np.__version__, "tf", tf.__version__)

if answer is None:
    print(f"expected: an error\ngot:      {message[:1000]}")
    sys.exit(0)
print(f"expected: an error, for the input is of format int32")
print(f"got:      an answer of shape {tuple(answer.shape)}")
sys.exit(1)
