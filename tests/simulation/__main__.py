"""`python -m tests.simulation`: what each policy makes of each world, and whether the interval keeps its word."""

from rich.console import Console
from rich.table import Table

from tests.simulation.measure import JUDGED, LEARNING, MEASURES, compare, watch
from tests.simulation.test_simulation import SEEDS, WATCHED_TASKS
from tests.simulation.world import HARMFUL, INERT, MISLEADING, PLAIN


def main() -> None:
    console = Console()
    table = Table(caption=f"{JUDGED} tasks after the first {LEARNING}, in {len(SEEDS)} worlds of each kind")
    for column in ("world", "policy", "shown", "helpful", "harmful", "lift", "of joint crediting"):
        table.add_column(column, justify="left" if column in ("world", "policy") else "right")
    for name, world in (("plain", PLAIN), ("misleading", MISLEADING)):
        figures = compare(world, SEEDS)
        for policy, of in figures.items():
            shares = f"{of.shown / of.tasks:.1f}", f"{of.helpful / of.shown:.1%}", f"{of.harmful_share:.1%}"
            relative = of.lift / figures["joint crediting"].lift
            table.add_row(name, policy, *shares, f"{of.lift:+.3f}", f"{relative:.2f}")
    console.print(table)
    inert = [watch(INERT, seed, WATCHED_TASKS) for seed in range(200)]
    wrong = ", ".join(f"{measure} {sum(measure in run.excluded for run in inert)}" for measure in MEASURES)
    console.print(f"Inert memories, 200 runs of {WATCHED_TASKS} tasks: the interval ever excluded 0 for {wrong}.")
    ends = sorted(watch(HARMFUL, seed, WATCHED_TASKS).off_after or WATCHED_TASKS + 1 for seed in range(100))
    console.print(
        f"Harmful memories, 100 runs: off after {ends[50]} tasks in half of them, and after {ends[94]} in 95 %."
    )


if __name__ == "__main__":
    main()
