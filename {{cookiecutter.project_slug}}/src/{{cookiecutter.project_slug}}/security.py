"""Security headers, malformed requests, and trust in proxies."""

import re

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
# A valid X-Forwarded-Prefix, which becomes request.root_path and begins all links.
PREFIX = re.compile(r"(/[\w.~-]+)*", re.ASCII)


def init_app(app: Flask) -> None:
    """Add the headers, refuse malformed requests, and trust as many proxies as are configured."""
    app.before_request(_refuse_malformed_request)
    app.after_request(_add_headers)
    if number := app.config["PROXIES"]:
        proxies = dict.fromkeys(("x_for", "x_proto", "x_host", "x_prefix"), number)
        app.wsgi_app = ProxyFix(app.wsgi_app, **proxies)  # type: ignore[method-assign]


def _refuse_malformed_request() -> None:
    """Refuse what Werkzeug lets pass. No template is rendered for a SecurityError (400)."""
    try:  # servers raise their own errors for bad chunks; some hosts can't be decoded
        is_http = request.url_root.startswith(("http://", "https://"))  # X-Forwarded-Proto
        chunked = 0 if request.content_length else len(request.get_data())  # bytes
    except Exception as error:
        raise SecurityError from error
    if chunked == request.max_content_length:  # Werkzeug silently cuts a chunked body there
        abort(413)
    if not (is_http and PREFIX.fullmatch(request.root_path)) or None in request.form:
        raise SecurityError  # None: the key of a multipart field without a name


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)  # a view may set its own
    return response
