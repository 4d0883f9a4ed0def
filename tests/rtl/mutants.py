"""One wrong line of the RTL each, which the comparison must see."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.rtl.comparison import Case, compared, drawn_cases
from tests.rtl.encoding import SmallMachine
from tests.rtl.hardware import SOURCES, Stuck, icarus

MACHINE = SmallMachine(
    rows=2, lanes=4, lane_groups=(1, 2, 4), accumulators=16, sets=1, word_bytes=12, buffer_words=8,
    queue=4, window=8, inputs_per_cycle=3, weight_bytes=2048,
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """In the file `of`, the line with `text` has `wrong` in its place."""

    name: str
    of: str
    text: str
    wrong: str

    def write(self, sources: Path, folder: Path) -> Path:
        """The sources with this mistake, in a folder of their own."""
        folder.mkdir()
        for source in sources.glob("*.sv"):
            code = source.read_text()
            if source.name == self.of:
                assert code.count(self.text) == 1, f"{self.name}: the text is not there once"
                code = code.replace(self.text, self.wrong)
            (folder / source.name).write_text(code)
        return folder


MUTANTS = (
    Mutant("queue_one_short", "taker.sv", "has_room  = count < 8'(Q)", "has_room  = count + 8'd1 < 8'(Q) || count == 0"),
    Mutant("drop_without_look", "taker.sv", "count <= 8'(k) || high > {1'b0, loaded}", "count <= 8'(k) || {1'b0, low} >= {1'b0, loaded}"),
    Mutant("one_drop_more", "taker.sv", "else if (k < Z) drops", "else if (k <= Z) drops"),
    Mutant("no_zero_is_seen", "window.sv", "<= arriving[(c*IPC+k)*V +: V] != 0;", "<= 1'b1;"),
    Mutant("window_a_cycle_early", "window.sv", "next > {1'b0, base} + XX'(W)", "next > {1'b0, least} + XX'(W)"),
    Mutant("most_bits_first", "row_port.sv", "<= WB * 32'(capacity) && waiting[j*16 +: 16] < least", "<= WB * 32'(capacity) && (waiting[j*16 +: 16] <= least)"),
    Mutant("a_word_too_many", "row_port.sv", "32'(waiting[j*16 +: 16]) + WB <= WB", "32'(waiting[j*16 +: 16]) <= WB"),
    Mutant("parser_waits_for_word", "parser.sv", "waiting >= header && waiting >= total", "waiting >= header && waiting > total"),
    Mutant("bitmap_from_top", "parser.sv", "found         = is_full ? all_lanes : from_bitmap[L-1:0] & all_lanes", "found         = is_full ? all_lanes : (from_bitmap[L-1:0] | 1'b1) & all_lanes"),
    Mutant("bound_of_queue_only", "slot.sv", "(has_left || !is_known)) least = last_low", "(has_left || !is_known)) least = inputs"),
    Mutant("tree_without_last_level", "pe.sv", "3'(k) < lanes_log && l %", "3'(k + 1) < lanes_log && l %"),
    Mutant("one_bank", "pass_sequencer.sv", "assign waits_bank = is_between && held[bank];\n    assign starts = is_between && ready[place] && !held[bank];", "assign waits_bank = is_between && held != 0;\n    assign starts = is_between && ready[place] && held == 0;"),
    Mutant("latency_every_load", "dram_port.sv", "(gapless ? 16'd0 : first_latency)", "first_latency"),
    Mutant("credit_lost", "dram_port.sv", "credit <= next >= bytes ? 32'd0 : rest", "credit <= 32'd0"),
    Mutant("place_freed_late", "room.sv", "places < place_limit", "places + 4'd1 < place_limit"),
    Mutant("sum_of_one_slot", "write_back.sv", "if (q < 32'(share) && r + q < P)\n                            sum", "if (q < 1)\n                            sum"),
    Mutant("write_back_too_short", "write_back.sv", "if (cycles < most) cycles = most;", "if (cycles + 16'd1 < most) cycles = most;"),
    Mutant("ranges_not_added", "activation_buffer.sv", "is_first_range ? 32'd0 : outputs[a]", "1'b1 ? 32'd0 : outputs[a]"),
)  # fmt: skip


def cases() -> list[Case]:
    """Layers of one and of many passes."""
    one_pass = drawn_cases(MACHINE, 12, np.random.default_rng(9), sizes=(1, 16), tokens=2)
    return one_pass + drawn_cases(MACHINE, 2, np.random.default_rng(6), sizes=(60, 64), tokens=3)


def is_seen(mutant: Mutant, cases: Sequence[Case], folder: Path) -> bool:
    """Whether a run of the layers differs from the simulator."""
    program = icarus(MACHINE, folder, mutant.write(SOURCES, folder / "sources"))
    try:
        return bool(compared(program, MACHINE, cases, most_cycles=2000)[0])
    except Stuck:
        return True
