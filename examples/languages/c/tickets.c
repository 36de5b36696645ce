/* ticket.created, ticket.backlog and ticket.first_reply_time: what gives a sample, and how a slot grows. */

#include "describe.h"
#include "metrics.h"

business_hours reply_hours;

/* The two metrics that count. */

static fault count_add(state *to, const sample *sample) {
    to->count += sample->weight;
    return NULL;
}
static void count_merge(state *into, const state *from) { into->count += from->count; }
static void count_evaluate(const state *of, column *outputs) { put_int(outputs, of->count); }
static bool count_is_empty(const state *of) { return of->count == 0; }
static void count_save(const state *of, bytes *out) { put_signed(out, of->count); }
static void count_load(state *to, reader *from) { to->count = (int64_t)get_signed(from); }
static void count_release(state *of) { of->count = 0; }

#define COUNTS                                                                                                        \
    .retracts = true, .outputs = 1, .add = count_add, .merge = count_merge, .evaluate = count_evaluate,               \
    .is_empty = count_is_empty, .save = count_save, .load = count_load, .release = count_release

/* Rows inserted, at their created_at (field 3). */
static fault created_observe(const weir_metric_types_changes_t *changes, written *out) {
    if (changes->after.len != 4 || !is_scalar(&changes->after.ptr[3], changes->rows)) return "created_at: wrong length";
    metric_list_u8_t created = changes->after.ptr[3].values;
    for (uint32_t row = 0; row < changes->rows; row++)
        if (!bit_at(changes->before_present, row) && bit_at(changes->after_present, row))
            put_sample(out, row, i64_at(created, row));
    return NULL;
}

/* Rows whose status (field 2) is new, open or pending. */
static fault backlog_observe(const weir_metric_types_images_t *images, written *out) {
    if (images->columns.len != 3 || images->dictionaries.len != 3) return "three fields were asked for";
    const weir_metric_types_column_t *status = &images->columns.ptr[2];
    if (!is_scalar(status, images->rows)) return "status: wrong length";
    /* Texts are compared once for a batch, rows by number. */
    const weir_metric_types_dictionary_t *texts = &images->dictionaries.ptr[2];
    size_t known = texts->offsets.len ? texts->offsets.len / 4 - 1 : 0;
    if (known && !are_offsets(texts->offsets, known, texts->bytes.len)) return "status: wrong dictionary";
    bool *waits = zeroed(known, 1);
    for (size_t i = 0; i < known; i++) waits[i] = is_one_of(texts, i, 3, (const char *[]){"new", "open", "pending"}) >= 0;
    for (uint32_t row = 0; row < images->rows; row++) {
        uint64_t code = (uint64_t)i64_at(status->values, row);
        if (code < known && waits[code]) put_u32(&out->rows, row);
    }
    free(waits);
    return NULL;
}

/* The wait, when first_reply_at (field 3) becomes set. */
static fault reply_observe(const weir_metric_types_changes_t *changes, written *out) {
    if (changes->before.len != 4 || changes->after.len != 4) return "four fields were asked for";
    const weir_metric_types_column_t *created = &changes->after.ptr[2], *replied = &changes->after.ptr[3];
    const weir_metric_types_column_t *before = &changes->before.ptr[3];
    if (!is_scalar(created, changes->rows) || !is_scalar(replied, changes->rows) || !is_scalar(before, changes->rows))
        return "first_reply_at: wrong length";
    for (uint32_t row = 0; row < changes->rows; row++) {
        if (!bit_at(changes->after_present, row) || !bit_at(replied->validity, row)) continue;
        if (bit_at(changes->before_present, row) && bit_at(before->validity, row)) continue;
        int64_t from = i64_at(created->values, row), to = i64_at(replied->values, row);
        put_sample(out, row, to);
        put_i64(&out->values[0], minus(to, from));
        put_i64(&out->values[1], business_between(&reply_hours, from, to));
    }
    return NULL;
}

static fault reply_add(state *to, const sample *sample) {
    int64_t wait = sample->values[0];
    /* Where nothing was added, no sum and no bucket is there, and the greatest is no value yet. */
    if (to->reply.count == 0 || wait > to->reply.greatest) to->reply.greatest = wait;
    to->reply.sum += (i128)wait * sample->weight;
    to->reply.business += (i128)sample->values[1] * sample->weight;
    to->reply.count += sample->weight;
    buckets_add(&to->reply.waits, bucket_of(wait), sample->weight);
    return NULL;
}

static void reply_merge(state *into, const state *from) {
    if (from->reply.count == 0) return;
    if (into->reply.count == 0 || from->reply.greatest > into->reply.greatest)
        into->reply.greatest = from->reply.greatest;
    into->reply.sum += from->reply.sum;
    into->reply.business += from->reply.business;
    into->reply.count += from->reply.count;
    buckets_merge(&into->reply.waits, &from->reply.waits);
}

/* Division happens here only, and in this order, so that the bytes are the same everywhere. */
static double mean(i128 sum, int64_t count) { return (double)sum / (double)count / 1e6; }

static void reply_evaluate(const state *of, column *outputs) {
    int64_t count = of->reply.count;
    put_int(&outputs[4], count);
    if (count == 0) {
        for (int i = 0; i < 6; i++)
            if (i != 4) put_null(&outputs[i]);
        return;
    }
    put_float(&outputs[0], mean(of->reply.sum, count));
    put_float(&outputs[1], quantile(&of->reply.waits, 500000) / 1e6);
    put_float(&outputs[2], quantile(&of->reply.waits, 900000) / 1e6);
    put_float(&outputs[3], (double)of->reply.greatest / 1e6);
    put_float(&outputs[5], mean(of->reply.business, count));
}

static bool reply_is_empty(const state *of) { return of->reply.count == 0; }

static void reply_save(const state *of, bytes *out) {
    put_signed(out, of->reply.sum);
    put_signed(out, of->reply.count);
    buckets_save(&of->reply.waits, out);
    *more(out, 1) = 1;
    put_signed(out, of->reply.greatest);
    put_signed(out, of->reply.count);
    put_signed(out, of->reply.business);
    put_signed(out, of->reply.count);
}

static void reply_load(state *to, reader *from) {
    to->reply.sum = get_signed(from);
    to->reply.count = (int64_t)get_signed(from);
    buckets_load(&to->reply.waits, from);
    if (get_varint(from) != 1) from->ok = false;
    to->reply.greatest = (int64_t)get_signed(from);
    if (get_signed(from) != to->reply.count) from->ok = false;
    to->reply.business = get_signed(from);
    if (get_signed(from) != to->reply.count) from->ok = false;
}

static void reply_release(state *of) {
    buckets_free(&of->reply.waits);
    *of = (state){0};
}

static void created_describe(weir_metric_types_metric_info_t *info) {
    describe(info, "ticket.created", "Tickets created", "New tickets: rows inserted, at their created_at.", "1");
    put_input(info, "ticket", "queue_id:int channel:text priority:int created_at:time", "created_at");
    put_dimensions(info, "queue_id channel priority");
    put_windows(info, "1m 15m 1h day");
    put_output(info, "count:int", "1", "How many samples there are.");
}

static void backlog_describe(weir_metric_types_metric_info_t *info) {
    describe(info, "ticket.backlog", "Ticket backlog", "Tickets that wait for someone: status new, open or pending.",
             "1");
    put_input(info, "ticket", "queue_id:int priority:int status:text", "");
    put_dimensions(info, "queue_id priority");
    put_windows(info, "now");
    put_extra(info, "form", "table");
    put_output(info, "count:int", "1", "How many samples there are.");
}

static void reply_describe(weir_metric_types_metric_info_t *info) {
    describe(info, "ticket.first_reply_time", "First reply time",
             "Time from creation to the first reply, at the first reply: when first_reply_at becomes set.", "s");
    put_input(info, "ticket", "queue_id:int assignee_id:int? created_at:time first_reply_at:time?", "first_reply_at");
    put_dimensions(info, "queue_id assignee_id");
    put_windows(info, "1m 15m 1h day");
    put_values(info, "wait:int business_wait:int");
    put_extra(info, "form", "table");
    put_output(info, "mean:float?", "s", "The arithmetic mean.");
    put_output(info, "p50:float?", "s", "50 % of the values are at most this; within 1 %.");
    put_output(info, "p90:float?", "s", "90 % of the values are at most this; within 1 %.");
    put_output(info, "max:float?", "s", "The greatest value.");
    put_output(info, "count:int", "1", "How many samples there are.");
    put_output(info, "mean_business:float?", "s", "The arithmetic mean in business hours.");
}

const metric ticket_created = {.describe = created_describe, .observe = created_observe, COUNTS};
const metric ticket_backlog = {.describe = backlog_describe, .observe_image = backlog_observe, COUNTS};
const metric ticket_first_reply_time = {
    .describe = reply_describe,
    .observe = reply_observe,
    .values = 2,
    .outputs = 6,
    .add = reply_add,
    .merge = reply_merge,
    .evaluate = reply_evaluate,
    .is_empty = reply_is_empty,
    .save = reply_save,
    .load = reply_load,
    .release = reply_release,
};
