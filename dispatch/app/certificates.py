"""`dispatch120 ca make`: a certificate authority of the centre's own, and the screens' certificate.

Browsers give a page a microphone only over HTTPS, and a centre's network has names and addresses
that no public authority signs. The authority can sign for the hosts that it was made for and no
others, so that one that is stolen opens no bank. Made with the `openssl` program.
"""

import ipaddress
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from dispatch.contracts.errors import BadInput

CA_DAYS = 3650
SERVER_DAYS = 397
"""What browsers accept at most from public authorities; renewed once a year."""
OPENSSL_S_MAX = 60
NOBODY = ("nobody.invalid", "0.0.0.0")  # noqa: S104 - a name, not an address to listen on
"""A kind of name of which nothing is permitted would be free: these stand in for both kinds."""
HOST = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")
NAME = re.compile(r"^[^/\\\n\r=+\"]{1,64}$")

app = typer.Typer(no_args_is_help=True, help="Certificates for the screens' HTTPS.")


@app.command("make")
def make_command(
    host: Annotated[list[str], typer.Option(help="Name or IPv4 address of a machine; repeat.")],
    name: Annotated[str, typer.Option(help="Of the centre, shown on the seats.")] = "Dispatch 120",
    out: Annotated[Path, typer.Option(help="Folder; ca.key in it is the secret.")] = Path("ca"),
) -> None:
    """Make the authority, once, and a new certificate for these hosts: run again to renew it."""
    made = make(out, name, tuple(host))
    typer.echo("made the authority and a certificate" if made else "renewed the certificate")
    typer.echo(HOW_TO.format(out=out, host=host[0]))


HOW_TO = """
  settings (then restart; https://{host}:<web.port>/):
    [web]
    tls_certificate = "{out}/server.pem"
    tls_key = "{out}/server.key"

  each seat trusts the authority, once ({out}/ca.pem; nothing else leaves this folder):
    Windows          certutil -addstore -f Root ca.pem        (as administrator; Chrome, Edge)
    Debian, Ubuntu   cp ca.pem /usr/local/share/ca-certificates/dispatch120.crt
                     update-ca-certificates
                     certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n dispatch120 -i ca.pem
    Firefox          Settings, Certificates, Authorities, Import
    Android          Settings, Security, Install a certificate, CA certificate

  ca.key signs for these hosts only; keep it off the machine, and renew within 397 days:
  the same command again, then restart. `dispatch120 check` says 30 days before.
"""


def make(folder: Path, name: str, hosts: tuple[str, ...]) -> bool:
    """Make what is missing: the authority once, the server's key and certificate each time. Keys
    are readable by their owner only.

    Returns:
        Whether the authority was made now.

    Raises:
        BadInput: a name or host that cannot be, or `openssl` is missing or refuses.
    """
    if not NAME.match(name):
        raise BadInput("name", f"{name!r} cannot be in a certificate", mend="letters and digits")
    if not hosts:
        raise BadInput("host", "none was given", mend="the name or address that seats open")
    for host in hosts:
        if not HOST.match(host):
            raise BadInput("host", f"{host!r} is no name or IPv4 address", mend="without https://")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = folder / "ca.pem"
    fresh = not ca.exists()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        if fresh:
            _make_ca(Path(scratch), name, hosts)
        authority = Path(scratch) if fresh else folder
        _make_server(Path(scratch), authority, hosts)
        for file in ("ca.key", "ca.pem") if fresh else ():
            (Path(scratch) / file).replace(folder / file)
        for file in ("server.key", "server.pem"):
            (Path(scratch) / file).replace(folder / file)
    return fresh


def _make_ca(scratch: Path, name: str, hosts: tuple[str, ...]) -> None:
    allowed = ",".join(f"permitted;{_named(host, mask=True)}" for host in (*hosts, *NOBODY))
    extensions = (
        "basicConstraints = critical,CA:TRUE,pathlen:0\n"
        "keyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash\n"
        f"nameConstraints = critical,{allowed}\n"
    )
    config = _config(scratch / "ca.cnf", extensions)
    subject = f"/CN={name} CA {secrets.token_hex(2)}"
    _openssl("req", "-x509", *_key(scratch / "ca.key"), "-days", str(CA_DAYS), "-utf8",
             "-subj", subject, "-config", str(config), "-extensions", "ours",
             "-out", str(scratch / "ca.pem"))  # fmt: skip


def _make_server(scratch: Path, authority: Path, hosts: tuple[str, ...]) -> None:
    names = ",".join(_named(host) for host in hosts)
    extensions = (
        "basicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n"
        f"extendedKeyUsage = serverAuth\nsubjectAltName = {names}\n"
        "authorityKeyIdentifier = keyid\n"
    )
    config = _config(scratch / "server.cnf", extensions)
    request, leaf = scratch / "server.csr", scratch / "leaf.pem"
    _openssl("req", "-new", *_key(scratch / "server.key"), "-subj", "/O=Dispatch 120 screens",
             "-config", str(config), "-out", str(request))  # fmt: skip
    _openssl("x509", "-req", "-in", str(request), "-CA", str(authority / "ca.pem"),
             "-CAkey", str(authority / "ca.key"), "-set_serial", f"0x{secrets.token_hex(16)}",
             "-days", str(SERVER_DAYS), "-extfile", str(config), "-extensions", "ours",
             "-out", str(leaf))  # fmt: skip
    ca = (authority / "ca.pem").read_text("ascii")
    (scratch / "server.pem").write_text(leaf.read_text("ascii") + ca, "ascii")
    try:
        _openssl("verify", "-CAfile", str(authority / "ca.pem"), str(leaf))
    except BadInput as fault:
        mend = "the authority was made for others: make a new one in another folder"
        raise BadInput("host", f"{', '.join(hosts)}: not the authority's", mend=mend) from fault


def _config(path: Path, extensions: str) -> Path:
    head = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = x\n"
    path.write_text(f"{head}[ours]\n{extensions}", "utf-8")
    return path


def _key(path: Path) -> tuple[str, ...]:
    """A new key at `path`, readable by its owner only from its first byte on."""
    path.touch(mode=0o600)
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(path))


def _named(host: str, *, mask: bool = False) -> str:
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return f"DNS:{host}"
    return f"IP:{address}/255.255.255.255" if mask else f"IP:{address}"


def ends_within(certificate: Path, days: int) -> bool | None:
    """Whether the certificate ends within so many days; None without `openssl` to ask."""
    if shutil.which("openssl") is None:
        return None
    asked = ["openssl", "x509", "-in", str(certificate), "-noout"]
    asked += ["-checkend", str(days * 86_400)]
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        asked, capture_output=True, check=False, timeout=OPENSSL_S_MAX
    )
    return done.returncode != 0


def _openssl(*arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise BadInput("openssl", "is not installed", mend="apt-get install openssl")
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [program, *arguments], capture_output=True, check=False, text=True, timeout=OPENSSL_S_MAX
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise BadInput(f"openssl {arguments[0]}", last[0][:200], mend="see the openssl manual")
