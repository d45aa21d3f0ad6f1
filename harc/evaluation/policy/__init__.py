"""Policy layers beside a model: what else blocks a prompt or an answer, alone and together with the model's refusals.

A kind of layer is one file with `LAYER = LayerKind(...)`. No step of the workflow imports this package.
"""
