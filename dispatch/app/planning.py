"""`dispatch120 seats`: how many seats the centre needs."""

from typing import Annotated

import msgspec
import typer

from dispatch.allocate.staffing import BUSY_HOUR_SHARE, seats_needed


def seats(
    calls_per_day: Annotated[float, typer.Option(help="All calls of a day.")],
    handling_s: Annotated[float, typer.Option(help="Talking and after-call work of one call.")],
    limit_s: Annotated[float, typer.Option(help="Answered within so long.")] = 10.0,
    goal: Annotated[float, typer.Option(help="Share of calls within the limit.")] = 0.95,
    busy_hour: Annotated[
        float, typer.Option(help="The busiest hour's share of the day.")
    ] = BUSY_HOUR_SHARE,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object as last line.")] = False,
) -> None:
    """Count the seats that answer the busiest hour in time (Erlang C: callers wait)."""
    need = seats_needed(
        calls_per_day=calls_per_day,
        handling_s=handling_s,
        limit_s=limit_s,
        goal_share=goal,
        busy_hour_share=busy_hour,
    )
    typer.echo(
        f"{need.seats} seats: {need.calls_per_h:.0f} calls in the busiest hour, "
        f"{need.load_erlang:.1f} in hand at once, {need.occupancy:.0%} occupied, "
        f"{need.answered_share:.1%} answered within {limit_s:g} s, "
        f"mean wait {need.mean_wait_s:.1f} s"
    )
    if as_json:
        typer.echo(msgspec.json.encode(need).decode())
