"""The curves others train with, by the name of who does.

One formula, very different adversaries: the ramp of the paper spans the training, the libraries' spans a number of
steps that does not depend on it. A ramp written without an end, 2 / (1 + exp(-i / 1000)) - 1 at step i, is given
here a horizon so far away that the cap changes nothing: there it is 1 in double precision.
"""

import math

from grl.schedules import Ganin

PAPER = Ganin(gamma=10.0)
"""Ganin et al., JMLR 17 (2016), section 5.2: 2 / (1 + exp(-10 p)) - 1 over the whole training."""

CAFFE = Ganin(gamma=10.0, horizon=10_000)
"""The authors' Caffe layer: the same over the first 10,000 steps, then flat."""

TRANSFER_LEARNING_LIBRARY = Ganin(gamma=100.0, horizon=100_000)
"""Transfer-Learning-Library's warm start (alpha=1, lo=0, hi=1, max_iters=1000): 2 / (1 + exp(-i / 1000)) - 1,
without an end."""

CDAN = Ganin(gamma=100.0, horizon=100_000)
"""The CDAN authors' coefficient (high=1, low=0, alpha=10, max_iter=10000): the same curve, -10 i / 10000 in the
exponent."""

MDD = Ganin(gamma=100.0, alpha_max=0.1, horizon=100_000)
"""MDD's warm start (alpha=1, lo=0, hi=0.1, max_iters=1000): a tenth of it."""

F_DAL = Ganin(gamma=100.0, alpha_max=0.6, horizon=300_000)
"""f-DAL's digits (alpha=1, lo=0, hi=0.6, max_iters=3000): 0.6 · (2 / (1 + exp(-i / 3000)) - 1)."""

DEEP_DA = Ganin(gamma=1.0)
"""DeepDA's training script (gamma=1, max_iter the whole training): ends at 0.462."""

DEEP_DA_LAYER = Ganin(gamma=1.0, horizon=1_000)
"""DeepDA's layer by default (gamma=1, max_iter=1000): 0.462 from step 1,000 on."""

ADAPT = Ganin(gamma=1.0, alpha_max=1.0 / math.tanh(0.5), horizon=1_000)
"""adapt's UpdateLambda (lambda_max=1, gamma=1, max_steps=1000): the ramp divided by its own end, so that it
arrives at 1 exactly."""
