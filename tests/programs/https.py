#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The echo server over HTTPS, asked by clients that are not ours.

Usage: https.py BUILD_DIRECTORY TSHARK [unittest arguments]. Needs root: it records packets. `Browsers`, which needs
Chromium and Firefox, and `Scanners`, which needs testssl.sh and sslscan, are for tools/test-page."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
sys.dont_write_bytecode = True
import wireshark_hellos  # noqa: E402
from netns import Namespace  # noqa: E402

ECHO = os.path.join(os.path.abspath(sys.argv.pop(1)), "examples", "echo_server")
TSHARK = sys.argv.pop(1)
PORT = 8443
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def run(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout


class Authority:
    """Files of a root and of what it signs, in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.root = self.key("root", "EC")
        run("openssl", "req", "-x509", "-key", self.root + ".key", "-out", self.root + ".pem", "-days", "30", "-subj",
            "/CN=root")
        with open(os.path.join(directory, "index"), "w"):
            pass

    def key(self, name, kind):
        path = os.path.join(self.directory, name)
        options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "EC" else ["-pkeyopt", "rsa_keygen_bits:2048"]
        run("openssl", "genpkey", "-algorithm", kind, *options, "-out", path + ".key")
        return path

    def sign(self, name, hosts, kind="EC", days=30):
        """NAME.pem, NAME.key."""
        path = self.key(name, kind)
        with open(path + ".ext", "w") as f:
            f.write("subjectAltName=" + ",".join(f"DNS:{h}" for h in hosts) + "\n")
        run("openssl", "req", "-new", "-key", path + ".key", "-subj", f"/CN={name}", "-out", path + ".csr")
        run("openssl", "x509", "-req", "-in", path + ".csr", "-CA", self.root + ".pem", "-CAkey", self.root + ".key",
            "-CAcreateserial", "-days", str(days), "-extfile", path + ".ext", "-out", path + ".pem")
        return path

    def ocsp(self, path):
        """PATH.ocsp: the root says that it is good."""
        serial = run("openssl", "x509", "-in", path + ".pem", "-noout", "-serial").strip().split("=")[1]
        with open(os.path.join(self.directory, "index"), "a") as f:
            f.write(f"V\t350101000000Z\t\t{serial}\tunknown\t/CN=x\n")
        run("openssl", "ocsp", "-issuer", self.root + ".pem", "-cert", path + ".pem", "-reqout", path + ".request")
        run("openssl", "ocsp", "-index", os.path.join(self.directory, "index"), "-rsigner", self.root + ".pem", "-rkey",
            self.root + ".key", "-CA", self.root + ".pem", "-reqin", path + ".request", "-ndays", "7", "-respout",
            path + ".ocsp")
        return path + ".ocsp"


class Https(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.space = Namespace("h")
        cls.temporary = tempfile.TemporaryDirectory()
        cls.directory = cls.temporary.name
        cls.authority = Authority(cls.directory)
        cls.first = cls.authority.sign("first", ["localhost"])
        cls.second = cls.authority.sign("second", ["other.example", "*.wild.example"])
        cls.rsa = cls.authority.sign("rsa", ["localhost"], "RSA")
        cls.ocsp = cls.authority.ocsp(cls.first)

    @classmethod
    def tearDownClass(cls):
        cls.space.delete()
        cls.temporary.cleanup()

    def start(self, *options, capture="saved-syn"):
        self.server = subprocess.Popen(
            self.space.command(ECHO, "--listen", f"[::]:{PORT}", "--capture", capture, *options),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop)
        line = self.server.stdout.readline()
        if not line.startswith("listening on "):
            self.fail(line + self.server.stderr.read())

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(30)
        self.server.stdout.close()
        self.server.stderr.close()

    def certificates(self):
        return ["--tls-cert", self.first + ".pem", "--tls-key", self.first + ".key",
                "--tls-cert", self.second + ".pem", "--tls-key", self.second + ".key",
                "--tls-cert", self.rsa + ".pem", "--tls-key", self.rsa + ".key", "--tls-ocsp", self.ocsp]

    def run_inside(self, *argv, text="", status=0):
        done = subprocess.run(self.space.command(*argv), input=text, capture_output=True, text=True, timeout=60)
        if status is not None and done.returncode != status:
            self.fail(f"{argv}: {done.returncode} {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout + done.stderr

    def connect(self, **options):
        context = ssl.create_default_context(cafile=self.authority.root + ".pem")
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def ask(self, context, host="localhost"):
        """The answer, and the connection, which is open."""
        with self.space:
            sock = context.wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=20), server_hostname=host)
        sock.sendall(REQUEST)
        data = b""
        while more := sock.recv(65536):
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), data[:200])
        return json.loads(body), sock

    # ---- clients ----

    def test_each_client_sees_its_own_hello(self):
        """SYN and hello of every client are its own; JA3 is Wireshark's, and JA4 that of what Wireshark reads."""
        self.start(*self.certificates(), capture="reuseport")
        url = f"https://localhost:{PORT}/"
        root = self.authority.root + ".pem"
        pcap = os.path.join(self.directory, "clients.pcap")
        recorder = subprocess.Popen(self.space.command("tcpdump", "-i", "lo", "--immediate-mode", "-U", "-w", pcap,
                                                       f"tcp port {PORT}"),
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertIn("listening on", recorder.stderr.readline())
        answers = {}
        for version in ("1.2", "1.3"):
            answers[f"curl {version}"] = self.run_inside("curl", "-s", "--cacert", root, "--tls-max", version, url)
            answers[f"openssl {version}"] = self.run_inside(
                "openssl", "s_client", "-quiet", "-ign_eof", "-CAfile", root, f"-tls{version.replace('.', '_')}",
                "-servername", "localhost", "-connect", f"127.0.0.1:{PORT}", text=REQUEST.decode())
            answers[f"gnutls {version}"] = self.run_inside(
                "gnutls-cli", "--logfile=/dev/null", "--x509cafile", root, "-p", str(PORT), "--priority",
                f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "--alpn=http/1.1", "localhost", text=REQUEST.decode())
        answers["curl, chacha"] = self.run_inside("curl", "-s", "--cacert", root, "--tls13-ciphers",
                                                  "TLS_CHACHA20_POLY1305_SHA256", url)
        # No key share that the server takes: it asks for another hello.
        answers["curl, P-384"] = self.run_inside("curl", "-s", "--cacert", root, "--curves", "P-521:P-384", url)
        answers["node"] = self.run_inside(
            "node", "-e", f"require('https').get({{host:'localhost',port:{PORT},path:'/',ca:require('fs')."
            f"readFileSync('{root}')}},r=>r.pipe(process.stdout))")
        answer, sock = self.ask(self.connect())
        sock.close()
        answers["python"] = json.dumps(answer)
        size = -1
        while size != (size := os.path.getsize(pcap)):  # all that has come is written
            time.sleep(0.5)
        recorder.send_signal(signal.SIGINT)
        recorder.wait(20)
        recorder.stderr.close()
        seen = {}
        for one in wireshark_hellos.read(TSHARK, pcap, "-d", f"tcp.port=={PORT},tls"):
            seen.setdefault(one["port"][0], one)  # a connection's first
        self.assertEqual(len(seen), len(answers))
        for client, text in answers.items():
            with self.subTest(client):
                found = re.search(r"^\{.*\}$", text, re.M)
                self.assertIsNotNone(found, text[-500:])
                answer = json.loads(found.group())
                raw = bytes.fromhex(answer["syn"]["raw"])
                at = answer["syn"]["ip"]["header_length"]
                port = int(answer["peer"]["port"])
                self.assertEqual(int.from_bytes(raw[at:at + 2], "big"), port)
                hello, theirs = answer["hello"], seen[port]
                self.assertEqual(hello["sni"], "localhost" if client != "openssl" else hello["sni"])
                for ours, wireshark in (("ciphers", "ciphers"), ("extensions", "extensions"), ("groups", "groups"),
                                        ("signature_algorithms", "algorithms"), ("versions", "versions"),
                                        ("alpn", "alpn")):
                    self.assertEqual(hello[ours], theirs[wireshark], ours)
                self.assertEqual([hello["ja3"], hello["ja3_full"]], theirs["ja3"] + theirs["ja3_full"])
                for form, expected in wireshark_hellos.ja4(theirs).items():
                    self.assertEqual(hello[form], expected)

    def test_a_browsers_name_with_the_hello_of_a_library(self):
        """Which the answer tells, with the SYN from wherever it came."""
        self.start(*self.certificates())
        chrome = ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 "
                  "Safari/537.36")
        firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
        for agent, found in (("curl/7.88.1", []), (chrome, ["hello_grease", "hello_library"]),
                             (firefox, ["hello_library", "hello_browser"])):
            answer = json.loads(self.run_inside("curl", "-s", "--cacert", self.authority.root + ".pem", "-A", agent,
                                                f"https://localhost:{PORT}/"))
            self.assertEqual(answer["os"]["inconsistencies"], found)

    def test_names_and_algorithms_choose_the_certificate(self):
        self.start(*self.certificates())

        def subject(*options):
            text = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", *options, status=None)
            return re.search(r"^subject=CN ?= ?(.*)$", text, re.M).group(1)

        self.assertEqual(subject("-servername", "localhost"), "first")
        self.assertEqual(subject("-servername", "OTHER.example"), "second")
        self.assertEqual(subject("-servername", "a.wild.example"), "second")
        self.assertEqual(subject("-noservername"), "first")
        self.assertEqual(subject("-servername", "nowhere.example"), "first")
        self.assertEqual(subject("-servername", "localhost", "-sigalgs", "rsa_pss_rsae_sha256"), "rsa")
        self.assertEqual(subject("-servername", "localhost", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "rsa")

    def test_staples_its_ocsp_response(self):
        self.start(*self.certificates())
        text = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-status", "-servername",
                               "localhost", "-CAfile", self.authority.root + ".pem", status=None)
        self.assertIn("OCSP Response Status: successful", text)
        self.assertIn("Cert Status: good", text)
        text = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-status", "-servername",
                               "other.example", status=None)
        self.assertIn("OCSP response: no response sent", text)
        # Another certificate of the same host.
        text = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-status", "-servername",
                               "localhost", "-sigalgs", "rsa_pss_rsae_sha256", status=None)
        self.assertRegex(text, "subject=CN ?= ?rsa")
        self.assertIn("OCSP response: no response sent", text)

    def test_clients_come_back_to_any_thread(self):
        self.start(*self.certificates(), "--threads", "4", "--metrics")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.connect(maximum_version=version)
            _, sock = self.ask(context)
            session = sock.session
            sock.close()
            reused = 0
            for _ in range(12):
                with self.space:
                    again = context.wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=20),
                                                server_hostname="localhost", session=session)
                again.sendall(REQUEST)
                while again.recv(65536):
                    pass
                reused += again.session_reused
                session = again.session or session
                again.close()
            self.assertEqual(reused, 12, version)
        text = self.run_inside("curl", "-sk", f"https://localhost:{PORT}/metrics")
        self.assertIn('synfp_tls_handshakes_total{outcome="resumed"} 24\n', text)

    def test_sighup_reads_the_certificates_again(self):
        new = self.authority.sign("new", ["localhost"])
        live = os.path.join(self.directory, "live")
        for kind in (".pem", ".key"):
            shutil.copy(self.first + kind, live + kind)
        self.start("--tls-cert", live + ".pem", "--tls-key", live + ".key")

        def serial():
            with self.space:
                return ssl.get_server_certificate(("127.0.0.1", PORT))

        with self.space:
            held = self.connect().wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=20),
                                              server_hostname="localhost")
        before = serial()
        # Of another certificate: refused, and said.
        shutil.copy(new + ".key", live + ".key")
        self.server.send_signal(signal.SIGHUP)
        self.assertIn("does not belong to the certificate", self.server.stderr.readline())
        self.assertEqual(serial(), before)
        shutil.copy(new + ".pem", live + ".pem")
        self.server.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while serial() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertNotEqual(serial(), before)
        held.sendall(REQUEST)
        self.assertTrue(held.recv(100).startswith(b"HTTP/1.1 200 "))
        held.close()
        self.assertIsNone(self.server.poll())

    # ---- ends ----

    def test_the_end_is_said(self):
        self.start(*self.certificates())
        context = self.connect()
        context.check_hostname = True
        _, sock = self.ask(context)  # Python raises SSLEOFError without close_notify
        sock.close()

    def test_plain_http_gets_a_400(self):
        self.start(*self.certificates())
        text = self.run_inside("curl", "-si", f"http://localhost:{PORT}/")
        self.assertTrue(text.startswith("HTTP/1.1 400 Bad Request\n") or text.startswith("HTTP/1.1 400 Bad Request\r\n"))
        self.assertIn("https://", text)

    def test_old_and_foreign_clients_are_refused(self):
        self.start(*self.certificates(), "--metrics")
        for options in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA"],
                        ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], ["-alpn", "h2"]):
            text = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", *options, status=None)
            self.assertIn("alert", text, options)
        text = self.run_inside("curl", "-sk", f"https://localhost:{PORT}/metrics")
        self.assertIn('synfp_tls_handshakes_total{outcome="refused"} 4\n', text)

    def test_a_storm_of_handshakes_does_not_stall_who_is_connected(self):
        """Functional: those that are connected are answered meanwhile, and nothing is left afterwards."""
        self.start(*self.certificates(), "--metrics")
        with self.space:
            held = self.connect().wrap_socket(socket.create_connection(("127.0.0.1", PORT), timeout=20),
                                              server_hostname="localhost")
            bodies = [socket.create_connection(("127.0.0.1", PORT), timeout=20) for _ in range(300)]
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.connect().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        hello = outgoing.read()
        for sock in bodies:
            sock.sendall(hello)
        for _ in range(5):
            held.sendall(REQUEST.replace(b"Connection: close\r\n", b""))
            self.assertTrue(held.recv(65536).startswith(b"HTTP/1.1 200 "))
        for sock in bodies:
            sock.close()
        held.close()
        deadline = time.monotonic() + 30
        while True:
            text = self.run_inside("curl", "-sk", f"https://localhost:{PORT}/metrics")
            if 'outcome="left"} 300\n' in text:
                break
            self.assertLess(time.monotonic(), deadline, text)
            time.sleep(0.1)

    # ---- mistakes ----

    def refusal(self, *options):
        done = subprocess.run(self.space.command(ECHO, "--listen", f"127.0.0.1:{PORT}", "--capture", "saved-syn",
                                                 *options), capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 2, done)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_mistakes_are_said(self):
        first, second = self.first, self.second
        expired = self.authority.sign("expired", ["localhost"], days=-1)
        for options, why in (
                (["--tls-cert", first + ".pem", "--tls-key", second + ".key"], "does not belong to the certificate"),
                (["--tls-cert", first + ".none", "--tls-key", first + ".key"], "No such file or directory"),
                (["--tls-cert", first + ".pem", "--tls-key", self.directory], "private key in PEM format"),
                (["--tls-cert", first + ".key", "--tls-key", first + ".key"], "certificate in PEM format"),
                (["--tls-cert", expired + ".pem", "--tls-key", expired + ".key"], "expired on "),
                (["--tls-cert", first + ".pem"], "needs its --tls-key FILE"),
                (["--tls-key", first + ".key"], "--tls-cert"),
                (["--tls-self-signed", "--tls-cert", first + ".pem", "--tls-key", first + ".key"], "excludes"),
                (["--tls-cert", second + ".pem", "--tls-key", second + ".key", "--tls-ocsp", self.ocsp],
                 "about another certificate")):
            with self.subTest(options):
                self.assertIn(why, self.refusal(*options))

    def test_self_signed(self):
        self.start("--tls-self-signed")
        printed = self.server.stderr.readline().split("SHA-256 ")[1].strip()
        pem = self.run_inside("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", status=None)
        shown = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=pem, capture_output=True,
                               text=True, check=True).stdout
        self.assertIn(printed, shown)
        path = os.path.join(self.directory, "self.pem")
        with open(path, "w") as f:
            f.write(pem[pem.index("-----BEGIN"):pem.index("-----END CERTIFICATE-----") + 26])
        for host in ("localhost", "127.0.0.1", "[::1]"):
            self.assertIn('"hello":{', self.run_inside("curl", "-s", "--cacert", path, f"https://{host}:{PORT}/"))


if __name__ == "__main__":
    unittest.main()
