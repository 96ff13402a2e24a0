"""What one run is told on its command line; nothing is read from the environment."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_SEED = 1
SCRATCH_CALLBACKS = (
    "http://localhost:1717/OauthRedirect",
    "http://127.0.0.1:1717/OauthRedirect",
    "http://127.0.0.1:8910/callback",
    "http://localhost:8910/callback",
    "http://127.0.0.1:8911/callback",
    "http://localhost:8911/callback",
)
DEFAULT_CALLBACK = "http://127.0.0.1:8765/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The choices of one run; None means that the program chooses."""

    seed: int | None = None
    hostile: bool = False
    port_base: int | None = None
    data_dir: Path | None = None
    tls_dir: Path | None = None
    ports_file: Path | None = None
    canary: str | None = None
    app_callbacks: tuple[str, ...] = ()
    post_install_urls: tuple[str, ...] = ()
    routes: tuple[tuple[str, str, int], ...] = ()  # name, host, port
    issue: tuple[str, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    bare: bool = False  # no org has Acme's package to begin with
    hub_reader_certificate: str | None = None  # PEM
