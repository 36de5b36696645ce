/* The contract's packed byte lists. Lengths are checked before entries are read; WebAssembly is little-endian. */
#ifndef PACKED_H
#define PACKED_H

#include "metric.h" /* generated from wit/v0.1 */
#include <stdlib.h>
#include <string.h>

typedef __int128 i128;
typedef unsigned __int128 u128;

/* What is wrong with a call, NULL if nothing: a text that lives for ever. */
typedef const char *fault;

static inline uint32_t u32_at(metric_list_u8_t list, size_t i) {
    uint32_t value;
    memcpy(&value, list.ptr + 4 * i, 4);
    return value;
}

static inline int64_t i64_at(metric_list_u8_t list, size_t i) {
    int64_t value;
    memcpy(&value, list.ptr + 8 * i, 8);
    return value;
}

/* Bit i of a bit list; an empty one is all ones. */
static inline bool bit_at(metric_list_u8_t list, size_t i) {
    return list.len == 0 || (list.ptr[i / 8] >> (i % 8) & 1) != 0;
}

static inline bool are_bits(metric_list_u8_t list, size_t n) {
    return list.len == 0 || list.len == (n + 7) / 8;
}

/* A column with one value for each of n rows. */
static inline bool is_scalar(const weir_metric_types_column_t *column, size_t n) {
    return column->values.len == 8 * n && are_bits(column->validity, n) && column->offsets.len == 0;
}

/* Offsets of n entries that rise from 0 to `total`. */
static inline bool are_offsets(metric_list_u8_t list, size_t n, size_t total) {
    if (list.len != 4 * (n + 1) || u32_at(list, 0) != 0 || u32_at(list, n) != total) return false;
    for (size_t i = 0; i < n; i++)
        if (u32_at(list, i) > u32_at(list, i + 1)) return false;
    return true;
}

/* Bytes that grow. Memory that cannot be had ends the instance: the host builds it anew from saved state. */
typedef struct {
    uint8_t *ptr;
    size_t len, room;
} bytes;

static inline uint8_t *more(bytes *out, size_t n) {
    if (out->len + n > out->room) {
        size_t room = out->room ? 2 * out->room : 64;
        while (room < out->len + n) room *= 2;
        uint8_t *grown = realloc(out->ptr, room);
        if (grown == NULL) abort();
        out->ptr = grown;
        out->room = room;
    }
    out->len += n;
    return out->ptr + out->len - n;
}

static inline void put_u32(bytes *out, uint32_t value) { memcpy(more(out, 4), &value, 4); }
static inline void put_i64(bytes *out, int64_t value) { memcpy(more(out, 8), &value, 8); }
static inline void put_f64(bytes *out, double value) { memcpy(more(out, 8), &value, 8); }

/* What the generated code frees. An empty list may point anywhere. */
static inline metric_list_u8_t list_of(bytes out) { return (metric_list_u8_t){out.ptr, out.len}; }

/* Zeroed memory for n entries; abort as above. None for none: the generated code does not free empty lists. */
static inline void *zeroed(size_t n, size_t size) {
    if (n == 0) return NULL;
    void *memory = calloc(n, size);
    if (memory == NULL) abort();
    return memory;
}

/* An unsigned number in groups of 7 bits, least significant first. */
static inline void put_varint(bytes *out, u128 value) {
    for (; value >= 0x80; value >>= 7) *more(out, 1) = (uint8_t)value | 0x80;
    *more(out, 1) = (uint8_t)value;
}

/* A signed number, small magnitudes short. */
static inline void put_signed(bytes *out, i128 value) { put_varint(out, ((u128)value << 1) ^ (u128)(value >> 127)); }

/* Reads what the two functions above have written; `ok` turns false where there is too little. */
typedef struct {
    const uint8_t *at, *end;
    bool ok;
} reader;

static inline u128 get_varint(reader *from) {
    u128 value = 0;
    for (int shift = 0; shift < 128; shift += 7) {
        if (from->at == from->end) break;
        uint8_t byte = *from->at++;
        value |= (u128)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    from->ok = false;
    return 0;
}

static inline i128 get_signed(reader *from) {
    u128 raw = get_varint(from);
    return (i128)(raw >> 1) ^ -(i128)(raw & 1);
}

/* A difference of two times as the nearest i64: a nonsense time in a row must not end the metric. */
static inline int64_t minus(int64_t a, int64_t b) {
    int64_t value;
    if (!__builtin_sub_overflow(a, b, &value)) return value;
    return a < b ? INT64_MIN : INT64_MAX;
}

#endif
