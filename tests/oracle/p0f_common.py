# SPDX-License-Identifier: MIT
"""What the oracles of p0f share: random parts of SYNs, a pcap of packets, and what p0f logs of it."""
import ipaddress
import os
import re
import struct
import subprocess
import sys

DATABASE = "/etc/p0f/p0f.fp"
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))


def interesting(rng, bits):
    """A number that is small, large, or anything."""
    top = (1 << bits) - 1
    return rng.choice((0, 1, top, top - 1, 1 << (bits - 1), rng.randrange(top + 1), rng.randrange(top + 1)))


def write_pcap(path, packets):
    """Packets from the IP header on, in Ethernet frames."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for i, data in enumerate(packets):
            frame = bytes(12) + (b"\x86\xdd" if data[0] >> 4 == 6 else b"\x08\x00") + data
            f.write(struct.pack("<IIII", 1_700_000_000 + i // 1000, i % 1000 * 1000, len(frame), len(frame)) + frame)


def p0f_log(p0f, path, directory, database=DATABASE):
    """{(source, port): {field: value}} of mod=syn, and the same of mod=mtu."""
    log = os.path.join(directory, "log")
    if os.path.exists(log):  # p0f appends
        os.remove(log)
    done = subprocess.run([p0f, "-f", database, "-r", path, "-o", log], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"p0f failed: {done.stdout}{done.stderr}")
    syns, mtus = {}, {}
    with open(log) as f:
        for line in f:
            fields = dict(part.split("=", 1) for part in re.sub(r"^\[[^]]*\] ", "", line.rstrip("\n")).split("|"))
            address, port = fields["cli"].rsplit("/", 1)
            key = str(ipaddress.ip_address(address)), int(port)
            if fields["mod"] in ("syn", "sendsyn probe"):
                if key in syns:
                    sys.exit(f"two signatures of {key}")
                syns[key] = fields
            elif fields["mod"] == "mtu":
                mtus[key] = fields
    return syns, mtus


def address_of(packed):
    """The text of an address, as the keys of p0f_log() have it."""
    return str(ipaddress.ip_address(packed))
