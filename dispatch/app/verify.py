"""`dispatch120 verify`: nobody changed history or recordings unseen."""

from contextlib import AsyncExitStack

import msgspec
import typer

from dispatch.app.parts import journal_url
from dispatch.app.settings import Settings
from dispatch.contracts.errors import Dispatch120Error
from dispatch.journal.highwater import read_high_water
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import Report, verify_history, verify_recordings

LOCK_WAIT_S = 0.2


async def verify(settings: Settings, *, as_json: bool) -> int:
    """Check everything; 0 when all is whole, 1 when anything was found."""
    async with AsyncExitStack() as stack:
        if not settings.journal.url and not await _answers(settings):
            server = ValkeyServer(settings.journal_path, lock_wait_s=LOCK_WAIT_S)
            await stack.enter_async_context(server)
            url = server.url
        else:
            url = journal_url(settings)
        journal = ValkeyJournal(url)
        stack.push_async_callback(journal.close)
        mark = read_high_water(settings.high_water_path)
        history = await verify_history(journal, mark=mark)
        recordings = await verify_recordings(journal.read(), settings.recordings_path)
    for name, report in (("history", history), ("recordings", recordings)):
        _tell(name, report)
    if as_json:
        whole = history.whole and recordings.whole
        summary = {
            "whole": whole,
            "records": history.checked,
            "recordings": recordings.checked,
            "findings": history.findings_count + recordings.findings_count,
        }
        typer.echo(msgspec.json.encode(summary).decode())
    return 0 if history.whole and recordings.whole else 1


async def _answers(settings: Settings) -> bool:
    """Whether our server runs already."""
    if not (settings.journal_path / "valkey.sock").exists():
        return False
    probe = ValkeyJournal(journal_url(settings), timeout_s=1.0)
    try:
        await probe.head()
    except Dispatch120Error:
        return False
    finally:
        await probe.close()
    return True


def _tell(name: str, report: Report) -> None:
    verdict = "whole" if report.whole else f"{report.findings_count} findings"
    typer.echo(f"{name}: {report.checked} checked, {verdict}")
    for finding in report.findings:
        place = f"seq {finding.seq} " if finding.seq else ""
        typer.echo(f"  {finding.fault.value} {place}{finding.path} {finding.detail}".rstrip())
