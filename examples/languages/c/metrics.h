/* What the four metrics have in common. */
#ifndef METRICS_H
#define METRICS_H

#include "buckets.h"
#include "business.h"

/* States of an agent that have an output. */
#define STATES 5

/* What one slot holds, by metric. All zeros is 'nothing'. */
typedef union {
    int64_t count;
    struct {
        i128 sum, business;
        int64_t count, greatest;
        buckets waits;
    } reply;
    int64_t micros[STATES];
} state;

/* One sample on its way into a slot. */
typedef struct {
    int64_t weight, start, until, values[2];
} sample;

/* Samples of one call, as they are written. */
typedef struct {
    bytes rows, times, untils, values[2];
    weir_metric_types_reject_t *rejects;
    size_t refused;
} written;

/* Values of one output, as they are written. */
typedef struct {
    bytes values, validity;
    size_t len;
    bool has_null;
} column;

typedef struct metric {
    void (*describe)(weir_metric_types_metric_info_t *info);
    fault (*observe)(const weir_metric_types_changes_t *changes, written *out);
    fault (*observe_image)(const weir_metric_types_images_t *images, written *out);
    /* Whether samples are of the before image. */
    bool of_before;
    /* Whether samples can be taken back. */
    bool retracts;
    size_t values, outputs;
    fault (*add)(state *to, const sample *sample);
    void (*merge)(state *into, const state *from);
    void (*evaluate)(const state *of, column *outputs);
    bool (*is_empty)(const state *of);
    void (*save)(const state *of, bytes *out);
    void (*load)(state *to, reader *from);
    void (*release)(state *of);
} metric;

extern const metric ticket_created, ticket_backlog, ticket_first_reply_time, agent_state_time;
/* The business hours of ticket.first_reply_time, as the operator set them. */
extern business_hours reply_hours;

void put_int(column *to, int64_t value);
void put_float(column *to, double value);
void put_null(column *to);
void put_sample(written *out, uint32_t row, int64_t time);

#endif
