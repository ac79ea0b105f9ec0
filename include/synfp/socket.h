/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The SYN of a connection, asked of its socket. Plain C11, no dependency: for servers in any language, where
 * synfp's programs are attached to the cgroup in which the listening socket was made (synfpd, or
 * probe_options::cgroups).
 *
 * Without this header: getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, ...) (tcp(7)) answers with the IP and TCP
 * headers, once per connection, also for those that came by a SYN cookie. This option says more, any number
 * of times. */
#ifndef SYNFP_SOCKET_H
#define SYNFP_SOCKET_H

/* getsockopt(fd, SOL_SOCKET, SYNFP_SO_SYN, &answer, &length): a struct synfp_socket_answer. ENOPROTOOPT: no
 * probe covers this socket. EINVAL: the buffer is too short. It is also io_uring's way, whose getsockopt only
 * knows SOL_SOCKET. */
#define SYNFP_SO_SYN 0x53594e

enum synfp_socket_status {
  SYNFP_SOCKET_FOUND = 0,
  SYNFP_SOCKET_UNKNOWN = 1,  /* its SYN was not captured, or it was not accepted from a listener */
  SYNFP_SOCKET_CONFLICT = 2, /* copies of its SYN had other headers, and nobody knows which one counts */
  SYNFP_SOCKET_TOO_LONG = 3  /* its headers could not be kept */
};

/* How sure it is that the SYN is this connection's. */
enum synfp_socket_proof {
  SYNFP_SOCKET_VERIFIED = 2, /* its sequence number + 1 is the first byte's that the connection expected */
  SYNFP_SOCKET_EXACT = 3     /* the kernel kept it with this very connection */
};

enum synfp_socket_flags {
  SYNFP_SOCKET_TRUNCATED = 1,   /* IP options or extension headers are not in `headers` */
  SYNFP_SOCKET_TIME = 2,        /* `time_ns` is known */
  SYNFP_SOCKET_RETRANSMITS = 4, /* `retransmits` is known */
  SYNFP_SOCKET_LINK = 8         /* `link` is known: the listener asked for it by TCP_SAVE_SYN = 2 */
};

struct synfp_socket_answer {
  __UINT16_TYPE__ size;       /* of this struct, as the probe knows it */
  __UINT8_TYPE__ status;      /* enum synfp_socket_status; of the rest only `size` is valid if it is not 0 */
  __UINT8_TYPE__ proof;       /* enum synfp_socket_proof */
  __UINT8_TYPE__ source;      /* what captured it: enum synfp_hook in abi.h; 0: the kernel itself */
  __UINT8_TYPE__ flags;       /* enum synfp_socket_flags */
  __UINT8_TYPE__ retransmits; /* further copies that came; 255 means 255 or more */
  __UINT8_TYPE__ tcp_offset;  /* where TCP began on the wire, from the IP header, in units of 4 bytes */
  __UINT64_TYPE__ time_ns;    /* when it came: CLOCK_MONOTONIC of the initial time namespace */
  __UINT32_TYPE__ ifindex;    /* where it came in, 0 if the hook does not know */
  __UINT16_TYPE__ vlan[2];    /* outer, inner: 0x8000 | id, or 0 for no tag */
  __UINT8_TYPE__ ip_length;   /* bytes of the IP header in `headers` */
  __UINT8_TYPE__ tcp_length;  /* bytes of the TCP header, which follows */
  __UINT8_TYPE__ link[14];    /* Ethernet header */
  __UINT8_TYPE__ headers[120];
};

#ifndef __bpf__
#include <sys/socket.h>

#ifdef __cplusplus
#define SYNFP_SOCKET_FN inline
#else
#define SYNFP_SOCKET_FN static inline
#endif

/* Asks for the SYN that opened the accepted connection `fd`. 0 and an answer, whose status says whether there
 * is a SYN; -1 and errno: ENOPROTOOPT if no probe covers this socket, EBADF, ENOTSOCK. */
SYNFP_SOCKET_FN int synfp_socket_syn(int fd, struct synfp_socket_answer* answer) {
  socklen_t length = sizeof *answer;
  return getsockopt(fd, SOL_SOCKET, SYNFP_SO_SYN, answer, &length);
}
#undef SYNFP_SOCKET_FN
#endif

#endif
