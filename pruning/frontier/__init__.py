"""Quality × latency × energy of one model: every pattern, sparsity and machine that is asked for.

study ──▶ plan ──▶ points, each in a folder of its own ──▶ floors, front, verdict ──▶ page, table
"""
