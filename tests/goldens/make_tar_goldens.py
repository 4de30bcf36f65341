"""Writes pairs.tar with Python's tarfile: ustar, GNU long name and pax members; see tests/data/dataset.cpp.

    python tests/goldens/make_tar_goldens.py
"""

import io
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
LONG = "folder/" + "a_rather_long_name_" * 8 + "0003"

DEEP = "first_of_two_folders_with_long_names/" * 2 + "0005.txt.which_makes_more_than_100_bytes"


def add(tar, name, content, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.type = kind
    tar.addfile(info, io.BytesIO(content))


def main():
    stream = io.BytesIO()
    for form, members in [
        (tarfile.USTAR_FORMAT, [("shard/0001.jpg", b"image one"), ("shard/0001.txt", b"first caption\n"),
                                ("shard/0001.json", b'{"caption": "not this"}'),
                                ("shard/0002.PNG", b"image two" * 100),
                                ("shard/0002.json", b'{"caption": "second caption", "id": 2}'),
                                ("shard/lonely.jpg", b"no caption"), ("shard/words.txt", b"no image"),
                                (DEEP, b"too long a path for one field")]),
        (tarfile.GNU_FORMAT, [(LONG + ".jpg", b"image three"), (LONG + ".txt", b"third caption")]),
        (tarfile.PAX_FORMAT, [("caf\u00e9.0004.jpg", b""), ("caf\u00e9.jpg", b"image four"),
                              ("caf\u00e9.txt", b"fourth caption")]),
    ]:
        part = io.BytesIO()
        with tarfile.open(fileobj=part, mode="w", format=form) as tar:
            add(tar, "shard", b"", tarfile.DIRTYPE)
            for name, content in members:
                add(tar, name, content)
        # Leaves out the end blocks of each part.
        stream.write(part.getvalue().rstrip(b"\0"))
        stream.write(b"\0" * (-stream.tell() % tarfile.BLOCKSIZE))
    stream.write(b"\0" * 1024)
    (HERE / "pairs.tar").write_bytes(stream.getvalue())


main()
