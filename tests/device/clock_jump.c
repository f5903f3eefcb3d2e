/* A wall clock that is set while a program runs: an hour later from the third look on. Preloaded on the device. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int looks;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && ++looks > 1) now->tv_sec += 3600;
    return result;
}
