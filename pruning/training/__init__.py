"""Pruning while training: `prepare → step → finalize` (`pruner`) around one small loop (`loop`)."""
