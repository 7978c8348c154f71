"""The two texts that this project grew from, made executable.

``blog.py`` predicts the network of a blog post that debugs ``tf.layers.batch_normalization``, and
``rounding.py`` says how far float32 may be from the prediction; ``checks.py`` repeats the post's
hand check and does its homework. ``question.py`` turns the failures of a question about the
layer's parameters into contract cases.
"""
