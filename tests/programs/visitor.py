#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The echo server's page for visitors: who gets it, what is on it, what cannot get into it, and the live list.

Usage: visitor.py BUILD_DIRECTORY [unittest arguments]. Needs no privilege."""
import html.parser
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest

BUILD = os.path.abspath(sys.argv.pop(1))
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
VOID = {"meta", "link", "br"}


class Outline(html.parser.HTMLParser):
    """Tags that nest, texts, and the attributes of what loads something."""

    def __init__(self, page):
        super().__init__()
        self.open, self.wrong, self.text, self.loads, self.ids, self.tags = [], [], [], [], [], []
        self.feed(page)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "action"):
                self.loads.append(value)
            elif name == "id":
                self.ids.append(value)
            elif name.startswith("on") or name == "style":
                self.wrong.append(f"{tag} {name}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        self.text.append(data)


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([f"{BUILD}/examples/echo_server", "--listen", "127.0.0.1:0", "--listen", "[::1]:0",
                                       "--capture", "saved-syn"], stdout=subprocess.PIPE, text=True)
        line = cls.server.stdout.readline()
        cls.ports = [int(p) for p in re.findall(r":(\d+)[, ]", line)]

    @classmethod
    def tearDownClass(cls):
        cls.server.send_signal(signal.SIGTERM)
        assert cls.server.wait(20) == 0
        cls.server.stdout.close()

    def ask(self, path="/", host="127.0.0.1", **fields):
        c = http.client.HTTPConnection(host, self.ports[":" in host], timeout=10)
        self.addCleanup(c.close)
        c.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in fields.items():
            c.putheader(name.replace("_", "-"), value)
        c.endheaders()
        return c.getresponse()

    def page(self, **more):
        r = self.ask(Accept=BROWSER, **more)
        self.assertEqual((r.status, r.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        return r, r.read().decode("utf-8")

    def test_who_asks_for_html_gets_the_page_and_others_json(self):
        html_for = [BROWSER, "text/html", "TEXT/HTML;level=1", "application/json;q=0.5, text/html", "text/html;q=0.001",
                    "application/json;q=0, text/html;q=0.2"]
        json_for = [None, "*/*", "application/json", "text/html;q=0", "text/html;q=0.000", "text/html;q=0.5, application/json",
                    "text/html;q=2", "text/html;q=x", "text/*", "text/htmlx"]
        for accept in html_for + json_for:
            r = self.ask(**({"Accept": accept} if accept else {}))
            wanted = "text/html; charset=utf-8" if accept in html_for else "application/json"
            self.assertEqual(r.headers["Content-Type"], wanted, accept)
            self.assertEqual(r.headers["Vary"], "Accept")
            r.read()

    def test_it_is_well_formed_and_loads_nothing_from_elsewhere(self):
        for host in ("127.0.0.1", "::1"):
            r, page = self.page(host=host)
            outline = Outline(page)
            self.assertEqual(outline.wrong, [])
            self.assertEqual(sorted(outline.loads), ["/visitor.css", "/visitor.js", "data:,"])
            self.assertEqual(len(outline.ids), len(set(outline.ids)))
            policy = r.headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn("unsafe", policy)
            for path, kind in (("/visitor.css", "text/css"), ("/visitor.js", "text/javascript")):
                asset = self.ask(path)
                self.assertEqual(asset.headers.get_content_type(), kind)
                self.assertEqual(asset.headers["X-Content-Type-Options"], "nosniff")
                self.assertTrue(asset.read())

    def test_it_shows_what_the_json_says(self):
        for host in ("127.0.0.1", "::1"):
            c = http.client.HTTPConnection(host, self.ports[":" in host], timeout=10)
            self.addCleanup(c.close)
            c.request("GET", "/")
            said = json.loads(c.getresponse().read())
            c.request("GET", "/", headers={"Accept": "text/html"})
            outline = Outline(c.getresponse().read().decode())
            text = " ".join("".join(outline.text).split())
            self.assertIn(said["fingerprint"]["p0f"], text)
            self.assertIn(said["fingerprint"]["muonfp"], text)
            self.assertIn(said["os"]["name"], text)
            for value in (said["peer"]["port"], said["syn"]["tcp"]["sequence"], said["syn"]["tcp"]["window"],
                          said["syn"]["ip"]["ttl"]):
                self.assertIn(str(value), text)
            kinds = {"eol": 0, "nop": 1, "mss": 2, "ws": 3, "sok": 4, "ts": 8}
            self.assertEqual([int(k) for k in re.findall(r"kind (\d+)", text)],
                             [kinds[name] for name in said["syn"]["tcp"]["options"]])

    def test_a_user_agent_is_text(self):
        evil = "</code><script>alert(1)</script><img src=x onerror='alert(2)'>\"&amp;\xe4\xff"
        _, page = self.page(User_Agent=evil)
        _, plain = self.page(User_Agent="plain")
        self.assertEqual(Outline(page).tags, Outline(plain).tags)
        self.assertEqual(Outline(page).wrong, [])
        self.assertIn("<script>alert(1)</script>", "".join(Outline(page).text))
        long = self.page(User_Agent="x" * 6000)[1]
        self.assertLess(len(long), len(plain) + 600)

    def test_handshakes_are_shown_live_without_their_addresses(self):
        for host, short in (("127.0.0.1", "127.0.0.x"), ("::1", "0:0:0::x")):
            time.sleep(0.2)  # at most one handshake in 50 ms is shown
            events = self.ask("/events", host=host)
            self.assertEqual(events.headers.get_content_type(), "text/event-stream")
            while True:
                line = events.fp.readline()
                self.assertTrue(line, "the list ended")
                if line.startswith(b"data: ") and short in line.decode():
                    seen = json.loads(line[6:])
                    break
            self.assertEqual(set(seen), {"address", "os", "p0f"})
            self.assertEqual(seen["address"], short)
            self.assertEqual(seen["p0f"][0], "6" if ":" in host else "4")
            events.close()


if __name__ == "__main__":
    unittest.main()
