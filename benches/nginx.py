"""nginx as a plain reverse proxy with one worker: the yardstick, present in every run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["HOW_TO_INSTALL", "find", "write_configuration"]

HOW_TO_INSTALL = (
    "nginx is not on PATH, so there are no ratios: `apt-get install nginx-light` or the like of your system"
)

# Buffers hold the largest body measured, so that nothing goes to disk; connections are kept on both sides and never
# retired; buffering is off because a gateway passes a stream on as it comes.
_CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 100m;
    client_body_buffer_size 256k;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream provider {{
        server {mock};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""


def find() -> str | None:
    """Its path; some systems keep it where only root looks."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")


def write_configuration(folder: Path, port: int, mock: str) -> Path:
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, port=port, mock=mock, user=user))
    return path
