"""A whole model as a timeline: the operators of the prompt and of one step of decode."""

from dataclasses import replace

import numpy as np

from accel_sim.models.simulate import ModelRun
from accel_sim.traces.events import Recorder, Trace
from accel_sim.traces.record import DRAM, LAYERS, PASSES, WRITE_BACK, record_waits

STEPS, PROMPT, DECODE = "steps", "prompt", "first step of decode"


def record_model(run: ModelRun) -> Trace:
    """The prompt, and behind it the first step of decode if there is one.

    Raises:
        InputError: too many events.
    """
    recorder, offset, first = Recorder(None), 0, 1
    steps = [(PROMPT, run.request.prompt)]
    steps += [(DECODE, step) for step in run.request.decode[:1]]
    for name, step in steps:
        found = run.runner.in_time(step)
        times, loads = found.schedule.times, found.schedule.loads + offset
        passes = found.schedule.passes + offset
        end = offset + times[-1].end
        one = np.zeros(1, np.int64)
        recorder.slices((STEPS,), [name], one, one + offset, one + end)
        spans = offset + np.array([[time.start, time.end] for time in times], np.int64)
        recorder.slices((LAYERS,), found.names, np.arange(len(times)), spans[:, 0], spans[:, 1])
        tile = number = 0
        for operator, segment, time in zip(found.names, found.segments, times, strict=True):
            tiles, count = len(segment.room), len(segment.room) * segment.groups
            of_loads = loads[tile : tile + tiles]
            of_passes = passes[number : number + count]
            tile, number = tile + tiles, number + count
            if not tiles:
                continue
            flow = first + np.arange(count)
            first += count
            start, first_byte, loaded = of_loads.T
            none = np.zeros(max(tiles, count), np.int64)
            recorder.slices((DRAM,), ["first latency"], none[:tiles], start, first_byte)
            recorder.slices(
                (DRAM,), [operator], none[:tiles], first_byte, loaded, flow[:: segment.groups]
            )
            begin, ends, write, written = of_passes.T
            recorder.slices((PASSES,), [operator], none[:count], begin, ends, flow)
            recorder.slices((WRITE_BACK,), [operator], none[:count], write, written, flow)
            shifted = replace(time, start=time.start + offset, end=time.end + offset)
            record_waits(recorder, segment, shifted, of_loads, of_passes)
        offset = end
    said = ["Operators are shown with their passes; python -m accel_sim run shows units."]
    if len(run.request.decode) > 1:
        said.append(f"Of {len(run.request.decode)} steps of decode the first is shown.")
    clock = run.machine.clock.clock_hz / 1e6
    return recorder.trace(f"{run.machine.title}: 1 ns is 1 cycle at {clock:g} MHz", said)
