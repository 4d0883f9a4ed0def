"""Published numbers beside ours, as a person reads them in a terminal."""

from collections.abc import Iterable

from rich.console import Console

from accel_sim.validation.agreement import WITNESSES, Finding
from sparse_formats.terminal.tables import Column, print_table

_FINDING_COLUMNS = (
    Column("machine"),
    Column("what"),
    Column("theirs", "right"),
    Column("ours", "right"),
    Column("error", "right"),
    Column("mark"),
    Column("agreement"),
    Column("source", rank=2),
    Column("note", rank=3),
)


def print_findings(found: Iterable[Finding], console: Console) -> bool:
    """A table for each witness, and whether all that are asserted hold, which is returned."""
    findings, holds = list(found), True
    for witness, heading in WITNESSES.items():
        of_witness = [each for each in findings if each.agreement.witness == witness]
        if not of_witness:
            continue
        console.print(f"{heading}.", soft_wrap=True)
        print_table(console, _FINDING_COLUMNS, [finding_row(each) for each in of_witness])
        asserted = [each.holds for each in of_witness if each.agreement.is_asserted]
        console.print(
            f"{sum(asserted)} of {len(asserted)} asserted rows hold; "
            f"{len(of_witness) - len(asserted)} more are only shown.\n",
            soft_wrap=True,
        )
        holds &= all(asserted)
    return holds


def finding_row(finding: Finding) -> tuple[str, ...]:
    """The cells of an agreement, source and note last."""
    agreement = finding.agreement
    return (
        agreement.machine,
        agreement.what,
        _figure(agreement.theirs),
        _figure(finding.ours),
        _figure(finding.error, sign=True),
        agreement.mark,
        verdict(finding),
        agreement.source,
        agreement.note,
    )


def verdict(finding: Finding) -> str:
    """`holds`, `FAILS` or `shown`, with the tolerance of what is asserted.

    Of what is asked to be within a factor it says which factor of their number ours is.
    """
    agreement = finding.agreement
    is_factor = agreement.relation == "within a factor"
    ratio = f"{finding.ours / agreement.theirs:.2f} times" if is_factor else ""
    if agreement.tolerance is None:
        return f"shown, {ratio}" if ratio else "shown"
    allowed = "exact" if agreement.tolerance == 0 else f"±{agreement.tolerance:g}"
    if agreement.relation == "at least":
        allowed = "at least"
    if is_factor:
        allowed = f"{ratio}, allowed: {agreement.tolerance:g} either way"
    return f"{'holds' if finding.holds else 'FAILS'} ({allowed})"


def _figure(value: float, sign: bool = False) -> str:
    text = f"{value:{'+' if sign else ''},.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "0" if value == 0 else text.replace("-", "−")
