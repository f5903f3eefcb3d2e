/* runner --runtime tflite|onnxruntime --library FILE --model FILE --sha256 HEX --inputs FILE --outputs FILE [...]

   Options and output are those of edgekit/devices/runner.py; docs/devices.md describes both. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

enum { FORMAT = 2, MAX_RUNS = 1000000, FAILED = 3, MARK = 0x45444700 };

void fail(const char *kind, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("{\"format\": %d, \"error\": {\"kind\": \"%s\", \"message\": ", FORMAT, kind);
    print_text(stdout, text);
    printf("}}\n");
    fflush(stdout);
    _exit(FAILED);
}

void print_text(FILE *out, const char *text) {
    putc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') fprintf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f) fprintf(out, "\\u%04x", *c);
        else putc(*c, out);
    }
    putc('"', out);
}

void check_output_count(size_t found) {
    if (!found || found > MAX_OUTPUTS) fail("model", "%zu outputs, 1 to %d can be read", found, MAX_OUTPUTS);
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now_ms(void) { return seconds(CLOCK_MONOTONIC) * 1e3; }

void *allocate(size_t size_bytes) {
    void *memory = calloc(1, size_bytes ? size_bytes : 1);
    if (!memory) fail("memory", "cannot allocate %zu bytes", size_bytes);
    return memory;
}

void *open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *reason = dlerror();
        fail(strstr(reason, "annot allocate memory") || strstr(reason, "cannot map") || strstr(reason, "failed to map")
                 ? "memory" : "library", "%s", reason);
    }
    return library;
}

void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) fail("library", "%s is missing in it", name);
    return found;
}

unsigned char *read_file(const char *path, size_t *size_bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail("io", "%s: %s", path, strerror(errno));
    *size_bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = allocate(*size_bytes);
    if (fread(data, 1, *size_bytes, file) != *size_bytes) fail("io", "%s: %s", path, strerror(errno));
    fclose(file);
    return data;
}

static void write_file(const char *path, const unsigned char *data, size_t size_bytes) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size_bytes, file) != size_bytes || fclose(file))
        fail("io", "%s: %s", path, strerror(errno));
}

static Request parse(int count, char **words) {
    Request r = {.runs = 0, .warmup = 0, .threads = 1, .timeout_s = 600, .min_time_s = 0, .runtime_version = ""};
    for (int i = 1; i < count; i++) {
        const char *key = words[i];
        if (!strcmp(key, "--mark") || !strcmp(key, "--profile")) {
            *(!strcmp(key, "--mark") ? &r.mark : &r.profile) = 1;
            continue;
        }
        if (++i >= count) fail("usage", "%s needs a value", key);
        const char *value = words[i];
        if (!strcmp(key, "--runtime")) r.runtime = value;
        else if (!strcmp(key, "--runtime-version")) r.runtime_version = value;
        else if (!strcmp(key, "--library")) r.library = value;
        else if (!strcmp(key, "--model")) r.model = value;
        else if (!strcmp(key, "--sha256")) r.sha256 = value;
        else if (!strcmp(key, "--inputs")) r.inputs = value;
        else if (!strcmp(key, "--outputs")) r.outputs = value;
        else if (!strcmp(key, "--runs")) r.runs = strtol(value, NULL, 10);
        else if (!strcmp(key, "--warmup")) r.warmup = strtol(value, NULL, 10);
        else if (!strcmp(key, "--threads")) r.threads = strtol(value, NULL, 10);
        else if (!strcmp(key, "--timeout-s")) r.timeout_s = strtol(value, NULL, 10);
        else if (!strcmp(key, "--min-time-s")) r.min_time_s = strtod(value, NULL);
        else if (!strcmp(key, "--cpu-mask")) r.cpu_mask = strtoull(value, NULL, 16);
        else fail("usage", "unknown option %s", key);
    }
    if (!r.runtime || !r.library || !r.model || !r.sha256 || !r.inputs || !r.outputs)
        fail("usage", "--runtime, --library, --model, --sha256, --inputs and --outputs are needed");
    if (r.runs < 0 || r.runs > MAX_RUNS || r.warmup < 0 || r.threads < 1 || r.timeout_s < 1)
        fail("usage", "a count is out of range");
    return r;
}

static void check_model(const Request *request) {
    size_t size_bytes;
    char hex[65];
    unsigned char *data = read_file(request->model, &size_bytes);
    sha256_hex(data, size_bytes, hex);
    free(data);
    if (strcmp(hex, request->sha256)) fail("hash", "%s has sha256 %s", request->model, hex);
}

/* The instruction counter of the emulated device takes a snapshot at this system call. */
static void mark(long index) {
    if (getpgid(MARK + (int)(index & 255)) == 0) errno = 0;
}

static double timed_run(const Runtime *runtime) {
    double start = now_ms();
    runtime->run();
    return now_ms() - start;
}

static void print_tensor(const Tensor *tensor) {
    printf("{\"name\": ");
    print_text(stdout, tensor->name);
    printf(", \"dtype\": \"%s\", \"shape\": [", tensor->dtype);
    for (int i = 0; i < tensor->rank; i++) printf("%s%lld", i ? ", " : "", (long long)tensor->shape[i]);
    printf("], \"size_bytes\": %zu}", tensor->size_bytes);
}

static void print_tensors(const Runtime *runtime) {
    printf("\"input\": ");
    print_tensor(&runtime->in);
    printf(", \"outputs\": [");
    for (size_t i = 0; i < runtime->outputs; i++) {
        if (i) printf(", ");
        print_tensor(&runtime->out[i]);
    }
    printf("], ");
}

static void print_count(const char *name, int value) {
    if (value < 0) printf("\"%s\": null, ", name);
    else printf("\"%s\": %d, ", name, value);
}

/* What the machine's sensors say, as text to be printed at the end: the document appears whole or not at all. */
typedef struct {
    char *temperatures, *frequencies;
} Sensors;

static Sensors read_sensors(void) {
    Sensors found;
    size_t size_bytes;
    FILE *out = open_memstream(&found.temperatures, &size_bytes);
    print_temperatures(out);
    fclose(out);
    out = open_memstream(&found.frequencies, &size_bytes);
    print_frequencies(out);
    fclose(out);
    return found;
}

typedef struct {
    double load_ms, first_ms, *runs_ms;
    long runs, images;
    size_t outputs_bytes;
    char outputs_sha256[65];
} Measured;

static size_t outputs_size(const Runtime *runtime) {
    size_t size_bytes = 0;
    for (size_t i = 0; i < runtime->outputs; i++) size_bytes += runtime->out[i].size_bytes;
    return size_bytes;
}

/* The outputs of the last run, back to back. */
static void read_outputs(const Runtime *runtime, unsigned char *data) {
    for (size_t i = 0; i < runtime->outputs; i++) {
        runtime->read_output(i, data);
        data += runtime->out[i].size_bytes;
    }
}

/* Every image once, in order; the first run is the cold one. */
static void run_images(const Request *request, const Runtime *runtime, Measured *measured) {
    size_t size_bytes, in = runtime->in.size_bytes, out = outputs_size(runtime);
    unsigned char *images = read_file(request->inputs, &size_bytes);
    if (!size_bytes || size_bytes % in) fail("usage", "%zu bytes of inputs are no multiple of %zu", size_bytes, in);
    measured->images = (long)(size_bytes / in);
    measured->outputs_bytes = (size_t)measured->images * out;
    unsigned char *outputs = allocate(measured->outputs_bytes);
    for (long i = 0; i < measured->images; i++) {
        runtime->write_input(images + (size_t)i * in);
        double spent_ms = timed_run(runtime);
        if (!i) measured->first_ms = spent_ms;
        read_outputs(runtime, outputs + (size_t)i * out);
    }
    runtime->write_input(images);
    sha256_hex(outputs, measured->outputs_bytes, measured->outputs_sha256);
    write_file(request->outputs, outputs, measured->outputs_bytes);
    free(images);
    free(outputs);
}

static void time_runs(const Request *request, const Runtime *runtime, Measured *measured) {
    long room = request->runs;
    if (request->min_time_s > 0) room = MAX_RUNS;
    measured->runs_ms = allocate((size_t)room * sizeof *measured->runs_ms);
    for (long i = 0; i < request->warmup; i++) runtime->run();
    double start_ms = now_ms();
    while (measured->runs < room) {
        if (measured->runs >= request->runs && now_ms() - start_ms >= request->min_time_s * 1e3) break;
        if (request->mark) mark(measured->runs);
        measured->runs_ms[measured->runs++] = timed_run(runtime);
    }
    if (request->mark) mark(measured->runs);
}

int main(int count, char **words) {
    Request request = parse(count, words);
    Runtime *runtime = !strcmp(request.runtime, "tflite") ? &litert : &onnxruntime;
    if (runtime == &onnxruntime && strcmp(request.runtime, "onnxruntime")) fail("usage", "unknown runtime");
    alarm((unsigned)request.timeout_s); /* whoever started us may be gone: nothing stays on the device */
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
    if (request.cpu_mask) set_affinity(request.cpu_mask);
    double wall_s = seconds(CLOCK_REALTIME), monotonic_s = seconds(CLOCK_MONOTONIC);
    Sensors before = read_sensors();
    Measured measured = {0};
    check_model(&request);
    double start_ms = now_ms();
    runtime->load(&request);
    measured.load_ms = now_ms() - start_ms;
    run_images(&request, runtime, &measured);
    if (request.profile) {
        if (!runtime->profile) fail("usage", "%s has no profiler here", runtime->name);
        runtime->profile(&request);
    }
    time_runs(&request, runtime, &measured);
    long rss_kb = peak_rss_kb();
    Sensors after = read_sensors();
    Delegation delegation = runtime->delegation(&request);
    wall_s = seconds(CLOCK_REALTIME) - wall_s;
    monotonic_s = seconds(CLOCK_MONOTONIC) - monotonic_s;

    struct utsname machine;
    uname(&machine);
    printf("{\"format\": %d, \"runner\": \"c\", \"runtime\": \"%s\", \"runtime_version\": ", FORMAT, runtime->name);
    print_text(stdout, runtime->version);
    printf(", \"machine\": ");
    print_text(stdout, machine.machine);
    printf(", \"delegate\": \"%s\", ", delegation.delegate);
    print_count("partitions", delegation.partitions);
    print_count("undelegated", delegation.undelegated);
    printf("\"model_sha256\": \"%s\", ", request.sha256);
    print_tensors(runtime);
    printf("\"images\": %ld, \"outputs_bytes\": %zu, \"outputs_sha256\": \"%s\", ", measured.images,
           measured.outputs_bytes, measured.outputs_sha256);
    printf("\"threads\": %ld, \"cpu_mask\": \"%llx\", \"warmup\": %ld, ", request.threads, request.cpu_mask,
           request.warmup);
    printf("\"load_ms\": %.4f, \"first_ms\": %.4f, \"runs_ms\": [", measured.load_ms, measured.first_ms);
    for (long i = 0; i < measured.runs; i++) printf("%s%.6f", i ? ", " : "", measured.runs_ms[i]);
    if (request.profile) {
        printf("], \"events\": [");
        runtime->print_events();
    }
    printf("], \"peak_rss_kb\": %ld, \"wall_s\": %.3f, \"monotonic_s\": %.3f, ", rss_kb, wall_s, monotonic_s);
    printf("\"temperature_c\": {\"before\": %s, \"after\": %s}, ", before.temperatures, after.temperatures);
    printf("\"frequency_khz\": {\"before\": %s, \"after\": %s}}\n", before.frequencies, after.frequencies);
    fflush(stdout);
    _exit(0); /* no destructors: a runtime's threads may still be waiting */
}
