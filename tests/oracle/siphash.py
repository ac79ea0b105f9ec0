#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The known hashes that layout.hpp asserts are those of an independent SipHash-c-d, written after the paper, over the
same bytes. It first checks itself against the SipHash-2-4 vector of the paper's appendix A.

usage: siphash.py LAYOUT_HPP"""
import re
import sys

MASK = (1 << 64) - 1


def siphash(key, data, c, d):
    k0, k1 = (int.from_bytes(key[i:i + 8], "little") for i in (0, 8))
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotl(x, n):
        return ((x << n) | (x >> (64 - n))) & MASK

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK; v[1] = rotl(v[1], 13) ^ v[0]; v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK; v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK; v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK; v[1] = rotl(v[1], 17) ^ v[2]; v[2] = rotl(v[2], 32)

    data += bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for i in range(0, len(data), 8):
        m = int.from_bytes(data[i:i + 8], "little")
        v[3] ^= m
        rounds(c)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(d)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


if __name__ == "__main__":
    key = bytes(range(16))
    assert siphash(key, bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5
    ports = bytes([0xC0, 0x01, 0x1F, 0x90])
    v4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + ports
    v6 = (bytes.fromhex("20010db8000000000000000100123456") + bytes.fromhex("20010db8000000000000000000000002")
          + ports + bytes(4))
    with open(sys.argv[1]) as file:
        asserted = dict(re.findall(r"known_hash\((false|true), 1\) == 0x([0-9a-f]{16})U", file.read()))
    expected = {"false": f"{siphash(key, v4, 1, 3):016x}", "true": f"{siphash(key, v6, 1, 3):016x}"}
    if asserted != expected:
        sys.exit(f"{sys.argv[1]} asserts {asserted}, by v6; SipHash-1-3 gives {expected}")
    print("2 known hashes agree")
