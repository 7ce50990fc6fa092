"""Checkpoint tools on `zoo.checkpoint` and `zoo.hub`: what one does with checkpoints without running a model.

Nothing in this package imports torch or numpy. The programs of it are subcommands of `zoo`.
"""
