"""Signals while a stop request catches them, and afterwards."""

import signal

from archlab.core.signals import StopRequest


def test_signals_are_as_before_once_nothing_is_trained() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopRequest().caught():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
