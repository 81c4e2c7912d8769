"""The TCP editor between two endpoints, whatever the network does to their packets."""

from __future__ import annotations

from hypothesis import given, settings

from tests.lab.gateway.tcp_network import RUNS, Network, Run


@given(run=RUNS)
@settings(max_examples=300, deadline=None)
def test_all_gets_through_loss_duplication_and_reordering(run: Run) -> None:
    network = Network(run)
    network.play(run.actions, run.window)
    network.finish(max(run.size, 20), run.window, retransmit=True)


@given(run=RUNS)
@settings(max_examples=200, deadline=None)
def test_without_loss_nothing_needs_retransmission(run: Run) -> None:
    network = Network(run)
    network.finish(max(run.size, 5), max(run.window, 5), retransmit=False)
