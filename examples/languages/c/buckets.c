#include "buckets.h"

int16_t bucket_of(int64_t value) {
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    int highest = 63 - __builtin_clzll(magnitude | 1);
    int shift = highest > 6 ? highest - 6 : 0;
    int16_t index = (int16_t)((shift << 6) + (int)(magnitude >> shift));
    return value < 0 ? -index : index;
}

static i128 middle(int16_t bucket) {
    int index = bucket < 0 ? -bucket : bucket;
    /* From 128 on, each 64 indexes double the width of a bucket. */
    int shift = index < 128 ? 0 : (index >> 6) - 1;
    i128 lowest = (i128)(index - (shift << 6)) << shift;
    i128 magnitude = lowest + (((i128)1 << shift) - 1) / 2;
    return bucket < 0 ? -magnitude : magnitude;
}

void buckets_add(buckets *to, int16_t bucket, int64_t count) {
    size_t low = 0, high = to->len;
    while (low < high) {
        size_t half = (low + high) / 2;
        if (to->entries[half].bucket < bucket) low = half + 1;
        else high = half;
    }
    if (low < to->len && to->entries[low].bucket == bucket) {
        to->entries[low].count += count;
        return;
    }
    if (to->len == to->room) {
        to->room = to->room ? 2 * to->room : 4;
        entry *grown = realloc(to->entries, to->room * sizeof(entry));
        if (grown == NULL) abort();
        to->entries = grown;
    }
    memmove(to->entries + low + 1, to->entries + low, (to->len - low) * sizeof(entry));
    to->entries[low] = (entry){bucket, count};
    to->len++;
}

void buckets_merge(buckets *into, const buckets *from) {
    for (size_t i = 0; i < from->len; i++) buckets_add(into, from->entries[i].bucket, from->entries[i].count);
}

void buckets_free(buckets *all) {
    free(all->entries);
    *all = (buckets){0};
}

/* Number of entries, then for each the distance to the last bucket and the count. */
void buckets_save(const buckets *all, bytes *out) {
    put_varint(out, all->len);
    int16_t last = 0;
    for (size_t i = 0; i < all->len; i++) {
        put_signed(out, all->entries[i].bucket - last);
        put_signed(out, all->entries[i].count);
        last = all->entries[i].bucket;
    }
}

void buckets_load(buckets *all, reader *from) {
    u128 n = get_varint(from);
    int16_t last = 0;
    for (u128 i = 0; i < n && from->ok; i++) {
        last += (int16_t)get_signed(from);
        buckets_add(all, last, (int64_t)get_signed(from));
    }
}

double quantile(const buckets *all, uint32_t millionths) {
    i128 total = 0;
    for (size_t i = 0; i < all->len; i++) total += all->entries[i].count;
    i128 left = ((i128)millionths * total + 999999) / 1000000;
    if (left < 1) left = 1;
    for (size_t i = 0; i < all->len; i++) {
        left -= all->entries[i].count;
        if (left <= 0) return (double)middle(all->entries[i].bucket);
    }
    return 0;
}
