"""A certificate authority of a test's own, made with the openssl program."""

import pathlib
import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority of our own, and what it signs."""

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        self.certificate = self.folder / f"{name}.crt"
        self._openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN={name}",
                      "-keyout", self._key(name), "-out", self.certificate)

    def _key(self, name):
        return self.folder / f"{name}.key"

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def sign(self, name, subject=None):
        """(certificate, key) for `subject`, and for servers on this host."""
        request = self.folder / f"{name}.csr"
        certificate = self.folder / f"{name}.crt"
        self._openssl("req", *KEY, "-subj", f"/CN={subject or name}", "-addext",
                      "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", self._key(name),
                      "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey",
                      self._key(self.name), "-CAcreateserial", "-copy_extensions", "copy",
                      "-days", "2", "-out", certificate)
        return certificate, self._key(name)
