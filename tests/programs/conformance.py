#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""HTTP/1.1 conformance of the server over sockets: the requests below, and those that Http11Probe and llhttp's tests
have recorded, if they are there. Each is sent in four ways: whole; byte by byte; in pieces that end at each CRLF; and
behind a good request in the same piece. It fails if a MUST is not met, if a SHOULD or MAY is not met and not argued
below, or if the four ways are answered differently. docs/http-conformance.md is what it found.

Usage: conformance.py SERVER [--corpora DIRECTORY] [--docs FILE] [--write-docs]. SERVER is the program of
conformance_server.cpp. With recorded cases FILE must say what was found, every line of it; without them, only what
it says of the requests below is compared."""
import argparse
import difflib
import json
import os
import re
import sys

sys.dont_write_bytecode = True
from http_wire import Server, exchange, responses  # noqa: E402

GOOD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAYS = ("whole", "byte by byte", "split at each CRLF", "behind a good request")

# ---- what is expected ----
# Alternatives that pass, and ones that are allowed but not what is asked for. "none": no response; the server waits
# for the rest, or has closed. Behind a '+': what else must hold.
HTTP11PROBE_TEXTS = {
    "400 or close (pass), 2xx (warn)": ("400 none", "2xx"),
    "400 or close": ("400 none", ""),
    "400, or close": ("400 none", ""),
    "400 or 2xx": ("400 2xx", ""),
    "400 or 2xx/404": ("400 2xx 404", ""),
    "400/505 or close": ("400 505 none", ""),
    "400/501 or close": ("400 501 none", ""),
    "400/501 or 2xx+close": ("400 501 2xx+closes", ""),
    "400/405/501 or 2xx": ("400 405 501 2xx", ""),
    "400 or 2xx+close": ("400 2xx+closes", ""),
    "400, or 2xx + close": ("400 2xx+closes", ""),
    "501/405/400 or close": ("501 405 400 none", ""),
    "400/405 or 200": ("400 405 200", ""),
    "405/501 or 2xx": ("405 501 2xx", ""),
    "405/501, or 200 without Auth": ("405 501 200", ""),
    "417 or 2xx": ("417", "2xx"),
    "200 or 505": ("200", "505"),  # RFC 9110 2.5: SHOULD process it
    "200 or 416": ("200 416", ""),
    "406 or 2xx": ("406 2xx", ""),
    "415 or 2xx": ("415 2xx", ""),
    "400/close/timeout": ("400 none", "413"),
    "2xx preferred; 400 warns": ("2xx", "400"),
    "2xx + echo": ("2xx+echo", ""),
    "2xx + close": ("2xx+closes", ""),
    "2xx + 2xx": ("2xx+good_follows", ""),
    "2xx (Range ignored)": ("2xx+echo", ""),
    "2xx with no body": ("2xx+head", ""),
    "405 + Allow header": ("405+allow", ""),
    "2xx with Date header": ("2xx+date", ""),
    "IMF-fixdate format": ("2xx+date", ""),
    "2xx with Allow header": ("2xx+allow", ""),
    "2xx with Content-Type": ("2xx+type", ""),
    "204 without CL": ("204+no_length", ""),
    "non-1xx response": ("2xx 4xx", ""),
    "!101": ("2xx 4xx 5xx", ""),
    "non-101 (426 preferred)": ("426", "2xx 4xx 5xx"),
    "400/close preferred; extra response on step 2 = warn": ("400 2xx+good_follows none", "2xx"),
    "400/close preferred; poisoned follow-up = warn": ("400 2xx+good_follows none", "2xx"),
    "400/close/pass-through; poisoned follow-up = warn": ("400 2xx+good_follows none", "2xx"),
    "417/400/close preferred; poisoned follow-up = warn": ("417 400 2xx+good_follows none", "2xx"),
    "Reject/drop (pass), normalize (fail), preserve (warn)": ("4xx 501 2xx+dropped", "2xx+preserved"),
    "Reject/drop (pass), normalize casing (fail), preserve (warn)": ("4xx 501 2xx+dropped", "2xx+preserved"),
}

# (name, level, section, request, what passes, what is allowed). What Http11Probe makes in code, and what others argue
# over. Levels are those of the section: what it demands of a server.
H = b"Host: localhost\r\n"


def chunked(body):
    return b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + body


def get(fields=b"", line=b"GET / HTTP/1.1\r\n"):
    return line + H + fields + b"\r\n"


def post(fields, body=b"", line=b"POST / HTTP/1.1\r\n"):
    return line + H + fields + b"\r\n" + body


SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n"
CASES = [
    ("get", "MUST", "RFC 9110 9.3.1", get(), "200", ""),
    ("head", "MUST", "RFC 9110 9.3.2", get(line=b"HEAD / HTTP/1.1\r\n"), "200+head", ""),
    ("post-length", "MUST", "RFC 9112 6.3", post(b"Content-Length: 5\r\n", b"hello"), "200+echo", ""),
    ("post-chunked", "MUST", "RFC 9112 7.1", chunked(b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n"), "200+echo", ""),
    ("cookie", "MUST", "RFC 6265 4.2", get(b"Cookie: a=1; b=\"2\"\r\n", b"GET /cookie HTTP/1.1\r\n"), "200", ""),
    ("close", "MUST", "RFC 9112 9.6", get(b"Connection: close\r\n"), "200+closes", ""),
    ("http10", "MUST", "RFC 9112 9.3", b"GET / HTTP/1.0\r\n\r\n", "200+closes", ""),
    ("http10-keep-alive", "MAY", "RFC 9112 9.3", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200", ""),
    ("no-host", "MUST", "RFC 9112 3.2", b"GET / HTTP/1.1\r\n\r\n", "400", ""),
    ("two-hosts", "MUST", "RFC 9112 3.2", get(H), "400", ""),
    ("host-invalid", "MUST", "RFC 9112 3.2", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400", ""),
    ("host-port-leading-zeros", "MUST", "RFC 3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n", "200", ""),
    ("host-port-empty", "MUST", "RFC 3986 3.2.3", b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", "200", ""),
    ("host-port-too-large", "MUST", "RFC 9112 3.2", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400", ""),
    ("absolute-form", "MUST", "RFC 9112 3.2.2", get(line=b"GET http://localhost/ HTTP/1.1\r\n"), "200", ""),
    ("absolute-form-https", "MUST", "RFC 9110 7.4", get(line=b"GET https://localhost/ HTTP/1.1\r\n"), "421", "400"),
    ("absolute-form-ftp", "MUST", "RFC 9110 7.4", get(line=b"GET ftp://localhost/ HTTP/1.1\r\n"), "400 421", ""),
    ("authority-form", "MUST", "RFC 9112 3.2.3", get(line=b"GET localhost:80 HTTP/1.1\r\n"), "400", ""),
    ("connect", "MAY", "RFC 9110 9.3.6", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "400 405 501", ""),
    ("options-star", "MUST", "RFC 9112 3.2.4", get(line=b"OPTIONS * HTTP/1.1\r\n"), "2xx", ""),
    ("method-unknown", "SHOULD", "RFC 9110 9.1", get(line=b"BREW / HTTP/1.1\r\n"), "501", ""),
    ("method-not-allowed", "MUST", "RFC 9110 15.5.6", get(line=b"DELETE / HTTP/1.1\r\n"), "405+allow", ""),
    ("method-long", "MAY", "RFC 9112 3", get(line=b"A" * 1000 + b" / HTTP/1.1\r\n"), "501 400", ""),
    ("target-8000", "SHOULD", "RFC 9112 3", get(line=b"GET /" + b"a" * 7980 + b" HTTP/1.1\r\n"), "404", ""),
    ("target-too-long", "MUST", "RFC 9112 3", get(line=b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n"), "414", ""),
    ("target-not-ascii", "SHOULD", "RFC 9112 3.2", get(line=b"GET /\xc3\xa9 HTTP/1.1\r\n"), "400", ""),
    ("target-nul", "SHOULD", "RFC 9112 3.2", get(line=b"GET /\0 HTTP/1.1\r\n"), "400", ""),
    ("http09", "MAY", "RFC 9112 3", b"GET /\r\n\r\n", "400 505", ""),
    ("http20", "MAY", "RFC 9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 505", ""),
    ("http12", "SHOULD", "RFC 9110 2.5", get(line=b"GET / HTTP/1.2\r\n"), "200", "505"),
    ("tls-hello", "MAY", "RFC 9112 3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", ""),
    ("empty-line-before", "SHOULD", "RFC 9112 2.2", b"\r\n" + GOOD, "200", ""),
    ("empty-lines-before", "MAY", "RFC 9112 2.2", b"\r\n\r\n" + GOOD, "200", "400"),
    ("empty-line-after-body", "SHOULD", "RFC 9112 2.2", post(b"Content-Length: 2\r\n", b"hi\r\n" + GOOD), "200+good_follows", ""),
    ("empty-lines-after-body", "MAY", "RFC 9112 2.2", post(b"Content-Length: 2\r\n", b"hi\r\n\r\n" + GOOD), "200+good_follows", "200+400_follows"),
    ("space-line-before", "MAY", "RFC 9112 2.2", b" \r\n" + GOOD, "400", ""),
    ("bare-lf-line", "MAY", "RFC 9112 2.2", b"GET / HTTP/1.1\n" + H + b"\r\n", "400", "2xx"),
    ("bare-cr-in-value", "MUST", "RFC 9112 2.2", get(b"X: a\rb\r\n"), "400", ""),
    ("nul-in-value", "MUST", "RFC 9110 5.5", get(b"X: a\0b\r\n"), "400", ""),
    ("control-in-value", "MAY", "RFC 9110 5.5", get(b"X: a\x01b\r\n"), "400", "2xx"),
    ("obs-text-in-value", "MAY", "RFC 9110 5.5", get(b"X: \xff\r\n"), "2xx", "400"),
    ("fold", "MUST", "RFC 9112 5.2", get(b"X: a\r\n b\r\n"), "400", ""),
    ("name-not-ascii", "MUST", "RFC 9112 5.1", get(b"X\xff: a\r\n"), "400", ""),
    ("name-space-colon", "MUST", "RFC 9112 5.1", get(b"X : a\r\n"), "400", ""),
    ("value-too-long", "MUST", "RFC 9110 5.4", get(b"X: " + b"a" * 70000 + b"\r\n"), "431 400", ""),
    ("name-too-long", "MUST", "RFC 9110 5.4", get(b"X" * 20000 + b": a\r\n"), "431 400", ""),
    ("fields-too-many", "MUST", "RFC 9110 5.4", get(b"X: a\r\n" * 200), "431 400", ""),
    ("expect-unknown", "MAY", "RFC 9110 10.1.1", get(b"Expect: x\r\n"), "417", "2xx"),
    ("expect-continue", "MUST", "RFC 9110 10.1.1", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello"), "200+echo", ""),
    ("expect-continue-http10", "MUST", "RFC 9110 10.1.1", post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello", b"POST / HTTP/1.0\r\n"), "200+echo", ""),
    ("length-and-coding", "MUST", "RFC 9112 6.3", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), "400", ""),
    ("coding-and-length", "MUST", "RFC 9112 6.3", post(b"Transfer-Encoding: chunked\r\nContent-Length: 30\r\n", b"0\r\n\r\n" + SMUGGLED), "400", ""),
    ("two-lengths", "MUST", "RFC 9112 6.3", post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello" + SMUGGLED), "400", ""),
    ("two-codings", "MUST", "RFC 9112 6.3", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n"), "400 501", ""),
    ("length-octal", "MAY", "RFC 9110 8.6", post(b"Content-Length: 010\r\n", b"0123456789"), "200+echo 400", ""),
    ("coding-vtab", "MUST", "RFC 9112 6.1", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), "400 501", ""),
    ("coding-nul", "MUST", "RFC 9112 6.1", post(b"Transfer-Encoding: chunked\0\r\n", b"0\r\n\r\n"), "400 501", ""),
    ("coding-http10", "MUST", "RFC 9112 6.1", post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"POST / HTTP/1.0\r\n"), "400 2xx+closes", ""),
    ("coding-gzip", "SHOULD", "RFC 9112 6.1", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), "501", ""),
    ("coding-not-last", "MUST", "RFC 9112 6.3", post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), "400", ""),
    ("chunk-extension", "MUST", "RFC 9112 7.1.1", chunked(b"5;a;b=c;d=\"e;f\"\r\nhello\r\n0\r\n\r\n"), "200+echo", ""),
    ("chunk-extension-white-space-before", "MUST", "RFC 9110 5.6.3", chunked(b"5 ;a=b\r\nhello\r\n0\r\n\r\n"), "200+echo", ""),
    ("chunk-extension-white-space-inside", "MUST", "RFC 9110 5.6.3", chunked(b"5; a =\t\"b\"\r\nhello\r\n0\r\n\r\n"), "200+echo", ""),
    ("chunk-size-white-space-after", "MUST", "RFC 9112 7.1", chunked(b"5 \r\nhello\r\n0\r\n\r\n"), "400", ""),
    ("chunk-extension-lf", "MUST", "RFC 9112 7.1.1", chunked(b"5;a\nhello\r\n0\r\n\r\n"), "400", ""),
    ("chunk-extension-cr", "MUST", "RFC 9112 2.2", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), "400", ""),
    ("chunk-extension-control", "MUST", "RFC 9112 7.1.1", chunked(b"5;a\x01\r\nhello\r\n0\r\n\r\n"), "400", ""),
    ("chunk-extensions-too-long", "MUST", "RFC 9112 7.1.1", chunked(b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"), "4xx", ""),
    ("chunk-lf", "MUST", "RFC 9112 7.1", chunked(b"5\nhello\n0\n\n"), "400", ""),
    ("chunk-cr", "MUST", "RFC 9112 7.1", chunked(b"5\rhello\r0\r\r\n"), "400", ""),
    ("chunk-trailer-lf", "MAY", "RFC 9112 2.2", chunked(b"5\r\nhello\r\n0\r\nX: y\n\r\n"), "400", "2xx"),
    ("chunk-size-plus-smuggled", "MUST", "RFC 9112 7.1", chunked(b"+0\r\n\r\n" + SMUGGLED), "400", ""),
    ("range-overlapping", "MAY", "RFC 9110 14.2", get(b"Range: bytes=0-,0-,0-\r\n"), "200 416", ""),
    ("garbage", "MAY", "RFC 9112 3", bytes(range(128, 256)), "400", ""),
    ("nothing", "MAY", "RFC 9112 3", b"\r\n", "none", ""),
]

# Why an answer is right that is not the one asked for. Each must be needed.
ARGUMENTS = {
    "http12": "SHOULD be processed as 1.1. There is no HTTP/1.2 and there will be none: such a request comes from probes and "
              "from broken software. A recipient behind that knows 1.0 and 1.1 only (llhttp) refuses it, so accepting it "
              "would make this server the one that reads more.",
    "empty-lines-before": "2.2 asks to ignore at least one empty line. One is what old clients sent behind a body; two are no "
                          "known client.",
    "empty-lines-after-body": "as empty-lines-before: one is ignored.",
}
HTTP11PROBE_ARGUMENTS = {
    "COMP-HTTP12-VERSION": "see http12.",
    "COMP-UPGRADE-INVALID-VER": "this server speaks no WebSocket, and a server may ignore Upgrade (RFC 9110 7.8).",
    "MAL-POST-CL-HUGE-NO-BODY": "413 says what is wrong, at once (RFC 9110 15.5.14).",
    "SMUG-CL0-BODY-POISON": "the bytes behind a body of no length are the next request (RFC 9112 6.3). This one's method is "
                            "not known.",
    "NORM-UNDERSCORE-CL": "'_' is a token character: another field (RFC 9110 5.1). Nothing here turns names into variables.",
    "NORM-UNDERSCORE-TE": "see NORM-UNDERSCORE-CL.",
}
NO_CONNECT = "CONNECT is never served: the bytes behind it would be a tunnel's (RFC 9110 9.3.6)."
NOT_HTTP = "not HTTP: another protocol's name in the version (RFC 9112 2.3)."
NO_FRAGMENT = "a fragment is no part of a request target (RFC 9112 3.2)."
ENDS = "the connection ends with the first response, as it should; what follows is not looked at (RFC 9112 9.6)."
NOT_READ = ("the body of a GET is not read when it does not matter for the answer; the connection ends with the response, so "
            "that nothing behind the head is taken for a request.")
UNKNOWN = "any token is a method (RFC 9110 9.1). It is answered with 501 by the routes, behind the framing."
LLHTTP_ARGUMENTS = {
    "Resetting flags when keep-alive is off (1.0, lenient)": ENDS,
    "CRLF between requests, explicit `close` (lenient)": ENDS,
    "CRLF between requests, implicit `keep-alive`": "see empty-lines-after-body.",
    "HTTP protocol and ANNOUNCE method": UNKNOWN,
    "Invalid method": UNKNOWN,
    "CONNECT request": NO_CONNECT,
    "CONNECT request with CAPS": NO_CONNECT,
    "CONNECT with body": NO_CONNECT,
    "Underscore in hostname": NO_CONNECT,
    "M-SEARCH request": "`*` is for OPTIONS only (RFC 9112 3.2.4).",
    "SOURCE request with ICE": NOT_HTTP,
    "OPTIONS request with RTSP": NOT_HTTP,
    "ANNOUNCE request with RTSP": NOT_HTTP,
    "No HTTP version": "HTTP/0.9, which RFC 9112 does not have any more.",
    "POST with `chunked` as last transfer-encoding": NO_FRAGMENT,
    "POST with `chunked` as last transfer-encoding (multiple headers)": NO_FRAGMENT,
    "Fragment in URI": NO_FRAGMENT,
    "Chunk header not terminated by CRLF": NOT_READ,
    "Chunk header not terminated by CRLF (lenient)": NOT_READ,
    "Chunk data not terminated by CRLF": NOT_READ,
    "Chunk data not terminated by CRLF (lenient)": NOT_READ,
    "`host:port` and basic auth": "user information has no place in the target of a request (RFC 9110 4.2.4).",
}

DECIDED = """What others have argued over, and what is done here, by the text of the RFCs:

- White space before and inside chunk extensions (`5 ;a = b`) is read over. No sender may write it, but "a recipient MUST
  parse for such bad whitespace and remove it" (RFC 9110 5.6.3). Without an extension behind it, `5 ` is refused: the
  grammar has no white space there. llhttp refuses both; the size is the same for everybody who accepts.
- One empty line before a request, and so behind a body, is ignored (SHOULD, RFC 9112 2.2: "at least one"); two are refused.
- `Host: a:000080` is accepted: `port` is any number of digits (RFC 3986 3.2.3), and this one is 80.
- An absolute target with the scheme https is answered with 421: it MUST be rejected on a connection without TLS, and that
  is the code for it (RFC 9110 7.4). With a TLS terminator in front, that one has to send the target in origin form.
"""

DIFFERENT_WAYS = """A body that no route takes (with GET, or a method or a path without a route) is passed over if it has arrived
with the head. Otherwise the connection ends with the response: nobody waits for such a body."""


# ---- how an answer is judged ----

def decoded(payload):
    """The body of a well-formed request."""
    head, _, body = payload.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
    if length:
        return body[:int(length[1])]
    out = b""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0].strip() or b"0", 16)
        if size == 0:
            break
        out += body[:size]
        body = body[size + 2:]
    return out


IMF = re.compile(r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} "
                 r"\d\d:\d\d:\d\d GMT$")


def spellings(text):
    """How the fields of framing, and what looks like them, are spelled."""
    return set(re.findall(rb"(?im)^((?:content|transfer).(?:length|encoding))", text))


HOLDS = {
    "closes": lambda p, a, f: a[-1].closes,
    "echo": lambda p, a, f: a[0].body == decoded(p),
    "head": lambda p, a, f: a[0].body == b"" and int(a[0].fields["content-length"]) > 0,
    "allow": lambda p, a, f: "GET" in a[0].fields.get("allow", "").split(", "),
    "date": lambda p, a, f: bool(IMF.match(a[0].fields.get("date", ""))),
    "type": lambda p, a, f: bool(a[0].fields.get("content-type")),
    "no_length": lambda p, a, f: "content-length" not in a[0].fields,
    "good_follows": lambda p, a, f: (a[-1].closes and a[-1].status < 400) or (len(f) > len(a) and f[-1].status == 200),
    "400_follows": lambda p, a, f: len(a) > 1 and a[1].status == 400,
    "dropped": lambda p, a, f: spellings(a[0].body) < spellings(p),
    "preserved": lambda p, a, f: spellings(a[0].body) == spellings(p),
}


def fits(alternatives, payload, answer, followed):
    for alternative in alternatives.split():
        status, *more = alternative.split("+")
        if status == "none":
            fit = not answer
        else:
            fit = bool(answer) and re.fullmatch(status.replace("x", "."), str(answer[0].status))
        if fit and all(HOLDS[name](payload, answer, followed) for name in more):
            return True
    return False


def final(all_responses):
    """Without the interim ones: whether "100 Continue" is due depends on whether the body is there already."""
    return [r for r in all_responses if r.status >= 200]


def what(answer):
    """As the page says it."""
    if not answer:
        return "waits"
    words = []
    for r in answer:
        words.append(str(r.status))
        if r.fields.get("content-type") == "text/refused" and r.body:
            words[-1] += " " + r.body.decode().strip()
    text = ", then ".join(words)
    return text + ", closes" if answer[-1].closes and answer[-1].status < 400 else text


def seen(answer):
    """All of it that may not differ."""
    return [(r.status, r.body, r.fields.get("x-saw"), r.closes) for r in answer]


def same(a, b):
    return seen(a) == seen(b)


def body_not_taken(payload, one, other):
    """DIFFERENT_WAYS explains why `one` and `other` are not the same."""
    short, long = sorted((one, other), key=lambda a: (len(a), not (a and a[-1].closes)))
    return (short and short[-1].closes and re.search(rb"(?im)^(content-length|transfer-encoding):", payload)
            and (re.match(rb"(GET|HEAD|OPTIONS) ", payload) or short[-1].status in (404, 405, 501))
            and [s[:3] for s in seen(short)] == [s[:3] for s in seen(long[:len(short)])])


class Found:
    """Of one case: the answer to it whole, the answer with a good request behind it, and which ways differ."""

    def __init__(self, payload, by_way, followed):
        self.payload, self.answer, self.followed = payload, by_way[0], followed
        self.differs = []
        self.passed_over = False
        for way, answer in zip(WAYS[1:], by_way[1:]):
            if not same(self.answer, answer):
                if body_not_taken(payload, self.answer, answer):
                    self.passed_over = True
                else:
                    self.differs.append(f"{way}: {what(answer)}")


def ask(port, payloads):
    lines = [re.findall(rb"(?s).*?\r\n|.+$", p) for p in payloads]
    ways = [exchange(port, [[p] for p in payloads]),
            exchange(port, [[p[i:i + 1] for i in range(len(p))] if len(p) < 3000 else
                            [p[i:i + 1] for i in range(1000)] + [p[1000:-1000]] +
                            [p[i:i + 1] for i in range(len(p) - 1000, len(p))] for p in payloads], 512, True),
            exchange(port, lines, 512, True),
            exchange(port, [[GOOD + p] for p in payloads])]
    followed = exchange(port, [[p, GOOD] for p in payloads], 512, True)
    found = []
    for i, payload in enumerate(payloads):
        answers = [final(responses(way[i][0])) for way in ways]
        first = answers[3][:1]
        if not first or first[0].status != 200 or first[0].closes:
            raise AssertionError(f"the good request before {payload!r} was not answered: {answers[3]}")
        answers[3] = answers[3][1:]
        found.append(Found(payload, answers, final(responses(followed[i][0]))))
    return found


# ---- the page ----

class Page:
    def __init__(self):
        self.lines, self.wrong, self.needed = [], [], set()
        self.counts, self.payloads = {}, [c[3] for c in CASES]

    def table(self, columns, rows):
        self.lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        self.lines += ["| " + " | ".join(row) + " |" for row in rows]
        self.lines.append("")

    def count(self, kind, verdict):
        self.counts.setdefault(kind, {}).setdefault(verdict, 0)
        self.counts[kind][verdict] += 1

    def judged(self, kind, cases, found, arguments):
        """`cases`: (name, level, section, passes, allowed)."""
        rows, argued = [], []
        for (name, level, section, passes, allowed), f in zip(cases, found):
            if f.differs:
                self.wrong.append(f"{name}: whole: {what(f.answer)}; {'; '.join(f.differs)}")
            if fits(passes, f.payload, f.answer, f.followed):
                verdict = "met"
            elif fits(allowed, f.payload, f.answer, f.followed):
                verdict = "argued"
                argued.append(name)
                if name not in arguments:
                    self.wrong.append(f"{name} ({level}): {what(f.answer)} is allowed, but not what {section} asks for, "
                                      "and nothing argues for it")
            else:
                verdict = "failed"
                self.wrong.append(f"{name} ({level}): {what(f.answer)}, expected {passes or allowed}")
            self.count(kind, f"{level} {verdict}")
            rows.append((name, level, section, verdict, what(f.answer) + (" (*)" if f.passed_over else "")))
        for name in sorted(set(arguments) - set(argued)):
            self.wrong.append(f"the argument for {name} is not needed any more")
        self.table(("case", "level", "section", "verdict", "answer"), rows)
        self.lines += [f"- `{name}`: {arguments[name]}" for name in argued if name in arguments]
        if argued:
            self.lines.append("")


def own_cases(page, port):
    found = ask(port, [c[3] for c in CASES])
    page.judged("own", [(c[0], c[1], c[2], c[4], c[5]) for c in CASES], found, ARGUMENTS)


def http11probe_cases(page, port, path):
    with open(path) as file:
        cases = json.load(file)["cases"]
    payloads = [c["payload_latin1"].replace("@@HOST@@", "localhost:8080").encode("latin-1") for c in cases]
    page.payloads += payloads
    rows = []
    for c in cases:
        exact = c.get("expected_status")
        if exact:
            passes = re.sub(r"Exact\((\d+)\)", r"\1", exact).replace("Range", "")
            passes, allowed = passes + (" none" if c.get("allow_close") else ""), ""
        else:
            passes, allowed = HTTP11PROBE_TEXTS[c["expected_text"]]
        level = {"NotApplicable": "none"}.get(c.get("level"), c.get("level", "Must").upper())
        rows.append((c["id"], level, c.get("rfc", "").replace("\u00a7", ""), passes, allowed))
    page.judged("Http11Probe", rows, ask(port, payloads), HTTP11PROBE_ARGUMENTS)


def with_hosts(request):
    """A Host behind each request line of a text without one, so that its lack does not hide all else."""
    if re.search(rb"(?i)\r\nhost:", request):
        return request
    return request.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: a\r\n")


def llhttp_cases(page, port, path):
    with open(path) as file:
        cases = [c for c in json.load(file)["cases"] if "skipBody" not in c["meta"]]
    found = ask(port, [with_hosts(c["request_latin1"].encode()) for c in cases])
    rows, argued = [], []
    for c, f in zip(cases, found):
        title, error = c["title"], c["error"]
        lenient = "lenient" in c["meta"].get("type", "")
        stops = not error or error["reason"] in ("Pause on CONNECT/Upgrade", "Data after `Connection: close`")
        refused = bool(f.answer) and f.answer[-1].fields.get("content-type") == "text/refused"
        complete = len(f.answer) - refused
        if lenient:
            theirs, verdict = "refuses unless told to be lenient", "same" if refused or not complete else "accepted"
        elif not stops:
            theirs = "refuses"
            verdict = "same" if refused else "waits" if complete <= c["messages_complete"] else "accepted"
        else:
            theirs = f"{c['messages_complete']} requests"
            verdict = "refused" if refused else "same" if complete == c["messages_complete"] else "differs"
        if f.differs:
            page.wrong.append(f"{title}: whole: {what(f.answer)}; {'; '.join(f.differs)}")
        if verdict not in ("same", "waits"):
            argued.append(title)
            if title not in LLHTTP_ARGUMENTS:
                page.wrong.append(f"{title!r}: {what(f.answer)}, llhttp {theirs} ({verdict}), and nothing argues for it: "
                                  f"{f.payload!r}")
        page.count("llhttp", verdict)
        rows.append((title.replace("|", "\\|"), theirs, verdict, what(f.answer) + (" (*)" if f.passed_over else "")))
    for title in sorted(set(LLHTTP_ARGUMENTS) - set(argued)):
        page.wrong.append(f"the argument for {title!r} is not needed any more")
    page.table(("case", "llhttp", "verdict", "answer"), rows)
    page.lines += [f"- {title}: {LLHTTP_ARGUMENTS[title]}" for title in argued if title in LLHTTP_ARGUMENTS]
    if argued:
        page.lines.append("")


def in_pieces(page, server, payloads):
    """A handler that reads the body piece by piece sees, and answers, what one does that gets it as a whole."""
    answers = []
    for mode in ("saw", "streams"):
        with Server(server, mode) as s:
            answers.append(ask(s.port, payloads))
    for payload, whole, pieces in zip(payloads, *answers):
        if pieces.differs:
            page.wrong.append(f"in pieces, {payload!r}: whole: {what(pieces.answer)}; {'; '.join(pieces.differs)}")
        if not same(whole.answer, pieces.answer):
            page.wrong.append(f"{payload!r}: {seen(whole.answer)}; to a handler that reads pieces: {seen(pieces.answer)}")
        page.count("handlers that read pieces", "same" if same(whole.answer, pieces.answer) else "different")


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("server")
    arguments.add_argument("--corpora", default="")
    arguments.add_argument("--docs")
    arguments.add_argument("--write-docs", action="store_true")
    a = arguments.parse_args()
    recorded = a.corpora and os.path.isfile(os.path.join(a.corpora, "http11probe_cases.json"))
    if a.write_docs and not (recorded and a.docs):
        sys.exit("--write-docs needs --docs and the recorded cases: --corpora DIRECTORY")

    page = Page()
    page.lines += ["# How does the server conform to HTTP/1.1?", "",
                   "<!-- Written by tests/programs/conformance.py --write-docs. Do not edit. -->", "",
                   "Every request here was sent to a server over TCP in four ways: whole, byte by byte, in pieces that end at each",
                   "CRLF, and behind a good request in the same piece. The four answers are the same; the tests check that, and that",
                   "this page is true. `waits`: there is no response, as the request is not complete.", "",
                   "(*) " + DIFFERENT_WAYS, "", "## Requests of our own", "",
                   "The level is what the section demands. `argued`: why, see below the table.", ""]
    with Server(a.server, "routes") as server:
        own_cases(page, server.port)
        page.lines += DECIDED.split("\n")
        own_end = len(page.lines)
        if recorded:
            page.lines += ["## Http11Probe", "", "The cases of [Http11Probe](https://github.com/MDA2AV/Http11Probe) at "
                           "95bc6a9 that are recorded; names, levels and what is", "expected are its own. The requests are not part of this repository.", ""]
            http11probe_cases(page, server.port, os.path.join(a.corpora, "http11probe_cases.json"))
    if recorded:
        with Server(a.server, "saw") as server:
            page.lines += ["## llhttp's tests", "",
                           "The requests in the tests of [llhttp](https://github.com/nodejs/llhttp) 9.4.2; where they lack a Host, one is "
                           "added. `same`:", "as many requests, or both refuse. `waits`: llhttp refuses a line that has not ended; this "
                           "parser judges whole lines.", ""]
            llhttp_cases(page, server.port, os.path.join(a.corpora, "llhttp_request_cases.json"))
    in_pieces(page, a.server, page.payloads)
    text = "\n".join(page.lines).rstrip("\n") + "\n"

    for kind, counts in page.counts.items():
        print(f"{kind}: " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items())))
    if not recorded:
        print("Http11Probe and llhttp's tests: not compared, SYNFP_CORPORA does not have them")
    if a.write_docs:
        with open(a.docs, "w") as file:
            file.write(text)
    elif a.docs:
        with open(a.docs) as file:
            written = file.read().split("\n")
        ours = text.rstrip("\n").split("\n") + [""]
        if not recorded:
            ours, written = ours[:own_end], written[:own_end]
        difference = list(difflib.unified_diff(written, ours, a.docs, "found", lineterm="", n=0))
        if difference:
            page.wrong.append("\n".join(difference) + "\nIf that is right: conformance.py --write-docs")
    for line in page.wrong:
        print(line)
    sys.exit(bool(page.wrong))


main()
