// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The writer's side of the table. A writer takes a bucket with one compare-and-exchange and never waits: if
// another CPU is at work there it gives up and says so in `lost`, and readers then distrust what is older.
#ifndef SYNFP_TABLE_BPF_H
#define SYNFP_TABLE_BPF_H

#define SYNFP_ONCE(x) (*(volatile typeof(x)*)&(x))

enum {
  SYNFP_WRITING = 1,
  SYNFP_CURSOR_SHIFT = 1,
  SYNFP_CURSOR_MASK = 15 << SYNFP_CURSOR_SHIFT,
  SYNFP_WRITE = 32,      /* one write in `sequence` */
  SYNFP_CLOCK_SLACK = 16 /* units of time32 another CPU's clock may be ahead */
};

#define SYNFP_CLOCK_SLACK_NS ((synfp_u64)SYNFP_CLOCK_SLACK << SYNFP_TIME_SHIFT)

/* What a writer found in a bucket before it took it. */
struct synfp_place {
  struct synfp_bucket* bucket;
  synfp_u64 known; /* bit i: slot i has the key's tag */
  synfp_u32 sequence;
  synfp_u32 lost;
  synfp_u32 tag;
};

static __always_inline void synfp_lose(struct synfp_bucket* bucket, struct synfp_counters* counters) {
  /* The result is used, so that this is a full barrier on arm64 too. */
  synfp_u32 before = __sync_fetch_and_add(&bucket->lost, 1);
  asm volatile("" ::"r"(before));
  synfp_count(counters, SYNFP_COUNT_BUSY);
}

/* What follows is written without branches. Without CAP_PERFMON the 6.1 verifier tells states apart by every
 * scalar: each branch that leaves a constant behind doubles the work, and it gives up. Conditions are 0 or 1;
 * the assembly keeps clang from making branches of them. */

static __always_inline synfp_u64 synfp_nonzero(synfp_u64 x) {
  x |= -x;
  asm volatile("" : "+r"(x));
  x >>= 63;
  asm volatile("" : "+r"(x));
  return x;
}

static __always_inline synfp_u64 synfp_equal(synfp_u32 a, synfp_u32 b) { return 1 - synfp_nonzero(a ^ b); }

/* a < b, of numbers below 2^63. */
static __always_inline synfp_u64 synfp_below(synfp_u64 a, synfp_u64 b) {
  a -= b;
  asm volatile("" : "+r"(a));
  a >>= 63;
  asm volatile("" : "+r"(a));
  return a;
}

static __always_inline synfp_u64 synfp_select(synfp_u64 condition, synfp_u64 yes, synfp_u64 no) {
  return no ^ ((yes ^ no) * condition); /* newer verifiers make a branch of "& -condition" */
}

/* From the number of a slot + 1, of which the lower four bits count, to the number: in a way that shows the
 * verifier that it is below SYNFP_WAYS. */
static __always_inline synfp_u64 synfp_way(synfp_u64 plus_one) {
  plus_one &= 15;
  asm volatile("" : "+r"(plus_one));
  return plus_one * SYNFP_WAYS >> 4;
}
_Static_assert(SYNFP_WAYS == 15, "synfp_way");

/* Takes the lowest bit out of `bits` and returns its number + 1, 0 if there is none; BPF has no instruction
 * for it. A de Bruijn sequence has a different number in its upper four bits for every shift, and the table
 * says which shift that is. */
static __always_inline synfp_u64 synfp_next(synfp_u64* bits) {
  synfp_u64 rest = *bits, at;

  /* Else clang keeps what it knows of an earlier walk on the stack. */
  asm volatile("" : "+r"(rest)::"memory");
  at = ((rest & -rest) * 0x09af & 0xffff) >> 12;
  *bits = rest & (rest - 1);
  return (0xde8fb950c7a46321ULL >> (at * 4) & 15) * synfp_nonzero(rest);
}

enum { SYNFP_ALL_WAYS = (1 << SYNFP_WAYS) - 1 };

/* The ways that a new record may take, bit i for way i: those that are empty, and those whose record was
 * inserted `hold` ago or earlier. time32 is the time of insertion and is not refreshed by copies: else a
 * sender that repeats its SYNs could close a bucket to all others. */
static __always_inline synfp_u64 synfp_open_ways(const struct synfp_bucket* bucket, synfp_u64 now) {
  synfp_u32 now32 = (synfp_u32)(now >> SYNFP_TIME_SHIFT) + SYNFP_CLOCK_SLACK;
  synfp_u64 open = SYNFP_ALL_WAYS;

  if (synfp_configuration.hold == 0) return open;
#pragma unroll
  for (int i = 0; i < SYNFP_WAYS; ++i) {
    synfp_u32 age = now32 - SYNFP_ONCE(bucket->time32[i]);

    open ^= (synfp_nonzero(SYNFP_ONCE(bucket->tag[i])) &
             synfp_below(age, synfp_configuration.hold + SYNFP_CLOCK_SLACK))
            << i;
  }
  return open;
}

/* The number of the first way of `open` + 1, counted round from way `start`; 0 if there is none. */
static __always_inline synfp_u64 synfp_first_from(synfp_u64 start, synfp_u64 open) {
  synfp_u64 ahead = open >> start << start;

  ahead = synfp_select(synfp_nonzero(ahead), ahead, open);
  return synfp_next(&ahead);
}

/* The sequence word; on CPUs that reorder loads, before every later load. */
static __always_inline synfp_u32 synfp_sequence(struct synfp_bucket* bucket) {
  synfp_u32 sequence;

  if (synfp_configuration.publish == SYNFP_PUBLISH_STORE) return SYNFP_ONCE(bucket->sequence);
  sequence = __sync_fetch_and_add(&bucket->sequence, 0);
  asm volatile("" : "+r"(sequence));
  return sequence;
}

/* Finds the bucket of the key in `slot`. `netns`: the cookie of its network namespace if the hook sees
 * several, else 0. NULL only in the eyes of the verifier. */
static __always_inline struct synfp_bucket* synfp_locate(const struct synfp_slot* slot, synfp_u64 netns,
                                                         synfp_u32* tag) {
  struct synfp_key key = synfp_key_of(slot, synfp_configuration.scope, SYNFP_LITTLE);
  synfp_u64 hash;
  synfp_u32 index;

  hash = synfp_hash(&key, synfp_configuration.secret[0] ^ netns, synfp_configuration.secret[1], SYNFP_LITTLE);
  /* With one bucket the verifier would know the index, take the lookup as relying on it, and then tell apart
   * all states by every byte that went into the hash. */
  index = (synfp_u32)synfp_forget_range(synfp_bucket_of(hash, synfp_configuration.bucket_mask), hash);
  *tag = synfp_tag_of(hash);
  return bpf_map_lookup_elem(&synfp_table, &index);
}

/* Bit i: slot i has the tag. */
static __always_inline synfp_u64 synfp_known(const struct synfp_bucket* bucket, synfp_u32 tag) {
  synfp_u64 known = 0;

#pragma unroll
  for (int i = 0; i < SYNFP_WAYS; ++i) known |= synfp_equal(SYNFP_ONCE(bucket->tag[i]), tag) << i;
  return known;
}

/* Finds bucket and slots of the key in `slot`. False if the bucket is taken; the loss has been counted. */
static __always_inline int synfp_find(const struct synfp_slot* slot, synfp_u64 netns,
                                      struct synfp_place* place, struct synfp_counters* counters) {
  struct synfp_bucket* bucket = synfp_locate(slot, netns, &place->tag);

  if (!bucket) return 0;
  place->bucket = bucket;
  /* Before the lock: a write that is lost from here on makes this record unbelievable. */
  place->lost = SYNFP_ONCE(bucket->lost);
  place->sequence = synfp_sequence(bucket);
  if (place->sequence & SYNFP_WRITING) {
    synfp_lose(bucket, counters);
    return 0;
  }
  place->known = synfp_known(bucket, place->tag);
  return 1;
}

/* Takes the bucket if nobody wrote it since synfp_find. */
static __always_inline int synfp_take(const struct synfp_place* place, struct synfp_counters* counters) {
  struct synfp_bucket* bucket = place->bucket;

  if (__sync_val_compare_and_swap(&bucket->sequence, place->sequence, place->sequence | SYNFP_WRITING) ==
      place->sequence)
    return 1;
  synfp_lose(bucket, counters);
  return 0;
}

static __always_inline void synfp_publish(struct synfp_bucket* bucket, synfp_u32 sequence) {
  asm volatile("" ::: "memory");
  if (synfp_configuration.publish == SYNFP_PUBLISH_STORE) {
    SYNFP_ONCE(bucket->sequence) = sequence;
  } else {
    synfp_u32 before = __sync_lock_test_and_set(&bucket->sequence, sequence);
    asm volatile("" ::"r"(before));
  }
}

static __always_inline synfp_u32 synfp_isn(const struct synfp_slot* slot) {
  return synfp_host32(synfp_load32(slot->tcp + 4, SYNFP_LITTLE), SYNFP_LITTLE);
}

static __always_inline synfp_u32 synfp_word_at(const synfp_u8* p) {
  return SYNFP_ONCE(*(const synfp_alias32*)p);
}

static __always_inline synfp_u32 synfp_mask(synfp_u32 mask) {
  return SYNFP_LITTLE ? synfp_swap32(mask) : mask;
}

/* 1 if `word` of a header is 0 where `mask` has bits. */
static __always_inline synfp_u64 synfp_zero(const synfp_u8* a, int word, synfp_u32 mask) {
  return synfp_equal(synfp_word_at(a + 4 * word) & synfp_mask(mask), 0);
}

/* Whether `word` of two headers differs where `mask` has bits. */
static __always_inline synfp_u32 synfp_differs(const synfp_u8* a, const synfp_u8* b, int word,
                                               synfp_u32 mask) {
  return (synfp_word_at(a + 4 * word) ^ synfp_word_at(b + 4 * word)) & synfp_mask(mask);
}

/* What is not the same in two copies of a SYN: see synfp_slot.differs. One word after the other, else clang
 * loads all of them first and runs out of stack. */
static __always_inline synfp_u32 synfp_compare(const struct synfp_slot* a, const struct synfp_slot* b) {
  const synfp_u8 *ip, *other_ip, *tcp, *other_tcp;
  synfp_u64 header, options = 0;

  asm volatile("" : "+r"(b)::"memory");
  ip = a->ip;
  other_ip = b->ip;
  tcp = a->tcp;
  other_tcp = b->tcp;
  header = (synfp_u64)(SYNFP_ONCE(a->tcp_offset) ^ SYNFP_ONCE(b->tcp_offset));
  if (SYNFP_ONCE(*other_ip) >> 4 == 6) {
    header |= synfp_differs(ip, other_ip, 0, 0xfff00000);
    header |= synfp_differs(ip, other_ip, 1, 0xffffffff);
    header |= synfp_zero(ip, 0, 0x000fffff) ^ synfp_zero(other_ip, 0, 0x000fffff); /* flow label */
  } else {
    header |= synfp_differs(ip, other_ip, 0, 0xffffffff);
    header |= synfp_differs(ip, other_ip, 1, 0x0000ffff);
    header |= synfp_zero(ip, 1, 0xffff0000) ^ synfp_zero(other_ip, 1, 0xffff0000); /* identification */
    header |= synfp_differs(ip, other_ip, 2, 0xffff0000);
#pragma unroll
    for (int i = 5; i < SYNFP_IP_BYTES / 4; ++i) {
      header |= synfp_differs(ip, other_ip, i, 0xffffffff);
      asm volatile("" : "+r"(header));
    }
  }
  header |= synfp_differs(tcp, other_tcp, 2, 0xffffffff); /* acknowledgment */
  header |= synfp_differs(tcp, other_tcp, 3, 0xffffffff); /* data offset, flags, window */
  header |= synfp_differs(tcp, other_tcp, 4, 0x0000ffff); /* urgent pointer */
#pragma unroll
  for (int i = 0; i < SYNFP_TCP_BYTES / 4 - 5; ++i) {
    options |= (synfp_equal(synfp_word_at(tcp + 20 + 4 * i), synfp_word_at(other_tcp + 20 + 4 * i)) ^ 1) << i;
    header |= synfp_zero(tcp, 5 + i, 0xffffffff) ^ synfp_zero(other_tcp, 5 + i, 0xffffffff);
    asm volatile("" : "+r"(header), "+r"(options));
  }
  return (synfp_u32)options | (header != 0 ? SYNFP_DIFFERS_HEADER : 0);
}

/* The slots of a key, one after the other. No loop: without CAP_PERFMON the verifier follows one beyond its
 * end. Where there are fewer, f sees slot 0 with present = 0. */
#define SYNFP_FOR_EACH_CANDIDATE(slots, f, place, ...) \
  do {                                                 \
    synfp_u64 rest_ = (slots), way_;                   \
    way_ = synfp_next(&rest_);                         \
    f(place, way_, synfp_nonzero(way_), __VA_ARGS__);  \
    way_ = synfp_next(&rest_);                         \
    f(place, way_, synfp_nonzero(way_), __VA_ARGS__);  \
    way_ = synfp_next(&rest_);                         \
    f(place, way_, synfp_nonzero(way_), __VA_ARGS__);  \
    way_ = synfp_next(&rest_);                         \
    f(place, way_, synfp_nonzero(way_), __VA_ARGS__);  \
  } while (0)
_Static_assert(SYNFP_CANDIDATES == 4, "SYNFP_FOR_EACH_CANDIDATE");

static __always_inline struct synfp_slot* synfp_slot_at(const struct synfp_place* place, synfp_u64 plus_one) {
  struct synfp_slot* slot = &place->bucket->slot[synfp_way(plus_one)];

  asm volatile("" : "+r"(slot));
  return slot;
}

/* The slack is on both sides: it lets another CPU's clock be ahead and does not shorten the window, in which
 * the record may still be believed. */
static __always_inline void synfp_judge(const struct synfp_place* place, synfp_u64 way, synfp_u64 present,
                                        const struct synfp_slot* syn, struct synfp_candidates* c) {
  struct synfp_slot* slot = synfp_slot_at(place, way);
  synfp_u64 age = SYNFP_ONCE(syn->time) - SYNFP_ONCE(slot->time) + SYNFP_CLOCK_SLACK_NS;
  synfp_u64 live = present & synfp_below(age, synfp_configuration.conflict_ns + SYNFP_CLOCK_SLACK_NS);
  synfp_u64 same = live & synfp_equal(synfp_isn(slot), synfp_isn(syn));
  synfp_u64 other = live ^ same;
  synfp_u64 older = other & (1 - synfp_below(age, c->oldest_age));

  c->same = synfp_select(same, way, c->same);
  c->dead = synfp_select(present ^ live, way, c->dead);
  c->others += other;
  c->oldest = synfp_select(older, way, c->oldest);
  c->oldest_age = synfp_select(older, age, c->oldest_age);
  c->doubt |= other * ((SYNFP_ONCE(slot->flags) & SYNFP_PROVEN) | (SYNFP_ONCE(slot->lost) ^ place->lost));
}

/* The slot is not believed any more, unless its ACK comes (again): if it was verified, its connection may be
 * over. `time`: from when on that counts, 0 to leave it. */
static __always_inline void synfp_contradict(const struct synfp_place* place, synfp_u64 way,
                                             synfp_u64 present, synfp_u64 time) {
  struct synfp_slot* slot = synfp_slot_at(place, way);
  synfp_u64 flags = SYNFP_ONCE(slot->flags);

  SYNFP_ONCE(slot->flags) =
      (synfp_u8)synfp_select(present, (flags | SYNFP_CONFLICT) & ~(synfp_u64)SYNFP_PROVEN, flags);
  SYNFP_ONCE(slot->time) = synfp_select(present & synfp_nonzero(time), time, SYNFP_ONCE(slot->time));
}

/* Whether an ACK is that of the slot's SYN. In cookie mode the last ACK before establishment is the genuine
 * one, and its sequence number is that of its SYN + 1. */
static __always_inline void synfp_confirm(const struct synfp_place* place, synfp_u64 way, synfp_u64 present,
                                          const struct synfp_slot* ack, struct synfp_candidates* c) {
  struct synfp_slot* slot = synfp_slot_at(place, way);
  synfp_u64 fits = present & synfp_equal(synfp_isn(slot) + 1, synfp_isn(ack));

  SYNFP_ONCE(slot->flags) = (synfp_u8)(SYNFP_ONCE(slot->flags) | SYNFP_VERIFIED * fits);
  /* Proven: whatever was lost before was not this connection's. */
  SYNFP_ONCE(slot->lost) = (synfp_u32)synfp_select(fits, place->lost, SYNFP_ONCE(slot->lost));
  c->same |= fits << synfp_way(way);
}

/* Stores a SYN, or takes in an ACK (SYNFP_IS_ACK), which may confirm the record of one. What it means depends
 * on `hook`, a constant.
 *
 * reuseport: when a SYN gets here there is no connection and no half-open one of this key, for either would
 * have taken it. Without cookies the last SYN that came here is then the one whose request stays, so it alone
 * is believed; with cookies the ACK chooses. It is doubted too if an ACK has just chosen another one (its
 * connection may be about to appear), or if one may have been lost. An ACK that fits no record says that the
 * SYN of the connection to come is not here.
 *
 * xdp, tcx: nothing is known of the stack. Several SYNs of one key make all of them doubtful.
 *
 * kprobe: as with reuseport there is neither a connection nor a request. But nothing shows which of several
 * SYNs the stack answered with a cookie was completed, nor which of several devices, if listeners are bound
 * to them, had which SYN: so it is judged as xdp is.
 *
 * sockops: it stores what the stack answers with cookies, and what it knows when a connection is established.
 */
static __always_inline void synfp_write(struct synfp_scratch* work, int verdict, const synfp_u8 hook,
                                        synfp_u64 netns, struct synfp_counters* counters) {
  struct synfp_slot* syn = &work->slot;
  struct synfp_candidates* c = &work->candidates;
  struct synfp_place place;
  const struct synfp_hook_facts facts = synfp_facts_of(hook);
  synfp_u64 doubted, doubted_from, what;
  synfp_u32 next;

  SYNFP_ONCE(syn->hook) = hook;
  if (!synfp_find(syn, netns, &place, counters)) return;
  c->same = c->dead = c->others = c->oldest = c->oldest_age = c->doubt = 0;
  next = place.sequence + SYNFP_WRITE;

  if (facts.acks && verdict == SYNFP_IS_ACK) {
    if (place.known == 0 || !synfp_take(&place, counters)) return;
    SYNFP_FOR_EACH_CANDIDATE(place.known, synfp_confirm, &place, syn, c);
    doubted = place.known & ~c->same;
    doubted_from = (1 - synfp_nonzero(c->same)) * SYNFP_ONCE(syn->time);
    what = SYNFP_COUNT_UNVERIFIED - synfp_nonzero(c->same);
  } else {
    struct synfp_slot* slot;
    synfp_u64 full, in_place, held, open, way;

    if (place.known != 0) SYNFP_FOR_EACH_CANDIDATE(place.known, synfp_judge, &place, syn, c);
    in_place = synfp_nonzero(c->same | c->dead);
    full = 1 - synfp_below(c->others, SYNFP_CANDIDATES);

    /* Decided before anything is written: in a flood this is where most SYNs end. */
    open = synfp_open_ways(place.bucket, SYNFP_ONCE(syn->time));
    open &= synfp_select(full, 1ULL << c->oldest >> 1, SYNFP_ALL_WAYS);
    held = (1 - in_place) & (1 - synfp_nonzero(open));
    if (held > place.known) { /* a new key */
      if (synfp_sequence(place.bucket) == place.sequence) {
        synfp_count(counters, SYNFP_COUNT_HELD);
      } else {
        synfp_lose(place.bucket, counters); /* the key may have been written meanwhile */
      }
      return;
    }
    way = synfp_first_from((place.sequence & SYNFP_CURSOR_MASK) >> SYNFP_CURSOR_SHIFT, open);
    way = synfp_select(synfp_nonzero(c->dead), c->dead, way);
    way = synfp_select(synfp_nonzero(c->same), c->same, way);
    way = synfp_way(way);
    next = (synfp_u32)synfp_select(
        (1 - (in_place | held)) & (1 - full),
        (next & ~(synfp_u32)SYNFP_CURSOR_MASK) | (way + 1) * (1 - synfp_equal((synfp_u32)way + 1, SYNFP_WAYS))
                                                     << SYNFP_CURSOR_SHIFT,
        next);

    if (!synfp_take(&place, counters)) return;
    slot = &place.bucket->slot[way];
    asm volatile("" : "+r"(slot));
    doubted = place.known & ~((1 - held) << way);
    doubted_from = held * SYNFP_ONCE(syn->time);
    if (held) {
      what = SYNFP_COUNT_HELD; /* its SYN is not in the table, and contradicts those that are */
    } else if (c->same) {
      synfp_u32 differs = synfp_compare(slot, syn);
      synfp_u32 copies = SYNFP_ONCE(slot->retransmits);

      SYNFP_ONCE(slot->differs) = SYNFP_ONCE(slot->differs) | differs;
      SYNFP_ONCE(slot->retransmits) = (synfp_u8)(copies + synfp_below(copies, 255));
      SYNFP_ONCE(slot->time) = SYNFP_ONCE(syn->time);
      if (facts.last_copy_counts) {
        /* The stack has dropped the copies before this one. */
        SYNFP_ONCE(slot->flags) =
            (synfp_u8)((SYNFP_ONCE(slot->flags) & SYNFP_VERIFIED) | SYNFP_ONCE(syn->flags) |
                       SYNFP_CONFLICT * synfp_nonzero(c->doubt));
        SYNFP_ONCE(slot->lost) = place.lost;
        SYNFP_ONCE(slot->tcp_offset) = SYNFP_ONCE(syn->tcp_offset);
#pragma unroll
        for (int i = 6; i < 31; ++i)
          ((volatile synfp_alias32*)slot)[i] = ((const volatile synfp_alias32*)syn)[i];
      } else {
        /* The headers stay those of the first copy, and `lost` as it was: a retransmission must not restore
         * trust after a lost write. */
        doubted = 0;
      }
      what = synfp_select(synfp_nonzero(differs & SYNFP_DIFFERS_HEADER), SYNFP_COUNT_ALTERED,
                          SYNFP_COUNT_RETRANSMIT);
    } else {
      synfp_u64 doubt = synfp_nonzero(facts.last_copy_counts ? c->doubt : c->others);

      SYNFP_ONCE(syn->lost) = place.lost;
      SYNFP_ONCE(syn->flags) = (synfp_u8)(SYNFP_ONCE(syn->flags) | SYNFP_CONFLICT * doubt);
#pragma unroll
      for (int i = 0; i < (int)(sizeof(struct synfp_slot) / 8); ++i)
        ((volatile synfp_u64*)slot)[i] = ((const volatile synfp_u64*)syn)[i];
      SYNFP_ONCE(place.bucket->tag[way]) = place.tag;
      SYNFP_ONCE(place.bucket->time32[way]) = (synfp_u32)(SYNFP_ONCE(syn->time) >> SYNFP_TIME_SHIFT);
      counters->value[SYNFP_COUNT_CONFLICT] += synfp_nonzero(c->others);
      counters->value[SYNFP_COUNT_TRUNCATED] += synfp_nonzero(SYNFP_ONCE(syn->flags) & SYNFP_TRUNCATED);
      what = synfp_select(in_place, SYNFP_COUNT_REPLACED, SYNFP_COUNT_STORED);
    }
    /* Without headers it was counted when it was refused: to a counter that nobody reads. */
    what = synfp_select(synfp_nonzero(SYNFP_ONCE(syn->tcp_offset)), what, SYNFP_COUNTERS);
  }
  what = synfp_forget_range(what, place.sequence);
  if (doubted != 0) SYNFP_FOR_EACH_CANDIDATE(doubted, synfp_contradict, &place, doubted_from);
  synfp_publish(place.bucket, next);
  synfp_count(counters, what);
}

/* Whether an established connection is that of the slot's SYN; `syn` has its addresses, ports and, as
 * sequence number, the first one that it expects. A candidate that was stored by its cookie had all its
 * copies seen. */
static __always_inline void synfp_establish_one(const struct synfp_place* place, synfp_u64 way,
                                                synfp_u64 present, const struct synfp_slot* syn,
                                                struct synfp_candidates* c) {
  struct synfp_slot* slot = synfp_slot_at(place, way);
  synfp_u64 flags = SYNFP_ONCE(slot->flags);
  synfp_u64 fits = present & synfp_equal(synfp_isn(slot) + 1, synfp_isn(syn)) &
                   synfp_nonzero(SYNFP_ONCE(slot->tcp_offset));
  synfp_u64 proof =
      SYNFP_ESTABLISHED | SYNFP_VERIFIED * synfp_equal(SYNFP_ONCE(slot->hook), SYNFP_HOOK_SOCKOPS);

  SYNFP_ONCE(slot->flags) = (synfp_u8)(flags | proof * fits);
  SYNFP_ONCE(slot->lost) = (synfp_u32)synfp_select(fits, place->lost, SYNFP_ONCE(slot->lost));
  c->same = synfp_select(fits, way, c->same);
}

enum { SYNFP_PATIENCE = 4 }; /* tries to take a bucket */

/* Takes the bucket, other than synfp_take() in several tries and without a loss to anybody. Returns 0 or 1.
 * Without branches: once it is taken, what follows exchanges the sequence for itself. */
static __always_inline synfp_u64 synfp_take_patiently(struct synfp_place* place) {
  struct synfp_bucket* bucket = place->bucket;
  synfp_u64 taken = 0;

#pragma unroll
  for (int i = 0; i < SYNFP_PATIENCE; ++i) {
    synfp_u32 lost = SYNFP_ONCE(bucket->lost);
    synfp_u32 sequence = synfp_sequence(bucket);
    synfp_u32 expected = (synfp_u32)synfp_select(taken, sequence, sequence & ~(synfp_u32)SYNFP_WRITING);
    synfp_u32 before = __sync_val_compare_and_swap(&bucket->sequence, expected, sequence | SYNFP_WRITING);

    place->lost = (synfp_u32)synfp_select(taken, place->lost, lost);
    place->sequence = (synfp_u32)synfp_select(taken, place->sequence, expected);
    taken |= synfp_equal(before, expected);
  }
  return taken;
}

/* A connection is established: marks the record of its SYN as proven, gives it `hold` anew, so that it is
 * still there when the connection is accepted, and copies it to `found`. False if it is not there. */
static __always_inline int synfp_establish(struct synfp_scratch* work, struct synfp_slot* found,
                                           synfp_u64 netns, struct synfp_counters* counters) {
  struct synfp_slot* syn = &work->slot;
  struct synfp_candidates* c = &work->candidates;
  struct synfp_place place;
  struct synfp_slot* slot;
  synfp_u64 way;

  place.bucket = synfp_locate(syn, netns, &place.tag);
  if (!place.bucket) return 0;
  if (synfp_known(place.bucket, place.tag) == 0) return 0;
  place.lost = place.sequence = 0;
  if (!synfp_take_patiently(&place)) {
    synfp_count(counters, SYNFP_COUNT_BUSY);
    return 0;
  }
  c->same = 0;
  place.known = synfp_known(place.bucket, place.tag);
  SYNFP_FOR_EACH_CANDIDATE(place.known, synfp_establish_one, &place, syn, c);
  SYNFP_FOR_EACH_CANDIDATE(place.known & ~((1ULL << synfp_way(c->same)) * synfp_nonzero(c->same)),
                           synfp_contradict, &place, (1 - synfp_nonzero(c->same)) * SYNFP_ONCE(syn->time));
  way = synfp_way(c->same);
  slot = &place.bucket->slot[way];
  asm volatile("" : "+r"(slot));
  if (c->same) {
    SYNFP_ONCE(place.bucket->time32[way]) = (synfp_u32)(SYNFP_ONCE(syn->time) >> SYNFP_TIME_SHIFT);
#pragma unroll
    for (int i = 0; i < (int)(sizeof(struct synfp_slot) / 8); ++i)
      ((volatile synfp_u64*)found)[i] = ((const volatile synfp_u64*)slot)[i];
  }
  synfp_publish(place.bucket, place.sequence + SYNFP_WRITE);
  return c->same != 0;
}

#endif
