"""Does pruning for a machine do what docs/prune_for_a_machine.md says of it?"""
