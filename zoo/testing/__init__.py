"""What tests of models need: weights that hide no mistake, and comparisons that say what differs."""

from zoo.testing.parity import assert_logits_agree, assert_same_tensors, shake

__all__ = ["assert_logits_agree", "assert_same_tensors", "shake"]
