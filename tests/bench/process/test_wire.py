import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.process import wire

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MESSAGES = st.dictionaries(st.text(), VALUES)


@given(st.lists(MESSAGES), st.integers(1, 40))
def test_any_messages_survive_any_chunking(messages: list[dict[str, object]], size: int) -> None:
    stream = b"".join(wire.encode(message) for message in messages)
    splitter = wire.Splitter()
    received = [
        message
        for start in range(0, len(stream), size)
        for message in splitter.feed(stream[start : start + size])
    ]
    assert received == messages


def test_a_message_is_one_line() -> None:
    assert wire.encode({"text": "two\nlines"}).count(b"\n") == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        wire.encode({"loss": value})


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b"[1]", b"1", b'{"a": NaN}', b'{"a": 1', b"\xff\xfe{}", b"[" * 100_000],
)
def test_what_is_no_message_is_a_wire_error(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(line)


def test_the_error_quotes_control_characters_escaped() -> None:
    with pytest.raises(wire.WireError) as caught:
        wire.decode(b"\x1b[31mred")
    assert "\x1b" not in str(caught.value)
    assert "\\x1b" in str(caught.value)


def test_fault_06_an_endless_line_is_refused_before_it_fills_the_memory() -> None:
    splitter = wire.Splitter()
    chunk = b"x" * (wire.MAX_LINE_BYTES // 8)
    for _ in range(8):
        assert list(splitter.feed(chunk)) == []
    with pytest.raises(wire.WireError, match="more than"):
        list(splitter.feed(chunk))


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        message = wire.decode(data)
    except wire.WireError:
        return
    assert message == json.loads(data)
