"""How long a run of GPT-2 small takes on each machine, in seconds of this CPU.

    python -m benchmarks.accel_sim.machines [NAME …]

128 tokens, a fifth of the weights kept at random, no product; with all activations and with half of
them zero. One thread; what Numba compiles is compiled before.
"""

import sys
import time

from accel_sim.inputs.activations import Activations
from accel_sim.inputs.workload import Workload
from accel_sim.machines.builtin import builtin_accelerators
from accel_sim.machines.load import load_machine
from accel_sim.pipeline import simulate

TOKENS, KEPT = 128, 0.2


def seconds(name: str, activation_density: float, shapes: str) -> float:
    """CPU time of one run."""
    activations = Activations(TOKENS, activation_density)
    workload = Workload.generated(shapes, activations, density=KEPT, pattern="fine")
    start = time.process_time()
    simulate(workload, load_machine(name), is_checked=False, threads=1)
    return time.process_time() - start


def main() -> None:
    """Print a line for each machine."""
    print("machine                   all activations  half of them zero")
    for name in sys.argv[1:] or builtin_accelerators():
        for density in (1.0, 0.5):
            seconds(name, density, "96x96")
        whole, half = (seconds(name, density, "gpt2-small") for density in (1.0, 0.5))
        print(f"{name:26}{whole:13.1f} s{half:18.1f} s", flush=True)


if __name__ == "__main__":
    main()
