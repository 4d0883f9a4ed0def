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

    first, last: sparsity before and after the ramp. settle: for how many W after the ramp (c) the
    mask may still change, at the last sparsity. rewind: steps of the ramp after which the learning
    rate starts over; 0: it never does.
    """

    steps: int
    warmup: int
    initial_warmup: float
    final_warmup: float
    first: float
    last: float
    settle: float = 0.0
    rewind: int = 0

    def __post_init__(self) -> None:
        if self.begin > self.end:
            raise InputError(
                f"{self.steps} steps leave no room for a ramp between {self.begin:g} steps of "
                f"warm-up and {self.steps - self.end:g} of cool-down; give more steps, or smaller "
                "warmup, initial_warmup, final_warmup"
            )
        if self.settle > self.final_warmup:
            raise InputError(
                f"settle {self.settle:g} is longer than what follows the ramp, final_warmup "
                f"{self.final_warmup:g}"
            )
        if self.rewind and self.outside <= self.warmup:
            raise InputError(
                f"with a learning rate that rewinds, more than the {self.warmup} steps of warm-up "
                f"must lie outside the ramp, found {self.outside:g}; give a larger initial_warmup "
                "or final_warmup"
            )

    @property
    def begin(self) -> float:
        """Step at which the ramp begins."""
        return self.initial_warmup * self.warmup

    @property
    def end(self) -> float:
        """Step after which the last sparsity holds."""
        return self.steps - self.final_warmup * self.warmup

    @property
    def outside(self) -> float:
        """Steps outside the ramp: U of the learning rate that rewinds."""
        return self.steps - (self.end - self.begin)

    def progress(self, step: int) -> float:
        """How far the ramp is at `step`, from 0 to 1, in time."""
        if step <= self.begin:
            return 0.0
        return 1.0 if step > self.end else (step - self.begin) / (self.end - self.begin)

    def sparsity(self, step: int) -> float:
        """The fraction to remove at `step`."""
        return self.sparsity_at(self.progress(step))

    def sparsity_at(self, progress: float) -> float:
        """The fraction to remove where the ramp is at `progress`, from 0 to 1."""
        return self.last + (self.first - self.last) * (1 - progress) ** 3

    def is_final(self, step: int) -> bool:
        """Whether the last sparsity holds from `step` on."""
        return self.progress(step) >= 1

    def is_settled(self, step: int) -> bool:
        """Whether the last mask holds from `step` on."""
        return self.is_final(step) and step >= self.end + self.settle * self.warmup

    def learning_rate(self, step: int) -> float:
        """The share of the learning rate: linear up over W steps, then linear down to 0."""
        if self.rewind:
            return self._rewound(step)
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))

    def _rewound(self, t: int) -> float:
        """A saw in the ramp: each tooth begins where the ramp began.

        As published, U and not N steps lead from 1 down to 0, so that with a ramp that begins
        within the warm-up, whose first tooth is cut short, the others rise to U/(U − W), above 1.
        Source: get_linear_rewinding_schedule_with_warmup of Prune Once for All's library.
        """
        if t < self.warmup:
            return t / self.warmup
        left = self.steps - t
        if t < self.begin:
            left = self.outside - t
        elif t < self.end:
            left = self.outside - t + self.rewind * ((t - self.begin) // self.rewind)
        return max(0.0, left / (self.outside - self.warmup))
