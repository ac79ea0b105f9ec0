/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the flood's BPF programs and tools/flood/sender.hpp share. */
#ifndef SYNFP_FLOOD_H
#define SYNFP_FLOOD_H

#define FLOOD_SHAPES 8        /* at most: four shapes of SYN in two families */
#define FLOOD_FRAME_BYTES 120 /* Ethernet, IPv6 and a TCP header with all its options, in whole words */

/* One kind of SYN: a frame without source address, source port, sequence number and checksums. */
struct flood_shape {
  __UINT8_TYPE__ frame[FLOOD_FRAME_BYTES] __attribute__((aligned(8)));
  __UINT32_TYPE__ length; /* of the frame */
  __UINT32_TYPE__ v6;
  /* Sums of what the frame fixes, in 16-bit words as they are in memory (RFC 1071 2, byte order
   * independence): the IPv4 header, and the TCP header with its pseudo header. */
  __UINT32_TYPE__ ip_sum;
  __UINT32_TYPE__ tcp_sum;
  /* The source address, network order: chosen bits, and a mask of those that are random. IPv4 in word 0. */
  __UINT32_TYPE__ source[4];
  __UINT32_TYPE__ random[4];
};

/* .rodata.flood */
struct flood_config {
  __UINT64_TYPE__ seed;
  __UINT64_TYPE__ first, stride; /* the program's n-th frame is frame first + n * stride of the flood */
  __UINT32_TYPE__ shapes;
  __UINT32_TYPE__ redirect; /* interface whose peer receives the frames, or 0: they go to the stack */
  struct flood_shape shape[FLOOD_SHAPES];
};

/* .bss.flood: `sent` by flood_send, the others by flood_sink. */
struct flood_counts {
  __UINT64_TYPE__ sent;
  __UINT64_TYPE__ syn_acks, resets, others;
};

#endif
