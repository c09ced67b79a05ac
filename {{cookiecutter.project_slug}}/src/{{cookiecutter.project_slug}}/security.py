"""Security headers, and trust in proxies."""

from flask import Flask, Response, abort, request
from werkzeug.exceptions import SecurityError
from werkzeug.middleware.proxy_fix import ProxyFix

# https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP; Pico's CSS has icons as data: URLs
CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; object-src 'none'"
# https://owasp.org/www-project-secure-headers/
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",  # seconds: a year; browsers ignore it on HTTP
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def init_app(app: Flask) -> None:
    """Add the headers to each response, and trust as many proxies as are configured."""
    app.before_request(_check_request)
    app.after_request(_add_headers)
    if n := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, n, n, n, x_prefix=n)  # type: ignore[method-assign]


def _check_request() -> None:
    # Werkzeug silently cuts a chunked body at MAX_CONTENT_LENGTH: refuse one that reaches it.
    if request.content_length is None and len(request.get_data()) == request.max_content_length:
        abort(413)
    root = request.script_root  # "/x" or nothing: others would make links lead to another host
    if None in request.form or root[:1] not in ("", "/") or root[1:2] in ("/", "\\"):
        raise SecurityError  # a part of the form may lack a name


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)  # a view may set its own
    return response
