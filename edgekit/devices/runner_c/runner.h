/* The C runner of edgekit: runs one model file on a device and prints one JSON document (docs/devices.md).

   It links against libc alone and opens the runtime's library at run time, so that one program serves every version. */
#ifndef EDGEKIT_RUNNER_H
#define EDGEKIT_RUNNER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_RANK = 8, MAX_OUTPUTS = 64, MAX_CPUS = 64, MAX_ZONES = 16 };

typedef struct {
    const char *runtime, *runtime_version, *library, *model, *sha256, *inputs, *outputs;
    long runs, warmup, threads, timeout_s;
    double min_time_s;
    unsigned long long cpu_mask;
    int mark, profile;
} Request;

/* A tensor as the file stores it. */
typedef struct {
    const char *name, *dtype;
    int rank;
    int64_t shape[MAX_RANK];
    size_t size_bytes;
} Tensor;

/* How the runtime cut the graph; -1 where it does not tell. */
typedef struct {
    const char *delegate;
    int partitions, undelegated;
} Delegation;

/* A runtime with one model loaded: its first input and all of its outputs, which are written and read between runs. */
typedef struct {
    const char *name;
    char version[32];
    Tensor in, out[MAX_OUTPUTS];
    size_t outputs; /* how many there are */
    void (*load)(const Request *);
    void (*write_input)(const void *);
    void (*run)(void);
    void (*read_output)(size_t index, void *);
    Delegation (*delegation)(const Request *);
    void (*profile)(const Request *); /* runs from now on are looked into; NULL where the runtime cannot */
    void (*print_events)(void);       /* what the last of them saw: the items of a JSON list */
} Runtime;

extern Runtime litert, onnxruntime;

/* Prints {"error": ...} and ends the program; `kind` is one of usage, hash, io, memory, library, model, run. */
void fail(const char *kind, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void print_text(FILE *out, const char *text); /* as a JSON string; UTF-8 stays UTF-8 */
void check_output_count(size_t found);        /* fails for none, and for more than MAX_OUTPUTS */
double now_ms(void);               /* monotonic */
void *open_library(const char *path);
void *symbol(void *library, const char *name);
unsigned char *read_file(const char *path, size_t *size_bytes);
void *allocate(size_t size_bytes);

void sha256_hex(const unsigned char *data, size_t size_bytes, char hex[65]);

void set_affinity(unsigned long long cpu_mask);
void print_temperatures(FILE *out); /* {"cpu-thermal#0": 51.2} */
void print_frequencies(FILE *out);  /* [1800000, ...] in kHz, one per core */
long peak_rss_kb(void);

#endif
