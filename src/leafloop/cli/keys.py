"""`leafloop keys`: who may ask, by key and role."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import segno
import typer

from leafloop import access, settings
from leafloop.cli.output import Json, people, print_json, print_table, says_errors
from leafloop.errors import ConfigurationInvalid
from leafloop.live.parts import open_ledger

app = typer.Typer(
    no_args_is_help=True, help="Make, list and revoke keys. A key's secret is shown once and stored hashed."
)


@app.command()
@says_errors
def create(
    role: Annotated[
        str,
        typer.Option(help="field (predict, own answers), reviewer, engineer or operator; each has the ones before it."),
    ],
    label: Annotated[str, typer.Option(help="Whose key it is, or which device's.")] = "",
    qr: Annotated[
        bool, typer.Option("--qr", help="Show a QR code that enrols a phone (needs LEAFLOOP_PUBLIC_URL).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown now and never again."""
    if role not in access.ROLES:
        raise typer.BadParameter(
            f"'{role}' is not a role; the roles are {', '.join(access.ROLES)}", param_hint="--role"
        )
    chosen = settings.load()
    if qr and not chosen.public_url:
        raise ConfigurationInvalid(
            "A QR code needs the address that phones reach. Set LEAFLOOP_PUBLIC_URL, then make the key."
        )
    with closing(open_ledger(chosen)) as ledger, ledger.transaction() as session:
        key_id, key = access.create_key(session, role, label, actor="cli")
    if as_json:
        print_json({"id": key_id, "key": key, "role": role})
        return
    print(key)
    people.print(f"Key {key_id} with role {role}. It is shown only now: keep it in a safe place.", markup=False)
    if qr:
        _print_qr(f"{(chosen.public_url or '').rstrip('/')}/login#{key}")


def _print_qr(address: str) -> None:
    # The key stands behind '#': browsers never send that part, so it stays out of every server's log.
    people.print("Scan this with the phone's camera, once, where nobody else sees it:")
    segno.make(address, error="m").terminal(compact=True)


@app.command("list")
@says_errors
def list_keys(as_json: Json = False) -> None:
    """List all keys, without their secrets."""
    with closing(open_ledger(settings.load())) as ledger, ledger.transaction() as session:
        rows = access.list_keys(session)
    if as_json:
        print_json(rows)
    else:
        print_table(
            rows,
            ["id", "role", "label", "created_at", "last_used_at", "revoked_at"],
            empty="No key yet: leafloop keys create --role field",
        )


@app.command()
@says_errors
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id, as 'leafloop keys list' shows it.")], as_json: Json = False
) -> None:
    """Revoke a key and end its page sessions. Its answers and words stay."""
    with closing(open_ledger(settings.load())) as ledger, ledger.transaction() as session:
        access.revoke_key(session, key_id, actor="cli")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        people.print(f"Key {key_id} is revoked.", markup=False)
