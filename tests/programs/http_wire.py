# SPDX-License-Identifier: MIT
"""Many connections at once to servers that may be wrong: what is sent in which pieces, and all that came back."""
import errno
import re
import select
import socket
import struct
import subprocess
import time


class Server:
    """A program that prints its port and serves until its standard input ends."""

    def __init__(self, *argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"{argv[0]} did not start")
        self.port = int(line)

    def stop(self):
        if self.process.stdout.closed:
            return self.process.returncode
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Response:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body
        self.closes = fields.get("connection", "").lower() == "close"

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body!r}"


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3})(?: [^\r\n]*)?\r\n")


def responses(data):
    """The responses in what a server sent; ValueError if it is anything else. A response to HEAD has no body although
    it says a length; none of the bodies here begins as a status line does."""
    found = []
    while data:
        if data.startswith(b"<html>"):  # nginx answers HTTP/0.9, and what has no version
            return found + [Response(400 if b"400 Bad" in data else 200, {"connection": "close"}, data)]
        line = STATUS_LINE.match(data)
        end = data.find(b"\r\n\r\n")
        if not line or end < 0:
            raise ValueError(f"not a response: {data[:200]!r}")
        fields = {}
        for text in data[line.end():end].decode("latin-1").split("\r\n") if line.end() < end else ():
            name, colon, value = text.partition(":")
            if not colon:
                raise ValueError(f"not a field: {text!r}")
            fields[name.lower()] = value.strip()
        data = data[end + 4:]
        length = int(fields.get("content-length", 0))
        if fields.get("transfer-encoding") == "chunked" and data.startswith(b"0\r\n\r\n"):  # none here has a body
            length, data = 0, data[5:]
        if STATUS_LINE.match(data) or not data:
            length = 0
        if len(data) < length:
            raise ValueError(f"the body is cut: {data[:200]!r}")
        found.append(Response(int(line[1]), fields, data[:length]))
        data = data[length:]
    return found


class Connection:
    """Sends pieces, then FIN; keeps all that comes back until the server's FIN or reset."""

    def __init__(self, port, pieces, poll, source):
        self.pieces = list(pieces)
        self.next = 0
        self.received = []
        self.reset = False
        self.open = True
        self.poll = poll
        self.socket = socket.socket()
        # Short-lived connections would run out of ports of one address.
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        self.socket.bind((source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(("127.0.0.1", port))
        self.name = self.socket.getsockname()
        self.socket.setblocking(False)
        poll.register(self.socket, select.EPOLLIN)

    def send(self):
        """The next piece. False if there was none, and FIN was sent."""
        piece = self.pieces[self.next]
        self.next += 1
        last = self.next == len(self.pieces)
        try:
            sent = self.socket.send(piece)
            if sent < len(piece):  # the server does not read: later, in the order of the bytes
                self.pieces.insert(self.next, piece[sent:])
                return True
            if last:
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            self.next -= 1
            return True
        except OSError:  # the server has closed already
            self.next = len(self.pieces)
            return False
        return not last

    def readable(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            self.reset = True
            data = b""
        if data:
            self.received.append(data)
        else:
            self.close()

    def close(self):
        if self.open:
            self.open = False
            self.poll.unregister(self.socket)
            self.socket.close()


class Diagnosis:
    """What the kernel says of sockets: sock_diag(7), one connection at a time and not the table of all."""

    def __init__(self):
        self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)  # NETLINK_SOCK_DIAG

    def unread(self, server, client):
        """How many bytes lie in the server's socket that nobody has received. (address, port) of both."""
        name = struct.pack("!HH4s12x4s12x", server[1], client[1], socket.inet_aton(server[0]),
                           socket.inet_aton(client[0])) + struct.pack("=III", 0, 0xffffffff, 0xffffffff)
        request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff) + name
        self.netlink.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 0, 0) + request)  # SOCK_DIAG_BY_FAMILY
        answer = self.netlink.recv(8192)
        if struct.unpack_from("=H", answer, 4)[0] == 2:  # NLMSG_ERROR
            error = -struct.unpack_from("=i", answer, 16)[0]
            if error != errno.ENOENT:  # it is gone
                raise OSError(error, "sock_diag")
            return 0
        return struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0]

    def close(self):
        self.netlink.close()


def exchange(port, jobs, at_once=64, separately=False, patience=60):
    """For each list of pieces what came back, (bytes, reset). `separately`: the server has received each piece before
    the next one is sent, so that it sees the same pieces. A server that does not close within `patience` seconds
    after everything was sent is an error of the server."""
    results = [None] * len(jobs)
    poll = select.epoll()
    diagnosis = Diagnosis() if separately else None
    active = {}
    sending = {}
    begun = 0
    deadline = time.monotonic() + patience
    while begun < len(jobs) or active:
        while begun < len(jobs) and len(active) < at_once:
            c = Connection(port, jobs[begun], poll, f"127.0.{begun // 200 % 100 + 1}.{begun % 200 + 1}")
            c.index = begun
            active[c.socket.fileno()] = c
            sending[begun] = c
            begun += 1
            deadline = time.monotonic() + patience
        for index, c in list(sending.items()):
            more = True
            while more and not separately:
                before = c.next
                more = c.send()
                if c.next == before:
                    break
            if separately:
                more = c.send()
            if not more:
                del sending[index]
        for fd, _ in poll.poll(0 if sending else 1):
            c = active[fd]
            c.readable()
            if not c.open:
                del active[fd]
                sending.pop(c.index, None)
                results[c.index] = (b"".join(c.received), c.reset)
                deadline = time.monotonic() + patience
        for c in sending.values() if separately else ():
            while diagnosis.unread(("127.0.0.1", port), c.name) != 0 and time.monotonic() < deadline:
                pass
        if time.monotonic() > deadline:
            stuck = next(iter(active.values()))
            raise TimeoutError(f"not closed after {b''.join(stuck.pieces)!r}: {b''.join(stuck.received)!r}")
    poll.close()
    if diagnosis:
        diagnosis.close()
    return results
