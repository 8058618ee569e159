"""``loa-controller keys``: the root key and the online keys, on the controller itself."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller.cli.output import JsonFlag, note, show_one
from controller.cli.secrets import ask_secret
from controller.cli.serve import start_errors
from controller.foundation import folder_in_use
from controller.keys import KeyVault, RootSource, VaultError
from controller.keys.cap_identity import ensure_identity, renew_identity

app = typer.Typer(help="Keys: what agents believe. Run on the controller itself.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="The controller's data folder.")]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="FILE", help="The sealed root key; its passphrase comes from LOA_PASSPHRASE."),
]


@app.command("show")
def show(*, data: Data, as_json: JsonFlag = False) -> None:
    """Fingerprints, validity, and whether the root is sealed."""
    with start_errors():
        vault = KeyVault.read(data / "keys")
    key_set = vault.key_set
    show_one(
        {
            "root_fingerprint": vault.root_fingerprint,
            "sealed": vault.sealed,
            "term": key_set.term,
            "version": key_set.version,
            "expires": key_set.expires.isoformat(),
            "keys": [
                {
                    "key_id": f"{key.key_id:08x}",
                    "roles": sorted(key.roles),
                    "not_before": key.not_before.isoformat(),
                    "not_after": key.not_after.isoformat(),
                }
                for key in key_set.keys
            ],
        },
        as_json=as_json,
    )


@app.command("make")
def make(*, data: Data) -> None:
    """Make new keys after the old ones were lost for good. Every agent must be enrolled again.

    Needed only when neither the keys folder nor a backup of it is left; the first start makes keys by itself.
    """
    with start_errors():
        if folder_in_use(data):
            raise VaultError("stop the controller first")
        if (data / "keys").is_dir() and any((data / "keys").iterdir()):
            raise VaultError(f"there are keys in {data / 'keys'}; nothing was done")
        vault = KeyVault.open(data / "keys", now=datetime.now(UTC))
    note(f"made, with the root {vault.root_fingerprint}; now enrol every agent again")


@app.command("seal")
def seal(
    file: Annotated[Path, typer.Argument(help="Where to write the encrypted root key (a USB stick).")], *, data: Data
) -> None:
    """Export the root key encrypted and remove it from this machine.

    Do it right after the first start, make two copies, and keep the passphrase apart from them. The root is needed
    again only to rotate keys (once a year), after theft of a key, and for a restore.
    """
    passphrase = ask_secret("LOA_PASSPHRASE", "Passphrase for the root key (12 characters or more)", twice=True)
    with start_errors():
        KeyVault.read(data / "keys").seal_root(file, passphrase)
    note(f"sealed into {file}; the root key is no longer on this machine")


@app.command("rotate")
def rotate(
    *,
    data: Data,
    root: Root = None,
    revoke: Annotated[
        bool,
        typer.Option(help="A key was stolen: agents stop believing the old ones as soon as they connect."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """New online keys under the same root, with the controller stopped. Agents take them when they connect."""
    with start_errors():
        if folder_in_use(data):
            raise VaultError("stop the controller first: it holds the old keys in memory")
        source = root_source(root)
        vault = KeyVault.read(data / "keys")
        key_set = vault.rotate(now=datetime.now(UTC), root=source, revoke=revoke)
    show_one(
        {"term": key_set.term, "version": key_set.version, "expires": key_set.expires.isoformat()}, as_json=as_json
    )


@app.command("cap")
def cap(
    *,
    data: Data,
    renew: Annotated[
        bool, typer.Option(help="A new key and certificate (before the old one ends, or after theft), when stopped.")
    ] = False,
) -> None:
    """The certificate that our CAP alerts are signed with, for those who want to believe them.

    Whoever reads our alerts must be given a renewed certificate; loudspeakers have nothing to do with it.
    """
    folder = data / "keys"
    with start_errors():
        vault = KeyVault.read(folder)
        now, name = datetime.now(UTC), f"loa-{vault.root_fingerprint[:16]}"
        if renew and folder_in_use(data):
            raise VaultError("stop the controller first: it holds the old key in memory")
        identity = renew_identity(folder, name, now=now) if renew else ensure_identity(folder, name, now=now)
    note(f"ends {identity.certificate.not_valid_after_utc:%Y-%m-%d}")
    typer.echo(identity.pem, nl=False)


def root_source(file: Path | None) -> RootSource | None:
    """The sealed root with its passphrase, None when no file was named."""
    if file is None:
        return None
    return RootSource(file, ask_secret("LOA_PASSPHRASE", f"Passphrase of {file}"))
