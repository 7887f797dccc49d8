"""When an engine has started, as the plugin door can know it: by the first call of its plugin client.

Rule: one run of dockerd activates each name that it has for us once, when it first needs it (pkg/plugins/plugins.go of
moby); what another name of the same run asks for is no start, since calls of the first may be under way.
"""

from __future__ import annotations

from collections.abc import Callable


class EngineStarts:
    """names: how many dockerd has for us. started: called for each start."""

    def __init__(self, names: int, started: Callable[[], None]) -> None:
        self._names = names
        self._started = started
        self._process = 0
        self._activations = 0

    def activated(self, process: int) -> None:
        """The process, 0 for an unknown one, has activated one of the names."""
        same = process == self._process != 0 and self._activations < self._names
        self._process = process
        self._activations = self._activations + 1 if same else 1
        if not same:
            self._started()
