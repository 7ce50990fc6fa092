"""The conformance of an architecture: all checks in one class to derive from."""

from __future__ import annotations

from zoo.testing.building import BuildingChecks
from zoo.testing.computing import ComputingChecks
from zoo.testing.failing import fail
from zoo.testing.fresh_process import in_fresh_process
from zoo.testing.optional import CapabilityChecks
from zoo.testing.reference import ReferenceChecks
from zoo.testing.storing import StoringChecks

__all__ = ["ArchitectureConformance"]

_CREATING = """
import zoo
values, = arguments
model = zoo.create(values, task=None, device="cpu")
total = sum(parameter.numel() for parameter in model.parameters())
print(json.dumps([type(model).__qualname__, total]))
"""


class ArchitectureConformance(BuildingChecks, StoringChecks, ComputingChecks, CapabilityChecks, ReferenceChecks):
    """Every promise that an architecture makes, as tests.

    A child whose name begins with Test declares `architecture`, `tiny`, `reference` and `capabilities`; what else it
    may declare or extend is said by the classes above. Each test is a method, so that one can be extended, or left out
    with the reason, as any method can.
    """

    def test_a_spawned_process_finds_it(self) -> None:
        """Workers of data loaders and trainers begin with nothing but what is installed."""
        self._require_installed(self.entry())
        found = in_fresh_process(
            _CREATING,
            self.hub_values(),
            what=f"zoo.create of '{self.architecture}'",
            change="Register it through an entry point of the group zoo.plugins; no import of yours runs there.",
        )
        model = self.model()
        expected = [type(model).__qualname__, sum(parameter.numel() for parameter in model.parameters())]
        if found != expected:
            fail(
                f"In a fresh process '{self.architecture}' is a {found[0]} of {found[1]} parameters; here it is a "
                f"{expected[0]} of {expected[1]}.",
                "Let a model depend on its configuration alone.",
            )
