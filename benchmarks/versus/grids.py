"""The grids that both sides train, as a user would write them."""

from __future__ import annotations

HEAD = """
format   = 1
title    = "Versus"
question = "How long does it take?"
seeds    = {seeds}
checks   = false
"""

#: 784-256-10 on Fashion-MNIST, batches of 256; the test split is evaluated after each epoch, all before the first and
#: after the last.
FASHION = """
[base]
dataset    = {{ name = "fashion-mnist", validation = 0 }}
model      = {{ name = "mlp", hidden = [256] }}
optimizer  = {{ name = "{optimizer}", lr = {lr} }}
epochs     = {epochs}
eval_every = {eval_every}
eval_train_every = {epochs}
batch_size = 256
"""

LENET = """
[base]
dataset    = {{ name = "fashion-mnist", validation = 0, train_size = {size} }}
model      = "lenet"
init       = "default"
optimizer  = {{ name = "sgd", lr = 0.9 }}
epochs     = {epochs}
eval_every = {epochs}
batch_size = 256
"""

#: 200 weights, 20 examples, with and without decay (Dive into Deep Learning, section 3.7; 0.17, section 4.5).
HIGH_DIM = """
[base]
dataset    = "high-dim-linear"
model      = "linear"
init       = {{ name = "normal", std = 1.0 }}
loss       = "half-mse"
optimizer  = {{ name = "sgd", lr = 0.003 }}
regularizer = {{ name = "weight-decay", strength = 0.0 }}
epochs     = {epochs}
eval_every = 5
batch_size = 5
[vary]
regularizer.strength = [3.0]
"""

#: Degrees 1, 3 and 19 (Dive into Deep Learning 0.17, section 4.4): the last for 1,500 epochs, as there.
POLYNOMIAL = """
[base]
dataset    = {{ name = "polynomial", degree = 3 }}
model      = "linear"
loss       = "mse"
optimizer  = {{ name = "sgd", lr = 0.01 }}
epochs     = {epochs}
eval_every = 20
batch_size = 10
[vary]
dataset.degree = [1, 19]
[[when]]
match = {{ dataset.degree = 19 }}
set   = {{ epochs = {long} }}
"""

#: 64-64-10 on the digits, twelve arms: optimizers and rates mixed.
DIGITS = """
[base]
dataset    = "digits"
model      = {{ name = "mlp", hidden = [64] }}
optimizer  = {{ name = "sgd", lr = 0.1 }}
epochs     = {epochs}
eval_every = {eval_every}
batch_size = 64
[vary]
optimizer = [
  {{ name = "sgd", lr = [0.03, 0.3] }},
  {{ name = "sgd", lr = [0.01, 0.1], momentum = 0.9 }},
  {{ name = "adam", lr = [0.001, 0.01] }},
  {{ name = "adamw", lr = 0.003 }},
  {{ name = "adamax", lr = 0.01 }},
  {{ name = "adagrad", lr = 0.03 }},
  {{ name = "rmsprop", lr = 0.001 }},
  {{ name = "adadelta", lr = 1.0 }},
]
"""

#: The same network with SGD alone, at four rates.
DIGITS_SGD = """
[base]
dataset    = "digits"
model      = {{ name = "mlp", hidden = [64] }}
optimizer  = {{ name = "sgd", lr = 0.1 }}
epochs     = {epochs}
batch_size = 64
[vary]
optimizer.lr = [0.01, 0.03, 0.3]
"""

#: 100 arms, for as many cells as there are seeds a hundredfold; claims, so that a report has something to judge.
MANY = """
[base]
dataset    = {{ name = "digits", train_size = 200 }}
model      = {{ name = "mlp", hidden = [16] }}
optimizer  = {{ name = "sgd", lr = 0.1 }}
epochs     = 5
batch_size = 64
[product]
model.hidden = [[8], [12], [16], [20], [24]]
[vary]
optimizer = [
  {{ name = "sgd", lr = [0.01, 0.02, 0.05, 0.2, 0.5, 1.0] }},
  {{ name = "sgd", lr = [0.01, 0.02, 0.05, 0.1, 0.2], momentum = 0.9 }},
  {{ name = "adam", lr = [0.001, 0.002, 0.005, 0.01] }},
  {{ name = "adagrad", lr = [0.01, 0.02, 0.05, 0.1] }},
]
[[claims]]
id = "larger-is-faster"
kind = "comparison"
origin = "ours"
says = "After five epochs ten times the rate has the smaller loss."
source = "chosen for the size of the report"
metric = "test_loss"
lower = "baseline"
than = {{ optimizer = {{ name = "sgd", lr = 0.01, momentum = 0.0 }} }}
[[claims]]
id = "momentum-is-more-accurate"
kind = "comparison"
origin = "ours"
says = "Momentum at the same rate is more accurate."
source = "chosen for the size of the report"
metric = "test_accuracy"
higher = {{ optimizer = {{ name = "sgd", lr = 0.1, momentum = 0.9 }} }}
than = "baseline"
[[claims]]
id = "adam-is-more-accurate"
kind = "comparison"
origin = "ours"
says = "Adam at a rate of 0.01 is more accurate than SGD at 0.1."
source = "chosen for the size of the report"
metric = "test_accuracy"
higher = {{ optimizer = {{ name = "adam", lr = 0.01 }} }}
than = "baseline"
"""


def text(body: str, seeds: int, **numbers: object) -> str:
    """Return a grid's text with its numbers filled in."""
    return (HEAD + body).format(seeds=seeds, **{"eval_every": 1, **numbers})
