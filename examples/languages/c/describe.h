/* Describing a metric in a few lines. Everything is copied: the generated code frees it after the call. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "packed.h"

/* Begins a description; lists that are not put stay empty. */
void describe(weir_metric_types_metric_info_t *info, const char *name, const char *title, const char *description,
              const char *unit);
/* Fields are written as `queue_id:int assignee_id:int?`, with ? where null may be. */
void put_input(weir_metric_types_metric_info_t *info, const char *source, const char *fields, const char *watches);
void put_values(weir_metric_types_metric_info_t *info, const char *fields);
void put_dimensions(weir_metric_types_metric_info_t *info, const char *names);
/* `1m 15m 1h day`, or `now`. */
void put_windows(weir_metric_types_metric_info_t *info, const char *windows);
/* The output is written as a field. */
void put_output(weir_metric_types_metric_info_t *info, const char *field, const char *unit, const char *description);
void put_extra(weir_metric_types_metric_info_t *info, const char *key, const char *value);

/* Which of n texts entry i of a dictionary is; -1 if none. */
int is_one_of(const weir_metric_types_dictionary_t *texts, size_t i, int n, const char *const *of);

#endif
