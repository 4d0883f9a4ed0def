"""Why a cycle passed: what each cause is called, means and looks like."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """words: what the machine was doing, for people; colour: in pictures, as #RRGGBB."""

    words: str
    colour: str


# Okabe and Ito's colours, told apart with any kind of colour vision, and Paul Tol's.
COMPUTE = Cause("multiplying kept weights", "#0072B2")
EMPTY_LANES = Cause(
    "multipliers without work beside busy ones, because vectors do not fill an entry", "#56B4E9"
)
IMBALANCE = Cause("PE rows waiting for the one with the most work", "#E69F00")
WINDOW = Cause("waiting for an activation that is not in the window yet", "#F0E442")
PIPELINE = Cause("filling and draining the multiply pipeline", "#B8B8B8")
ARRAY_EDGE = Cause("parts of the array that the matrix or the tokens do not reach", "#66CCEE")

BETWEEN_PASSES = {
    "dram": Cause("waiting for weights to arrive from DRAM", "#D55E00"),
    "decoder": Cause("waiting for XOR decoders, which are slower than the DRAM", "#CC3311"),
    "writeback": Cause("waiting for results to be written out", "#4A4A4A"),
}
"""What the time between passes is spent on, whatever the dataflow: it ends every list of causes.

Only machines with XOR decoders count "decoder"."""
