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
  synfp_u32 sequence;
  synfp_u32 lost;
  synfp_u32 tag;
  synfp_u32 way; /* of the key, or SYNFP_WAYS */
};

static __always_inline void synfp_lose(struct synfp_bucket* bucket) {
  /* The result is used, so that this is a full barrier on arm64 too. */
  synfp_u32 before = __sync_fetch_and_add(&bucket->lost, 1);
  asm volatile("" ::"r"(before));
  synfp_count(SYNFP_COUNT_BUSY);
}

/* Finds bucket and slot of the key in `slot`. False if the bucket is taken; the loss has been counted. */
static __always_inline int synfp_find(const struct synfp_slot* slot, struct synfp_place* place) {
  struct synfp_key key = synfp_key_of(slot, synfp_configuration.scope, SYNFP_LITTLE);
  struct synfp_bucket* bucket;
  synfp_u64 hash;
  synfp_u32 index;

  hash = synfp_hash(&key, synfp_configuration.secret[0], synfp_configuration.secret[1], SYNFP_LITTLE);
  index = synfp_bucket_of(hash, synfp_configuration.bucket_mask);
  bucket = bpf_map_lookup_elem(&synfp_table, &index);
  if (!bucket) return 0;

  place->bucket = bucket;
  place->tag = synfp_tag_of(hash);
  /* Before the lock: a write that is lost from here on makes this record unbelievable. */
  place->lost = SYNFP_ONCE(bucket->lost);
  place->sequence = SYNFP_ONCE(bucket->sequence);
  if (place->sequence & SYNFP_WRITING) {
    synfp_lose(bucket);
    return 0;
  }
  place->way = SYNFP_WAYS;
#pragma unroll
  for (int i = 0; i < SYNFP_WAYS; ++i) {
    if (SYNFP_ONCE(bucket->tag[i]) == place->tag) place->way = i;
  }
  return 1;
}

/* Takes the bucket if nobody wrote it since synfp_find. */
static __always_inline int synfp_take(const struct synfp_place* place) {
  struct synfp_bucket* bucket = place->bucket;

  if (__sync_val_compare_and_swap(&bucket->sequence, place->sequence, place->sequence | SYNFP_WRITING) ==
      place->sequence)
    return 1;
  synfp_lose(bucket);
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

/* Stores a SYN. */
static __always_inline void synfp_store(struct synfp_parsed* parsed) {
  struct synfp_place place;
  struct synfp_bucket* bucket;
  struct synfp_slot* slot;
  synfp_u32* tag;
  synfp_u32* time32;
  synfp_u64 now, way;
  synfp_u32 now32, next, known;
  enum synfp_counter what;

  if (!synfp_find(&parsed->slot, &place)) return;
  bucket = place.bucket;
  now = parsed->slot.time;
  now32 = (synfp_u32)(now >> SYNFP_TIME_SHIFT);
  known = place.way < SYNFP_WAYS;
  next = (place.sequence & ~(synfp_u32)(SYNFP_CURSOR_MASK | SYNFP_WRITING)) + SYNFP_WRITE;
  way = known ? place.way : (place.sequence & SYNFP_CURSOR_MASK) >> SYNFP_CURSOR_SHIFT;
  way = synfp_forget_range(way, place.sequence);
  if (way >= SYNFP_WAYS) return;
  slot = &bucket->slot[way];
  tag = &bucket->tag[way];
  time32 = &bucket->time32[way];
  asm volatile("" : "+r"(slot), "+r"(tag), "+r"(time32));

  if (known) {
    next |= place.sequence & SYNFP_CURSOR_MASK;
  } else {
    next |= way + 1 < SYNFP_WAYS ? (synfp_u32)(way + 1) << SYNFP_CURSOR_SHIFT : 0;
    /* time32 is the time of insertion and is not refreshed by copies, else whoever repeats a SYN could close
     * a bucket to everyone. Decided before anything is written: in a flood this is where most SYNs end. */
    if (synfp_configuration.hold != 0 && SYNFP_ONCE(*tag) != 0 &&
        now32 - SYNFP_ONCE(*time32) + SYNFP_CLOCK_SLACK < synfp_configuration.hold + SYNFP_CLOCK_SLACK) {
      if (SYNFP_ONCE(bucket->sequence) == place.sequence) {
        synfp_count(SYNFP_COUNT_HELD);
      } else {
        synfp_lose(bucket); /* the key may have been written meanwhile */
      }
      return;
    }
  }

  if (!synfp_take(&place)) return;
  what = known ? SYNFP_COUNT_REPLACED : SYNFP_COUNT_STORED;
  /* The slack is on both sides: it lets another CPU's clock be ahead and does not shorten the window, in
   * which the record may still be believed. */
  if (known && now - SYNFP_ONCE(slot->time) + SYNFP_CLOCK_SLACK_NS <
                   synfp_configuration.conflict_ns + SYNFP_CLOCK_SLACK_NS) {
    /* The headers stay those of the first SYN, and `lost` as it was: a loss before this copy is not made
     * good. */
    if (synfp_isn(slot) == synfp_isn(&parsed->slot)) {
      if (slot->retransmits != 255) SYNFP_ONCE(slot->retransmits) = slot->retransmits + 1;
      what = SYNFP_COUNT_RETRANSMIT;
    } else {
      /* Not verified any more: what was, belonged to a connection that may be over. */
      SYNFP_ONCE(slot->flags) = (slot->flags | SYNFP_CONFLICT) & ~SYNFP_VERIFIED;
      what = SYNFP_COUNT_CONFLICT;
    }
    SYNFP_ONCE(slot->time) = now;
  } else {
    if (parsed->slot.flags & SYNFP_TRUNCATED) synfp_count(SYNFP_COUNT_TRUNCATED);
    parsed->slot.lost = place.lost;
#pragma unroll
    for (int i = 0; i < (int)(sizeof(struct synfp_slot) / 8); ++i)
      ((volatile synfp_u64*)slot)[i] = ((const synfp_u64*)&parsed->slot)[i];
    SYNFP_ONCE(*tag) = place.tag;
    SYNFP_ONCE(*time32) = now32;
  }
  synfp_publish(bucket, next);
  synfp_count(what);
}

/* An ACK to the listener: in cookie mode the last one before establishment is the genuine one, and its
 * sequence number is that of its SYN + 1. A record that it contradicts is another's: lookups miss until it is
 * replaced. */
static __always_inline void synfp_confirm(struct synfp_parsed* parsed) {
  struct synfp_place place;
  struct synfp_bucket* bucket;
  struct synfp_slot* slot;
  synfp_u64 way;
  synfp_u32 next;
  enum synfp_counter what;

  if (!synfp_find(&parsed->slot, &place) || place.way == SYNFP_WAYS) return;
  bucket = place.bucket;
  way = synfp_forget_range(place.way, place.sequence);
  if (way >= SYNFP_WAYS) return;
  slot = &bucket->slot[way];
  asm volatile("" : "+r"(slot));
  next = place.sequence + SYNFP_WRITE;

  if (!synfp_take(&place)) return;
  if (synfp_isn(slot) + 1 == synfp_isn(&parsed->slot)) {
    SYNFP_ONCE(slot->flags) = slot->flags | SYNFP_VERIFIED;
    SYNFP_ONCE(slot->lost) = place.lost; /* proven: whatever was lost before was not this connection's */
    what = SYNFP_COUNT_VERIFIED;
  } else {
    SYNFP_ONCE(slot->flags) = (slot->flags | SYNFP_CONFLICT) & ~SYNFP_VERIFIED;
    SYNFP_ONCE(slot->time) = parsed->slot.time;
    what = SYNFP_COUNT_UNVERIFIED;
  }
  synfp_publish(bucket, next);
  synfp_count(what);
}

#endif
