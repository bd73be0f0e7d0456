"""Tables about who may ask the service: clients by name, TLS, and the tokens of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from guardrail.config._section import Section

if TYPE_CHECKING:
    from guardrail.config._doors import ServiceConfig

NO_USER: Final = -1
"""What stands for no user of this machine."""

CERTIFICATE_NAMES: Final = ("URI:", "DNS:", "CN:")
"""What the name in a certificate may be of."""

_WAYS: Final = ("token", "certificate", "service_account", "uid")


class ClientConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[service.client]]`: somebody who may ask, the one way in which they are known, and for which agents.

    Args:
        name: what they are called; a call that names no agent is one of the agent of this name.
        subjects: globs on names of agents in whose name they may ask; empty means their own name only.
        token: bearer token of theirs, best given as `${ENV_NAME}` or `${file:/path}`.
        certificate: name in their certificate: `URI:spiffe://…`, `DNS:host`, or `CN:name`.
        service_account: their ServiceAccount, `namespace/name`.
        uid: their user's number on this machine, where the service listens on a Unix socket.
    """

    name: str
    subjects: tuple[str, ...] = ()
    token: str = ""
    certificate: str = ""
    service_account: str = ""
    uid: int = NO_USER

    @property
    def ways(self) -> tuple[str, ...]:
        """How they are known."""
        return tuple(way for way in _WAYS if getattr(self, way) not in ("", NO_USER))


class TlsConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[service.tls]`: the service's own certificate, for TCP.

    Args:
        certificate: file with the certificate and those between it and an authority, PEM.
        key: file with its private key, PEM.
        client_ca: file with the authorities whose client certificates are believed, PEM; empty means none is asked for.
    """

    certificate: str
    key: str
    client_ca: str = ""


class KubernetesConfig(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[service.kubernetes]`: how tokens of ServiceAccounts are verified: by keys in a file, or by the API server.

    Args:
        audience: what a token has to be for, as its projected volume names it.
        issuer: the cluster's name, as `iss` has it.
        jwks: file with the cluster's keys, as `/openid/v1/jwks` gives them; nothing is asked of anybody then.
        review: address of the API server that reviews tokens instead; it knows of pods that are gone.
        ca: file with the authority of that address, PEM.
        token: file with the token that the service shows there.
    """

    audience: str
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    jwks: str = ""
    review: str = ""
    ca: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    token: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path


def caller_problems(service: ServiceConfig) -> Iterator[str]:
    """What is wrong with who may ask.

    Args:
        service: `[service]`.
    """
    clients, tls, cluster = service.clients, service.tls, service.kubernetes
    for client in clients:
        yield from _client_problems(client, service)
    for name in _twice([client.name for client in clients]):
        yield f"`service.client`: `{name}` is listed twice"
    for way in _WAYS[1:]:
        for value in _twice([str(getattr(client, way)) for client in clients if way in client.ways]):
            yield f"`service.client`: the {way} `{value}` is that of two clients, so it would be nobody's"
    if clients and service.token:
        yield "`service.token` opens the service for every agent's name: leave it out where there are `service.client`"
    if clients and service.agent:
        yield "`service.agent` says who asks, and so do `service.client`: leave one of them out"
    if tls is not None and service.socket:
        yield "`service.tls` is for TCP: leave out `service.socket`, or the other"
    if cluster is not None and bool(cluster.jwks) == bool(cluster.review):
        yield "`service.kubernetes` needs either `jwks` or `review`"
    if cluster is not None and cluster.review and not cluster.review.startswith("https://"):
        yield "`service.kubernetes.review` must be an `https://` address: tokens are sent there"


def _client_problems(client: ClientConfig, service: ServiceConfig) -> Iterator[str]:
    which = f"`service.client` `{client.name}`"
    if not client.name:
        yield "a `service.client` has an empty name"
    if len(client.ways) != 1:
        yield f"{which} must have exactly one of {', '.join(f'`{way}`' for way in _WAYS)}"
    if client.certificate and not client.certificate.startswith(CERTIFICATE_NAMES):
        yield f"{which}: `certificate` must begin with {', '.join(f'`{name}`' for name in CERTIFICATE_NAMES)}"
    if client.certificate and (service.tls is None or not service.tls.client_ca):
        yield f"{which} has a `certificate`, and no `service.tls.client_ca` says whose are believed"
    if client.service_account and service.kubernetes is None:
        yield f"{which} has a `service_account`, and no `service.kubernetes` says how its token is verified"
    if client.service_account and client.service_account.count("/") != 1:
        yield f"{which}: `service_account` must be `namespace/name`"


def _twice(values: Sequence[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})
