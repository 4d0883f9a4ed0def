"""Smaller encoders without training: K-prune, Kwon et al., and two simple baselines.

All take a fine-tuned encoder, a few examples and a budget of FLOPs, and choose heads and neurons:

    sublayers  what can go, and its FLOPs
    walk       the model from a given layer on, features and residual sums watched
    knowledge  what each head and neuron knows: of the answer, and of its sublayer's output
    search     which of them fit into the budget
    tuning     the least-squares problem that makes up for what went
    kprune, kwon, baselines   the methods; `METHODS` in `methods` lists them
"""
