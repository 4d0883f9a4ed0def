"""Do the area table's gates for a block of the RTL follow from its parts at the same parameters?"""

from pathlib import Path

import pytest

from benchmarks.rtl.beside_table import compared, print_beside_table

PAGE = Path(__file__).parents[2] / "docs" / "rtl.md"

MUX, GATE = 2.0, 0.55
# µm² of a compared bit and of an INT8 multiplier with its adder, in gates.
COMPARE, MAC = 1.2 / GATE, 158 / GATE
EXPANDER = 4 / 16 * 6234
# Four lanes for each of two tokens choose one of 16/4 groups of 8 bits; one comparison of 32 bits.
TAKER = 249 + (16 / 4 - 1) * 4 * 2 * 8 * MUX + 32 * COMPARE
# An accumulator of 32 bits for each of 2 + 4 groups, and 4 operands of 8 bits in two groupings.
PE = 4 * MAC + (6 * 32 + 2 * 4 * 8) * MUX
# Items of 8 + 2 bits; four lanes with three multiplexers of 8 bits.
WIDER, CHOICES = EXPANDER * 10 / 8, 4 * 3 * 8 * MUX


def test_gates_are_those_of_the_parts_and_the_difference_is_of_the_rtls() -> None:
    found = {one.block: one for one in compared()}
    assert {block: one.table_gates for block, one in found.items()} == pytest.approx(
        {
            "parser": EXPANDER,
            "taker": TAKER,
            "slot": EXPANDER + TAKER,
            "window": 8 * 32 * COMPARE,
            "pe": PE,
            "parser with selects": WIDER,
            "taker with selects": TAKER,
            "slot with selects": WIDER + TAKER,
            "pe with selects": PE + CHOICES,
        }
    )
    assert found["pe"].difference == pytest.approx(PE / 12708 - 1)
    # Four entries of 4 values of 8 bits and 32 bits of index; 16 inputs of 2 tokens, 9 bits.
    assert found["taker"].table_flip_flops == 4 * (4 * 8 + 32)
    assert found["taker with selects"].table_flip_flops == 4 * (4 * (8 + 2) + 32)
    assert found["window"].table_flip_flops == 16 * 2 * (8 + 1)


def test_the_page_has_the_table_that_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_beside_table()
    assert capsys.readouterr().out in PAGE.read_text(encoding="utf-8")
