/* The clock of a Macintosh: seconds since 1904, with what software set it off by. */
#ifndef HW_MISC_MAC_RTC_H
#define HW_MISC_MAC_RTC_H

#include "core/clock.h"

#define MAC_EPOCH_TO_UNIX INT64_C(2082844800) /* from 1904-01-01 to 1970-01-01 */

/* ahead: seconds that the guest's clock is ahead of what -rtc said. */
static inline uint32_t mac_rtc_get(int64_t ahead)
{
    return clock_base() + clock_now(CLOCK_GUEST) / NS_PER_SECOND + MAC_EPOCH_TO_UNIX + ahead;
}

/* The new `ahead` of a clock that shall show `seconds`. */
static inline int64_t mac_rtc_set(uint32_t seconds)
{
    return (int32_t)(seconds - mac_rtc_get(0));
}

#endif
