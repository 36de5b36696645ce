/* Business hours, written as `Mon-Fri 09:00-18:00 UTC` or with a fixed offset like +05:30. */
#ifndef BUSINESS_H
#define BUSINESS_H

#include "packed.h"

typedef struct {
    /* Business time of the week before each day begins, and of the whole week. */
    int64_t before[8];
    bool works[7];
    int64_t opens, closes, offset;
} business_hours;

fault business_parse(business_hours *hours, const char *text, size_t len);
/* The business time in [from, to); negative if `to` is before `from`. */
int64_t business_between(const business_hours *hours, int64_t from, int64_t to);

#endif
