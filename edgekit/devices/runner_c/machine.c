/* What the machine says about itself, and where the program may run. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runner.h"

/* A number from a file of /sys; 0 when there is none. */
static int read_number(const char *path, long *value) {
    FILE *file = fopen(path, "r");
    int found = file && fscanf(file, "%ld", value) == 1;
    if (file) fclose(file);
    return found;
}

void set_affinity(unsigned long long cpu_mask) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu = 0; cpu < MAX_CPUS; cpu++)
        if (cpu_mask >> cpu & 1) CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) fail("usage", "cpu mask %llx: %s", cpu_mask, strerror(errno));
}

void print_temperatures(FILE *out) {
    int printed = 0;
    putc('{', out);
    for (int zone = 0; zone < MAX_ZONES; zone++) {
        char path[80], name[64] = "";
        long milli;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", zone);
        if (!read_number(path, &milli)) continue;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", zone);
        FILE *file = fopen(path, "r");
        if (!file || fscanf(file, "%63s", name) != 1) snprintf(name, sizeof name, "zone");
        if (file) fclose(file);
        snprintf(name + strlen(name), sizeof name - strlen(name), "#%d", zone); /* several zones may share a name */
        fprintf(out, "%s", printed++ ? ", " : "");
        print_text(out, name);
        fprintf(out, ": %.1f", (double)milli / 1000);
    }
    putc('}', out);
}

void print_frequencies(FILE *out) {
    int printed = 0;
    putc('[', out);
    for (int cpu = 0; cpu < MAX_CPUS; cpu++) {
        char path[80];
        long khz;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", cpu);
        if (read_number(path, &khz)) fprintf(out, "%s%ld", printed++ ? ", " : "", khz);
    }
    putc(']', out);
}

long peak_rss_kb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}
