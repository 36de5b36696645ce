/* agent.state_time: the span that ends with a change of state, for the state that was left. */

#include "describe.h"
#include "metrics.h"

#define DAY 86400000000LL

/* Offline, in which an agent is not there, and the states that have an output. */
static const char *const names[1 + STATES] = {"offline", "available", "on_contact", "wrapup", "break", "error"};

static void refuse(written *out, uint32_t row, const char *reason) {
    out->rejects = realloc(out->rejects, (out->refused + 1) * sizeof(*out->rejects));
    if (out->rejects == NULL) abort();
    out->rejects[out->refused].row = row;
    metric_string_dup(&out->rejects[out->refused++].reason, reason);
}

static fault time_observe(const weir_metric_types_changes_t *changes, written *out) {
    uint32_t n = changes->rows;
    if (changes->before.len != 4 || changes->after.len != 4 || changes->dictionaries.len != 4)
        return "four fields were asked for";
    const weir_metric_types_column_t *state = &changes->before.ptr[2], *left = &changes->before.ptr[3];
    const weir_metric_types_column_t *entered = &changes->after.ptr[3];
    if (!is_scalar(state, n) || !is_scalar(left, n) || !is_scalar(entered, n)) return "since: wrong length";
    const weir_metric_types_dictionary_t *texts = &changes->dictionaries.ptr[2];
    size_t known = texts->offsets.len ? texts->offsets.len / 4 - 1 : 0;
    if (known && !are_offsets(texts->offsets, known, texts->bytes.len)) return "state: wrong dictionary";
    /* Texts are compared once for a batch, rows by number. */
    int *number = zeroed(known, sizeof(int));
    for (size_t i = 0; i < known; i++) number[i] = is_one_of(texts, i, 1 + STATES, names);
    for (uint32_t row = 0; row < n; row++) {
        if (!bit_at(changes->before_present, row) || !bit_at(changes->after_present, row)) continue;
        uint64_t code = (uint64_t)i64_at(state->values, row);
        int64_t start = i64_at(left->values, row), end = i64_at(entered->values, row);
        if (code >= known || number[code] < 0) {
            refuse(out, row, "its state is none that an agent has");
            continue;
        }
        if (number[code] == 0 || end <= start) continue;
        if (minus(end, start) > DAY) {
            refuse(out, row, "more than 24 hours in one state");
            continue;
        }
        put_sample(out, row, start);
        put_i64(&out->untils, end);
        put_i64(&out->values[0], number[code] - 1);
    }
    free(number);
    return NULL;
}

static fault time_add(state *to, const sample *sample) {
    if (sample->values[0] < 0 || sample->values[0] >= STATES) return "there is no such state";
    to->micros[sample->values[0]] += (sample->until - sample->start) * sample->weight;
    return NULL;
}

static void time_merge(state *into, const state *from) {
    for (int i = 0; i < STATES; i++) into->micros[i] += from->micros[i];
}

static void time_evaluate(const state *of, column *outputs) {
    for (int i = 0; i < STATES; i++) put_float(&outputs[i], (double)of->micros[i] / 1e6);
}

static bool time_is_empty(const state *of) {
    for (int i = 0; i < STATES; i++)
        if (of->micros[i] != 0) return false;
    return true;
}

static void time_save(const state *of, bytes *out) {
    for (int i = 0; i < STATES; i++) put_signed(out, of->micros[i]);
}

static void time_load(state *to, reader *from) {
    for (int i = 0; i < STATES; i++) to->micros[i] = (int64_t)get_signed(from);
}

static void time_release(state *of) { *of = (state){0}; }

static void time_describe(weir_metric_types_metric_info_t *info) {
    describe(info, "agent.state_time", "Agent state time",
             "Time that agents spent in each state: the span from one change to the next, for the state left.", "s");
    put_input(info, "agent_state", "agent_id:int queue_id:int state:text since:time", "state since");
    put_dimensions(info, "queue_id agent_id");
    put_windows(info, "15m 1h day");
    put_values(info, "state:int");
    put_output(info, "available:float", "s", "Seconds in the state available.");
    put_output(info, "on_contact:float", "s", "Seconds in the state on_contact.");
    put_output(info, "wrapup:float", "s", "Seconds in the state wrapup.");
    put_output(info, "break:float", "s", "Seconds in the state break.");
    put_output(info, "error:float", "s", "Seconds in the state error.");
    put_extra(info, "board", "team");
    put_extra(info, "form", "table");
    put_extra(info, "correct_for", "26h");
}

const metric agent_state_time = {
    .describe = time_describe,
    .observe = time_observe,
    .of_before = true,
    .retracts = true,
    .values = 1,
    .outputs = STATES,
    .add = time_add,
    .merge = time_merge,
    .evaluate = time_evaluate,
    .is_empty = time_is_empty,
    .save = time_save,
    .load = time_load,
    .release = time_release,
};
