"""The tables of docs/validation.md §1 as Markdown.

python -m benchmarks.accel_sim.agreements
"""

from accel_sim.comparisons.terminal import finding_row
from accel_sim.validation.agreement import WITNESSES, Finding
from accel_sim.validation.registry import findings


def _row(finding: Finding) -> str:
    *cells, source, note = finding_row(finding)
    return f"| {' | '.join([*cells, f'{source}; {note}' if note else source])} |"


def main() -> None:
    """Print a table for each witness."""
    found = list(findings())
    for witness, heading in WITNESSES.items():
        print(f"### {heading}\n")
        print("| machine | what | theirs | ours | error | mark | agreement | source |")
        print("|---|---|---:|---:|---:|---|---|---|")
        print(*(_row(each) for each in found if each.agreement.witness == witness), sep="\n")
        print()


if __name__ == "__main__":
    main()
