"""The mock provider behind TLS: nginx takes it off, on the clients' core, so that the mock need not speak it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benches import nginx
from benches.processes import Cores, Process, free_port

__all__ = ["Secured", "start_secured"]

# TLS 1.3 with what nginx and OpenSSL choose; sessions may be resumed, connections are kept.
_SECURED = """
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;"""


@dataclass(frozen=True, slots=True)
class Secured:
    """``authority`` is the PEM of who signed the certificate, as the text of a JSON string."""

    process: Process
    url: str
    authority: str


def start_secured(program: str, cores: Cores, mock: str, folder: Path) -> Secured:
    """Raises ModuleNotFoundError where trustme, which makes the certificate, is not installed."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    folder.mkdir()
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "certificate.pem", append=True)
    port = free_port()
    path = nginx.write_configuration(folder, port, mock)
    text = path.read_text().replace(f"listen 127.0.0.1:{port} ", f"listen 127.0.0.1:{port} ssl ")
    path.write_text(text.replace("backlog=4096;", "backlog=4096;" + _SECURED.format(folder=folder)))
    process = Process.start([program, "-p", str(folder), "-c", str(path)], cores.load, folder / "output.log")
    return Secured(process, f"https://127.0.0.1:{port}", json.dumps(authority.cert_pem.bytes().decode())[1:-1])
