"""How gunicorn serves the application: https://gunicorn.org/reference/settings/.

More settings can be given in GUNICORN_CMD_ARGS.
"""

import os
import sys

from {{ cookiecutter.project_slug }}.config import (
    ConfigurationError,
    load_config,
)

try:
    app_config = load_config()  # not `config`, which is a setting of gunicorn
except ConfigurationError as error:
    sys.exit(f"Error: {error.message}")  # here, because workers would start again and again

wsgi_app = "{{ cookiecutter.project_slug }}:create_app()"
# An address for PORT, an address with its port, or a socket such as unix:/run/{{ cookiecutter.project_slug }}.sock.
# IPv6 as in :: or [::]:8000.
address = os.environ.get("BIND") or "127.0.0.1"
if address.count(":") > 1 and not address.startswith("["):
    address = f"[{address}]"
has_port = address.startswith("unix:") or ":" in address.rpartition("]")[2]
bind = address if has_port else f"{address}:{os.environ.get('PORT') or 8000}"
# No header of a proxy is read here. The application does, from as many proxies as PROXIES says.
forwarded_allow_ips = ""
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
# Threads of each worker. Each needs a database connection.
threads = app_config.WEB_THREADS
# Seconds: a worker that is silent for so long is killed; one that ends may finish its requests.
timeout = 60
graceful_timeout = 30
# Workers are replaced after so many requests, to limit memory leaks; the jitter staggers them.
max_requests = 10_000
max_requests_jitter = 1_000
# Heartbeat files, in memory: on a slow disk, a worker could seem to hang.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True  # it would be a file in the user's home

# Its lines look like those of the application, which also logs each request.
logconfig_dict = {
    "root": {"level": "INFO", "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["error_console"], "propagate": False}
    },
    "formatters": {
        "generic": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            "datefmt": "%Y-%m-%dT%H:%M:%S%z",
        }
    },
}
