"""What protects the application and its visitors from others."""

from __future__ import annotations

from flask import Flask, Response
from secure import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    Secure,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)
from werkzeug.middleware.proxy_fix import ProxyFix

# https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP
POLICY = (
    ContentSecurityPolicy()
    .default_src("'self'")
{%- if cookiecutter.accounts == "yes" %}
    .img_src("'self'", "data:")  # the code to be scanned by an authenticator app
{%- endif %}
    .base_uri("'none'")
    .form_action("'self'")
    .frame_ancestors("'none'")
    .object_src("'none'")
)
# https://owasp.org/www-project-secure-headers/
HEADERS = Secure(
    csp=POLICY,
    coop=CrossOriginOpenerPolicy().same_origin(),
    corp=CrossOriginResourcePolicy().same_origin(),
    hsts=StrictTransportSecurity().max_age(365 * 24 * 3600),  # seconds; heeded over HTTPS only
    permissions=PermissionsPolicy().camera().geolocation().microphone(),
    referrer=ReferrerPolicy().same_origin(),
    xcto=XContentTypeOptions(),
    xfo=XFrameOptions().deny(),
).headers


def init_app(app: Flask) -> None:
    """Add the headers to each response; believe the proxies that are configured, and no others."""
    if proxies := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies
        )
    app.after_request(_add_headers)


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response
