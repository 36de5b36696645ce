#include "describe.h"

/* Room for one more entry of a generated list type. */
#define GROW(list)                                                                                                    \
    ((list).ptr = realloc((list).ptr, ((list).len + 1) * sizeof(*(list).ptr)), (list).ptr ? (void)0 : abort(),         \
     memset(&(list).ptr[(list).len], 0, sizeof(*(list).ptr)), &(list).ptr[(list).len++])

/* The next word of a text, which is stepped over; false at the end. */
static bool next_word(const char **text, const char **word, size_t *len) {
    *text += strspn(*text, " ");
    *word = *text;
    *len = strcspn(*text, " ");
    *text += *len;
    return *len != 0;
}

static void put_words(metric_list_string_t *to, const char *text) {
    const char *word;
    size_t len;
    while (next_word(&text, &word, &len)) metric_string_dup_n(GROW(*to), word, len);
}

static weir_metric_types_value_type_t type_of(const char *name) {
    switch (name[0]) {
    case 'f': return WEIR_METRIC_TYPES_VALUE_TYPE_FLOAT;
    case 'b': return WEIR_METRIC_TYPES_VALUE_TYPE_BOOL;
    case 't': return name[1] == 'e' ? WEIR_METRIC_TYPES_VALUE_TYPE_TEXT : WEIR_METRIC_TYPES_VALUE_TYPE_TIME;
    default: return WEIR_METRIC_TYPES_VALUE_TYPE_INT;
    }
}

static void put_fields(weir_metric_types_list_field_t *to, const char *text) {
    const char *word;
    size_t len;
    while (next_word(&text, &word, &len)) {
        weir_metric_types_field_t *field = GROW(*to);
        size_t name = strcspn(word, ":");
        metric_string_dup_n(&field->name, word, name);
        field->value_type = type_of(word + name + 1);
        field->nullable = word[len - 1] == '?';
    }
}

void describe(weir_metric_types_metric_info_t *info, const char *name, const char *title, const char *description,
              const char *unit) {
    memset(info, 0, sizeof(*info));
    metric_string_dup(&info->name, name);
    metric_string_dup(&info->title, title);
    metric_string_dup(&info->unit, unit);
    metric_string_dup(&info->description, description);
    metric_string_dup(&info->owner, "service-desk");
    metric_string_dup(&info->version, "0.1.0");
    info->state_version = info->meaning_version = 1;
    *GROW(info->state_versions_read) = 1;
}

void put_input(weir_metric_types_metric_info_t *info, const char *source, const char *fields, const char *watches) {
    weir_metric_types_input_t *input = GROW(info->inputs);
    metric_string_dup(&input->source, source);
    put_fields(&input->fields, fields);
    put_words(&input->watches, watches);
}

void put_values(weir_metric_types_metric_info_t *info, const char *fields) { put_fields(&info->values, fields); }

void put_dimensions(weir_metric_types_metric_info_t *info, const char *names) { put_words(&info->dimensions, names); }

void put_windows(weir_metric_types_metric_info_t *info, const char *windows) {
    const char *word;
    size_t len;
    while (next_word(&windows, &word, &len)) {
        weir_metric_types_window_t *window = GROW(info->windows);
        if (word[0] == 'n') window->tag = WEIR_METRIC_TYPES_WINDOW_NOW;
        else if (word[0] == 'd') window->tag = WEIR_METRIC_TYPES_WINDOW_DAY;
        else {
            window->tag = WEIR_METRIC_TYPES_WINDOW_TUMBLING;
            window->val.tumbling = atoi(word) * (word[len - 1] == 'h' ? 3600000000LL : 60000000LL);
        }
    }
}

void put_output(weir_metric_types_metric_info_t *info, const char *field, const char *unit, const char *description) {
    weir_metric_types_output_t *output = GROW(info->outputs);
    size_t name = strcspn(field, ":");
    metric_string_dup_n(&output->name, field, name);
    output->value_type = type_of(field + name + 1);
    output->nullable = field[strlen(field) - 1] == '?';
    metric_string_dup(&output->unit, unit);
    metric_string_dup(&output->description, description);
}

void put_extra(weir_metric_types_metric_info_t *info, const char *key, const char *value) {
    weir_metric_types_extra_t *pair = GROW(info->extra);
    metric_string_dup(&pair->f0, key);
    metric_string_dup(&pair->f1, value);
}

int is_one_of(const weir_metric_types_dictionary_t *texts, size_t i, int n, const char *const *of) {
    uint32_t start = u32_at(texts->offsets, i), len = u32_at(texts->offsets, i + 1) - start;
    for (int k = 0; k < n; k++)
        if (strlen(of[k]) == len && memcmp(of[k], texts->bytes.ptr + start, len) == 0) return k;
    return -1;
}
