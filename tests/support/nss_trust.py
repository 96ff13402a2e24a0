"""Make a browser trust a certificate authority: `python -m tests.support.nss_trust FOLDER CA.pem`.

Chromium on Linux asks the NSS database in its user's home whom to trust. NSS's own tool for it is
rarely installed, the library itself wherever Chromium runs; so this calls the library. It is a
program of its own because NSS keeps its state for the whole process.
"""

from __future__ import annotations

import ctypes
import ssl
import sys
from pathlib import Path
from typing import Final

_VALID_CA: Final = 1 << 3
_TRUSTED_CA: Final = 1 << 4


class _Trust(ctypes.Structure):
    """`CERTCertTrust`: what a certificate is trusted for."""

    _fields_ = (
        ("servers", ctypes.c_uint),
        ("mail", ctypes.c_uint),
        ("programs", ctypes.c_uint),
    )


class _Item(ctypes.Structure):
    """`SECItem`: bytes and their length."""

    _fields_ = (("kind", ctypes.c_int), ("data", ctypes.c_char_p), ("length", ctypes.c_uint))


def trust(folder: Path, ca_file: Path) -> None:
    """Put the authority into the database in `folder`, which is made.

    Raises:
        OSError: the library is missing, or refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nss = ctypes.CDLL("libnss3.so")
    for name in (
        "PK11_GetInternalKeySlot",
        "CERT_GetDefaultCertDB",
        "CERT_NewTempCertificate",
    ):
        getattr(nss, name).restype = ctypes.c_void_p
    _done(nss.NSS_InitReadWrite(f"sql:{folder}".encode()), "open the database")
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    if nss.PK11_NeedUserInit(slot):
        _done(nss.PK11_InitPin(slot, None, b""), "set the database up")
    _add(nss, slot, ssl.PEM_cert_to_DER_cert(ca_file.read_text()))
    nss.PK11_FreeSlot(slot)
    _done(nss.NSS_Shutdown(), "close the database")


def _add(nss: ctypes.CDLL, slot: ctypes.c_void_p, der: bytes) -> None:
    database = ctypes.c_void_p(nss.CERT_GetDefaultCertDB())
    item = _Item(0, der, len(der))
    certificate = ctypes.c_void_p(
        nss.CERT_NewTempCertificate(database, ctypes.byref(item), None, 0, 1)
    )
    if certificate.value is None:
        raise OSError("NSS could not read the certificate")
    no_key = ctypes.c_ulong(0)
    _done(nss.PK11_ImportCert(slot, certificate, no_key, b"test authority", 0), "import")
    trusted = _Trust(servers=_VALID_CA | _TRUSTED_CA, mail=0, programs=0)
    _done(nss.CERT_ChangeCertTrust(database, certificate, ctypes.byref(trusted)), "trust")
    nss.CERT_DestroyCertificate(certificate)


def _done(status: int, what: str) -> None:
    if status != 0:
        raise OSError(f"NSS could not {what}")


if __name__ == "__main__":
    trust(Path(sys.argv[1]), Path(sys.argv[2]))
