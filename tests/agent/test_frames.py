"""Frames over a socket, and the ends of one."""

import socket

import pytest

from agent.frames import LARGEST_FRAME_BYTES, Closed, Splitter, frame, read_frame


def test_frames_come_out_of_pieces_as_they_went_in() -> None:
    sent = [b"", b"one", b"x" * 1000]
    stream = b"".join(map(frame, sent))
    splitter = Splitter()
    assert [whole for byte in stream for whole in splitter.feed(bytes([byte]))] == sent
    assert list(splitter.feed(stream)) == sent


def test_a_length_beyond_the_limit_is_no_frame() -> None:
    with pytest.raises(Closed):
        list(Splitter().feed((LARGEST_FRAME_BYTES + 1).to_bytes(4, "big")))


def test_an_end_that_closes_with_something_unread_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.send(b"unread")
        theirs.close()
        with pytest.raises(Closed):
            read_frame(ours.fileno())
