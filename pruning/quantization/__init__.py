"""Models in 8-bit numbers: trained so (`qat`), exported (`export`) and run (`integer`).

Weights are signed and symmetric, inputs unsigned and asymmetric (`numbers`), sums exact in 32 bits.
Source: Q8BERT (Zafrir et al. 2019) as Prune Once for All (Zafrir et al. 2021) and its library use
it; docs/prune_once_for_all.md says where we differ.
"""
