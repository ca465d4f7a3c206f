"""The web server of a core: what its routes are given, and how it is served."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import uvicorn

from console_web.server.app import create_app, uvicorn_config
from console_web.server.deps import PartHealth, WebDeps, WebSettings
from console_web.server.frames import ServiceNumber
from console_web.server.users import UsersStore
from dispatch.app.browser_phones import pass_issuer
from dispatch.app.demo import demo_accounts
from dispatch.app.ground import Ground
from dispatch.contracts.ports import CommandPort, Journal


class _Server(uvicorn.Server):
    """Signals are ours to handle: `main` ends all parts together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """`run` serves the screens until cancelled."""

    def __init__(
        self,
        ground: Ground,
        *,
        commands: CommandPort,
        journal: Journal,
        health: Callable[[], Awaitable[Mapping[str, PartHealth]]],
    ) -> None:
        settings = ground.settings
        self.users = UsersStore.load(settings.users_path)
        """Read at the start; of a pair, the follower's are kept like the writer's."""
        self._server: uvicorn.Server | None = None
        self._web = settings.web
        pair = settings.pair
        both = (pair.own_web, pair.peer_web) if pair is not None else ()
        self._app = create_app(
            WebDeps(
                commands=commands,
                hub=ground.hub,
                users=self.users,
                clock=ground.clock,
                protocols=ground.protocols,
                settings=WebSettings(
                    secret_key=settings.secret,
                    demo=settings.demo,
                    demo_accounts=demo_accounts(ground.register, settings) if settings.demo else (),
                    allowed_origins=(*settings.web.origins, *both),
                    aml_token=settings.operator.aml_token,
                    numbers=tuple(
                        ServiceNumber(number=one.number, zh=one.name_zh, en=one.name_en)
                        for one in settings.numbers
                    ),
                    phone_port=settings.sip.browser.port if settings.sip.browser.enabled else 0,
                ),
                phone_pass=pass_issuer(settings, ground.clock),
                places=ground.looking.places,
                nearest=ground.looking.nearest,
                route=ground.looking.route,
                journal=journal,
                health=health,
                tracks=ground.looking.track,
                recordings_folder=settings.recordings_path,
                map_file=ground.region.map_path,
            )
        )

    @property
    def started(self) -> bool:
        """Whether screens find an open door."""
        return self._server is not None and self._server.started

    async def run(self) -> None:
        """Serve; when cancelled, let requests end and say goodbye to the screens."""
        config = uvicorn_config(
            self._app,
            host=self._web.host,
            port=self._web.port,
            certificate=self._web.tls_certificate,
            key=self._web.tls_key,
        )
        server = self._server = _Server(config)
        serving = asyncio.ensure_future(server.serve())
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True
            await serving
