# SPDX-License-Identifier: MIT
"""SYNs out of what p0f prints of them: its raw signature says all that the databases look at."""
import struct

KIND = {"eol": 0, "nop": 1, "mss": 2, "ws": 3, "sok": 4, "sack": 5, "ts": 8}
FIXED = {"mss": 4, "ws": 3, "sok": 2, "ts": 10}
SOURCE = {4: bytes((192, 0, 2, 1)), 6: bytes.fromhex("20010db8") + bytes(11) + b"\1"}
DESTINATION = {4: bytes((192, 0, 2, 2)), 6: bytes.fromhex("20010db8") + bytes(11) + b"\2"}


def options_of(layout, mss, scale, quirks):
    out = bytearray()
    damaged = "bad" not in quirks
    for name in filter(None, layout.split(",")):
        if name.startswith("eol+"):
            out += bytes(1 + int(name[4:]))
            if "opt+" in quirks:
                out[-int(name[4:])] = 1
        elif name == "nop":
            out.append(1)
        elif name.startswith("?") or name == "sack":
            kind = KIND["sack"] if name == "sack" else int(name[1:])
            # The lengths of a request: Multipath TCP, MD5, a Fast Open request (RFC 7413, RFC 6994).
            size = {5: 10, 19: 18, 30: 12, 34: 2, 254: 4}.get(kind, 4)
            out += bytes((kind, size)) + bytes(size - 2)
        else:
            body = {"mss": struct.pack("!H", mss), "ws": bytes((scale,)), "sok": b"",
                    "ts": struct.pack("!II", "ts1-" not in quirks, "ts2+" in quirks)}[name]
            size = FIXED[name] + (not damaged and name != "ts")
            damaged = damaged or name != "ts"
            out += bytes((KIND[name], size)) + body
    if len(out) > 40:
        raise ValueError(f"more than 40 bytes of options: {layout}")
    return bytes(out) + b"\1" * (-len(out) % 4)


def packet_of(raw, port=40000, window=None):
    """From the IP header on. `window`: that of the SYN, where the signature only has a multiple."""
    version, ttl, ip_options, mss, size, layout, quirks, payload = raw.split(":")
    version, mss, quirks = int(version), int(mss), set(filter(None, quirks.split(",")))
    size, scale = size.rsplit(",", 1)
    if window is None:
        unit, _, factor = size.partition("*")
        window = int(factor) * (mss + 40 * (unit == "mtu")) if factor else int(size)
        if window > 65535:  # p0f also divides by 1460
            window = int(factor) * 1460
    flags = 2 | 0xc0 * ("ecn" in quirks) | 8 * ("pushf+" in quirks) | 32 * ("urgf+" in quirks)
    options = options_of(layout, mss, int(scale), quirks)
    data = b"data" * (payload == "+")
    tcp = struct.pack("!HHIIBBHHH", port, 80, "seq-" not in quirks, 0x01000000 * ("ack+" in quirks),
                      (20 + len(options)) << 2, flags, window, 0, "uptr+" in quirks) + options + data
    ttl = int(ttl.partition("+")[0])
    if version == 6:
        return struct.pack("!IHBB", 6 << 28 | ("flow" in quirks), len(tcp), 6, ttl) + SOURCE[6] + DESTINATION[6] + tcp
    fragment = 0x4000 * ("df" in quirks) | 0x8000 * ("0+" in quirks)
    identification = "id+" in quirks or ("df" not in quirks and "id-" not in quirks)
    header = 20 + int(ip_options)
    return struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, header + len(tcp), identification, fragment, ttl, 6, 0) + \
        SOURCE[4] + DESTINATION[4] + b"\1" * int(ip_options) + tcp


def write_pcap(path, packets):
    """Packets from the IP header on."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for number, packet in enumerate(packets):
            file.write(struct.pack("<IIII", number // 1000, number % 1000, len(packet), len(packet)) + packet)
