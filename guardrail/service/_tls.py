"""TLS of the service: its own certificate, and whose client certificates are believed.

A client without a certificate may connect, and is known by it to nobody: health is answered, and everything else wants
another proof of who asks. One that no authority of ours has signed does not get as far.
Blind spot: no revocation list is looked at, so client certificates have to be short-lived.
"""

from __future__ import annotations

import ssl
from typing import Any

from guardrail.config import Config, TlsConfig
from guardrail.errors import ConfigError


def server_options(config: Config, tls: TlsConfig | None) -> dict[str, Any]:
    """TLS as the server's own options; none of them where there is no TLS.

    Args:
        config: paths are relative to its file.
        tls: `[service.tls]`.

    Raises:
        ConfigError: if a file cannot be used.
    """
    if tls is None:
        return {}
    certificate, key = (str(config.path(path)) for path in (tls.certificate, tls.key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Tried here, where it can be said which file it is.
    _try("certificate", lambda: context.load_cert_chain(certificate, key))
    options = {"ssl_certfile": certificate, "ssl_keyfile": key}
    if not tls.client_ca:
        return options
    authorities = str(config.path(tls.client_ca))
    _try("client_ca", lambda: context.load_verify_locations(authorities))
    return {**options, "ssl_ca_certs": authorities, "ssl_cert_reqs": ssl.CERT_OPTIONAL}


def client_context(config: Config, tls: TlsConfig) -> ssl.SSLContext:
    """For asking a service on this machine whether it is ready: believes its own certificate, and no authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    certificate = str(config.path(tls.certificate))
    _try("certificate", lambda: context.load_verify_locations(certificate))
    return context


def _try(setting: str, load: Any) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        why = (error.strerror or str(error)).lower()
        raise ConfigError(f"cannot use `service.tls.{setting}`, or its key: {why}") from None
