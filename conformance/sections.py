"""The standard's prose, for a reader who has never opened the code: symbols, judging, sections."""

from __future__ import annotations

from collections.abc import Mapping

WORDS = (
    "An input x has *feature axes*, which keep statistics and parameters of their own, and *reduced"
    " axes*, over which statistics are taken; the batch is axis 0. What follows is per channel,"
    " that is, per combination of feature indices."
)

SYMBOLS: tuple[tuple[str, str], ...] = (
    ("x, n", "the channel's values, and how many there are"),
    ("g", "upstream gradient: the loss is differentiated as sum(y g)"),
    ("mu, v", "mean and biased variance of the batch, v = sum((x - mu)^2) / n"),
    ("epsilon", "the small number that is added to the variance, inside the root"),
    ("r, xhat", "1 / sqrt(v + epsilon), and (x - mu) r"),
    ("gamma, beta", "learned scale and shift"),
    ("y", "gamma xhat + beta"),
    ("rm, rv", "running mean and running variance; a prime marks the value after an update"),
    ("decay", "weight of the old value in a running average; None is the plain average"),
    ("dx, dgamma, dbeta", "gradients of the loss"),
    ("w, W", "weights of positions, and their sum; a mask is weights of 0 and 1"),
    ("R, D", "what batch renormalization scales and shifts xhat by"),
    ("u, u_o, u_s", "unit roundoff of the accumulation, the output's format, saved statistics"),
)
"""Symbol, meaning."""

LEVELS = "MUST, SHOULD and MAY are those of RFC 2119. INFO is recorded and not judged."

JUDGING = (
    "Every implementation under test (a *subject*) answers the same generated cases. The equations"
    " are evaluated in double-double arithmetic, about 106 significant bits, the same on every"
    " platform; where a subject accumulates in float32, float64 is enough to see that it conforms,"
    " as that lacks less than 2^-29 of the bound, and what diverges is judged again with all"
    " digits. An answer conforms where |got - exact| is at most the *bound* of that element: no"
    " tolerance is chosen, each bound follows from the formats, the number of values, their"
    " conditioning, and the algorithm that the subject documents. A bound so wide that any answer"
    " would pass is *vacuous*, and a vacuous check is no pass. A subject is judged by its"
    " *dialect*, the conventions that it documents; where it does something else, that is a"
    " divergence, whatever the reason."
)

SECTIONS: Mapping[str, str] = {
    "The call": (
        "What holds of every call, whatever it computes: that it returns, in which shape and"
        " number format, that it leaves its inputs alone and repeats itself."
    ),
    "Batch statistics": (
        "In training a layer normalizes by the mean and variance of the batch at hand. Every axis"
        " that is not a feature axis is reduced. The variance divides by n, not by n - 1; what"
        " enters the running variance is another question (BN-STATE-2). Where inputs are chosen so"
        " that every order of summation is exact, no error at all is allowed."
    ),
    "Training output": (
        "The batch is centred, scaled to variance 1 up to epsilon, and then scaled and shifted by"
        " the learned gamma and beta."
    ),
    "Axes": (
        "`axis` names what is kept apart, not what is averaged over. It is the parameter that is"
        " misread most: -1 is the batch when a layer hands over its units as columns."
    ),
    "Running statistics": (
        "Each training call moves a running mean and a running variance towards the batch's. decay"
        " is the weight of the old value: TensorFlow's, Keras's and JAX's momentum, and 1 minus"
        " PyTorch's. Frameworks disagree on whether the biased or the unbiased variance enters, and"
        " on how an average begins; a subject is judged by what it documents."
    ),
    "Inference": (
        "In inference the running statistics stand in for the batch's. The layer is then affine in"
        " its input, and its gradient is simply that factor."
    ),
    "Training gradients": (
        "The statistics depend on every value of the batch, so the gradient does too: each dx feels"
        " the mean of the upstream gradient and its correlation with xhat. Since epsilon is not 0,"
        " sum(dx xhat) is gamma r dgamma epsilon / (v + epsilon), not 0."
    ),
    "Second derivatives": (
        "Gradient penalties, Hessians and implicit layers differentiate a gradient again. With"
        " directions u, a and b of x, gamma and beta, S = sum(dx u) + sum(dgamma a) + sum(dbeta b)"
        " is differentiated by x, g and gamma (reverse over reverse); as S is also the rate at"
        " which the loss changes along those directions, its gradients are the tangents of dx, y"
        " and dgamma (forward over reverse), and that rate can be differentiated in reverse"
        " (reverse over forward). A, B and C are mean(g xhat), mean(u xhat) and the covariance of"
        " g and u, and P(z) = z - mean(z) - xhat mean(z xhat). What looks right after one"
        " differentiation may be wrong after two: a mean that is cut off from its gradient in"
        " (x - mean)^2, where the first derivative through it is 0 and the second is not. A call"
        " that is vectorized over upstream gradients, as Jacobians take them, may run another"
        " formula, with saved statistics that nothing differentiates."
    ),
    "Frozen layers": (
        "A layer marked as not trainable, and called in training mode. Keras 3 then uses running"
        " statistics, TensorFlow 1 those of the batch; neither moves its state."
    ),
    "Edges": (
        "One value to a channel, none at all, constants, NaN and infinity. Frameworks may reject"
        " the first two; what they do must be what they say."
    ),
    "Half-precision parameters": (
        "Mixed precision keeps parameters and state in float32 and only the data in half. Here they"
        " are all in half; sums are still expected in float32."
    ),
    "Batch renormalization": (
        "Training output is corrected towards slowly moving averages m and s of the batches' mean"
        " and deviation, so that training and inference differ less. The corrections R and D are"
        " constants for differentiation and are clipped."
    ),
    "Ghost batches": (
        "A large batch is normalized in groups (virtual_batch_size), as if it had been many small"
        " ones. Which samples form a group is a convention of the subject: TensorFlow interleaves"
        " them."
    ),
    "Synchronized replicas": (
        "A batch spread over devices is normalized as one. Partial means and variances must be"
        " merged with the devices' counts, which only shows when these differ."
    ),
    "Masks": (
        "Padding must not count. A mask decides which positions enter the statistics; all positions"
        " are normalized by them."
    ),
    "Weights": "The same with any weight that is not negative; W = sum(w) takes the place of n.",
    "Adjustment": (
        "tf.layers lets training outputs be scaled and shifted by a function of the caller, before"
        " gamma and beta."
    ),
    "Without running statistics": (
        "track_running_stats=False in PyTorch: there is nothing but the batch, in inference too."
    ),
    "Fixed gamma": "MXNet's fix_gamma: a gamma that is there and does not take part.",
    "Initializers": "What parameters and state hold before the first step.",
    "Regularizers": (
        "A regularizer is a function of a parameter whose value joins the loss. The layer's output"
        " does not change, its parameters' gradients do, once the caller adds the loss."
    ),
    "Constraints": (
        "A constraint is a projection that the optimizer applies to a parameter after its step."
    ),
    "Switches": "Arguments that choose between behaviours: training, trainable, fused.",
    "Names and sharing": (
        "In TensorFlow 1 variables are found by name. Two calls that share a scope share parameters"
        " and one running state, which both of them move."
    ),
    "Updates": (
        "In TensorFlow 1 the running statistics move in operations of their own, which the caller"
        " must run. Forgetting them leaves inference with a mean of 0 and a variance of 1."
    ),
    "Conversion and export": (
        "A layer is saved and loaded, copied, cast, exported as a program, converted to another"
        " format, or folded into the layer before it, in every way that its framework ships. Its"
        " numbers then carry the last digit of their format, epsilon and decay are nobody's"
        " default, and where the way keeps a layer that trains, it has been trained by one batch"
        " before the journey and is by another after it. Nothing is allowed to be lost: what does"
        " not round has a bound of 0."
    ),
    "Malformed calls": (
        "What cannot be meant should be refused, in words that name the argument. Recorded for each"
        " subject: rejects clearly, rejects unclearly, accepts and computes, accepts and returns"
        " garbage, crashes."
    ),
}
"""By the section's title, in the order of the clauses."""
