#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutated requests, to the server and to others that read HTTP/1.1: llhttp, Node and nginx. The server must not take a
request that one of them refuses, and must not disagree with any of them on where a request ends. Behind each mutated
request goes a good one: who has another opinion of where the first ends sees another second one. The number of requests,
their methods and their bodies are compared.

Usage: http_peers.py SERVER [--llhttp PROGRAM] [--corpora DIRECTORY] [--count N] [--seed N] [--only INDEX] [--need PEERS]
[--mode saw|streams].
SERVER is the program of conformance_server.cpp, PROGRAM that of llhttp.cpp. Peers that are not installed are named as
not compared; --need llhttp,node,nginx makes that an error. Each difference that is known and right is in KNOWN."""
import argparse
import collections
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs"))
from http_wire import Server, exchange, responses  # noqa: E402

MARKER = b"POST /marker HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\nmarker"

# ---- requests ----

H = b"Host: a\r\n"
SEEDS = [
    b"GET / HTTP/1.1\r\n" + H + b"\r\n",
    b"GET /a/b?c=d HTTP/1.1\r\n" + H + b"User-Agent: x\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"HEAD / HTTP/1.1\r\n" + H + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n",
    b"DELETE /x HTTP/1.1\r\n" + H + b"\r\n",
    b"GET http://a/x HTTP/1.1\r\n" + H + b"\r\n",
    b"\r\nGET / HTTP/1.1\r\n" + H + b"\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n",
    b"PUT /x HTTP/1.1\r\n" + H + b"Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello\r\nworld",
    b"PATCH /x HTTP/1.1\r\n" + H + b"Content-Length: 10\r\nX: y\r\n\r\n0123456789",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n00\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PUT / HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\n" + H + b"Connection: keep-alive, x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n10\r\nGET / HTTP/1.1\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 34\r\n\r\nGET /inner HTTP/1.1\r\nHost: b\r\n\r\nxx",
    b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello\r\nGET / HTTP/1.1\r\n" + H + b"\r\n",
]
TOKENS = [
    b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\v", b"\f", b"\0", b"\x7f", b"\x80",
    b"\xff", b":", b";", b",", b"\"", b"=", b"/", b"?", b"#", b"%", b"*", b"+", b"-", b"_", b".", b"0", b"1", b"x", b"X",
    b"\xa0", b"0x", b"1e1", b" ,", b", ", b"chunked", b"identity", b"gzip", b"close", b"keep-alive", b" HTTP/1.1",
]
LINES = [
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: 6", b"Content-Length: 05", b"Content-Length: +5",
    b"Content-Length: -1", b"Content-Length: 5, 5", b"Content-Length: 5,6", b"Content-Length:", b"Content-Length: 0x5",
    b"Content-Length: 5 ", b"Content-Length:\t5", b"Content-Length : 5", b" Content-Length: 5", b"Content_Length: 5",
    b"Content-Length: 18446744073709551621", b"Content-Length: 4294967301", b"Content-Length: 5\0", b"content-length: 5",
    b"Content-Length: 5\r\n ", b"Content-Length: 1 0", b"Content-Length: 5;", b"Content-Length: \"5\"",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: chunked ",
    b"Transfer-Encoding: \tchunked", b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked",
    b"Transfer_Encoding: chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunkedx", b"Transfer-Encoding:", b"Transfer-Encoding: ,chunked", b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked;a=b", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chun\0ked", b"Transfer-Encoding: chunked\r", b"TE: trailers",
    b"Connection: close", b"Connection: keep-alive", b"Connection: Content-Length", b"Connection: upgrade",
    b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: x", b"Trailer: X", b"Host: a", b"Host: b", b"Host:", b"X: y",
    b"X", b": y", b"X : y", b" X: y", b"X: y\rz", b"X: a\nb", b"X\0: y", b"X: \0", b"Keep-Alive: timeout=5", b"",
]
CHUNKS = [
    b"0", b"00", b"5", b"05", b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5\t", b"5;", b"5;a", b"5 ;a", b"5; a", b"5;a=b", b"5;a=\"b\"",
    b"5;a =b", b"5;\n", b"5;a\rb", b"5;a\0", b"5_0", b"5,5", b"FFFFFFFFFFFFFFFF", b"10000000000000005", b"g", b"", b"5.", b"a",
    b"A", b"5\r", b"5\"", b"5;\"\r\n\"", b"0;a", b"0 ", b"000000000000000000005", b"5;a=\"\\\"\"", b"5;;", b"5;=b", b"5;a=",
]


def mutate(rng, text, seeds):
    way = rng.choice((0, 0, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 7, 8, 9, 9, 9, 9, 10, 10, 11))
    at = rng.randrange(len(text) + 1)
    if way == 0:
        return text[:at] + rng.choice(TOKENS) + text[at:]
    if way == 1:
        return text[:at] + text[at + rng.choice((1, 1, 1, 2, 3)):]
    if way == 2:
        return text[:at] + bytes((rng.randrange(256),)) + text[at + 1:]
    if way == 3:
        return text[:at] + rng.choice(TOKENS) + text[at + 1:]
    lines = text.split(b"\r\n")
    n = rng.randrange(len(lines))
    if way == 4:  # a field, mostly of framing
        lines.insert(rng.randrange(1, max(2, lines.index(b"") + 1 if b"" in lines[1:] else len(lines))), rng.choice(LINES))
    elif way == 5:
        lines.insert(n, lines[n])
    elif way == 6:
        if len(lines) > 2:
            del lines[n]
    elif way == 7:
        m = rng.randrange(len(lines))
        lines[n], lines[m] = lines[m], lines[n]
    elif way == 8:  # another line end
        return b"\r\n".join(lines[:n + 1]) + rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\r\n ")) + b"\r\n".join(lines[n + 1:])
    elif way == 9:  # a chunk's size
        sizes = [i for i, line in enumerate(lines) if re.fullmatch(rb"[0-9a-fA-F]+(;.*)?", line)]
        if sizes:
            lines[rng.choice(sizes)] = rng.choice(CHUNKS)
    elif way == 10:  # another value for a field of framing
        framing = [i for i, line in enumerate(lines) if re.match(rb"(?i)(content-length|transfer-encoding|connection)", line)]
        if framing:
            lines[rng.choice(framing)] = rng.choice(LINES)
    else:  # the head of one, the rest of another
        other = rng.choice(seeds).split(b"\r\n")
        return b"\r\n".join(lines[:n] + other[rng.randrange(len(other)):])
    return b"\r\n".join(lines)


def request(seed, index, seeds):
    rng = random.Random(f"{seed} {index}")
    text = rng.choice(SEEDS if rng.random() < 0.8 else seeds)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3))):
        text = mutate(rng, text, seeds)
    return text[:8000]


def recorded(directory):
    seeds = []
    for name, key in (("http11probe_cases.json", "payload_latin1"), ("llhttp_request_cases.json", "request_latin1")):
        path = os.path.join(directory, name)
        if directory and os.path.isfile(path):
            with open(path) as file:
                seeds += [c[key].replace("@@HOST@@", "a").encode("latin-1", "replace") for c in json.load(file)["cases"]]
    # With a Host, so that its lack does not hide all else.
    return [s if re.search(rb"(?i)\r\nhost:", s) else s.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\n" + H)
            for s in seeds if 0 < len(s) < 4000]


# ---- what each of them saw ----
# A list of events: ("saw", method, length, hash), method and body None where they are not known; and at the end one of
# "refused" with why, "waits" for more, and "closes", which is its own decision.
Event = collections.namedtuple("Event", "kind method body why", defaults=(None, None, ""))
Event.__repr__ = lambda e: " ".join(str(x) for x in (e.kind, e.method, e.body, e.why) if x)
CLOSES, WAITS = Event("closes"), Event("waits")


def saw(field, method=True):
    name, length, digest = field.split(" ")
    return Event("saw", name if method else None, (int(length), digest))


def events(data, method=True, ours=False):
    found = []
    for r in responses(data):
        if r.status < 200:
            continue
        refused = r.fields.get("content-type") == "text/refused" if ours else r.status >= 400 and r.status != 405  # that is an answer
        if r.status == 500 or r.status == 502:
            raise AssertionError(f"{r}")
        if r.fields.get("x-code") == "HPE_INVALID_EOF_STATE":  # Node's word for the end of the connection
            return found + [WAITS]
        if refused:
            why = r.fields.get("x-code") or (r.body.decode().strip() if ours else str(r.status))
            return found + [Event("refused", why=why)]
        if "x-saw" in r.fields:
            e = saw(r.fields["x-saw"], method)
            if ours and e.method in ("GET", "HEAD"):  # their bodies are not read
                e = e._replace(body=None)
            found.append(e)
        else:
            found.append(Event("saw", why=str(r.status)))
        if r.closes:
            return found + [CLOSES]
    return found + [WAITS]


class Ours:
    name = "synfp"

    def __init__(self, program, mode):
        self.server = Server(program, mode)

    def see(self, texts):
        return [events(data, ours=True) for data, _ in exchange(self.server.port, [[t] for t in texts])]

    def stop(self):
        return self.server.stop()


class Llhttp:
    name = "llhttp"

    def __init__(self, program):
        self.program = program

    def see(self, texts):
        frames = b"".join(struct.pack("<I", len(t)) + t for t in texts)
        lines = subprocess.run([self.program], input=frames, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        assert len(lines) == len(texts)
        return [[self.event(words) for words in line.split(";")] for line in lines]

    @staticmethod
    def event(words):
        kind, _, rest = words.partition(" ")
        if kind == "saw":
            return saw(rest)
        if kind == "refused":
            return Event("refused", why=rest)
        return WAITS if kind in ("waits", "end") else CLOSES  # also behind an upgrade

    def stop(self):
        return 0


class Node:
    name = "node"

    def __init__(self, program):
        self.server = Server(program, os.path.join(os.path.dirname(os.path.abspath(__file__)), "http_node.js"))

    def see(self, texts):
        # FIN by itself: Node drops its answers if it comes with the request.
        return [events(data) for data, _ in exchange(self.server.port, [[t, b""] for t in texts], 64, True)]

    def stop(self):
        return self.server.stop()


class Nginx:
    """As a proxy, since only that reads bodies: it asks our server with what it took for the body. The method it saw is
    not known then."""
    name = "nginx"
    CONFIGURATION = """
    daemon off; user root; worker_processes 1; pid {0}/pid; error_log /dev/null;
    events {{ worker_connections 1024; }}
    http {{
      access_log off; default_type text/plain; server_tokens off;
      client_body_temp_path {0}/1; proxy_temp_path {0}/2; fastcgi_temp_path {0}/3; uwsgi_temp_path {0}/4; scgi_temp_path {0}/5;
      client_body_buffer_size 1m; client_header_buffer_size 16k;
      upstream saw {{ server 127.0.0.1:{2}; keepalive 64; }}
      server {{
        listen 127.0.0.1:{1} backlog=4096;
        location / {{
          rewrite ^ /saw? break;
          proxy_pass http://saw; proxy_http_version 1.1; proxy_method POST; proxy_pass_request_headers off;
          proxy_set_header Host a; proxy_set_header Connection ""; proxy_ignore_client_abort on; proxy_next_upstream off;
        }}
      }}
    }}"""

    def __init__(self, program, ours):
        self.directory = tempfile.mkdtemp(prefix="http-oracle-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(self.CONFIGURATION.format(self.directory, self.port, ours.server.port))
        self.process = subprocess.Popen([program, "-c", path, "-e", "/dev/null"], stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    raise RuntimeError("nginx did not start") from None
                time.sleep(0.01)

    def see(self, texts):
        return [events(data, method=False) for data, _ in exchange(self.port, [[t] for t in texts])]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        shutil.rmtree(self.directory)
        return 0


# ---- the comparison ----

def difference(ours, theirs):
    """None, or what is wrong with ours: "accepts" what they refuse, another "end" of a request, another "content". With
    what ours saw and why they did not."""
    for i, mine in enumerate(ours):
        other = theirs[i] if i < len(theirs) else CLOSES
        if mine.kind in ("refused", "closes") or other.kind == "closes":
            return None  # stricter; or one of them ends the connection on purpose
        if mine.kind == "waits":
            return f"end waits {other.method or other.why}" if other.kind == "saw" else None
        if other.kind == "saw":
            if None not in (mine.method, other.method) and mine.method != other.method:
                return f"content {mine.method} {other.method}"
            if None not in (mine.body, other.body) and mine.body != other.body:
                return f"content {mine.method} {other.method}"
            continue
        # The body is not read, and so the connection ends: nothing behind the head is taken for a request.
        if mine.body is None and i + 1 < len(ours) and ours[i + 1].kind == "closes":
            return None
        return f"{'accepts' if other.kind == 'refused' else 'end'} {mine.why or mine.method} {other.why or other.kind}"
    return None


# (name, peers, the difference, what the request has, the reason). All must fit.
KNOWN = [
    ("unknown method", ("llhttp", "node"), "accepts 501 HPE_INVALID_METHOD", rb"",
     "Any token is a method (RFC 9110 9.1). They know a list; our routes answer 501, behind the same framing."),
    ("method characters", ("nginx",), "accepts 501 400", rb"(^|\n)[A-Z_-]*[!#$%&'*+.^`|~0-9a-z][^ ]* ",
     "As above. nginx knows no method but of capital letters, '_' and '-'."),
    ("OPTIONS *", ("nginx",), "accepts 204 400", rb"(^|\n)OPTIONS \* HTTP/1", "RFC 9112 3.2.4. nginx has no such target."),
    ("tab around a value", ("nginx",), "accepts .* (400|501)",
     rb"(?i)\n(content-length|transfer-encoding|host|connection):([ ]*\t|[^\r\n]*\t[ ]*\r\n)",
     "The white space around a value may be a tab (RFC 9110 5.6.3)."),
    ("tab around a value", ("llhttp", "node"), "accepts .* HPE_INVALID_(CONTENT_LENGTH|TRANSFER_ENCODING)",
     rb"(?i)\n(content-length|transfer-encoding):([ ]*\t|[^\r\n]*\t[ ]*\r\n)", "The same."),
    ("white space in a chunk extension", ("llhttp", "node"), "accepts .* HPE_(STRICT|INVALID_CHUNK_SIZE)",
     rb"\n[0-9a-fA-F]+([ \t]+;|;[^\r\n]*[ \t])", "Every recipient must read over it (RFC 9110 5.6.3)."),
    ("quoted pair in a chunk extension", ("llhttp", "node"), "accepts .* HPE_STRICT", rb"\n[0-9a-fA-F]+;[^\r\n]*\"[^\r\n]*\\",
     "RFC 9110 5.6.4. llhttp 8 ends the quoted string at the first '\"'; 9 does not."),
    ("target that leaves the root", ("nginx",), "accepts .* 400", rb"(^|\n)[A-Z]+ [^ ]*(%00|/\.\.|%[^0-9a-fA-F]|%.[^0-9a-fA-F])",
     "nginx decodes paths and refuses some. Ours gives them to the handler as they are."),
    ("host of an absolute target", ("nginx",), "accepts .* 400", rb"(^|\n)[A-Z]+ http://[^/? ]*[!$&'()*+;=~%_]",
     "RFC 3986 3.2.2 lets a host have these characters. nginx knows letters, digits, '.' and '-'."),
    ("host of dots", ("nginx",), "accepts .* 400", rb"(?i)\nhost:[ \t]*([^\r\n]*\.\.|\.[ \t:\r])",
     "RFC 3986 3.2.2 does not forbid empty labels."),
    ("field twice", ("nginx",), "accepts .* 400",
     rb"(?i)\n(expect|if-[a-z-]+|range|content-(type|range)|te|upgrade|authorization|keep-alive):.*\r\n(.*\r\n)*\1:",
     "nginx wants these once. None of them frames a request, and some are lists (RFC 9110 10.1.1, 13.1.1)."),
]


def known(peer, found, text):
    for name, peers, difference, pattern, _ in KNOWN:
        if peer in peers and re.fullmatch(difference, found) and re.search(pattern, text):
            return name
    return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("server")
    parser.add_argument("--llhttp")
    parser.add_argument("--corpora", default="")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--need", default="")
    parser.add_argument("--mode", choices=("saw", "streams"), default="saw")
    a = parser.parse_args()

    ours, peers = Ours(a.server, a.mode), []
    try:
        sys.exit(compare(a, ours, peers))
    finally:
        for peer in peers:
            peer.stop()
        ours.stop()


def compare(a, ours, peers):
    if a.llhttp and os.path.isfile(a.llhttp):
        peers.append(Llhttp(a.llhttp))
    node, nginx = shutil.which("node"), shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if node:
        peers.append(Node(node))
    if nginx:
        peers.append(Nginx(nginx, ours))
    present = [p.name for p in peers]
    absent = [name for name in ("llhttp", "node", "nginx") if name not in present]
    if absent:
        print(f"not compared with {', '.join(absent)}: not installed")
    failures = [f"needed, but not installed: {name}" for name in absent if name in a.need.split(",")]
    if not peers:
        print("not compared with anything")
        return 1

    extra = recorded(a.corpora)
    if not extra:
        print("without recorded requests: SYNFP_CORPORA does not have them")
    seeds = SEEDS + extra
    counts = {p.name: collections.Counter() for p in peers}
    answers = collections.Counter()
    wrong = 0
    indices = [a.only] if a.only is not None else range(a.count)
    for begin in range(0, len(indices), 2000):
        batch = indices[begin:begin + 2000]
        texts = [request(a.seed, i, seeds) for i in batch]
        sent = [t + MARKER for t in texts]
        mine = ours.see(sent)
        for m in mine:
            answers["took" if m[0].kind == "saw" else m[0].kind] += 1
        for peer in peers:
            for index, text, m, t in zip(batch, texts, mine, peer.see(sent)):
                found = difference(m, t)
                if a.only is not None:
                    print(f"{text!r}\n  synfp: {m}\n  {peer.name}: {t}")
                name = found and known(peer.name, found, text)
                if found and not name:
                    wrong += 1
                    if wrong <= 3000:
                        print(f"--only {index}: {peer.name}: {found}: {text!r}\n  synfp: {m}\n  {peer.name}: {t}")
                counts[peer.name]["wrong" if found and not name else name or "same or stricter"] += 1
    print(f"{len(indices)} requests, seed {a.seed}: {answers['took']} taken, {answers['refused']} refused, "
          f"{answers['waits']} not complete; {a.mode}")
    for name, count in counts.items():
        print(f"{name}: " + ", ".join(f"{n} {what}" for what, n in count.most_common()))
    if wrong:
        failures.append(f"{wrong} differences that nothing argues for")
    print(*failures, sep="\n", end="\n" if failures else "")
    return bool(failures)


main()
