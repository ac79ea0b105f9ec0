# SPDX-License-Identifier: MIT
"""ClientHellos as Wireshark reads them, and JA4 in its four forms after technical_details/JA4.md, made of that."""
import hashlib
import subprocess

GREASE = [0x0a0a + 0x1010 * i for i in range(16)]
SNI, ALGORITHMS, ALPN = 0, 13, 16
WITH_ALGORITHMS = (ALGORITHMS, 34, 50)  # Wireshark gives their fields one name

FIELDS = {"number": "frame.number", "port": "tcp.srcport", "version": "tls.handshake.version", "ciphers": "tls.handshake.ciphersuite",
          "extensions": "tls.handshake.extension.type", "name": "tls.handshake.extensions_server_name",
          "alpn": "tls.handshake.extensions_alpn_str", "groups": "tls.handshake.extensions_supported_group",
          "formats": "tls.handshake.extensions_ec_point_format", "algorithms": "tls.handshake.sig_hash_alg",
          "algorithm_bytes": "tls.handshake.sig_hash_alg_len",
          "versions": "tls.handshake.extensions.supported_version",
          "shares": "tls.handshake.extensions_key_share_group", "ja3_full": "tls.handshake.ja3_full",
          "ja3": "tls.handshake.ja3"}
TEXTS = ("name", "alpn", "ja3_full", "ja3")


def read(tshark, path, *options):
    """A dictionary for each ClientHello in a file of packets."""
    done = subprocess.run([tshark, "-n", "-r", path, *options, "-Y", "tls.handshake.type == 1", "-T", "fields", "-E",
                           "occurrence=a", "-E", "aggregator=\x1f"] +
                          [word for field in FIELDS.values() for word in ("-e", field)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"tshark failed: {done.stderr}")
    for line in done.stdout.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        cells = dict(zip(FIELDS, line.split("\t")))
        one = {}
        for key, cell in cells.items():
            values = cell.split("\x1f") if cell else []
            one[key] = values if key in TEXTS else [int(v, 0) for v in values]
        # Wireshark gives several extensions of algorithms one list. Where one of them contradicts itself, which
        # only matters to us in signature_algorithms, it is not known which got what. And it stops inside of an
        # extension that is broken, also of one that we do not read.
        at, lengths = 0, list(one["algorithm_bytes"])
        one["known"] = bool(one["ja3"]) and (sum(lengths) == 2 * len(one["algorithms"]) and
                        len(lengths) == sum(kind in WITH_ALGORITHMS for kind in one["extensions"]))
        algorithms = []
        for kind in one["extensions"]:
            if kind in WITH_ALGORITHMS and lengths:
                n = lengths.pop(0) // 2
                if kind == ALGORITHMS:
                    algorithms = one["algorithms"][at:at + n]
                at += n
        one["algorithms"] = algorithms
        yield one


VERSION_TEXTS = {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10", 0x300: "s3", 2: "s2", 0xfeff: "d1", 0xfefd: "d2",
                 0xfefc: "d3"}


def ends(protocol):
    """`protocol`: bytes, or None."""
    if protocol is None:
        return "00"
    first, last = protocol[:1], protocol[-1:]
    if first.isalnum() and last.isalnum():
        return (first + last).decode()
    return protocol.hex()[0] + protocol.hex()[-1]


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def ja4(one, without=()):
    real = lambda values: [v for v in values if v not in GREASE]  # noqa: E731
    ciphers, algorithms = real(one["ciphers"]), real(one["algorithms"])
    extensions = [e for e in real(one["extensions"]) if e not in without]
    version = max(real(one["versions"]), default=0) if one["versions"] else one["version"][0]
    protocol = one["alpn"][0].encode() if one["alpn"] else None
    first = (f"t{VERSION_TEXTS.get(version, '00')}{'d' if SNI in extensions else 'i'}{min(len(ciphers), 99):02}"
             f"{min(len(extensions), 99):02}{ends(protocol)}")
    text = lambda values: ",".join(f"{v:04x}" for v in values)  # noqa: E731
    with_algorithms = lambda values: text(values) + ("_" + text(algorithms) if algorithms else "")  # noqa: E731
    b, c = text(sorted(ciphers)), with_algorithms(sorted(e for e in extensions if e not in (SNI, ALPN)))
    bo, co = text(ciphers), with_algorithms(extensions)
    return {"ja4": f"{first}_{hashed(b)}_{hashed(c)}", "ja4_r": f"{first}_{b}_{c}",
            "ja4_o": f"{first}_{hashed(bo)}_{hashed(co)}", "ja4_ro": f"{first}_{bo}_{co}"}
