"""Pruning for a machine: how much each matrix keeps, so that a model meets a latency or an energy.

docs/prune_for_a_machine.md states the algorithm:

levels ──▶ what each costs on the machine, and what error it leaves ──▶ dynamic program ──▶ search
over the weight of each matrix's error ──▶ whole-model simulation closes the gap ──▶ masks
"""
