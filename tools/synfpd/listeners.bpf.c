// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Tells listeners that are older than the probe to run its program for their SYN-ACKs, as it tells those that
// listen later. One line for each to who reads the iterator: port, then 1 if it will, else 0 (before
// Linux 6.2 no program may).
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Of the kernel, what is read here; where the fields are is found out when it is loaded. */
struct sock_common {
  unsigned char skc_state;
  __u16 skc_num;
} __attribute__((preserve_access_index));
struct tcp_sock;
struct seq_file;
struct bpf_iter_meta {
  struct seq_file* seq;
} __attribute__((preserve_access_index));
struct bpf_iter__tcp {
  struct bpf_iter_meta* meta;
  struct sock_common* sk_common;
} __attribute__((preserve_access_index));

enum { LISTEN = 10, SAVE_SYN = 27, CB_FLAGS = 1008 /* TCP_BPF_SOCK_OPS_CB_FLAGS */ };

SEC("iter/tcp")
int synfp_listeners(struct bpf_iter__tcp* ctx) {
  struct sock_common* common = ctx->sk_common;
  int flags = 0, save = 0, on = 1;
  struct tcp_sock* sk;
  __u64 line[2];

  if (!common || common->skc_state != LISTEN) return 0;
  sk = bpf_skc_to_tcp_sock(common);
  if (!sk) return 0;
  line[0] = common->skc_num;
  line[1] = 0;
  bpf_getsockopt(sk, IPPROTO_TCP, CB_FLAGS, &flags, sizeof flags);
  flags |= BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
  if (bpf_setsockopt(sk, IPPROTO_TCP, CB_FLAGS, &flags, sizeof flags) == 0) line[1] = 1;
  if (bpf_getsockopt(sk, IPPROTO_TCP, SAVE_SYN, &save, sizeof save) == 0 && save == 0)
    bpf_setsockopt(sk, IPPROTO_TCP, SAVE_SYN, &on, sizeof on);
  bpf_seq_write(ctx->meta->seq, line, sizeof line);
  return 0;
}
