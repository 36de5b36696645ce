/* The component: calls of the contract, on the one metric that this instance was opened for. Arguments belong to
   the callee, so each call frees what it got; what is given back is freed by the generated code. */

#include "metrics.h"

#define MOST_SLOTS (1u << 26)

static const metric *const all[] = {&ticket_created, &ticket_backlog, &ticket_first_reply_time, &agent_state_time};

/* The instance's metric and its slots; a slot beyond `room` is empty. */
static const metric *metric_in_use;
static state *slots_held;
static size_t room;

void put_sample(written *out, uint32_t row, int64_t time) {
    put_u32(&out->rows, row);
    put_i64(&out->times, time);
}

void put_int(column *to, int64_t value) {
    put_i64(&to->values, value);
    if (to->len++ % 8 == 0) *more(&to->validity, 1) = 0;
    to->validity.ptr[to->validity.len - 1] |= 1 << ((to->len - 1) % 8);
}

/* -0.0 and 0.0 are one number, so they are one bit pattern. */
void put_float(column *to, double value) {
    double plain = value + 0.0;
    int64_t bits;
    memcpy(&bits, &plain, 8);
    put_int(to, bits);
}

void put_null(column *to) {
    put_int(to, 0);
    to->validity.ptr[to->validity.len - 1] &= ~(1 << ((to->len - 1) % 8));
    to->has_null = true;
}

/* The answer of a call: true, or a text for the operator and false. */
static bool answer(fault wrong, metric_string_t *err) {
    if (wrong) metric_string_dup(err, wrong);
    return wrong == NULL;
}

static state nothing;

static const state *look(uint32_t slot) { return slot < room ? &slots_held[slot] : &nothing; }

/* Room for slots that are about to be written. */
static fault make_room(metric_list_u8_t slots) {
    uint32_t greatest = 0;
    for (size_t i = 0; i < slots.len / 4; i++) {
        uint32_t slot = u32_at(slots, i);
        if (slot == 0) return "slot 0 is always empty and cannot be written";
        if (slot >= MOST_SLOTS) return "slots are dense";
        if (slot > greatest) greatest = slot;
    }
    if (greatest < room) return NULL;
    size_t wanted = greatest + 1 > 2 * room ? greatest + 1 : 2 * room;
    state *grown = realloc(slots_held, wanted * sizeof(state));
    if (grown == NULL) abort();
    memset(grown + room, 0, (wanted - room) * sizeof(state));
    slots_held = grown;
    room = wanted;
    return NULL;
}

void exports_weir_metric_metric_api_describe(exports_weir_metric_metric_api_list_metric_info_t *ret) {
    ret->len = sizeof(all) / sizeof(*all);
    ret->ptr = zeroed(ret->len, sizeof(*ret->ptr));
    for (size_t i = 0; i < ret->len; i++) all[i]->describe(&ret->ptr[i]);
}

static bool is_text(const metric_string_t *text, const char *other) {
    return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

static fault open_metric(const metric_string_t *name, const metric_list_tuple2_string_string_t *config) {
    exports_weir_metric_metric_api_list_metric_info_t infos;
    exports_weir_metric_metric_api_describe(&infos);
    for (size_t i = 0; i < infos.len; i++)
        if (infos.ptr[i].name.len == name->len && memcmp(infos.ptr[i].name.ptr, name->ptr, name->len) == 0)
            metric_in_use = all[i];
    exports_weir_metric_metric_api_list_metric_info_free(&infos);
    if (metric_in_use == NULL) return "there is no such metric";
    static const char usual[] = "Mon-Fri 09:00-18:00 UTC";
    const char *hours = usual;
    size_t len = sizeof(usual) - 1;
    for (size_t i = config->len; i-- > 0;)
        if (is_text(&config->ptr[i].f0, "business_hours")) hours = (const char *)config->ptr[i].f1.ptr, len = config->ptr[i].f1.len;
    return metric_in_use == &ticket_first_reply_time ? business_parse(&reply_hours, hours, len) : NULL;
}

bool exports_weir_metric_metric_api_open(metric_string_t *metric, metric_list_tuple2_string_string_t *config,
                                         metric_string_t *err) {
    bool done = answer(open_metric(metric, config), err);
    metric_string_free(metric);
    metric_list_tuple2_string_string_free(config);
    return done;
}

/* What was written as the contract's record, or nothing of it after a fault. */
static bool finish(written *out, fault wrong, bool of_before, weir_metric_types_samples_t *ret, metric_string_t *err) {
    weir_metric_types_samples_t samples = {.rows = list_of(out->rows), .times = list_of(out->times), .untils = list_of(out->untils)};
    samples.rejects.ptr = out->rejects;
    samples.rejects.len = out->refused;
    size_t count = samples.rows.len / 4, values = metric_in_use ? metric_in_use->values : 0;
    if (of_before) samples.images = (metric_list_u8_t){zeroed((count + 7) / 8, 1), (count + 7) / 8};
    samples.values.ptr = zeroed(values, sizeof(*samples.values.ptr));
    samples.dictionaries.ptr = zeroed(values, sizeof(*samples.dictionaries.ptr));
    samples.values.len = samples.dictionaries.len = values;
    for (size_t i = 0; i < values; i++) samples.values.ptr[i].values = list_of(out->values[i]);
    if (wrong) weir_metric_types_samples_free(&samples);
    else *ret = samples;
    return answer(wrong, err);
}

bool exports_weir_metric_metric_api_observe(uint32_t input, exports_weir_metric_metric_api_changes_t *changes,
                                            exports_weir_metric_metric_api_samples_t *ret, metric_string_t *err) {
    written out = {0};
    fault wrong = NULL;
    if (input != 0 || metric_in_use == NULL || metric_in_use->observe == NULL) wrong = "no input of events has this number";
    else if (!are_bits(changes->before_present, changes->rows) || !are_bits(changes->after_present, changes->rows))
        wrong = "before-present or after-present: wrong length";
    else wrong = metric_in_use->observe(changes, &out);
    weir_metric_types_changes_free(changes);
    return finish(&out, wrong, wrong == NULL && metric_in_use->of_before, ret, err);
}

bool exports_weir_metric_metric_api_observe_image(uint32_t input, exports_weir_metric_metric_api_images_t *images,
                                                  exports_weir_metric_metric_api_samples_t *ret, metric_string_t *err) {
    written out = {0};
    fault wrong = "no input of current values has this number";
    if (input == 0 && metric_in_use != NULL && metric_in_use->observe_image != NULL)
        wrong = metric_in_use->observe_image(images, &out);
    weir_metric_types_images_free(images);
    return finish(&out, wrong, false, ret, err);
}

static fault accumulate(metric_list_u8_t slots, metric_list_u8_t weights, metric_list_u8_t times,
                        metric_list_u8_t untils, const exports_weir_metric_metric_api_list_column_t *values) {
    size_t n = slots.len / 4;
    if (slots.len != 4 * n || weights.len != 8 * n || (times.len && times.len != 8 * n) ||
        (untils.len && untils.len != 8 * n) || values->len != metric_in_use->values)
        return "accumulate: a list has a wrong length";
    for (size_t i = 0; i < values->len; i++)
        if (!is_scalar(&values->ptr[i], n)) return "accumulate: a column has a wrong length";
    fault wrong = make_room(slots);
    for (size_t i = 0; i < n && wrong == NULL; i++) {
        sample sample = {.weight = i64_at(weights, i)};
        if (sample.weight < 0 && !metric_in_use->retracts) return "the metric takes no sample back";
        sample.start = times.len ? i64_at(times, i) : 0;
        sample.until = untils.len ? i64_at(untils, i) : sample.start;
        for (size_t k = 0; k < values->len; k++) sample.values[k] = i64_at(values->ptr[k].values, i);
        wrong = metric_in_use->add(&slots_held[u32_at(slots, i)], &sample);
    }
    return wrong;
}

bool exports_weir_metric_metric_api_accumulate(metric_list_u8_t *slots, metric_list_u8_t *weights,
                                               metric_list_u8_t *times, metric_list_u8_t *untils,
                                               exports_weir_metric_metric_api_list_column_t *values,
                                               exports_weir_metric_metric_api_list_dictionary_t *dictionaries,
                                               metric_string_t *err) {
    bool done = answer(accumulate(*slots, *weights, *times, *untils, values), err);
    metric_list_u8_free(slots);
    metric_list_u8_free(weights);
    metric_list_u8_free(times);
    metric_list_u8_free(untils);
    exports_weir_metric_metric_api_list_column_free(values);
    exports_weir_metric_metric_api_list_dictionary_free(dictionaries);
    return done;
}

static fault merge(metric_list_u8_t into, metric_list_u8_t from) {
    if (into.len != from.len || into.len % 4 != 0) return "merge: wrong lengths";
    fault wrong = make_room(into);
    for (size_t i = 0; i < into.len / 4 && wrong == NULL; i++) {
        uint32_t to = u32_at(into, i), source = u32_at(from, i);
        if (to == source) return "merge: a slot into itself";
        if (source < room) metric_in_use->merge(&slots_held[to], &slots_held[source]);
    }
    return wrong;
}

bool exports_weir_metric_metric_api_merge(metric_list_u8_t *into, metric_list_u8_t *from, metric_string_t *err) {
    bool done = answer(merge(*into, *from), err);
    metric_list_u8_free(into);
    metric_list_u8_free(from);
    return done;
}

bool exports_weir_metric_metric_api_evaluate(metric_list_u8_t *slots, metric_list_u8_t *starts, metric_list_u8_t *ends,
                                             int64_t now, exports_weir_metric_metric_api_outputs_t *ret,
                                             metric_string_t *err) {
    (void)now; /* for metrics that are time-varying */
    size_t n = slots->len / 4, outputs = metric_in_use->outputs;
    column *columns = zeroed(outputs, sizeof(column));
    for (size_t i = 0; i < n; i++) metric_in_use->evaluate(look(u32_at(*slots, i)), columns);
    ret->columns.ptr = zeroed(outputs, sizeof(*ret->columns.ptr));
    ret->dictionaries.ptr = zeroed(outputs, sizeof(*ret->dictionaries.ptr));
    ret->columns.len = ret->dictionaries.len = outputs;
    for (size_t k = 0; k < outputs; k++) {
        ret->columns.ptr[k].values = list_of(columns[k].values);
        /* No list stands for all ones. */
        if (columns[k].has_null) ret->columns.ptr[k].validity = list_of(columns[k].validity);
        else free(columns[k].validity.ptr);
    }
    free(columns);
    bool whole = slots->len == 4 * n;
    metric_list_u8_free(slots);
    metric_list_u8_free(starts);
    metric_list_u8_free(ends);
    return answer(whole ? NULL : "slots: wrong length", err);
}

bool exports_weir_metric_metric_api_save(metric_list_u8_t *slots, exports_weir_metric_metric_api_states_t *ret,
                                         metric_string_t *err) {
    bytes offsets = {0}, out = {0};
    put_u32(&offsets, 0);
    for (size_t i = 0; i < slots->len / 4; i++) {
        const state *state = look(u32_at(*slots, i));
        if (!metric_in_use->is_empty(state)) metric_in_use->save(state, &out);
        put_u32(&offsets, (uint32_t)out.len);
    }
    metric_list_u8_free(slots);
    ret->offsets = list_of(offsets);
    ret->bytes = list_of(out);
    return answer(NULL, err);
}

static fault load(metric_list_u8_t slots, const weir_metric_types_states_t *states, uint32_t version) {
    size_t n = slots.len / 4;
    if (version != 1) return "load: this state version is not read";
    if (slots.len != 4 * n || !are_offsets(states->offsets, n, states->bytes.len)) return "load: wrong lengths";
    fault wrong = make_room(slots);
    for (size_t i = 0; i < n && wrong == NULL; i++) {
        state *to = &slots_held[u32_at(slots, i)];
        metric_in_use->release(to);
        reader from = {states->bytes.ptr + u32_at(states->offsets, i), states->bytes.ptr + u32_at(states->offsets, i + 1), true};
        if (from.at == from.end) continue;
        metric_in_use->load(to, &from);
        if (!from.ok || from.at != from.end) wrong = "load: a state is none that this metric has written";
    }
    return wrong;
}

bool exports_weir_metric_metric_api_load(metric_list_u8_t *slots, exports_weir_metric_metric_api_states_t *states,
                                         uint32_t version, metric_string_t *err) {
    bool done = answer(load(*slots, states, version), err);
    metric_list_u8_free(slots);
    weir_metric_types_states_free(states);
    return done;
}

bool exports_weir_metric_metric_api_release(metric_list_u8_t *slots, metric_string_t *err) {
    for (size_t i = 0; i < slots->len / 4; i++) {
        uint32_t slot = u32_at(*slots, i);
        if (slot < room) metric_in_use->release(&slots_held[slot]);
    }
    metric_list_u8_free(slots);
    return answer(NULL, err);
}
