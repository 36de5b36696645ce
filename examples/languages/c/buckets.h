/* Counts of values in fixed buckets, 64 an octave: the arithmetic of sdk/rust/src/acc/quantiles.rs, so that both
   give the same bytes. A bucket's middle is at most 1/128 off any value in it. */
#ifndef BUCKETS_H
#define BUCKETS_H

#include "packed.h"

typedef struct {
    int16_t bucket;
    int64_t count;
} entry;

/* Ascending by bucket. */
typedef struct {
    entry *entries;
    size_t len, room;
} buckets;

void buckets_add(buckets *to, int16_t bucket, int64_t count);
void buckets_merge(buckets *into, const buckets *from);
void buckets_free(buckets *all);
void buckets_save(const buckets *all, bytes *out);
void buckets_load(buckets *all, reader *from);

int16_t bucket_of(int64_t value);
/* The middle of the bucket of the k-th least value, k = max(1, ⌈q·n⌉), in microseconds; n must not be 0. */
double quantile(const buckets *all, uint32_t millionths);

#endif
