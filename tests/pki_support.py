"""Certificates and ServiceAccount tokens of a test's own making: a small authority, and a cluster that signs."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)


class Authority:
    """Signs certificates.

    Args:
        folder: where they are kept.
        name: its own.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = self._builder(self._name, self._key.public_key()).add_extension(basic, critical=True)
        made = made.add_extension(usage, critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(NOW - dt.timedelta(hours=1)).not_valid_after(NOW + dt.timedelta(hours=1))

    def issue(self, name: str, uri: str = "") -> tuple[Path, Path]:
        """A certificate and its key, for a server on loopback or a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(name)]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key.public_key())
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        # Python 3.13 insists on it, as RFC 5280 does.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(issuer, critical=False)
        certificate, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return certificate, private

    def context(self, *shown: Path) -> ssl.SSLContext:
        """A client that believes this authority, and shows a certificate where it is given one."""
        context = ssl.create_default_context(cafile=str(self.path))
        if shown:
            context.load_cert_chain(*(str(path) for path in shown))
        return context


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Cluster:
    """Signs tokens of ServiceAccounts."""

    issuer = "https://kubernetes.default.svc.cluster.local"

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> str:
        """Its key, as it publishes it."""
        numbers = self._key.public_key().public_numbers()
        key = {"kid": "k", "kty": "RSA", "use": "sig", "n": _b64(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
        return json.dumps({"keys": [key]})

    def token(self, account: str, **claims: Any) -> str:
        """A projected token of `namespace/name`."""
        now = int(dt.datetime.now(dt.UTC).timestamp())
        said = {
            "iss": self.issuer,
            "aud": ["guardrail"],
            "sub": "system:serviceaccount:" + account.replace("/", ":"),
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "kubernetes.io": {"pod": {"name": "agent-0", "uid": "1"}},
        } | claims
        text = f"{_b64(json.dumps({'alg': 'RS256', 'kid': 'k'}).encode())}.{_b64(json.dumps(said).encode())}"
        return f"{text}.{_b64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"
