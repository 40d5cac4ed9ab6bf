"""Weight files from strangers: nothing in them is executed, or read from beyond them."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from jaxgan.errors import WeightsError
from jaxgan.weights import load_arrays, load_torch, torch_file, torch_pickle

DATA = np.arange(4, dtype=np.float32)


def global_(name: str) -> bytes:
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode()


def number(n: int) -> bytes:
    return pickle.dumps(n, 2)[2:-1]


def numbers(values) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


STORAGE = (
    b"(" + text("storage") + global_("torch.FloatStorage") + text("0") + text("cpu") + b"K\x04tQ"
)


def tensor(shape=(2, 2), strides=(2, 1), offset=0) -> bytes:
    """The pickle of a tensor over the storage 0."""
    arguments = b"(" + STORAGE + number(offset) + numbers(shape) + numbers(strides) + b"\x89)t"
    return global_("torch._utils._rebuild_tensor_v2") + arguments + b"R"


def state_dict(value: bytes) -> bytes:
    return b"\x80\x02}" + text("w") + value + b"s."


def as_zip(pickled: bytes, data: bytes = DATA.tobytes(), compression=zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/data/0", data)
    return stream.getvalue()


def as_legacy(pickled: bytes, data: bytes = DATA.tobytes(), count: int = 4) -> bytes:
    header = [pickle.dumps(part, 2) for part in (torch_file.MAGIC, 1001, {})]
    return b"".join([*header, pickled, pickle.dumps(["0"], 2), struct.pack("<q", count), data])


def refused(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(WeightsError) as refusal:
        load_torch(path)
    message = str(refusal.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_a_tensor_is_a_view_of_its_data(write, tmp_path):
    path = tmp_path / "w.pth"
    for shape, strides, offset in (((2, 2), (2, 1), 0), ((2, 2), (1, 2), 0), ((2,), (1,), 2)):
        path.write_bytes(write(state_dict(tensor(shape, strides, offset))))
        expected = [DATA[offset + np.dot(index, strides)] for index in np.ndindex(shape)]
        np.testing.assert_array_equal(load_torch(path)["w"].ravel(), expected)


@pytest.mark.parametrize("write", [as_zip, as_legacy])
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"strides": (-1000, 1001)}, "negative"),  # whose last value is in the data
        ({"strides": (-(10**9), 10**9)}, "negative"),
        ({"strides": (3, 2)}, "beyond its data"),
        ({"shape": (2,), "strides": (2,), "offset": 2}, "beyond its data"),
        ({"offset": -1}, "negative"),
        ({"shape": (-2, -2)}, "negative"),
        ({"shape": (2, 2, 1)}, "without storage, shape"),
        ({"shape": (10**9,), "strides": (0,)}, "4 times the bytes of the file"),
        ({"shape": (5,), "strides": (0,)}, "5 values, and its data 4"),
        ({"shape": (2**40, 2**40, 0), "strides": (0, 0, 0)}, ""),
        ({"shape": (2**200,), "strides": (0,)}, "too large"),
    ],
)
def test_no_tensor_reaches_beyond_its_data(write, wrong, why, tmp_path):
    assert why in refused(tmp_path / "w.pth", write(state_dict(tensor(**wrong))))


def test_numpy_would_have_read_beyond_it():
    """What the limits are for: the last of these indices is in the data, and others are not."""
    offsets = [np.dot(index, (-1000, 1001)) for index in np.ndindex(2, 2)]
    assert offsets[-1] < len(DATA)
    assert min(offsets) == -1000


@pytest.mark.parametrize(
    ("pickled", "why"),
    [
        (b"\x80\x02" + global_("os.system") + b"(" + text("true") + b"tR.", "os.system"),
        (b"\x80\x02" + global_("builtins.eval") + b"(" + text("1") + b"tR.", "builtins.eval"),
        (b"\x80\x02" + global_("torch.FloatStorage") + b"(K\x01tR.", "calls a non-function"),
        (b"\x80\x02" + text("os.system") + b"(K\x01tR.", "calls a non-function"),
        (b"\x80\x02" + b"(" + text("true") + b"ios\nsystem\n.", "INST, which is not allowed"),
        (b"\x80\x04" + text("os") + text("system") + b"\x93(tR.", "os.system"),
        (state_dict(b"K\x01"), "is a int, expected a tensor"),
        (b"\x80\x02]" + number(1) + b"a.", "holds a list"),
        (b"\x80\x02}" + b"0" * 9 + b".", "POP, which is not allowed"),
        (b"\x80\x02X\xff\xff\xff\xff.", ""),  # a text of 4 GB
        (b"\x80\x02}" + b")" + 60 * b"q\x00h\x00\x86" + b"K\x01s.", "other keys"),  # 2^60 of them
    ],
)
def test_a_pickle_only_builds_dicts_of_tensors(pickled, why, tmp_path):
    assert why in refused(tmp_path / "w.pth", as_zip(pickled))


def test_a_memo_has_no_more_entries_than_the_pickle(tmp_path):
    """Python's own reader allocates an array up to the largest index, of 64 GB here."""
    (tmp_path / "w.pth").write_bytes(as_zip(b"\x80\x02}r\xff\xff\xff\xff."))
    assert load_torch(tmp_path / "w.pth") == {}


def test_attributes_are_not_set(tmp_path):
    """The operation BUILD would set the attributes of the reader's own functions."""
    name = "torch._utils._rebuild_tensor_v2"
    built = global_(name) + b"N}" + text("__defaults__") + b")s\x86b"
    before = vars(torch_pickle.CALLS[name]), torch_pickle.CALLS[name].__defaults__
    assert "expected a tensor" in refused(tmp_path / "w.pth", as_zip(state_dict(built)))
    assert before == (vars(torch_pickle.CALLS[name]), torch_pickle.CALLS[name].__defaults__)


def test_bombs(tmp_path):
    path, zeros = tmp_path / "w.pth", bytes(10**6)
    packed = as_zip(state_dict(tensor()), zeros, zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(path, packed)
    claimed = bytearray(as_zip(state_dict(tensor())))
    entry = claimed.rindex(b"PK\x01\x02")  # of the data, whose size is 24 bytes on
    claimed[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    assert "larger than the file" in refused(path, bytes(claimed))
    assert "cut short" in refused(path, as_legacy(state_dict(tensor()), count=2**40))
    assert "cut short" in refused(path, as_legacy(state_dict(tensor()), count=-1))


def test_tensors_may_share_data_but_not_without_end(tmp_path):
    path, data = tmp_path / "w.pth", bytes(4000)
    for copies, allowed in ((3, True), (200, False)):
        items = b"".join(number(i) + b"h\x01" for i in range(copies))
        first = text("w") + tensor((1000,), (1,)) + b"q\x01"
        content = as_zip(b"\x80\x02}(" + first + items + b"u.", data)
        if allowed:
            path.write_bytes(content)
            assert len(load_torch(path)) == 1 + copies
        else:
            assert "more than 4 times the bytes" in refused(path, content)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    for read in (load_torch, load_arrays):
        with pytest.raises(WeightsError, match="it is not a file"):
            read(tmp_path / "w.pth")
