"""Echo requests in memory are answered as a test plants it; tests/contracts has what both kinds promise."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.overlay_paths import Answer, Echo
from mooring.testing.memory_echoes import MemoryEchoes

HERE, THERE = ip_address("192.0.2.1"), ip_address("192.0.2.2")


async def test_everybody_answers_until_planted_otherwise() -> None:
    """And a test sees what was asked."""
    echoes, echo = MemoryEchoes(), Echo(HERE, THERE)
    assert await echoes.ask([echo]) == {echo: Answer.YES}
    echoes.silent.add(THERE)
    assert await echoes.ask([echo]) == {echo: Answer.NO}
    echoes.lacking.add(HERE)
    assert await echoes.ask([echo]) == {echo: Answer.UNASKED}
    assert echoes.asked == (echo,)
