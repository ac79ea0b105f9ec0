#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A plain accept loop in Python that answers with the client's SYN. It needs nothing of synfp's and no privilege: a
probe that covers its cgroup answers getsockopt()."""
import errno
import socket
import struct

TCP_SAVED_SYN = 28  # tcp(7)
SOCKET_SYN = 0x53594E  # SYNFP_SO_SYN of synfp/socket.h
ANSWER = struct.Struct("=HBBBBBBQIHHBB14s120s")  # struct synfp_socket_answer
PROOF = {2: "verified", 3: "exact"}


def describe(connection):
    try:
        answer = connection.getsockopt(socket.SOL_SOCKET, SOCKET_SYN, ANSWER.size)
    except OSError as why:
        return "none: " + ("no probe covers this socket" if why.errno == errno.ENOPROTOOPT else why.strerror)
    _, status, proof, *_, ip_length, tcp_length, _, headers = ANSWER.unpack(answer)
    return f"{PROOF[proof]} {headers[:ip_length + tcp_length].hex()}" if status == 0 else f"none: status {status}"


def serve(connection):
    # The kernel's own option, IP and TCP headers: also after SYN cookies, once per connection.
    saved = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 256)
    # Ours says more, and as often as it is asked.
    connection.sendall(f"{describe(connection)}\nsaved {saved.hex()}\n".encode())


with socket.create_server(("", 8080)) as listener:
    while True:
        with listener.accept()[0] as connection:
            try:
                serve(connection)
            except OSError:
                pass  # the client left
