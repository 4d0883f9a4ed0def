"""How much is kept, and how fast is learned, at each step.

Source: Sanh et al. 2020 (movement pruning), the schedule of its code: the kept share v stays at
its first value for a·W steps, falls by a cubic to its last, and stays there for the final b·W of N
steps:  v(t) = v_f + (v_i − v_f)(1 − (t − aW)/(N − (a + b)W))³.
The cubic is that of Zhu & Gupta 2017.
"""

from dataclasses import dataclass

from sparse_formats.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """steps N, warm-up W in steps, and for how many W the kept share rests at both ends (a, b).

    first, last: sparsity before and after the ramp.
    """

    steps: int
    warmup: int
    initial_warmup: float
    final_warmup: float
    first: float
    last: float

    def __post_init__(self) -> None:
        if self.begin > self.end:
            raise InputError(
                f"{self.steps} steps leave no room for a ramp between {self.begin:g} steps of "
                f"warm-up and {self.steps - self.end:g} of cool-down; give more steps, or smaller "
                "warmup, initial_warmup, final_warmup"
            )

    @property
    def begin(self) -> float:
        """Step at which the ramp begins."""
        return self.initial_warmup * self.warmup

    @property
    def end(self) -> float:
        """Step after which the last sparsity holds."""
        return self.steps - self.final_warmup * self.warmup

    def progress(self, step: int) -> float:
        """How far the ramp is at `step`, from 0 to 1, in time."""
        if step <= self.begin:
            return 0.0
        return 1.0 if step > self.end else (step - self.begin) / (self.end - self.begin)

    def sparsity(self, step: int) -> float:
        """The fraction to remove at `step`."""
        left = (1 - self.progress(step)) ** 3
        return self.last + (self.first - self.last) * left

    def is_final(self, step: int) -> bool:
        """Whether the last sparsity holds from `step` on."""
        return self.progress(step) >= 1

    def learning_rate(self, step: int) -> float:
        """The share of the learning rate: linear up over W steps, then linear down to 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))
